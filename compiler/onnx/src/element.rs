//! ONNX's element types: their codes in files, their names, and which of them we have.

use tensor::DType;

/// Every element type of ONNX: its code, its name as ONNX's documentation writes it, and our type.
const TYPES: [(i32, &str, Option<DType>); 29] = [
    (0, "undefined", None),
    (1, "float", Some(DType::F32)),
    (2, "uint8", Some(DType::U8)),
    (3, "int8", Some(DType::I8)),
    (4, "uint16", Some(DType::U16)),
    (5, "int16", Some(DType::I16)),
    (6, "int32", Some(DType::I32)),
    (7, "int64", Some(DType::I64)),
    (8, "string", None),
    (9, "bool", Some(DType::Bool)),
    (10, "float16", Some(DType::F16)),
    (11, "double", Some(DType::F64)),
    (12, "uint32", Some(DType::U32)),
    (13, "uint64", Some(DType::U64)),
    (14, "complex64", None),
    (15, "complex128", None),
    (16, "bfloat16", Some(DType::BF16)),
    (17, "float8e4m3fn", Some(DType::F8E4M3FN)),
    (18, "float8e4m3fnuz", Some(DType::F8E4M3FNUZ)),
    (19, "float8e5m2", Some(DType::F8E5M2)),
    (20, "float8e5m2fnuz", Some(DType::F8E5M2FNUZ)),
    (21, "uint4", Some(DType::U4)),
    (22, "int4", Some(DType::I4)),
    (23, "float4e2m1", Some(DType::F4E2M1)),
    (24, "float8e8m0", Some(DType::F8E8M0)),
    (25, "uint2", Some(DType::U2)),
    (26, "int2", Some(DType::I2)),
    (27, "float6e2m3", None),
    (28, "float6e3m2", None),
];

/// The types that we have, as messages list them.
pub const SUPPORTED: &str =
    "float, double, float16, bfloat16, float8 of all kinds, float4e2m1, bool, (u)int2 to (u)int64";

/// The element type with a code. The error is ONNX's name of one that we don't have, or the code if it has
/// none.
pub(crate) fn from_code(code: i32) -> Result<DType, String> {
    match TYPES.iter().find(|(number, ..)| *number == code) {
        Some((.., Some(dtype))) => Ok(*dtype),
        Some((_, name, None)) => Err((*name).to_owned()),
        None => Err(format!("code {code}")),
    }
}

/// The element type that has a number in an attribute.
pub fn element_type(code: i64) -> Result<DType, String> {
    i32::try_from(code).map_or_else(|_| Err(format!("code {code}")), from_code)
}

/// ONNX's name of an element type, for messages about models.
pub fn element_name(dtype: DType) -> &'static str {
    TYPES.iter().find(|(.., ours)| *ours == Some(dtype)).map_or(dtype.name(), |(_, name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_our_types_have_one_code() {
        for dtype in DType::ALL {
            let mut codes = (-1..40).filter(|&code| from_code(code) == Ok(dtype));
            assert!(codes.next().is_some() && codes.next().is_none(), "{dtype}");
            // `float` and `double` have no size in their names.
            let bits = element_name(dtype).trim_start_matches(|c: char| !c.is_ascii_digit());
            let bits = bits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            assert!(bits.is_empty() || bits.parse() == Ok(dtype.bits()), "{dtype}");
        }
        assert_eq!(from_code(8), Err("string".to_owned()));
        assert_eq!(from_code(99), Err("code 99".to_owned()));
    }
}
