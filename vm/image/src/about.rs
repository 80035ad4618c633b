//! Outputs that say something about others: how much of one counts whose data decide how large it is, and whether a
//! loop should have gone on.

use crate::{Role, Tensor};

/// The name of the output that has the true shape of an output, as a list of i64.
#[must_use]
pub fn true_shape(output: &str) -> String {
    format!("{output}#shape")
}

/// What the names of outputs end with that say whether a loop was cut.
const UNFINISHED: &str = "#unfinished";

/// The name of the output that is true if a loop, by its node's name, would have gone on when it ran as often as it
/// may.
#[must_use]
pub fn unfinished(node: &str) -> String {
    format!("{node}{UNFINISHED}")
}

impl Tensor {
    /// The loop that this output tells about, if it is such an output.
    #[must_use]
    pub fn loop_of(&self) -> Option<&str> {
        self.name.strip_suffix(UNFINISHED).filter(|_| self.role == Role::Output && self.bytes == 1)
    }

    /// The part of its bytes that counts, given its true shape: along each axis the first indices. `None` if that is
    /// no shape within its own.
    #[must_use]
    pub fn cut(&self, bytes: &[u8], shape: &[u64]) -> Option<Vec<u8>> {
        let fits =
            shape.len() == self.shape.len() && shape.iter().zip(&self.shape).all(|(cut, all)| cut <= all);
        let size = usize::try_from(self.bytes.checked_div(self.elements()?).unwrap_or(0)).ok()?;
        let whole = usize::try_from(self.bytes) == Ok(bytes.len());
        (fits && whole).then(|| part(bytes, size, shape, &self.shape))
    }
}

/// The first indices along each axis of elements of this size.
fn part(bytes: &[u8], size: usize, shape: &[u64], all: &[u64]) -> Vec<u8> {
    let ([cut, shape @ ..], [rows, all @ ..]) = (shape, all) else {
        return bytes[..size.min(bytes.len())].to_vec();
    };
    let row = bytes.len() / usize::try_from(*rows).unwrap_or(usize::MAX).max(1);
    let rows = bytes.chunks(row.max(1)).take(usize::try_from(*cut).unwrap_or(usize::MAX));
    rows.flat_map(|row| part(row, size, shape, all)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::DType;

    #[test]
    fn what_counts_comes_first_along_each_axis() {
        let tensor = |shape: &[u64]| Tensor {
            name: "x".to_owned(),
            role: Role::Output,
            dtype: DType::U8,
            shape: shape.to_vec(),
            address: 0,
            bytes: shape.iter().product(),
        };
        let bytes: Vec<u8> = (0..24).collect();
        let cut = |shape: &[u64]| tensor(&[2, 3, 4]).cut(&bytes, shape);
        assert_eq!(cut(&[2, 3, 4]), Some(bytes.clone()));
        assert_eq!(cut(&[2, 2, 3]), Some(vec![0, 1, 2, 4, 5, 6, 12, 13, 14, 16, 17, 18]));
        assert_eq!(cut(&[2, 0, 4]), Some(Vec::new()));
        for wrong in [&[2, 4, 4][..], &[2, 3]] {
            assert_eq!(cut(wrong), None);
        }
        assert_eq!(tensor(&[]).cut(&[7], &[]), Some(vec![7]));
        assert_eq!(tensor(&[2, 3, 4]).cut(&bytes[1..], &[1, 1, 1]), None);
    }
}
