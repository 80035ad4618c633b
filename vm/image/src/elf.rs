//! Turns freestanding RISC-V programs into images.
//!
//! [`load`] accepts what `riscv64-unknown-elf-gcc -march=rv64imfd -mabi=lp64d -static -nostdlib` links, at
//! any address, and adds what a program expects of its environment: a stack, `gp`, and pointers to its inputs
//! and outputs. A dispute fixes the machine's state at the first step, so a few instructions before the
//! program set up these registers (`elf/start.rs`). `docs/c-programs.md` explains how to write such programs.
//!
//! One thing is translated. Compilers mark float instructions with the *dynamic* rounding mode, which the
//! machine does not have. A hart's mode is 0 at reset, and only instructions that this machine lacks could
//! change it. So the dynamic mode is replaced by its only possible meaning: to nearest, ties to even.

mod code;
mod error;
mod interface;
mod start;

pub use code::NotInstructions;
pub use error::{ElfError, Place};

use crate::{Contents, Segment, Symbol};
use code::{Code, Words};
use goblin::elf::{Elf, header, program_header as ph, section_header as sh, sym};
use interface::Declared;
use std::ops::Range;
use step::MachineProfile;

/// Options for what the file doesn't specify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The minimum size of the stack in bytes.
    pub stack: u64,
    /// The maximum number of steps of a run. A longer run has no result. Without a maximum, the image can't
    /// be disputed.
    pub max_steps: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { stack: 32 << 10, max_steps: None }
    }
}

/// A loaded program.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The contents for an image.
    pub contents: Contents,
    /// The stack.
    pub stack: Stack,
    /// Words among the instructions that trap if they are reached.
    pub not_instructions: Option<NotInstructions>,
}

/// The place of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// The address from which it grows down.
    pub top: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether an overflow leaves memory and traps. Otherwise it overwrites the program's data.
    pub guarded: bool,
}

/// Loads a program and adds everything that it needs to run.
pub fn load(bytes: &[u8], options: &Options) -> Result<Program, ElfError> {
    let mut linked = Linked::parse(bytes)?;
    let entry = linked.elf.entry;
    if !linked.code.range().contains(&entry) || !entry.is_multiple_of(4) {
        return Err(ElfError::Entry { entry });
    }
    let gp = linked.global_pointer()?;
    let declared = Declared::read(&linked.elf, bytes)?;
    let start = linked.reserve_start(start::size(declared.tensors.len()))?;
    let layout = declared.place(linked.end()).ok_or(ElfError::TooLarge { stack: options.stack })?;
    let (stack, memory_bits) = linked.stack(layout.end, options)?;
    let instructions = linked.code.put(start, &start::bytes(gp, stack.top, entry, &layout.addresses));
    debug_assert!(instructions);
    let name = start::NAME.to_owned();
    let symbol = Symbol { name, address: start, size: start::instructions(layout.addresses.len()) };
    let place = linked.symbols.partition_point(|other| other.address <= start);
    linked.symbols.insert(place, symbol);
    let not_instructions = linked.words.not_instructions.take();
    let mut contents = linked.contents(memory_bits, start)?;
    layout.describe(&mut contents, place, options.max_steps)?;
    Ok(Program { contents, stack, not_instructions })
}

/// The address from which the stack of a loaded program grows down, which its start-up code sets. `None` if
/// the image has no such code. For display only: an image may use the symbol for something else.
pub fn stack_pointer(image: &Contents) -> Option<u64> {
    let start =
        image.symbols.iter().find(|symbol| symbol.name == start::NAME && symbol.address == image.entry)?;
    let arguments = (0..=start::MOST_ARGUMENTS).find(|&count| start::instructions(count) == start.size)?;
    let at = usize::try_from(start.address.checked_sub(image.profile.code_base())?).ok()?;
    start::stack_pointer(image.code.get(at..)?, arguments)
}

/// Reads a program that was linked for exactly this machine. Nothing is added, memory is the smallest that
/// holds everything, and every word in the code's sections must be an instruction.
pub fn read(bytes: &[u8]) -> Result<Contents, ElfError> {
    let linked = Linked::parse(bytes)?;
    if let Some(NotInstructions { place, word, .. }) = &linked.words.not_instructions {
        return Err(ElfError::Illegal { place: place.clone(), word: *word });
    }
    let (memory_bits, entry) = (memory_bits(linked.end(), 0)?, linked.elf.entry);
    linked.contents(memory_bits, entry)
}

/// A linked program, checked.
struct Linked<'a> {
    elf: Elf<'a>,
    symbols: Vec<Symbol>,
    code: Code,
    words: Words,
    data: Vec<Load<'a>>,
}

impl<'a> Linked<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        check_header(bytes)?;
        let elf = Elf::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        check_kind(&elf)?;
        let symbols = symbols(&elf);
        let (code, data): (Vec<_>, Vec<_>) =
            loads(&elf, bytes)?.into_iter().partition(|load| load.executable);
        let mut code = Code::join(&code)?;
        check_overlaps(&data, code.range())?;
        let words = code.decode(&elf, &symbols)?;
        Ok(Self { elf, symbols, code, words, data })
    }

    /// The value that `gp` needs. The linker addresses data relative to it. The start-up code of a C library
    /// would set it, but there is none.
    fn global_pointer(&self) -> Result<u64, ElfError> {
        let symbol = |symbol: &sym::Sym| self.elf.strtab.get_at(symbol.st_name) == Some("__global_pointer$");
        match self.elf.syms.iter().find(symbol) {
            Some(symbol) => Ok(symbol.st_value),
            None if self.words.reads_gp && !self.words.writes_gp => Err(ElfError::GlobalPointer),
            None => Ok(0),
        }
    }

    /// Makes room for start-up code of this size, a multiple of 32, after the program's code or before it.
    fn reserve_start(&mut self, size: u64) -> Result<u64, ElfError> {
        let Range { start, end } = self.code.range();
        let free = |from: Option<u64>, to: Option<u64>| {
            let (from, to) = from.zip(to)?;
            self.data.iter().all(|load| to <= load.range.start || load.range.end <= from).then_some(from)
        };
        if let Some(at) = free(Some(end), end.checked_add(size).filter(|&to| to < u64::MAX)) {
            self.code.append(size);
            return Ok(at);
        }
        let at = free(start.checked_sub(size), Some(start)).ok_or(ElfError::NoRoom { size, start, end })?;
        self.code.prepend(size);
        Ok(at)
    }

    /// The first address after everything.
    fn end(&self) -> u64 {
        self.data.iter().map(|load| load.range.end).max().unwrap_or(0).max(self.code.range().end)
    }

    /// The place of the stack, and log2 of the size of memory, if everything else ends at `end`.
    ///
    /// The stack is below the program if there is enough room. An overflow then goes below address 0 and
    /// traps. Otherwise the stack is above everything.
    fn stack(&self, end: u64, options: &Options) -> Result<(Stack, u8), ElfError> {
        let lowest = self.data.iter().map(|load| load.range.start).chain([self.code.base]).min().unwrap_or(0);
        let top = lowest & !15;
        if top >= options.stack {
            return Ok((Stack { top, bytes: top, guarded: true }, memory_bits(end, options.stack)?));
        }
        let too_large = ElfError::TooLarge { stack: options.stack };
        let bits = memory_bits(end.checked_add(options.stack).ok_or(too_large)?, options.stack)?;
        let top = 1 << bits;
        Ok((Stack { top, bytes: top - end, guarded: false }, bits))
    }

    /// The program with this much memory and this entry. The stack pointer at reset is the one with which a
    /// dispute begins.
    fn contents(self, memory_bits: u8, entry: u64) -> Result<Contents, ElfError> {
        let Self { symbols, code, words, data, .. } = self;
        let profile = MachineProfile::new(words.extensions, memory_bits, code.base, code.bytes.len() as u64)?;
        let segment =
            |load: &Load<'_>| Segment { address: load.range.start, bytes: load.bytes.to_vec().into() };
        Ok(Contents {
            profile,
            entry,
            sp: profile.memory_size(),
            code: code.bytes.into(),
            segments: data.iter().filter(|load| !load.bytes.is_empty()).map(segment).collect(),
            tensors: Vec::new(),
            symbols,
            schedule: Vec::new(),
            period: None,
            interface: None,
            sections: Vec::new(),
        })
    }
}

/// A file that can't be parsed.
fn malformed(reason: impl Into<String>) -> ElfError {
    ElfError::Malformed { reason: reason.into() }
}

/// The first bytes tell which machine the file is for. They are checked before anything else could be
/// misread.
fn check_header(bytes: &[u8]) -> Result<(), ElfError> {
    let Some((ident, rest)) = bytes.split_first_chunk::<{ header::SIZEOF_IDENT }>() else {
        return Err(malformed(format!("{} bytes are too few", bytes.len())));
    };
    if ident[..4] != *header::ELFMAG {
        return Err(malformed("it does not start with 7f 45 4c 46"));
    }
    let found = match (ident[header::EI_CLASS], ident[header::EI_DATA], rest.get(2..4)) {
        (header::ELFCLASS64, header::ELFDATA2LSB, Some(&[low, high])) => {
            match u16::from_le_bytes([low, high]) {
                header::EM_RISCV => return Ok(()),
                machine => header::machine_to_str(machine).to_owned(),
            }
        }
        (header::ELFCLASS32, ..) => "a 32-bit machine".to_owned(),
        (_, header::ELFDATA2MSB, _) => "a big-endian machine".to_owned(),
        _ => return Err(malformed("unknown class or byte order")),
    };
    Err(ElfError::Machine { found })
}

/// The file must be a linked program without compressed instructions, and must not need a dynamic linker.
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
        return Err(ElfError::Compressed);
    }
    Ok(())
}

/// The named functions and objects, by ascending address.
fn symbols(elf: &Elf<'_>) -> Vec<Symbol> {
    let named = elf.syms.iter().filter_map(|symbol| {
        let kept = matches!(symbol.st_type(), sym::STT_FUNC | sym::STT_OBJECT | sym::STT_NOTYPE)
            && (sh::SHN_UNDEF as usize + 1..sh::SHN_LORESERVE as usize).contains(&symbol.st_shndx);
        let name =
            elf.strtab.get_at(symbol.st_name).filter(|name| !name.is_empty() && !name.starts_with('$'))?;
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

impl<'a> Load<'a> {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Splits a segment at an address into code and data.
    fn split(self, at: u64) -> [Self; 2] {
        let Self { range, bytes, executable } = self;
        let (code, data) = bytes.split_at(bytes.len().min((at - range.start) as usize));
        [
            Load { range: range.start..at, bytes: code, executable },
            Load { range: at..range.end, bytes: data, executable: false },
        ]
    }
}

/// Where data starts in a segment that is both writable and executable, according to the sections: linkers
/// join small programs into one segment. Code ends there with a whole leaf. `None` if code and data can't be
/// separated.
fn data_start(elf: &Elf<'_>, segment: &Range<u64>) -> Option<u64> {
    let is_inside = |section: &&sh::SectionHeader| {
        section.is_alloc() && section.sh_size > 0 && segment.contains(&section.sh_addr)
    };
    let sections = || elf.section_headers.iter().filter(is_inside);
    let code_end = sections().filter(|section| section.is_executable());
    let code_end = code_end.map(|section| section.sh_addr.saturating_add(section.sh_size)).max()?;
    let data_start =
        sections().filter(|section| section.is_writable()).map(|section| section.sh_addr).min()?;
    Some(data_start & !31).filter(|&at| code_end <= at && segment.start < at)
}

/// The segments to load, by ascending address.
fn loads<'a>(elf: &Elf<'_>, bytes: &'a [u8]) -> Result<Vec<Load<'a>>, ElfError> {
    let mut loads = Vec::new();
    for header in
        elf.program_headers.iter().filter(|header| header.p_type == ph::PT_LOAD && header.p_memsz > 0)
    {
        let address = header.p_vaddr;
        let file = part(bytes, header.p_offset, header.p_filesz);
        let bytes =
            file.ok_or_else(|| malformed(format!("the segment at {address:#x} is not in the file")))?;
        let end = address.checked_add(header.p_memsz).filter(|_| header.p_filesz <= header.p_memsz);
        let end =
            end.ok_or_else(|| malformed(format!("the segment at {address:#x} has an impossible size")))?;
        let load = Load { range: address..end, bytes, executable: header.is_executable() };
        if !(header.is_executable() && header.is_write()) {
            loads.push(load);
            continue;
        }
        let at = data_start(elf, &load.range).ok_or(ElfError::WritableCode { address })?;
        loads.extend(load.split(at));
    }
    if let Some(load) = loads.iter().find(|load| load.executable && load.bytes.len() as u64 != load.len()) {
        return Err(ElfError::CodeNotInFile { address: load.range.start });
    }
    loads.sort_by_key(|load| load.range.start);
    Ok(loads)
}

/// A part of the file.
fn part(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(size)?).ok()?)
}

/// Segments must not overlap each other, nor the leaves of the code.
fn check_overlaps(data: &[Load<'_>], code: Range<u64>) -> Result<(), ElfError> {
    let mut ranges: Vec<_> = data.iter().map(|load| load.range.clone()).chain([code]).collect();
    ranges.sort_by_key(|range| range.start);
    match ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(ElfError::Overlap { address: pair[1].start }),
        None => Ok(()),
    }
}

/// log2 of the smallest memory with this many bytes, of which `stack` are the stack's.
fn memory_bits(size: u64, stack: u64) -> Result<u8, ElfError> {
    let too_large = ElfError::TooLarge { stack };
    let size = size.checked_next_power_of_two().ok_or(too_large.clone())?;
    let bits = (size.ilog2() as u8).max(*MachineProfile::MEMORY_BITS.start());
    if bits > *MachineProfile::MEMORY_BITS.end() { Err(too_large) } else { Ok(bits) }
}
