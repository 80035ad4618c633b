//! Elementary functions, correctly rounded in `f32` and evaluated in `f64`. Those of an `f64` are in `double`.
//!
//! Each is one text over an [`Arithmetic`]: over a kernel's [`Builder`](crate::kernel::Builder) it becomes
//! guest code, over [`Scalar`] it is evaluated, and over lanes it runs in vector registers. The texts use only
//! `+ - * fma /`, comparisons and integer operations, so every domain computes the same bits.
//!
//! An `f64` evaluation with an error of about one unit in the last place rounds almost every `f32` input
//! correctly. The few results that are closer to the midpoint of two floats are listed in
//! `tests/hard_cases.txt`. The coefficients are minimax polynomials, made by `tests/coefficients.py`, and just
//! long enough that no input is rounded wrongly. `host/examples/exhaustive.rs` tests all 2^32 inputs.

mod arc;
mod arithmetic;
pub(crate) mod double;
mod erf;
mod exponential;
mod gelu;
mod kernel;
mod logarithm;
mod power;
mod scalar;
mod trigonometric;

pub use arithmetic::Arithmetic;
pub(crate) use power::power;
pub use scalar::Scalar;

/// The table of the functions: name, documentation, and the text.
macro_rules! functions {
    ($($(#[doc = $doc:literal])+ $function:ident $name:literal: $text:path, $double:path;)+) => {
        /// A function of one float: of an `f32` correctly rounded, of an `f64` nearly so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Function {$(
            $(#[doc = $doc])+
            $function,
        )+}

        impl Function {
            /// All of them, in the order of their numbers (`function as usize`).
            pub const ALL: &[Self] = &[$(Self::$function),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {$(Self::$function => $name,)+}
            }

            /// The value at `x`, before it is rounded.
            #[inline(always)]
            pub fn wide<A: Arithmetic>(self, a: &mut A, x: A::F32) -> A::F64 {
                match self {$(Self::$function => $text(a, x),)+}
            }

            /// The value at `x`.
            #[inline(always)]
            pub fn apply<A: Arithmetic>(self, a: &mut A, x: A::F32) -> A::F32 {
                let y = self.wide(a, x);
                a.demote(y)
            }

            /// The value at an `f64`, less than one unit in the last place from the right one.
            pub fn double<A: Arithmetic>(self, a: &mut A, x: A::F64) -> A::F64 {
                match self {$(Self::$function => $double(a, x),)+}
            }
        }
    };
}

functions! {
    /// e^x.
    Exp "exp": exponential::exp, double::exp;
    /// The hyperbolic tangent.
    Tanh "tanh": exponential::tanh, double::tanh;
    /// 1 / (1 + e^-x).
    Sigmoid "sigmoid": exponential::sigmoid, double::sigmoid;
    /// The error function: 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
    Erf "erf": erf::erf, double::erf;
    /// The natural logarithm.
    Log "log": logarithm::log, double::log;
    /// e^x - 1.
    Expm1 "expm1": exponential::expm1, double::expm1;
    /// log(1 + e^x).
    Softplus "softplus": logarithm::softplus, double::softplus;
    /// x tanh(log(1 + e^x)).
    Mish "mish": gelu::mish, double::mish;
    /// x times the area under the bell curve below x.
    Gelu "gelu": gelu::gelu, double::gelu;
    /// x times the sigmoid of 2 sqrt(2 / pi) (x + 0.044715 x^3).
    GeluTanh "gelu_tanh": gelu::gelu_tanh, double::gelu_tanh;
    /// The sine.
    Sin "sin": trigonometric::sin, double::sin;
    /// The cosine.
    Cos "cos": trigonometric::cos, double::cos;
    /// The tangent.
    Tan "tan": trigonometric::tan, double::tan;
    /// The hyperbolic sine.
    Sinh "sinh": exponential::sinh, double::sinh;
    /// The hyperbolic cosine.
    Cosh "cosh": exponential::cosh, double::cosh;
    /// The inverse of the sine.
    Asin "asin": arc::asin, double::asin;
    /// The inverse of the cosine.
    Acos "acos": arc::acos, double::acos;
    /// The inverse of the tangent.
    Atan "atan": arc::atan, double::atan;
    /// The inverse of the hyperbolic sine.
    Asinh "asinh": logarithm::asinh, double::asinh;
    /// The inverse of the hyperbolic cosine.
    Acosh "acosh": logarithm::acosh, double::acosh;
    /// The inverse of the hyperbolic tangent.
    Atanh "atanh": logarithm::atanh, double::atanh;
}

impl Function {
    /// The function with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// The value at one float; a NaN is the canonical one.
    #[must_use]
    pub fn of(self, x: f32) -> f32 {
        let y = self.apply(&mut Scalar, x);
        // By bits, because a compiler may drop float code that only changes one NaN into another.
        if y.is_nan() { f32::from_bits(0x7fc0_0000) } else { y }
    }

    /// The value at one `f64`; a NaN is the canonical one.
    #[must_use]
    pub fn of_double(self, x: f64) -> f64 {
        let y = self.double(&mut Scalar, x);
        if y.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { y }
    }
}
