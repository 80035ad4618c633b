//! Freestanding RISC-V programs as images.
//!
//! The loader takes what `riscv64-unknown-elf-gcc -march=rv64imfd -mabi=lp64d -static -nostdlib` links, at any address,
//! and refuses what the machine can't do, naming the place. One thing is translated: compilers mark float instructions
//! with the *dynamic* rounding mode, which the machine, having no `frm` register, does not know. That register is 0 at
//! reset and nothing can change it, so the mode becomes what it would always mean: to nearest, ties to even.

mod code;
mod error;

pub use error::{ElfError, Place};

use crate::{Contents, Segment, Symbol};
use code::Code;
use goblin::elf::{Elf, header, program_header as ph, section_header as sh, sym};
use std::ops::Range;
use step::MachineProfile;

/// What the file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of memory above everything else, for the stack.
    pub stack: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { stack: 64 << 10 }
    }
}

/// The contents of an image of a program.
pub fn load(bytes: &[u8], options: &Options) -> Result<Contents, ElfError> {
    check_header(bytes)?;
    let elf = Elf::parse(bytes).map_err(|error| malformed(error.to_string()))?;
    check_kind(&elf)?;
    let symbols = symbols(&elf);
    let (code, data): (Vec<_>, Vec<_>) = loads(&elf, bytes)?.into_iter().partition(|load| load.executable);
    let mut code = Code::join(&code)?;
    check_overlaps(&data, code.range())?;
    let extensions = code.check(&elf, &symbols)?;
    let memory_bits = memory_bits(&data, code.range().end, options)?;
    let profile = MachineProfile::new(extensions, memory_bits, code.base, code.bytes.len() as u64)?;
    let segment = |load: &Load<'_>| Segment { address: load.range.start, bytes: load.bytes.to_vec().into() };
    Ok(Contents {
        profile,
        entry: elf.entry,
        sp: profile.memory_size(),
        code: code.bytes,
        segments: data.iter().filter(|load| !load.bytes.is_empty()).map(segment).collect(),
        tensors: Vec::new(),
        symbols,
        schedule: Vec::new(),
        interface: None,
    })
}

/// A file that can't be taken apart.
fn malformed(reason: impl Into<String>) -> ElfError {
    ElfError::Malformed { reason: reason.into() }
}

/// The first bytes say which machine the file is for; look before reading anything else in the wrong way.
fn check_header(bytes: &[u8]) -> Result<(), ElfError> {
    let Some((ident, rest)) = bytes.split_first_chunk::<{ header::SIZEOF_IDENT }>() else {
        return Err(malformed(format!("{} bytes are too few", bytes.len())));
    };
    if ident[..4] != *header::ELFMAG {
        return Err(malformed("it does not start with 7f 45 4c 46"));
    }
    let found = match (ident[header::EI_CLASS], ident[header::EI_DATA], rest.get(2..4)) {
        (header::ELFCLASS64, header::ELFDATA2LSB, Some(&[low, high])) => match u16::from_le_bytes([low, high]) {
            header::EM_RISCV => return Ok(()),
            machine => header::machine_to_str(machine).to_owned(),
        },
        (header::ELFCLASS32, ..) => "a 32-bit machine".to_owned(),
        (_, header::ELFDATA2MSB, _) => "a big-endian machine".to_owned(),
        _ => return Err(malformed("unknown class or byte order")),
    };
    Err(ElfError::Machine { found })
}

/// The file must be a linked program without compressed instructions, and not expect a dynamic linker.
fn check_kind(elf: &Elf<'_>) -> Result<(), ElfError> {
    let kind = |found: &str| Err(ElfError::Kind { found: found.to_owned() });
    match elf.header.e_type {
        header::ET_EXEC => {}
        header::ET_REL => return kind("an object file"),
        header::ET_DYN => return kind("position-independent or a shared library"),
        other => return kind(header::et_to_str(other)),
    }
    if elf.dynamic.is_some() || elf.program_headers.iter().any(|header| header.p_type == ph::PT_INTERP) {
        return kind("dynamically linked");
    }
    let left = elf.shdr_relocs.iter().any(|(_, relocations)| !relocations.is_empty());
    if left || !elf.dynrelas.is_empty() || !elf.dynrels.is_empty() {
        return Err(ElfError::Relocations);
    }
    const RVC: u32 = 1;
    if elf.header.e_flags & RVC != 0 {
        return Err(ElfError::Compressed { place: None });
    }
    Ok(())
}

/// The functions and objects with names, in the order of addresses.
fn symbols(elf: &Elf<'_>) -> Vec<Symbol> {
    let named = elf.syms.iter().filter_map(|symbol| {
        let kept = matches!(symbol.st_type(), sym::STT_FUNC | sym::STT_OBJECT | sym::STT_NOTYPE)
            && (sh::SHN_UNDEF as usize + 1..sh::SHN_LORESERVE as usize).contains(&symbol.st_shndx);
        let name = elf.strtab.get_at(symbol.st_name).filter(|name| !name.is_empty() && !name.starts_with('$'))?;
        kept.then(|| Symbol { name: name.to_owned(), address: symbol.st_value, size: symbol.st_size })
    });
    let mut symbols: Vec<Symbol> = named.collect();
    symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
    symbols
}

/// A segment that is loaded.
struct Load<'a> {
    range: Range<u64>,
    bytes: &'a [u8],
    executable: bool,
}

/// The segments to load, in the order of addresses.
fn loads<'a>(elf: &Elf<'_>, bytes: &'a [u8]) -> Result<Vec<Load<'a>>, ElfError> {
    let mut loads = Vec::new();
    for header in elf.program_headers.iter().filter(|header| header.p_type == ph::PT_LOAD && header.p_memsz > 0) {
        let address = header.p_vaddr;
        let file = header
            .p_offset
            .checked_add(header.p_filesz)
            .and_then(|end| bytes.get(usize::try_from(header.p_offset).ok()?..usize::try_from(end).ok()?));
        let bytes = file.ok_or_else(|| malformed(format!("the segment at {address:#x} is not in the file")))?;
        let end = address.checked_add(header.p_memsz).filter(|_| header.p_filesz <= header.p_memsz);
        let end = end.ok_or_else(|| malformed(format!("the segment at {address:#x} has an impossible size")))?;
        let executable = header.is_executable();
        if executable && header.is_write() {
            return Err(ElfError::WritableCode { address });
        }
        if executable && header.p_filesz != header.p_memsz {
            return Err(ElfError::CodeNotInFile { address });
        }
        loads.push(Load { range: address..end, bytes, executable });
    }
    loads.sort_by_key(|load| load.range.start);
    Ok(loads)
}

/// Segments must not overlap each other or the leaves of the code.
fn check_overlaps(data: &[Load<'_>], code: Range<u64>) -> Result<(), ElfError> {
    let mut ranges: Vec<_> = data.iter().map(|load| load.range.clone()).chain([code]).collect();
    ranges.sort_by_key(|range| range.start);
    match ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(ElfError::Overlap { address: pair[1].start }),
        None => Ok(()),
    }
}

/// The logarithm of the smallest memory that holds everything and a stack above it.
fn memory_bits(data: &[Load<'_>], code_end: u64, options: &Options) -> Result<u8, ElfError> {
    let too_large = ElfError::TooLarge { stack: options.stack };
    let end = data.iter().map(|load| load.range.end).max().unwrap_or(0).max(code_end);
    let size = end.checked_add(options.stack).and_then(u64::checked_next_power_of_two).ok_or(too_large.clone())?;
    let bits = (size.ilog2() as u8).max(*MachineProfile::MEMORY_BITS.start());
    if bits > *MachineProfile::MEMORY_BITS.end() { Err(too_large) } else { Ok(bits) }
}
