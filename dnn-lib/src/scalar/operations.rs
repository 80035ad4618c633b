//! The operations of the table as types, and what they do with values of Rust.

use super::element::{canonical32, canonical64, maximum, minimum};
use super::table::for_each_operation;
use super::{Lane, Truth, Type};

/// What is done with a function of one value: [`UnaryOp::with`], [`Conversion::with`].
pub trait UseUnary {
    /// What comes of it.
    type Result;

    /// Does it.
    fn with<A: Lane, R: Lane>(self, f: impl Fn(A) -> R) -> Self::Result;
}

/// What is done with a function of two values: [`BinaryOp::with`].
pub trait UseBinary {
    /// What comes of it.
    type Result;

    /// Does it.
    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) -> Self::Result;
}

/// What is done with a comparison: [`Comparison::with`].
pub trait UseComparison {
    /// What comes of it.
    type Result;

    /// Does it.
    fn with<T: Lane>(self, f: impl Fn(T, T) -> bool) -> Self::Result;
}

/// The types of some lanes.
macro_rules! types {
    ([$($lane:ident)+]) => { [$(<$lane as Lane>::TYPE),+] };
}

/// Uses a conversion if it is the one from `$a` to one of some types.
macro_rules! convert {
    ($types:expr, $to:expr, $a:ident => [$($r:ident)+] $f:expr) => {$(
        if $types == (<$a as Lane>::TYPE, <$r as Lane>::TYPE) {
            return Some($to.with::<$a, $r>($f));
        }
    )+};
}

/// Declares the enum of a section, with what all of them have.
macro_rules! section {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $row:literal])+ $op:ident = $text:ident;)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $row])+ $op,)+
        }

        impl $name {
            /// Every operation, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$op),+];

            /// The name in the text of programs, which is that of its method in [`Ops`](super::Ops).
            pub const fn name(self) -> &'static str {
                match self { $(Self::$op => stringify!($text)),+ }
            }

            /// What it is, on one line.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$op => concat!($($row),+).trim_ascii()),+ }
            }
        }
    };
}

macro_rules! operations {
    (
        unary { $(
            $(#[doc = $unary_doc:literal])+
            $unary:ident = $unary_text:ident { $([$($unary_lane:ident)+] $unary_f:expr);+ }
        )+ }
        binary { $(
            $(#[doc = $binary_doc:literal])+
            $binary:ident = $binary_text:ident { $([$($binary_lane:ident)+] $binary_f:expr);+ }
        )+ }
        comparison { $(
            $(#[doc = $test_doc:literal])+
            $test:ident = $test_text:ident { $([$($test_lane:ident)+] $test_f:expr);+ }
        )+ }
        conversion { $(
            $(#[doc = $conversion_doc:literal])+
            $conversion:ident = $conversion_text:ident { $([$($from:ident)+] => $to:tt $conversion_f:expr);+ }
        )+ }
    ) => {
        section! {
            /// Operations on one value, whose type is also that of the result.
            UnaryOp { $($(#[doc = $unary_doc])+ $unary = $unary_text;)+ }
        }
        section! {
            /// Operations on two values of one type, which is also the type of the result.
            BinaryOp { $($(#[doc = $binary_doc])+ $binary = $binary_text;)+ }
        }
        section! {
            /// Comparisons of two values of one type.
            Comparison { $($(#[doc = $test_doc])+ $test = $test_text;)+ }
        }
        section! {
            /// Conversions of a value to another type.
            Conversion { $($(#[doc = $conversion_doc])+ $conversion = $conversion_text;)+ }
        }

        impl UnaryOp {
            /// The types that it is defined for.
            pub const fn types(self) -> &'static [Type] {
                match self { $(Self::$unary => &[$($(<$unary_lane as Lane>::TYPE),+),+]),+ }
            }

            /// Uses the function that it is for a type; `None` if it isn't defined for the type.
            #[inline(always)]
            pub fn with<U: UseUnary>(self, ty: Type, to: U) -> Option<U::Result> {
                match self { $(Self::$unary => {
                    $($(if ty == <$unary_lane as Lane>::TYPE {
                        return Some(to.with::<$unary_lane, $unary_lane>($unary_f));
                    })+)+
                })+ }
                None
            }
        }

        impl BinaryOp {
            /// The types that it is defined for.
            pub const fn types(self) -> &'static [Type] {
                match self { $(Self::$binary => &[$($(<$binary_lane as Lane>::TYPE),+),+]),+ }
            }

            /// Uses the function that it is for a type; `None` if it isn't defined for the type.
            #[inline(always)]
            pub fn with<U: UseBinary>(self, ty: Type, to: U) -> Option<U::Result> {
                match self { $(Self::$binary => {
                    $($(if ty == <$binary_lane as Lane>::TYPE {
                        return Some(to.with::<$binary_lane>($binary_f));
                    })+)+
                })+ }
                None
            }
        }

        impl Comparison {
            /// The types that it is defined for.
            pub const fn types(self) -> &'static [Type] {
                match self { $(Self::$test => &[$($(<$test_lane as Lane>::TYPE),+),+]),+ }
            }

            /// Uses the function that it is for a type; `None` if it isn't defined for the type.
            #[inline(always)]
            pub fn with<U: UseComparison>(self, ty: Type, to: U) -> Option<U::Result> {
                match self { $(Self::$test => {
                    $($(if ty == <$test_lane as Lane>::TYPE {
                        return Some(to.with::<$test_lane>($test_f));
                    })+)+
                })+ }
                None
            }
        }

        impl Conversion {
            /// Whether it leads from a type to another.
            pub fn works(self, from: Type, to: Type) -> bool {
                match self { $(Self::$conversion => {
                    $((types!([$($from)+]).contains(&from) && types!($to).contains(&to)))||+
                })+ }
            }

            /// Uses the function that it is for types; `None` if it isn't defined for them.
            #[inline(always)]
            pub fn with<U: UseUnary>(self, from: Type, to: Type, result: U) -> Option<U::Result> {
                match self { $(Self::$conversion => {
                    $($(convert!((from, to), result, $from => $to $conversion_f);)+)+
                })+ }
                None
            }
        }
    };
}
for_each_operation!(operations);

/// The bits of an operand, as evaluators keep them.
struct One(u64);

/// The bits of two operands.
struct Two(u64, u64);

impl UseUnary for One {
    type Result = u64;

    fn with<A: Lane, R: Lane>(self, f: impl Fn(A) -> R) -> u64 {
        f(A::from_kept(self.0)).kept()
    }
}

impl UseBinary for Two {
    type Result = u64;

    fn with<T: Lane>(self, f: impl Fn(T, T) -> T) -> u64 {
        f(T::from_kept(self.0), T::from_kept(self.1)).kept()
    }
}

impl UseComparison for Two {
    type Result = u64;

    fn with<T: Lane>(self, f: impl Fn(T, T) -> bool) -> u64 {
        f(T::from_kept(self.0), T::from_kept(self.1)).into()
    }
}

// Of types that an operation isn't defined for, which no checked program has, the result is 0.

impl UnaryOp {
    pub(crate) fn eval(self, ty: Type, a: u64) -> u64 {
        self.with(ty, One(a)).unwrap_or(0)
    }
}

impl BinaryOp {
    /// The result on values of a type, by their bits.
    pub fn eval(self, ty: Type, a: u64, b: u64) -> u64 {
        self.with(ty, Two(a, b)).unwrap_or(0)
    }
}

impl Comparison {
    pub(crate) fn eval(self, ty: Type, a: u64, b: u64) -> u64 {
        self.with(ty, Two(a, b)).unwrap_or(0)
    }
}

impl Conversion {
    pub(crate) fn eval(self, from: Type, to: Type, a: u64) -> u64 {
        self.with(from, to, One(a)).unwrap_or(0)
    }
}
