//! Programs that the loader accepts, and everything that it refuses, with the error messages.

use image::elf::{ElfError, NotInstructions, Options, Program, Stack, load, read};
use image::{Image, Region, Role, Segment, Symbol};
use isa::{Extensions, decode};
use tensor::DType;

const ADDI: u32 = 0x0010_0513; // addi a0, zero, 1
const ECALL: u32 = 0x0000_0073;
const FADD_DYNAMIC: u32 = 0x0020_f053; // fadd.s ft0, ft1, ft2, dyn
const FADD_NEAREST: u32 = 0x0020_8053; // fadd.s ft0, ft1, ft2, rne
const FSGNJ: u32 = 0x2020_8053; // fsgnj.s ft0, ft1, ft2: no rounding mode
const LR_W: u32 = 0x1000_a52f; // lr.w a0, (ra)
const LW_GP: u32 = 0x8001_a503; // lw a0, -2048(gp)
const LI_GP: u32 = 0x0000_0193; // li gp, 0

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
    /// Executable sections: address and size. Without any, there are no section headers.
    sections: Vec<(u64, u64)>,
    /// Sections of data, likewise.
    data: Vec<(u64, u64)>,
    /// The text of a section `.opml`.
    declared: Option<&'static str>,
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
        data: Vec::new(),
        declared: None,
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
        let plain = self.sections.is_empty() && self.declared.is_none();
        let sections = if plain { 0 } else { self.write_sections(&mut out, &mut table) };
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
        // The last section contains the names.
        let names = sections.saturating_sub(1);
        for half in [64, 56, self.headers.len() as u16, if sections == 0 { 0 } else { 64 }, sections, names] {
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

    /// The null section, the executable ones, symbols, relocations of the first executable one, declarations, strings.
    fn write_sections(&self, out: &mut Vec<u8>, table: &mut Vec<u8>) -> u16 {
        let (mut names, mut symbols) = (b"\0.opml\0".to_vec(), vec![0; 24]);
        for (name, address) in &self.symbols {
            symbols.extend((names.len() as u32).to_le_bytes());
            symbols.extend([0, 0, 1, 0]);
            symbols.extend(address.to_le_bytes());
            symbols.extend(8u64.to_le_bytes());
            names.extend(name.bytes().chain([0]));
        }
        let mut count = 0u16;
        let mut add =
            |kind: u32, flags: u64, address: u64, offset: u64, size: u64, links: [u32; 2], entry: u64| {
                table.extend(u32::from(kind == 1 && flags == 0).to_le_bytes());
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
        for (address, size) in &self.data {
            add(1, 3, *address, 64, *size, [0, 0], 0);
        }
        let place = (self.sections.len() + self.data.len()) as u32 + 1;
        let more = u32::from(self.relocations) + u32::from(self.declared.is_some());
        let offset = append(out, &symbols);
        add(2, 0, 0, offset, symbols.len() as u64, [place + more + 1, 1], 24);
        if self.relocations {
            let offset = append(out, &[0; 24]);
            add(4, 0, 0, offset, 24, [place, 1], 24);
        }
        if let Some(text) = self.declared {
            let offset = append(out, text.as_bytes());
            add(1, 0, 0, offset, text.len() as u64, [0, 0], 0);
        }
        let offset = append(out, &names);
        add(3, 0, 0, offset, names.len() as u64, [0, 0], 0);
        count
    }
}

/// Appends bytes to a file at a multiple of 8. Returns their offset.
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    out.resize(out.len().next_multiple_of(8), 0);
    let offset = out.len() as u64;
    out.extend(bytes);
    offset
}

fn program_of(file: &File) -> Program {
    let program = load(&file.write(), &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    Image::new(program.contents.clone()).unwrap_or_else(|error| panic!("{error}"));
    program
}

fn loaded(file: &File) -> image::Contents {
    program_of(file).contents
}

/// The start-up code of a program, instruction by instruction, and the values after it.
fn start_of(contents: &image::Contents) -> (Vec<String>, Vec<u64>) {
    let start = contents.symbols.iter().find(|symbol| symbol.name == "_opml_start").expect("start-up code");
    assert_eq!(start.address, contents.entry);
    let code = &contents.code[(start.address - contents.profile.code_base()) as usize..];
    let (code, values) = code.split_at(start.size.next_multiple_of(8) as usize);
    let words = code[..start.size as usize].as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
    let text = words.map(|word| decode(word, Extensions::IM).expect("an instruction").to_string()).collect();
    (text, values.as_chunks().0.iter().take(6).map(|&bytes| u64::from_le_bytes(bytes)).collect())
}

#[test]
fn code_data_and_stack_are_laid_out() {
    let program = program_of(&program(&[ADDI, ECALL]).with(|f| {
        f.headers.push(Header { memory: 0x3000, ..segment(R | W, 0x2_0008, vec![1, 2, 3]) });
        f.headers.push(segment(R, 0x1_1000, vec![9]));
        f.entry = 0x1_0004;
    }));
    let contents = &program.contents;
    assert_eq!((contents.profile.code_base(), contents.profile.code_size()), (0x1_0000, 96));
    assert_eq!(contents.profile.extensions(), Extensions::IM);
    assert_eq!(contents.code[..8], bytes_of(&[ADDI, ECALL]));
    assert_eq!(contents.code[8..32], [0; 24]);
    assert_eq!(
        contents.segments,
        [
            Segment { address: 0x1_1000, bytes: vec![9].into() },
            Segment { address: 0x2_0008, bytes: vec![1, 2, 3].into() }
        ]
    );
    // The data ends at 0x23008. The stack is below the code; where a dispute starts, sp is the end of memory.
    assert_eq!((contents.profile.memory_bits(), contents.sp), (18, 1 << 18));
    assert_eq!(program.stack, Stack { top: 0x1_0000, bytes: 0x1_0000, guarded: true });
    let (text, values) = start_of(contents);
    let expected = [
        "auipc t0, 0x0",
        "ld gp, 32(t0)",
        "ld sp, 40(t0)",
        "ld t0, 48(t0)",
        "jalr ra, 0(t0)",
        "addi a7, zero, 93",
        "ecall",
    ];
    assert_eq!(text, expected);
    assert_eq!(values[..3], [0, 0x1_0000, 0x1_0004]);
    assert_eq!(contents.entry, 0x1_0020);
}

#[test]
fn the_stack_is_below_the_program_if_that_is_enough() {
    for (address, least, expected) in [
        (0x1_0000u64, 0x1_0000u64, Stack { top: 0x1_0000, bytes: 0x1_0000, guarded: true }),
        (0x8000_0014, 1 << 30, Stack { top: 0x8000_0000, bytes: 0x8000_0000, guarded: true }),
        // 2^17 is the next power of two above the code with its start-up code and the stack.
        (0x1_0000, 0x1_0001, Stack { top: 1 << 18, bytes: (1 << 18) - 0x1_0060, guarded: false }),
        (0, 64, Stack { top: 1 << 12, bytes: (1 << 12) - 96, guarded: false }),
    ] {
        let file = program(&[]).with(|f| {
            f.headers = vec![segment(R | X, address, bytes_of(&[ADDI, ECALL]))];
            f.entry = address;
        });
        let program =
            load(&file.write(), &Options { stack: least, ..Options::default() }).expect("a program");
        assert_eq!(program.stack, expected, "{address:#x}, {least:#x}");
        assert_eq!(start_of(&program.contents).1[1], expected.top);
        assert_eq!(image::elf::stack_pointer(&program.contents), Some(expected.top));
    }
}

#[test]
fn any_address_will_do() {
    for (address, base, bits) in [
        (0u64, 0, 16),
        (0x1_0000, 0x1_0000, 17),
        (0x1_0014, 0x1_0000, 17),
        (0x8000_0000, 0x8000_0000, 32),
        (0x40_0000_0000, 0x40_0000_0000, 39),
    ] {
        let contents = loaded(&program(&[]).with(|f| {
            f.headers = vec![segment(R | X, address, bytes_of(&[ADDI, ADDI, ADDI, ECALL]))];
            f.entry = address;
        }));
        assert_eq!(
            (contents.profile.code_base(), contents.profile.memory_bits()),
            (base, bits),
            "{address:#x}"
        );
        assert_eq!(start_of(&contents).1[2], address);
    }
}

#[test]
fn start_up_code_is_where_there_is_room() {
    let with = |address: u64| {
        program(&[ADDI, ECALL]).with(|f| f.headers.push(segment(R | W, address, vec![7; 64]))).write()
    };
    let entry = |address| load(&with(address), &Options::default()).map(|program| program.contents.entry);
    assert_eq!(entry(0x1_0060), Ok(0x1_0020), "directly after the code");
    assert_eq!(entry(0x1_0040), Ok(0xffc0), "before it, as data follows");
    let both = program(&[ADDI, ECALL])
        .with(|f| f.headers.extend([0xffa0, 0x1_0020].map(|address| segment(R | W, address, vec![7; 64]))));
    let error = ElfError::NoRoom { size: 64, start: 0x1_0000, end: 0x1_0020 };
    assert_eq!(load(&both.write(), &Options::default()), Err(error));
}

#[test]
fn a_segment_that_is_writable_and_executable_is_split_by_its_sections() {
    // A small program as ld joins it: code, constants, a gap, data, and zero-initialised data.
    let file = |data: u64| {
        let mut bytes = bytes_of(&[ADDI, ECALL, 0x1234]);
        bytes.resize(0x104, 7);
        program(&[]).with(|f| {
            f.headers = vec![Header { memory: 0x200, ..segment(R | W | X, 0x1_0000, bytes) }];
            f.sections = vec![(0x1_0000, 8)];
            f.data = vec![(data, 0x40)];
        })
    };
    let contents = loaded(&file(0x1_00f8));
    let profile = contents.profile;
    // The start-up code doesn't fit between code and data.
    assert_eq!((profile.code_base(), profile.code_size()), (0xffc0, 0x40 + 0xe0));
    assert_eq!(contents.code[0x40..0x48], bytes_of(&[ADDI, ECALL]));
    assert_eq!(contents.segments, [Segment { address: 0x1_00e0, bytes: vec![7; 0x24].into() }]);
    for data in [0x1_0008, 0x1_001c] {
        let error = ElfError::WritableCode { address: 0x1_0000 };
        assert_eq!(load(&file(data).write(), &Options::default()), Err(error), "data at {data:#x}");
    }
}

#[test]
fn segments_of_code_may_touch() {
    let contents =
        loaded(&program(&[ADDI]).with(|f| f.headers.push(segment(X, 0x1_0004, bytes_of(&[ECALL])))));
    assert_eq!(contents.code[..8], bytes_of(&[ADDI, ECALL]));
}

#[test]
fn the_dynamic_rounding_mode_becomes_nearest() {
    let contents = loaded(&program(&[FADD_DYNAMIC, FSGNJ, ECALL]));
    assert_eq!(contents.code[..12], bytes_of(&[FADD_NEAREST, FSGNJ, ECALL]));
    assert_eq!(contents.profile.extensions(), Extensions::IMFD);
}

#[test]
fn only_sections_of_code_are_decoded() {
    // Data between marks and outside the section stays unchanged.
    let words = [ADDI, FADD_DYNAMIC, 0x1234, ECALL, FADD_DYNAMIC];
    let file = program(&words).with(|f| {
        f.sections = vec![(0x1_0000, 16)];
        f.symbols = vec![("$x", 0x1_0000), ("$d", 0x1_0004), ("$xrv64i2p1", 0x1_000c), ("main", 0x1_0000)];
    });
    let program = program_of(&file);
    assert_eq!(program.contents.code[..20], bytes_of(&words));
    assert_eq!(program.contents.profile.extensions(), Extensions::IM);
    assert_eq!(program.not_instructions, None);
    assert_eq!(program.contents.symbols[0], Symbol { name: "main".to_owned(), address: 0x1_0000, size: 8 });
}

#[test]
fn words_that_are_not_instructions_stay_and_are_counted() {
    // Padding, an atomic instruction, data, half a word at the end: the program is loaded anyway.
    let words = [ADDI, 0, LR_W, 0x1234_5678, ECALL];
    let file = program(&words).with(|f| {
        f.headers[0].bytes.extend([0x13, 0]);
        f.headers[0].memory += 2;
        f.sections = vec![(0x1_0000, 22)];
        f.symbols = vec![("main", 0x1_0000), ("lock", 0x1_0004), ("after", 0x1_000c)];
    });
    let program = program_of(&file);
    assert_eq!(program.contents.code[..20], bytes_of(&words));
    let NotInstructions { count, place, word } = program.not_instructions.expect("words that are noted");
    assert_eq!((count, place.to_string(), word), (3, "0x10008 (<lock+0x4>)".to_owned(), LR_W));
    // `read`, which is for programs linked for this machine, refuses it.
    let error = read(&file.write()).expect_err("an atomic instruction");
    assert_eq!(
        error.to_string(),
        "the word 0x1000a52f at 0x10008 (<lock+0x4>) is not an instruction of rv64imfd"
    );
}

#[test]
fn gp_is_what_the_linker_says() {
    let named = |words: &[u32]| {
        program(words).with(|f| {
            f.sections = vec![(0x1_0000, 4 * words.len() as u64)];
            f.symbols = vec![("__global_pointer$", 0x1_1930)];
        })
    };
    assert_eq!(start_of(&loaded(&named(&[LW_GP, ECALL]))).1[0], 0x1_1930);
    assert_eq!(start_of(&loaded(&named(&[ECALL]))).1[0], 0x1_1930);
    // Without symbols, the program itself must set it, or not use it.
    assert_eq!(load(&program(&[LW_GP, ECALL]).write(), &Options::default()), Err(ElfError::GlobalPointer));
    for words in [[LI_GP, LW_GP], [ADDI, ECALL]] {
        assert_eq!(start_of(&loaded(&program(&words))).1[0], 0);
    }
}

#[test]
fn inputs_and_outputs_are_declared() {
    let text = "input data f32[16]\noutput mean f64[2,3]\0\0 input  scale u8 \n";
    let file = program(&[ADDI, ECALL]).with(|f| f.declared = Some(text));
    let options = Options { max_steps: Some(1000), ..Options::default() };
    let contents = load(&file.write(), &options).expect("a program").contents;
    let tensors: Vec<_> = contents.tensors.iter().collect();
    let found: Vec<_> =
        tensors.iter().map(|t| (t.role, &*t.name, t.dtype, &*t.shape, t.address, t.bytes)).collect();
    // Code ends at 0x10080. Each tensor is alone in an aligned power of two of bytes.
    assert_eq!(
        found,
        [
            (Role::Input, "data", DType::F32, &[16][..], 0x1_0080, 64),
            (Role::Output, "mean", DType::F64, &[2, 3], 0x1_00c0, 48),
            (Role::Input, "scale", DType::U8, &[], 0x1_0100, 1),
        ]
    );
    let interface = contents.interface.as_ref().expect("an interface");
    let region = |address, bits| Region { address, bits };
    assert_eq!(interface.inputs, [region(0x1_0080, 6), region(0x1_0100, 5)]);
    assert_eq!(interface.outputs, [region(0x1_00c0, 6)]);
    assert_eq!((interface.scratch_bits, interface.bound), (5, 1000));
    let [step] = contents.schedule.as_slice() else { panic!("one big step") };
    assert_eq!((step.entry, step.bound, step.output, step.lo, step.hi), (contents.entry, 1000, 1, 0, 6));
    assert_eq!(contents.symbols[step.kernel as usize].name, "_opml_start");
    let (text, values) = start_of(&contents);
    assert_eq!(text[3..6], ["ld a0, 64(t0)", "ld a1, 72(t0)", "ld a2, 80(t0)"]);
    assert_eq!(values, [0, 0x1_0000, 0x1_0000, 0x1_0080, 0x1_00c0, 0x1_0100]);
    let image = Image::new(contents).expect("an image");
    // A dispute starts in the same state as a run.
    assert_eq!(image.single_phase().expect("a bound").root(), image.schedule_root());
    assert_eq!(image.sp, image.profile.memory_size());
    // Without a bound, it can be run but not disputed.
    let contents = load(&file.write(), &Options::default()).expect("a program").contents;
    assert_eq!((contents.tensors.len(), contents.schedule.len(), contents.interface), (3, 0, None));
}

#[test]
fn a_state_is_an_input_and_an_output_in_place() {
    let text = "output mean f32\nstate sums i64[5]\nstate count u8";
    let file = program(&[ADDI, ECALL]).with(|f| f.declared = Some(text));
    let options = Options { max_steps: Some(1000), ..Options::default() };
    let contents = load(&file.write(), &options).expect("a program").contents;
    let tensors = contents.tensors.iter();
    let found: Vec<_> = tensors.map(|tensor| (tensor.role, &*tensor.name, tensor.address)).collect();
    assert_eq!(
        found,
        [
            (Role::Output, "mean", 0x1_0080),
            (Role::Input, "sums", 0x1_00c0),
            (Role::Output, "sums", 0x1_00c0),
            (Role::Input, "count", 0x1_0100),
            (Role::Output, "count", 0x1_0100),
        ]
    );
    // One pointer each.
    assert_eq!(start_of(&contents).1[3..6], [0x1_0080, 0x1_00c0, 0x1_0100]);
    assert_eq!(contents.schedule[0].arguments, [0x1_0080, 0x1_00c0, 0x1_0100]);
    let interface = Image::new(contents).expect("an image").interface.clone().expect("an interface");
    assert_eq!((interface.inputs.len(), interface.outputs.len()), (2, 3));
    assert_eq!(interface.inputs, interface.outputs[1..]);
    // Alone, it is the input and the output that a program needs.
    let alone = program(&[ADDI, ECALL]).with(|f| f.declared = Some("state count u8"));
    assert!(load(&alone.write(), &options).is_ok());
}

#[test]
fn declarations_that_make_no_sense() {
    let error = |text| {
        let file = program(&[ADDI, ECALL]).with(|f| f.declared = Some(text));
        load(&file.write(), &Options::default()).expect_err(text).to_string()
    };
    for (text, expected) in [
        (
            "input data",
            "declares \"input data\": expected three words: input, output or state, a name, a type;",
        ),
        ("in data f32", "it begins with in, not with input, output or state"),
        ("input data float[2]", "the type float is not one of f32, f64, i8,"),
        ("input data f32[0]", "the shape in f32[0] is not like [2,3]"),
        ("input data f32[2", "the shape in f32[2 is not like [2,3]"),
        ("input data f32[]", "the shape in f32[] is not like [2,3]"),
        ("input data f32[9999999,99999999999]", "f32[9999999,99999999999] is too large"),
        ("input a u8\noutput a u8", "declares \"output a u8\": the name a is taken"),
        ("state a u8\ninput a u8", "declares \"input a u8\": the name a is taken"),
        ("input a u8", "declares no output"),
        ("output a u8", "declares no input"),
        ("input a u8[17592186044416]\noutput b u8[17592186044416]", "end beyond 2^45 bytes of memory"),
    ] {
        assert!(error(text).contains(expected), "{text}: {}", error(text));
    }
    let many = "input a u8\ninput b u8\ninput c u8\ninput d u8\ninput e u8\ninput f u8\ninput g u8\ninput h u8\noutput i u8";
    assert!(
        error(many).contains("declares 9 inputs and outputs; at most 8 pointers are passed"),
        "{}",
        error(many)
    );
    let none = load(&program(&[ECALL]).write(), &Options { max_steps: Some(5), ..Options::default() });
    assert_eq!(none, Err(ElfError::NothingDeclared));
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
    let cases = [
        (Vec::new(), malformed("0 bytes are too few")),
        (b"#!/bin/sh\necho not a program\n".to_vec(), malformed("it does not start with 7f 45 4c 46")),
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
        (with(&|f| f.flags |= 1), ElfError::Compressed),
        (with(&|f| f.entry = 0x1_0002), ElfError::Entry { entry: 0x1_0002 }),
        (with(&|f| f.entry = 0x1_0020), ElfError::Entry { entry: 0x1_0020 }),
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
            ElfError::TooLarge { stack: 32 << 10 },
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
            if let Ok(program) = load(&bytes, &Options::default()) {
                let _ = Image::new(program.contents);
            }
        }
    }
}
