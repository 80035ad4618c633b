//! The code of a program: one range of words, all of which must be instructions where the file says so.

use super::error::{ElfError, Place};
use super::{Load, malformed};
use crate::Symbol;
use goblin::elf::{Elf, section_header as sh};
use isa::{Extension, Extensions, Instruction, decode};
use std::ops::Range;

/// The rounding mode's bits in a word, all set: the dynamic mode.
const DYNAMIC: u32 = 7 << 12;

/// The code, extended with zeros to whole leaves of its tree.
pub(super) struct Code {
    pub(super) base: u64,
    pub(super) bytes: Vec<u8>,
    /// The part that the file holds.
    inner: Range<u64>,
}

impl Code {
    /// Executable segments, which must touch.
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

    /// Its addresses. The end may be one leaf beyond the last address, and is then refused with the profile.
    pub(super) fn range(&self) -> Range<u64> {
        self.base..self.base.saturating_add(self.bytes.len() as u64)
    }

    /// Decodes every word that is meant as an instruction, makes its rounding mode static, and says which extensions
    /// are used.
    pub(super) fn check(&mut self, elf: &Elf<'_>, symbols: &[Symbol]) -> Result<Extensions, ElfError> {
        let mut used = Extensions::IM;
        for range in instructions(elf, &self.inner)? {
            if range.start < self.inner.start || range.end > self.inner.end {
                let (start, end) = (range.start, range.end);
                return Err(malformed(format!("the code at {start:#x} to {end:#x} is outside the code segment")));
            }
            if !range.start.is_multiple_of(4) {
                return Err(ElfError::Unaligned { place: place(range.start, symbols) });
            }
            let start = (range.start - self.base) as usize;
            let end = (range.end - self.base) as usize;
            for at in (start..end).step_by(4) {
                let address = self.base + at as u64;
                if self.word(&mut (at..end), address, symbols)?.op.entry().extension > Extension::M {
                    used = Extensions::IMFD;
                }
            }
        }
        Ok(used)
    }

    /// The instruction at the start of a range of bytes.
    fn word(&mut self, at: &mut Range<usize>, address: u64, symbols: &[Symbol]) -> Result<Instruction, ElfError> {
        let bytes = self.bytes.get_mut(at.clone()).unwrap_or_default();
        // Where the file has 16-bit instructions, say that and nothing more confusing.
        if bytes.first().is_some_and(|&byte| byte & 3 != 3) && bytes.first_chunk::<4>() != Some(&[0; 4]) {
            return Err(ElfError::Compressed { place: Some(place(address, symbols)) });
        }
        let bytes =
            bytes.first_chunk_mut::<4>().ok_or_else(|| ElfError::Unaligned { place: place(address, symbols) })?;
        let word = u32::from_le_bytes(*bytes);
        let (legal, instruction) =
            static_rounding(word).ok_or_else(|| ElfError::Illegal { place: place(address, symbols), word })?;
        *bytes = legal.to_le_bytes();
        Ok(instruction)
    }
}

/// The word with a static rounding mode, and its instruction.
fn static_rounding(word: u32) -> Option<(u32, Instruction)> {
    let decoded = |word| decode(word, Extensions::IMFD).map(|instruction| (word, instruction));
    decoded(word).or_else(|| {
        let nearest = decoded(word & !DYNAMIC)?;
        (word & DYNAMIC == DYNAMIC && nearest.1.op.entry().is_rounded()).then_some(nearest)
    })
}

/// The ranges of addresses that hold instructions: the executable sections without the data that mapping symbols mark
/// in them, or everything if the file has no sections.
fn instructions(elf: &Elf<'_>, code: &Range<u64>) -> Result<Vec<Range<u64>>, ElfError> {
    let executable = u64::from(sh::SHF_EXECINSTR | sh::SHF_ALLOC);
    let sections = elf.section_headers.iter().filter(|section| section.sh_flags & executable == executable);
    let mut marks = marks(elf);
    marks.sort_unstable();
    let mut ranges = Vec::new();
    for section in sections {
        let end = section.sh_addr.checked_add(section.sh_size);
        let end =
            end.ok_or_else(|| malformed(format!("the section at {:#x} has an impossible size", section.sh_addr)))?;
        without_data(section.sh_addr..end, &marks, &mut ranges);
    }
    if elf.section_headers.is_empty() {
        ranges.push(code.clone());
    }
    Ok(ranges)
}

/// Where instructions (`$x`, true) and data (`$d`, false) start, by the mapping symbols of the psABI.
fn marks(elf: &Elf<'_>) -> Vec<(u64, bool)> {
    let mark = |symbol: goblin::elf::Sym| {
        let name = elf.strtab.get_at(symbol.st_name)?;
        let is_data = name == "$d" || name.starts_with("$d.");
        (is_data || name.starts_with("$x")).then_some((symbol.st_value, !is_data))
    };
    elf.syms.iter().filter_map(mark).collect()
}

/// Adds the parts of a section that are instructions; it starts with them unless it is marked.
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

/// An address with the symbol that it is in.
fn place(address: u64, symbols: &[Symbol]) -> Place {
    let after = symbols.partition_point(|symbol| symbol.address <= address);
    Place { address, symbol: symbols[..after].last().cloned() }
}
