//! The type of a tensor: an element type and a shape. Elements are stored in row-major order, little-endian,
//! without gaps. Every crate that knows tensors means these types.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How NumPy calls an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numpy {
    /// In the header of an .npy file: `<f4`.
    pub descr: &'static str,
    /// In the module `numpy`: `float32`.
    pub name: &'static str,
}

const fn numpy(descr: &'static str, name: &'static str) -> Option<Numpy> {
    Some(Numpy { descr, name })
}

/// Declares every element type once: its size in bits, our name, and NumPy's.
macro_rules! dtypes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $bits:literal, $name:literal, $numpy:expr;)+) => {
        /// The type of a tensor's elements in memory. Images number the types in this order, so a new one is
        /// the last.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum DType {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DType {
            /// Every element type.
            pub const ALL: [DType; [$($name),+].len()] = [$(DType::$variant),+];

            /// The size of an element in bits.
            pub const fn bits(self) -> u64 {
                match self { $(DType::$variant => $bits),+ }
            }

            /// The printed name: `f32`, `u8`, ...
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $name),+ }
            }

            /// NumPy's names; `None` if NumPy has no such type.
            pub const fn numpy(self) -> Option<Numpy> {
                match self { $(DType::$variant => $numpy),+ }
            }
        }
    };
}

dtypes! {
    /// IEEE-754 binary32.
    F32 = 32, "f32", numpy("<f4", "float32");
    /// IEEE-754 binary64.
    F64 = 64, "f64", numpy("<f8", "float64");
    /// Signed 8-bit integer.
    I8 = 8, "i8", numpy("|i1", "int8");
    /// Signed 16-bit integer.
    I16 = 16, "i16", numpy("<i2", "int16");
    /// Signed 32-bit integer.
    I32 = 32, "i32", numpy("<i4", "int32");
    /// Signed 64-bit integer.
    I64 = 64, "i64", numpy("<i8", "int64");
    /// Unsigned 8-bit integer.
    U8 = 8, "u8", numpy("|u1", "uint8");
    /// Unsigned 16-bit integer.
    U16 = 16, "u16", numpy("<u2", "uint16");
    /// Unsigned 32-bit integer.
    U32 = 32, "u32", numpy("<u4", "uint32");
    /// Unsigned 64-bit integer.
    U64 = 64, "u64", numpy("<u8", "uint64");
    /// One byte, 0 or 1.
    Bool = 8, "bool", numpy("|b1", "bool_");
    /// IEEE-754 binary16.
    F16 = 16, "f16", numpy("<f2", "float16");
    /// The upper half of a binary32.
    BF16 = 16, "bf16", None;
    /// Signed 4-bit integer. Two share a byte, the first in its low half.
    I4 = 4, "i4", None;
    /// Unsigned 4-bit integer, packed likewise.
    U4 = 4, "u4", None;
    /// 8-bit float with 4 bits of exponent and 3 of fraction, without infinities.
    F8E4M3FN = 8, "f8e4m3fn", None;
    /// The same with another bias and one NaN, instead of minus zero.
    F8E4M3FNUZ = 8, "f8e4m3fnuz", None;
    /// 8-bit float with 5 bits of exponent and 2 of fraction.
    F8E5M2 = 8, "f8e5m2", None;
    /// The same with another bias and one NaN, instead of minus zero, and without infinities.
    F8E5M2FNUZ = 8, "f8e5m2fnuz", None;
    /// A power of two, of 8 bits.
    F8E8M0 = 8, "f8e8m0", None;
    /// 4-bit float with 2 bits of exponent and 1 of fraction, packed as integers are.
    F4E2M1 = 4, "f4e2m1", None;
    /// Signed 2-bit integer. Four share a byte, the first in its lowest bits.
    I2 = 2, "i2", None;
    /// Unsigned 2-bit integer, packed likewise.
    U2 = 2, "u2", None;
}

impl DType {
    /// The type with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The size in bytes of an element that stands alone, which is also its alignment. Elements of fewer than
    /// eight bits share a byte, so [`bytes`](Self::bytes) has the size of an array.
    pub const fn size(self) -> u64 {
        self.bits().div_ceil(8)
    }

    /// The size of an array in bytes; `None` if it does not fit. The last byte may not be full.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let bits = u128::from(elements) * u128::from(self.bits());
        u64::try_from(bits.div_ceil(8)).ok()
    }

    /// The index of the element at an offset in bytes; of packed elements, the first in the byte.
    pub const fn element_at(self, offset: u64) -> u64 {
        offset / self.size() * (self.size() * 8 / self.bits())
    }

    /// Whether several elements share a byte.
    pub const fn is_packed(self) -> bool {
        self.bits() < 8
    }

    /// Whether it is a float of 8 or fewer bits, whose elements are computed with after a conversion only.
    pub const fn is_small_float(self) -> bool {
        use DType::{F4E2M1, F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0};
        matches!(self, F8E4M3FN | F8E4M3FNUZ | F8E5M2 | F8E5M2FNUZ | F8E8M0 | F4E2M1)
    }

    /// The integer type of the same size, for moving elements without interpreting them.
    pub const fn as_integer(self) -> DType {
        match self {
            DType::F64 => DType::I64,
            DType::F32 => DType::I32,
            DType::F16 | DType::BF16 => DType::I16,
            DType::F4E2M1 => DType::U4,
            small if small.is_small_float() => DType::U8,
            other => other,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The element type and the shape of a tensor. A shape without dimensions is a scalar: one element.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorType {
    /// The type of the elements.
    pub dtype: DType,
    /// The size of each dimension, outermost first.
    pub shape: Vec<u64>,
}

impl TensorType {
    /// A tensor of `dtype` with this shape.
    pub fn new(dtype: DType, shape: impl Into<Vec<u64>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// The number of elements; `None` if it does not fit.
    pub fn elements(&self) -> Option<u64> {
        elements(&self.shape)
    }

    /// The same with integers of the same size as elements: what only moves elements keeps all of their bits.
    pub fn as_integers(&self) -> Self {
        Self::new(self.dtype.as_integer(), self.shape.clone())
    }

    /// The size in bytes; `None` if it does not fit.
    pub fn bytes(&self) -> Option<u64> {
        self.dtype.bytes(self.elements()?)
    }
}

/// The product of some dimensions; `None` if it does not fit. A single zero makes it zero.
pub fn elements(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, size) in self.shape.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
            let same = |other: &DType| other.numpy().is_some() && other.numpy() == dtype.numpy();
            assert!(DType::ALL.iter().filter(|other| same(other)).count() <= 1, "{dtype}");
        }
        assert_eq!(DType::from_name("f8"), None);
    }

    /// NumPy's descriptors tell the size of an element.
    #[test]
    fn sizes_are_what_names_say() {
        for dtype in DType::ALL {
            let digits = dtype.name().trim_start_matches(|c: char| !c.is_ascii_digit());
            let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            assert_eq!(if digits.is_empty() { Ok(8) } else { digits.parse() }, Ok(dtype.bits()), "{dtype}");
            if let Some(numpy) = dtype.numpy() {
                assert_eq!(numpy.descr[2..].parse(), Ok(dtype.size()), "{dtype}");
            }
            assert_eq!(dtype.as_integer().bits(), dtype.bits(), "{dtype}");
        }
    }

    #[test]
    fn elements_are_found_in_arrays() {
        let found = |dtype: DType| [0, 1, 7, 8].map(|offset| dtype.element_at(offset));
        assert_eq!(found(DType::F64), [0, 0, 0, 1]);
        assert_eq!(found(DType::F16), [0, 0, 3, 4]);
        assert_eq!(found(DType::Bool), [0, 1, 7, 8]);
        assert_eq!(found(DType::I4), [0, 2, 14, 16]);
        assert_eq!(found(DType::U2), [0, 4, 28, 32]);
    }

    #[test]
    fn arrays_are_whole_bytes() {
        for (dtype, shape, bytes) in [
            (DType::F32, vec![2, 3], Some(24)),
            (DType::BF16, vec![3], Some(6)),
            (DType::I4, vec![], Some(1)),
            (DType::U4, vec![3], Some(2)),
            (DType::U4, vec![2, 2], Some(2)),
            (DType::I2, vec![5], Some(2)),
            (DType::F4E2M1, vec![3], Some(2)),
            (DType::F8E5M2, vec![3], Some(3)),
            (DType::U4, vec![u64::MAX], Some(1 << 63)),
            (DType::U4, vec![0, u64::MAX, 2], Some(0)),
            (DType::I16, vec![1 << 63], None),
            (DType::U4, vec![1 << 63, 2], None),
        ] {
            let ty = TensorType::new(dtype, shape);
            assert_eq!(ty.bytes(), bytes, "{ty}");
        }
    }
}
