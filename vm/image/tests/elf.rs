//! Programs that the loader takes, and everything that it refuses, with the words that it says.

use image::elf::{ElfError, Options, Place, load};
use image::{Image, Segment, Symbol};
use isa::Extensions;

const ADDI: u32 = 0x0010_0513; // addi a0, zero, 1
const ECALL: u32 = 0x0000_0073;
const FADD_DYNAMIC: u32 = 0x0020_f053; // fadd.s ft0, ft1, ft2, dyn
const FADD_NEAREST: u32 = 0x0020_8053; // fadd.s ft0, ft1, ft2, rne
const FSGNJ: u32 = 0x2020_8053; // fsgnj.s ft0, ft1, ft2: no rounding mode
const LR_W: u32 = 0x1000_a52f; // lr.w a0, (ra)

const R: u32 = 4;
const W: u32 = 2;
const X: u32 = 1;
const LOAD: u32 = 1;
const INTERP: u32 = 3;

/// A program header and its bytes.
#[derive(Clone)]
struct Header {
    kind: u32,
    flags: u32,
    address: u64,
    bytes: Vec<u8>,
    memory: u64,
}

/// An ELF file to write.
#[derive(Clone)]
struct File {
    ident: [u8; 7],
    kind: u16,
    machine: u16,
    flags: u32,
    entry: u64,
    headers: Vec<Header>,
    /// Executable sections: address and size. With none there are no section headers.
    sections: Vec<(u64, u64)>,
    symbols: Vec<(&'static str, u64)>,
    relocations: bool,
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn segment(flags: u32, address: u64, bytes: Vec<u8>) -> Header {
    Header { kind: LOAD, flags, address, memory: bytes.len() as u64, bytes }
}

/// A program of these words at 0x10000, without sections.
fn program(words: &[u32]) -> File {
    File {
        ident: [0x7f, b'E', b'L', b'F', 2, 1, 1],
        kind: 2,
        machine: 243,
        flags: 4,
        entry: 0x1_0000,
        headers: vec![segment(R | X, 0x1_0000, bytes_of(words))],
        sections: Vec::new(),
        symbols: Vec::new(),
        relocations: false,
    }
}

impl File {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn write(&self) -> Vec<u8> {
        let mut out = vec![0; 64 + 56 * self.headers.len()];
        let offsets: Vec<u64> = self.headers.iter().map(|header| append(&mut out, &header.bytes)).collect();
        let mut table = Vec::new();
        let sections = if self.sections.is_empty() { 0 } else { self.write_sections(&mut out, &mut table) };
        let section_table = append(&mut out, &table);

        let mut head = Vec::from(self.ident);
        head.resize(16, 0);
        head.extend(self.kind.to_le_bytes());
        head.extend(self.machine.to_le_bytes());
        head.extend(1u32.to_le_bytes());
        head.extend(self.entry.to_le_bytes());
        head.extend(64u64.to_le_bytes());
        head.extend(if sections == 0 { 0u64 } else { section_table }.to_le_bytes());
        head.extend(self.flags.to_le_bytes());
        for half in [64, 56, self.headers.len() as u16, if sections == 0 { 0 } else { 64 }, sections, 0] {
            head.extend(half.to_le_bytes());
        }
        for (header, offset) in self.headers.iter().zip(offsets) {
            head.extend(header.kind.to_le_bytes());
            head.extend(header.flags.to_le_bytes());
            let sizes = [offset, header.address, header.address, header.bytes.len() as u64, header.memory, 4];
            head.extend(sizes.into_iter().flat_map(u64::to_le_bytes));
        }
        out[..head.len()].copy_from_slice(&head);
        out
    }

    /// The null section, the executable ones, symbols, strings, and relocations of the first executable one.
    fn write_sections(&self, out: &mut Vec<u8>, table: &mut Vec<u8>) -> u16 {
        let (mut names, mut symbols) = (vec![0], vec![0; 24]);
        for (name, address) in &self.symbols {
            symbols.extend((names.len() as u32).to_le_bytes());
            symbols.extend([0, 0, 1, 0]);
            symbols.extend(address.to_le_bytes());
            symbols.extend(8u64.to_le_bytes());
            names.extend(name.bytes().chain([0]));
        }
        let mut count = 0u16;
        let mut add = |kind: u32, flags: u64, address: u64, offset: u64, size: u64, links: [u32; 2], entry: u64| {
            table.extend(0u32.to_le_bytes());
            table.extend(kind.to_le_bytes());
            table.extend([flags, address, offset, size].into_iter().flat_map(u64::to_le_bytes));
            table.extend(links.into_iter().flat_map(u32::to_le_bytes));
            table.extend([1, entry].into_iter().flat_map(u64::to_le_bytes));
            count += 1;
        };
        add(0, 0, 0, 0, 0, [0, 0], 0);
        for (address, size) in &self.sections {
            add(1, 6, *address, 64, *size, [0, 0], 0);
        }
        let strings = self.sections.len() as u32 + 2;
        let offset = append(out, &symbols);
        add(2, 0, 0, offset, symbols.len() as u64, [strings, 1], 24);
        let offset = append(out, &names);
        add(3, 0, 0, offset, names.len() as u64, [0, 0], 0);
        if self.relocations {
            let offset = append(out, &[0; 24]);
            add(4, 0, 0, offset, 24, [strings - 1, 1], 24);
        }
        count
    }
}

/// Adds bytes to a file at a multiple of 8; gives their offset.
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    out.resize(out.len().next_multiple_of(8), 0);
    let offset = out.len() as u64;
    out.extend(bytes);
    offset
}

fn loaded(file: &File) -> image::Contents {
    let contents = load(&file.write(), &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    Image::new(contents.clone()).unwrap_or_else(|error| panic!("{error}"));
    contents
}

#[test]
fn code_data_and_stack_are_laid_out() {
    let contents = loaded(&program(&[ADDI, ECALL]).with(|f| {
        f.headers.push(Header { memory: 0x3000, ..segment(R | W, 0x2_0008, vec![1, 2, 3]) });
        f.headers.push(segment(R, 0x1_1000, vec![9]));
        f.entry = 0x1_0004;
    }));
    assert_eq!((contents.profile.code_base(), contents.profile.code_size()), (0x1_0000, 32));
    assert_eq!(contents.profile.extensions(), Extensions::IM);
    assert_eq!(contents.entry, 0x1_0004);
    assert_eq!(contents.code[..8], bytes_of(&[ADDI, ECALL]));
    assert_eq!(contents.code[8..], [0; 24]);
    assert_eq!(
        contents.segments,
        [
            Segment { address: 0x1_1000, bytes: vec![9].into() },
            Segment { address: 0x2_0008, bytes: vec![1, 2, 3].into() }
        ]
    );
    // The data ends at 0x23008; with 64 KiB of stack that needs 2^18 bytes.
    assert_eq!((contents.profile.memory_bits(), contents.sp), (18, 1 << 18));
}

#[test]
fn any_address_will_do() {
    for (address, base, bits) in [
        (0u64, 0, 17),
        (0x1_0000, 0x1_0000, 18),
        (0x1_0014, 0x1_0000, 18),
        (0x8000_0000, 0x8000_0000, 32),
        (0x40_0000_0000, 0x40_0000_0000, 39),
    ] {
        let contents = loaded(&program(&[]).with(|f| {
            f.headers = vec![segment(R | X, address, bytes_of(&[ADDI, ADDI, ADDI, ECALL]))];
            f.entry = address;
        }));
        assert_eq!((contents.profile.code_base(), contents.profile.memory_bits()), (base, bits), "{address:#x}");
    }
}

#[test]
fn segments_of_code_may_touch() {
    let contents = loaded(&program(&[ADDI]).with(|f| f.headers.push(segment(X, 0x1_0004, bytes_of(&[ECALL])))));
    assert_eq!(contents.code[..8], bytes_of(&[ADDI, ECALL]));
}

#[test]
fn the_dynamic_rounding_mode_becomes_nearest() {
    let contents = loaded(&program(&[FADD_DYNAMIC, FSGNJ, ECALL]));
    assert_eq!(contents.code[..12], bytes_of(&[FADD_NEAREST, FSGNJ, ECALL]));
    assert_eq!(contents.profile.extensions(), Extensions::IMFD);
}

#[test]
fn only_sections_of_code_must_be_instructions() {
    // Data between marks, and outside of the section, is left alone.
    let words = [ADDI, FADD_DYNAMIC, 0x1234, ECALL, FADD_DYNAMIC];
    let file = program(&words).with(|f| {
        f.sections = vec![(0x1_0000, 16)];
        f.symbols = vec![("$x", 0x1_0000), ("$d", 0x1_0004), ("$xrv64i2p1", 0x1_000c), ("main", 0x1_0000)];
    });
    let contents = loaded(&file);
    assert_eq!(contents.code[..20], bytes_of(&words));
    assert_eq!(contents.profile.extensions(), Extensions::IM);
    assert_eq!(contents.symbols, [Symbol { name: "main".to_owned(), address: 0x1_0000, size: 8 }]);
}

#[test]
fn errors() {
    let good = program(&[ADDI, ECALL]);
    let sections = |f: &mut File| {
        f.sections = vec![(0x1_0000, 8)];
        f.symbols = vec![("main", 0x1_0000)];
    };
    let with = |change: &dyn Fn(&mut File)| good.clone().with(|f| change(f)).write();
    let machine = |found: &str| ElfError::Machine { found: found.to_owned() };
    let kind = |found: &str| ElfError::Kind { found: found.to_owned() };
    let malformed = |reason: &str| ElfError::Malformed { reason: reason.to_owned() };
    let place = |address| Place { address, symbol: None };
    let cases = [
        (Vec::new(), malformed("0 bytes are too few")),
        (b"#!/bin/sh\necho this is no program\n".to_vec(), malformed("it does not start with 7f 45 4c 46")),
        (with(&|f| f.ident[4] = 3), malformed("unknown class or byte order")),
        (with(&|f| f.ident[4] = 1), machine("a 32-bit machine")),
        (with(&|f| f.ident[5] = 2), machine("a big-endian machine")),
        (with(&|f| f.machine = 62), machine("X86_64")),
        (with(&|f| f.kind = 1), kind("an object file")),
        (with(&|f| f.kind = 3), kind("position-independent or a shared library")),
        (with(&|f| f.headers[0].kind = INTERP), kind("dynamically linked")),
        (
            with(&|f| {
                sections(f);
                f.relocations = true;
            }),
            ElfError::Relocations,
        ),
        (with(&|f| f.flags |= 1), ElfError::Compressed { place: None }),
        (with(&|f| f.headers[0].bytes[4] = 1), ElfError::Compressed { place: Some(place(0x1_0004)) }),
        (
            with(&|f| f.headers[0] = segment(R | X, 0x1_0000, bytes_of(&[LR_W]))),
            ElfError::Illegal { place: place(0x1_0000), word: LR_W },
        ),
        (
            with(&|f| f.headers[0] = segment(R | X, 0x1_0000, bytes_of(&[FSGNJ | 7 << 12]))),
            ElfError::Illegal { place: place(0x1_0000), word: FSGNJ | 7 << 12 },
        ),
        (
            with(&|f| f.headers[0] = segment(R | X, 0x1_0000, vec![0x13, 0])),
            ElfError::Unaligned { place: place(0x1_0000) },
        ),
        (with(&|f| f.headers[0].address = 0x1_0002), ElfError::Unaligned { place: place(0x1_0002) }),
        (with(&|f| f.headers[0].flags = R | W | X), ElfError::WritableCode { address: 0x1_0000 }),
        (with(&|f| f.headers[0].flags = R | W), ElfError::NoCode),
        (with(&|f| f.headers.clear()), ElfError::NoCode),
        (with(&|f| f.headers[0].memory = 4096), ElfError::CodeNotInFile { address: 0x1_0000 }),
        (with(&|f| f.headers[0].memory = 4), malformed("the segment at 0x10000 has an impossible size")),
        (
            with(&|f| f.headers[0].address = u64::MAX - 3),
            malformed("the segment at 0xfffffffffffffffc has an impossible size"),
        ),
        (
            with(&|f| f.headers.push(segment(R | X, 0x2_0000, bytes_of(&[ECALL])))),
            ElfError::CodeInPieces { first: 0x1_0000, second: 0x2_0000 },
        ),
        (
            with(&|f| f.headers.push(segment(R | X, 0x1_0004, bytes_of(&[ECALL])))),
            ElfError::Overlap { address: 0x1_0004 },
        ),
        (with(&|f| f.headers.push(segment(R, 0x1_0010, vec![1]))), ElfError::Overlap { address: 0x1_0010 }),
        (
            with(&|f| f.headers.push(Header { memory: 0x2_0000, ..segment(R | W, 0, vec![1]) })),
            ElfError::Overlap { address: 0x1_0000 },
        ),
        (
            with(&|f| f.headers.push(Header { memory: 1 << 45, ..segment(R | W, 0x2_0000, vec![1]) })),
            ElfError::TooLarge { stack: 64 << 10 },
        ),
        (
            with(&|f| {
                sections(f);
                f.sections[0].1 = 16;
            }),
            malformed("the code at 0x10000 to 0x10010 is outside the code segment"),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(load(&bytes, &Options::default()), Err(expected));
    }
}

#[test]
fn an_illegal_word_is_named_with_its_symbol() {
    let file = program(&[ADDI, ADDI, LR_W]).with(|f| {
        f.sections = vec![(0x1_0000, 12)];
        f.symbols = vec![("main", 0x1_0000), ("lock", 0x1_0004), ("after", 0x1_000c)];
    });
    let error = load(&file.write(), &Options::default()).expect_err("an atomic instruction");
    assert_eq!(
        error.to_string(),
        "the word 0x1000a52f at 0x10008 (<lock+0x4>) is no instruction of rv64imfd (no CSRs, atomics or compressed \
         instructions): build with -march=rv64imfd -mabi=lp64d -static -nostdlib"
    );
}

#[test]
fn damaged_files_are_errors() {
    let file = program(&[ADDI, FADD_DYNAMIC, ECALL]).with(|f| {
        f.sections = vec![(0x1_0000, 12)];
        f.symbols = vec![("$x", 0x1_0000), ("main", 0x1_0000)];
        f.headers.push(segment(R | W, 0x2_0000, vec![7; 100]));
    });
    let good = file.write();
    for end in 0..good.len() {
        let _ = load(&good[..end], &Options::default());
    }
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(contents) = load(&bytes, &Options::default()) {
                let _ = Image::new(contents);
            }
        }
    }
}
