//! Distinguishes code from data in guest functions.
//!
//! Cranelift puts literals that do not fit into an instruction after a function or between its parts. They
//! may look like instructions. So the code is followed from its entry: whatever is reached is decoded, and
//! the rest is data.

use std::ops::Range;

use isa::table::Layout;
use isa::{Extensions, Op, decode};

/// A reachable word that is not an instruction of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Illegal {
    pub offset: usize,
    pub word: u32,
}

/// The ranges of bytes that hold literals.
pub(crate) fn literals(code: &[u8]) -> Result<Vec<Range<usize>>, Illegal> {
    let (words, _) = code.as_chunks::<4>();
    let mut reached = vec![false; words.len()];
    let mut pending = vec![0usize];
    while let Some(index) = pending.pop() {
        let Some(&bytes) = words.get(index) else {
            return Err(Illegal { offset: index.saturating_mul(4), word: 0 });
        };
        if std::mem::replace(&mut reached[index], true) {
            continue;
        }
        let word = u32::from_le_bytes(bytes);
        let before = index.checked_sub(1).and_then(|before| words.get(before));
        let before = before.map(|&bytes| u32::from_le_bytes(bytes));
        pending.extend(successors(index, word, before).ok_or(Illegal { offset: index * 4, word })?);
    }
    Ok(gaps(&reached, code.len()))
}

/// The register with the return address.
const RA: u8 = 1;

/// The possible next instructions of the function, given the word before this one; `None` if this word is not
/// an instruction, or a jump to an unknown place.
pub(crate) fn successors(index: usize, word: u32, before: Option<u32>) -> Option<Vec<usize>> {
    let instruction = decode(word, Extensions::IMFD)?;
    // A target before the function becomes a huge number, which is then found to be outside.
    let target = index.wrapping_add_signed((instruction.imm / 4) as isize);
    Some(match (instruction.op, instruction.op.entry().layout) {
        (Op::Ebreak | Op::Ecall, _) => vec![],
        // Kernels call nothing: a jump through this register is the return.
        (Op::Jalr, _) if (instruction.rs1, instruction.imm) == (RA, 0) => vec![],
        // A jump that is too far for a branch goes through a register.
        (Op::Jalr, _) => {
            let upper = decode(before?, Extensions::IMFD)?;
            let here = upper.op == Op::Auipc && upper.rd == instruction.rs1 && instruction.rd == 0;
            let distance = upper.imm.checked_add(instruction.imm)?;
            vec![here.then(|| (index - 1).wrapping_add_signed((distance / 4) as isize))?]
        }
        (Op::Jal, _) => vec![target],
        (_, Layout::B) => vec![index + 1, target],
        _ => vec![index + 1],
    })
}

/// The ranges of bytes whose words are not marked.
fn gaps(marked: &[bool], end: usize) -> Vec<Range<usize>> {
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for index in (0..marked.len()).filter(|&index| !marked[index]) {
        match gaps.last_mut() {
            Some(gap) if gap.end == index * 4 => gap.end += 4,
            _ => gaps.push(index * 4..index * 4 + 4),
        }
    }
    let words = marked.len() * 4;
    if words < end {
        gaps.push(words..end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    const NOP: u32 = 0x0000_0013;
    const RET: u32 = 0x0000_8067;
    /// `beq x0, x0, 12`
    const BRANCH: u32 = 0x0000_0663;

    /// The ranges as pairs, which read better in lists of one.
    fn pairs(words: &[u32]) -> Vec<(usize, usize)> {
        literals(&bytes(words)).unwrap().into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn what_is_behind_the_return_is_data() {
        assert_eq!(pairs(&[NOP, RET, 1, 2]), [(8, 16)]);
        assert_eq!(pairs(&[NOP, RET]), []);
    }

    /// `auipc x5, 0`
    const UPPER: u32 = 0x0000_0297;
    /// `jalr x0, 12(x5)`
    const FAR: u32 = 0x00c2_8067;

    #[test]
    fn a_far_jump_is_followed_and_one_to_an_unknown_place_is_an_error() {
        assert_eq!(pairs(&[UPPER, FAR, 7, NOP, RET]), [(8, 12)]);
        assert_eq!(literals(&bytes(&[NOP, FAR, 7])), Err(Illegal { offset: 4, word: FAR }));
    }

    #[test]
    fn what_is_jumped_over_is_data_unless_reached_otherwise() {
        assert_eq!(pairs(&[BRANCH, RET, 7, NOP, RET]), [(8, 12)]);
    }

    #[test]
    fn a_reached_word_that_is_not_an_instruction_is_an_error() {
        assert_eq!(literals(&bytes(&[NOP, 0])), Err(Illegal { offset: 4, word: 0 }));
        assert_eq!(literals(&bytes(&[NOP])), Err(Illegal { offset: 4, word: 0 }));
    }
}
