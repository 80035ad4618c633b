//! The domain of SMT-LIB text: run in it, the semantics write themselves down for a solver.
//!
//! A natural number is a vector of 128 bits. That it never overflows is not taken for granted: beside each
//! function `f` is a condition `f.safe` that says so of all that the function does.

use isa::domain::{Bool as _, Domain, Function, Nat as IsaNat, Word as IsaWord};
use isa::float::{self, Format};
use std::cell::RefCell;
use std::fmt::Write;
use std::ops;

/// The domain of SMT-LIB text.
#[derive(Debug, Clone, Copy)]
pub struct Smt;

macro_rules! sorts {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name(usize);

        impl $name {
            fn new(text: String) -> Self {
                Self(push(text))
            }

            fn text(self) -> String {
                TEXT.with_borrow(|text| text.terms[self.0].clone())
            }

            fn named(self, name: &str) -> Self {
                let value = self.text();
                // Names and numbers are short enough as they are.
                if value.starts_with('(') && !value.starts_with("(_ bv") { Self::new(bind(name, value)) } else { self }
            }
        }
    )*};
}

sorts! {
    /// A machine word: 64 bits.
    Word
    /// A natural number: 128 bits.
    Nat
    /// A condition.
    Bool
}

/// What has been written so far.
#[derive(Debug, Default)]
struct Text {
    terms: Vec<String>,
    /// The functions that are complete, callees first.
    done: String,
    known: Vec<&'static str>,
    open: Vec<Scope>,
}

/// A function in the making.
#[derive(Debug, Default)]
struct Scope {
    /// Names and their values, in order.
    values: Vec<(String, String)>,
    /// The conditions of the branches that enclose what is written now.
    path: Vec<String>,
    /// What must hold so that nothing overflows.
    safe: Vec<String>,
}

thread_local! {
    static TEXT: RefCell<Text> = RefCell::new(Text::default());
}

fn push(term: String) -> usize {
    TEXT.with_borrow_mut(|text| {
        text.terms.push(term);
        text.terms.len() - 1
    })
}

/// Changes the function in the making.
fn scope<R>(change: impl FnOnce(&mut Scope) -> R) -> R {
    TEXT.with_borrow_mut(|text| change(text.open.last_mut().expect("values belong to a function")))
}

/// Gives a value a name of its own.
fn bind(name: &str, value: String) -> String {
    scope(|scope| {
        let name = format!("{name}.{}", scope.values.len());
        scope.values.push((name.clone(), value));
        name
    })
}

/// Notes what must hold where the semantics are now.
fn require(condition: String) {
    scope(|scope| {
        let condition = match scope.path.as_slice() {
            [] => condition,
            path => format!("(=> (and true {}) {condition})", path.join(" ")),
        };
        scope.safe.push(condition);
    });
}

impl Scope {
    /// A term behind the names that it uses.
    fn close(&self, term: &str) -> String {
        let values = self.values.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, "\n  (let (({name} {value}))");
            text
        });
        format!("{values}\n  {term}{}", ")".repeat(self.values.len()))
    }
}

/// Writes a function: its results by name, and the condition that nothing in it overflows.
fn define(name: &str, params: &[&str], results: &[&str], record: impl FnOnce() -> Vec<String>) {
    TEXT.with_borrow_mut(|text| text.open.push(Scope::default()));
    let values = record();
    TEXT.with_borrow_mut(|text| {
        let scope = text.open.pop().unwrap_or_default();
        let params: Vec<_> = params.iter().map(|name| format!("({name} Nat)")).collect();
        let params = params.join(" ");
        for (result, value) in results.iter().zip(&values) {
            let body = scope.close(value);
            let name = if results.len() == 1 { name.to_owned() } else { format!("{name}.{result}") };
            let _ = writeln!(text.done, "(define-fun {name} ({params}) Nat{body})\n");
        }
        let safe = format!(
            "(and true true{})",
            scope.safe.iter().fold(String::new(), |all, one| all + "\n    " + one)
        );
        let body = scope.close(&safe);
        let _ = writeln!(text.done, "(define-fun {name}.safe ({params}) Bool{body})\n");
    });
}

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident $operator:literal $(require $requirement:literal)?;)*) => {$(
        impl ops::$trait for $type {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                let (a, b) = (self.text(), other.text());
                $(require($requirement.replace('$', &a).replace('#', &b));)?
                Self::new(format!("({} {a} {b})", $operator))
            }
        }
    )*};
}

operators! { Nat:
    Add add "bvadd" require "(bvuge (bvadd $ #) $)";
    Sub sub "bvsub" require "(bvuge $ #)";
    Mul mul "bvmul" require "(not (bvumulo $ #))";
    Div div "bvudiv" require "(distinct # (_ bv0 128))";
    Rem rem "bvurem" require "(distinct # (_ bv0 128))";
    Shl shl "bvshl" require "(and (bvult # (_ bv128 128)) (= (bvlshr (bvshl $ #) #) $))";
    Shr shr "bvlshr" require "(bvult # (_ bv128 128))";
    BitAnd bitand "bvand";
    BitOr bitor "bvor";
    BitXor bitxor "bvxor";
}

operators! { Word:
    Add add "bvadd";
    Sub sub "bvsub";
    Mul mul "bvmul";
    BitAnd bitand "bvand";
    BitOr bitor "bvor";
    BitXor bitxor "bvxor";
}

operators! { Bool:
    BitAnd bitand "and";
    BitOr bitor "or";
}

impl ops::Not for Bool {
    type Output = Self;
    fn not(self) -> Self {
        Self::new(format!("(not {})", self.text()))
    }
}

/// An operator of two terms.
fn binary(operator: &str, a: &str, b: &str) -> String {
    format!("({operator} {a} {b})")
}

impl Word {
    fn with(self, operator: &str, other: Self) -> String {
        binary(operator, &self.text(), &other.text())
    }

    /// A quotient or remainder, 0 where the divisor is.
    fn divided(self, operator: &str, divisor: Self) -> Self {
        let quotient = self.with(operator, divisor);
        Self::new(format!("(ite (= {} (_ bv0 64)) (_ bv0 64) {quotient})", divisor.text()))
    }

    /// The low bits, extended to a word.
    fn extended(self, extension: &str, bits: u32) -> Self {
        let low = format!("((_ extract {} 0) {})", bits - 1, self.text());
        Self::new(format!("((_ {extension} {}) {low})", 64 - bits))
    }
}

impl IsaWord for Word {
    type D = Smt;
    fn shl(self, n: Self) -> Self {
        Self::new(self.with("bvshl", n))
    }
    fn shr(self, n: Self) -> Self {
        Self::new(self.with("bvlshr", n))
    }
    fn sar(self, n: Self) -> Self {
        Self::new(self.with("bvashr", n))
    }
    fn divu(self, divisor: Self) -> Self {
        self.divided("bvudiv", divisor)
    }
    fn remu(self, divisor: Self) -> Self {
        self.divided("bvurem", divisor)
    }
    fn divs(self, divisor: Self) -> Self {
        self.divided("bvsdiv", divisor)
    }
    fn rems(self, divisor: Self) -> Self {
        self.divided("bvsrem", divisor)
    }
    fn eq(self, other: Self) -> Bool {
        Bool::new(self.with("=", other))
    }
    fn ltu(self, other: Self) -> Bool {
        Bool::new(self.with("bvult", other))
    }
    fn lts(self, other: Self) -> Bool {
        Bool::new(self.with("bvslt", other))
    }
    fn sext(self, bits: u32) -> Self {
        self.extended("sign_extend", bits)
    }
    fn zext(self, bits: u32) -> Self {
        self.extended("zero_extend", bits)
    }
    fn nat(self) -> Nat {
        Nat::new(format!("((_ zero_extend 64) {})", self.text()))
    }
    fn named(self, name: &'static str) -> Self {
        self.named(name)
    }
}

impl IsaNat for Nat {
    type D = Smt;
    fn eq(self, other: Self) -> Bool {
        Bool::new(binary("=", &self.text(), &other.text()))
    }
    fn lt(self, other: Self) -> Bool {
        Bool::new(binary("bvult", &self.text(), &other.text()))
    }
    fn bit_length(self) -> Self {
        Self::new(format!("(bit_length {})", self.text()))
    }
    fn word(self) -> Word {
        Word::new(format!("((_ extract 63 0) {})", self.text()))
    }
    fn named(self, name: &'static str) -> Self {
        self.named(name)
    }
}

impl isa::Bool for Bool {
    type D = Smt;
    fn select(self, a: Nat, b: Nat) -> Nat {
        Nat::new(format!("(ite {} {} {})", self.text(), a.text(), b.text()))
    }
    fn select_word(self, a: Word, b: Word) -> Word {
        Word::new(format!("(ite {} {} {})", self.text(), a.text(), b.text()))
    }
    fn nat(self) -> Nat {
        self.select(Smt::nat(1), Smt::nat(0))
    }
    fn named(self, name: &'static str) -> Self {
        self.named(name)
    }
}

/// One side of a branch.
fn side<R>(condition: String, record: impl FnOnce() -> R) -> R {
    scope(|scope| scope.path.push(condition));
    let result = record();
    scope(|scope| scope.path.pop());
    result
}

impl Domain for Smt {
    type Word = Word;
    type Nat = Nat;
    type Bool = Bool;

    fn word(value: u64) -> Word {
        Word::new(format!("(_ bv{value} 64)"))
    }
    fn nat(value: u128) -> Nat {
        Nat::new(format!("(_ bv{value} 128)"))
    }
    fn branch<const K: usize>(
        condition: Bool,
        names: [&'static str; K],
        then: impl FnOnce() -> [Nat; K],
        otherwise: impl FnOnce() -> [Nat; K],
    ) -> [Nat; K] {
        let condition = condition.named("taken");
        // Both sides are computed; what one of them must not do is asked only where it is taken.
        let then = side(condition.text(), then);
        let otherwise = side((!condition).text(), otherwise);
        std::array::from_fn(|i| condition.select(then[i], otherwise[i]).named(names[i]))
    }
    fn call<const A: usize, const R: usize>(
        function: &'static Function,
        args: [Nat; A],
        body: impl FnOnce([Nat; A]) -> [Nat; R],
    ) -> [Nat; R] {
        let name = function.name;
        let known = TEXT.with_borrow_mut(|text| {
            let known = text.known.contains(&name);
            text.known.push(name);
            known
        });
        if !known {
            define(name, function.params, function.results, || {
                let params = std::array::from_fn(|i| Nat::new(function.params[i].to_owned()));
                body(params).into_iter().map(Nat::text).collect()
            });
        }
        let args = args.map(Nat::text).join(" ");
        require(format!("({name}.safe {args})"));
        std::array::from_fn(|i| {
            let result = function.results[i];
            let name = if R == 1 { name.to_owned() } else { format!("{name}.{result}") };
            Nat::new(format!("({name} {args})")).named(result)
        })
    }
}

/// What the functions need: the length of a number, by halving.
const PRELUDE: &str = "\
; The machine's floating point, written down by the code that the interpreter runs: do not edit.

(define-sort Nat () (_ BitVec 128))

(define-fun bit_length ((x Nat)) Nat
  (let ((n6 (ite (bvult x (_ bv18446744073709551616 128)) (_ bv0 128) (_ bv64 128))))
  (let ((n5 (bvadd n6 (ite (bvult (bvlshr x n6) (_ bv4294967296 128)) (_ bv0 128) (_ bv32 128)))))
  (let ((n4 (bvadd n5 (ite (bvult (bvlshr x n5) (_ bv65536 128)) (_ bv0 128) (_ bv16 128)))))
  (let ((n3 (bvadd n4 (ite (bvult (bvlshr x n4) (_ bv256 128)) (_ bv0 128) (_ bv8 128)))))
  (let ((n2 (bvadd n3 (ite (bvult (bvlshr x n3) (_ bv16 128)) (_ bv0 128) (_ bv4 128)))))
  (let ((n1 (bvadd n2 (ite (bvult (bvlshr x n2) (_ bv4 128)) (_ bv0 128) (_ bv2 128)))))
  (let ((n0 (bvadd n1 (ite (bvult (bvlshr x n1) (_ bv2 128)) (_ bv0 128) (_ bv1 128)))))
  (bvadd n0 (ite (= x (_ bv0 128)) (_ bv0 128) (_ bv1 128)))))))))))

";

/// Writes an operation of the machine: a function of numbers and, last, of the rounding mode.
fn operation<const A: usize>(name: &str, params: [&str; A], record: impl FnOnce([Nat; A]) -> Nat) {
    define(name, &params, &["result"], || vec![record(params.map(|name| Nat::new(name.to_owned()))).text()]);
}

/// Floating point in SMT-LIB: every operation in both formats, such as `f32.min`.
#[must_use]
pub fn floating_point() -> String {
    TEXT.with_borrow_mut(|text| *text = Text::default());
    for (name, format, other, other_format) in
        [("f32", Format::F32, "f64", Format::F64), ("f64", Format::F64, "f32", Format::F32)]
    {
        let named = |operation: &str| format!("{name}.{operation}");
        operation(&named("add"), ["a", "b", "rm"], |[a, b, rm]| float::add::<Smt>(format, a, b, rm));
        operation(&named("mul"), ["a", "b", "rm"], |[a, b, rm]| float::mul::<Smt>(format, a, b, rm));
        operation(&named("div"), ["a", "b", "rm"], |[a, b, rm]| float::div::<Smt>(format, a, b, rm));
        operation(&named("sqrt"), ["a", "rm"], |[a, rm]| float::sqrt::<Smt>(format, a, rm));
        operation(&named("fma"), ["a", "b", "c", "rm"], |[a, b, c, rm]| {
            float::fma::<Smt>(format, a, b, c, rm)
        });
        operation(&named("min"), ["a", "b"], |[a, b]| float::min::<Smt>(format, a, b));
        operation(&named("max"), ["a", "b"], |[a, b]| float::max::<Smt>(format, a, b));
        operation(&named("equal"), ["a", "b"], |[a, b]| float::equal::<Smt>(format, a, b));
        operation(&named("less"), ["a", "b"], |[a, b]| float::less::<Smt>(format, a, b));
        operation(&named("less_equal"), ["a", "b"], |[a, b]| float::less_equal::<Smt>(format, a, b));
        operation(&named("class"), ["a"], |[a]| float::class::<Smt>(format, a));
        operation(&named("negate"), ["a"], |[a]| float::negate::<Smt>(format, a));
        operation(&named("copy_sign"), ["a", "b"], |[a, b]| float::copy_sign::<Smt>(format, a, b));
        operation(&named(&format!("to_{other}")), ["a", "rm"], |[a, rm]| {
            float::change_format::<Smt>(format, other_format, a, rm)
        });
        for (bits, signed, integer) in
            [(32, true, "i32"), (32, false, "u32"), (64, true, "i64"), (64, false, "u64")]
        {
            operation(&named(&format!("to_{integer}")), ["a", "rm"], |[a, rm]| {
                float::to_int::<Smt>(format, a, rm, bits, signed).nat()
            });
        }
        for (signed, integer) in [(true, "i64"), (false, "u64")] {
            operation(&named(&format!("from_{integer}")), ["a", "rm"], |[a, rm]| {
                float::from_int::<Smt>(format, a.word(), rm, signed)
            });
        }
    }
    PRELUDE.to_owned() + &TEXT.take().done
}
