//! The code of a program: one range of words, decoded where the file declares instructions.

use super::error::{ElfError, Place};
use super::{Load, malformed};
use crate::Symbol;
use goblin::elf::{Elf, section_header as sh};
use isa::{Extensions, Instruction, decode_any};
use std::ops::Range;

/// The rounding mode's bits in a word, all set: the dynamic mode.
const DYNAMIC: u32 = 7 << 12;

/// The number of the global pointer's register.
const GP: u8 = 3;

/// The code, extended with zeros to whole leaves of its tree.
pub(super) struct Code {
    pub(super) base: u64,
    pub(super) bytes: Vec<u8>,
    /// The part that the file contains.
    inner: Range<u64>,
}

impl Code {
    /// The executable segments, which must be adjacent.
    pub(super) fn join(loads: &[Load<'_>]) -> Result<Self, ElfError> {
        let first = loads.first().ok_or(ElfError::NoCode)?.range.start;
        let mut inner = first..first;
        let base = first & !31;
        let mut bytes = vec![0; (first - base) as usize];
        for load in loads {
            let second = load.range.start;
            if second < inner.end {
                return Err(ElfError::Overlap { address: second });
            }
            if second > inner.end {
                return Err(ElfError::CodeInPieces { first, second });
            }
            bytes.extend(load.bytes);
            inner.end = load.range.end;
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        Ok(Self { base, bytes, inner })
    }

    /// Its addresses. The end can exceed the last address by one leaf. The profile then rejects it.
    pub(super) fn range(&self) -> Range<u64> {
        self.base..self.base.saturating_add(self.bytes.len() as u64)
    }

    /// Makes room for more code after it.
    pub(super) fn append(&mut self, size: u64) {
        self.bytes.resize(self.bytes.len() + size as usize, 0);
    }

    /// Makes room for more code before it.
    pub(super) fn prepend(&mut self, size: u64) {
        self.base -= size;
        self.bytes.splice(..0, (0..size).map(|_| 0));
    }

    /// Replaces bytes. Returns whether they are all inside the code.
    pub(super) fn put(&mut self, address: u64, bytes: &[u8]) -> bool {
        let at = address.wrapping_sub(self.base) as usize;
        let to = self.bytes.get_mut(at..).and_then(|code| code.get_mut(..bytes.len()));
        to.map(|to| to.copy_from_slice(bytes)).is_some()
    }

    /// Decodes every word that should be an instruction, and makes its rounding mode static. Padding and data
    /// may be among them: a word that doesn't decode is kept, and traps if it is reached.
    pub(super) fn decode(&mut self, elf: &Elf<'_>, symbols: &[Symbol]) -> Result<Words, ElfError> {
        let mut words =
            Words { extensions: Extensions::IM, reads_gp: false, writes_gp: false, not_instructions: None };
        for range in instructions(elf, &self.inner)? {
            let Range { start, end } = range;
            if start < self.inner.start || end > self.inner.end {
                return Err(malformed(format!(
                    "the code at {start:#x} to {end:#x} is outside the code segment"
                )));
            }
            for address in (start.next_multiple_of(4)..end & !3).step_by(4) {
                let at = (address - self.base) as usize;
                let Some(bytes) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
                    continue;
                };
                let word = u32::from_le_bytes(*bytes);
                match static_rounding(word) {
                    Some((legal, instruction)) => {
                        *bytes = legal.to_le_bytes();
                        words.note(instruction);
                    }
                    None => words.note_other(word, || place(address, symbols)),
                }
            }
        }
        Ok(words)
    }
}

/// Statistics about the words of a program.
pub(super) struct Words {
    /// The extensions that are used.
    pub(super) extensions: Extensions,
    /// Whether an instruction reads `gp`, and whether one sets it.
    pub(super) reads_gp: bool,
    pub(super) writes_gp: bool,
    /// The words that are not instructions.
    pub(super) not_instructions: Option<NotInstructions>,
}

/// Words in the place of instructions that this machine can't decode: padding, data, or extensions that it
/// lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInstructions {
    /// The number of such words.
    pub count: u64,
    /// The address of the first nonzero one. If all are zero, of the first one.
    pub place: Place,
    /// The word there.
    pub word: u32,
}

impl Words {
    fn note(&mut self, instruction: Instruction) {
        let entry = instruction.op.entry();
        // An instruction that no machine supports together with the others stays illegal.
        self.extensions = self.extensions.with(entry.extension).unwrap_or(self.extensions);
        self.writes_gp |= entry.has("rd") && instruction.rd == GP;
        self.reads_gp |=
            entry.has("rs1") && instruction.rs1 == GP || entry.has("rs2") && instruction.rs2 == GP;
    }

    fn note_other(&mut self, word: u32, place: impl FnOnce() -> Place) {
        match &mut self.not_instructions {
            None => self.not_instructions = Some(NotInstructions { count: 1, place: place(), word }),
            Some(others) => {
                others.count += 1;
                // Zeros are padding, so a nonzero word is the more useful example.
                if others.word == 0 && word != 0 {
                    (others.place, others.word) = (place(), word);
                }
            }
        }
    }
}

/// The word with a static rounding mode, and its instruction.
fn static_rounding(word: u32) -> Option<(u32, Instruction)> {
    let decoded = |word| decode_any(word).map(|instruction| (word, instruction));
    decoded(word).or_else(|| {
        let nearest = decoded(word & !DYNAMIC)?;
        (word & DYNAMIC == DYNAMIC && nearest.1.op.entry().is_rounded()).then_some(nearest)
    })
}

/// The ranges of addresses with instructions: the executable sections without the data that mapping symbols
/// mark in them. Everything if the file has no sections.
fn instructions(elf: &Elf<'_>, code: &Range<u64>) -> Result<Vec<Range<u64>>, ElfError> {
    let executable = u64::from(sh::SHF_EXECINSTR | sh::SHF_ALLOC);
    let sections = elf.section_headers.iter().filter(|section| section.sh_flags & executable == executable);
    let mut marks = marks(elf);
    marks.sort_unstable();
    let mut ranges = Vec::new();
    for section in sections {
        let end = section.sh_addr.checked_add(section.sh_size);
        let end = end.ok_or_else(|| {
            malformed(format!("the section at {:#x} has an impossible size", section.sh_addr))
        })?;
        without_data(section.sh_addr..end, &marks, &mut ranges);
    }
    if elf.section_headers.is_empty() {
        ranges.push(code.clone());
    }
    Ok(ranges)
}

/// Where instructions (`$x`, true) and data (`$d`, false) start, according to the mapping symbols of the
/// psABI.
fn marks(elf: &Elf<'_>) -> Vec<(u64, bool)> {
    let mark = |symbol: goblin::elf::Sym| {
        let name = elf.strtab.get_at(symbol.st_name)?;
        let is_data = name == "$d" || name.starts_with("$d.");
        (is_data || name.starts_with("$x")).then_some((symbol.st_value, !is_data))
    };
    elf.syms.iter().filter_map(mark).collect()
}

/// Adds the parts of a section that are instructions. Without a mark, it starts with instructions.
fn without_data(section: Range<u64>, marks: &[(u64, bool)], ranges: &mut Vec<Range<u64>>) {
    let first = marks.partition_point(|&(address, _)| address < section.start);
    let last = marks.partition_point(|&(address, _)| address < section.end);
    let mut from = Some(section.start);
    for &(address, is_code) in marks.get(first..last).unwrap_or_default() {
        if let Some(start) = from
            && !is_code
        {
            ranges.push(start..address);
        }
        from = if is_code { from.or(Some(address)) } else { None };
    }
    ranges.extend(from.map(|start| start..section.end));
    ranges.retain(|range| !range.is_empty());
}

/// An address and the symbol that contains it.
fn place(address: u64, symbols: &[Symbol]) -> Place {
    let after = symbols.partition_point(|symbol| symbol.address <= address);
    Place { address, symbol: symbols[..after].last().cloned() }
}
