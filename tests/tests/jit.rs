//! Translated code against the interpreter: random programs, stopped at random steps, and proofs from there.

use image::{Contents, Image};
use interpreter::{Arithmetic, Interpreter};
use isa::{Extensions, Format, Instruction, Layout, Op, TABLE, encode};
use jit::Jit;
use opml_tests::backend::{Backend as _, Job, Registers};
use opml_tests::random::{Random, special_floats};
use opml_tests::soup::soup;
use opml_tests::{backend, program::Program};
use std::path::Path;
use step::{Floats, MachineProfile, Status};

/// Sets the registers of both machines. Everything else is as at reset.
fn start(reference: &mut Interpreter, machine: &mut Jit, registers: &Registers) {
    (1..).zip(&registers.x[1..]).for_each(|(register, &value)| reference.set_x(register, value));
    reference.set_floats(Floats(registers.f));
    machine.restore(&reference.snapshot()).expect("the same image");
}

#[test]
fn random_programs_stop_at_any_step_in_the_same_state() {
    let mut random = Random::new(11);
    let (mut compiled, mut ran, mut kinds) = (0, 0, std::collections::BTreeMap::new());
    for number in 0..1000 {
        let length = 8 * (1 + random.below(12));
        let (image, registers) = soup(length, &mut random);
        let threshold = *random.pick(&[0, 1, 600, 3000]);
        let mut reference = Interpreter::new(&image).expect("memory").with_arithmetic(Arithmetic::Soft);
        let mut machine = Jit::new(&image).expect("a host").with_threshold(threshold);
        start(&mut reference, &mut machine, &registers);
        for _ in 0..6 {
            let limit = random.below(3000);
            let (expected, found) = (reference.run(limit), machine.run(limit));
            assert_eq!(found, expected, "program {number}");
            assert_eq!(machine.steps(), reference.steps(), "program {number}");
            let (expected, found) = (reference.state(), machine.state());
            assert_eq!(found, expected, "program {number} at step {}", reference.steps());
            assert_eq!(machine.interpreter().floats(), reference.floats(), "program {number}");
            if reference.status() == Status::Running {
                // Either machine proves the next step.
                assert_eq!(machine.witness().expect("a witness"), reference.witness().expect("a witness"));
            }
        }
        compiled += machine.translated().regions;
        ran += machine.translated().steps;
        *kinds.entry(format!("{:?}", reference.status())).or_insert(0) += 1;
    }
    eprintln!("{compiled} regions, {ran} steps in them; {kinds:?}");
    assert!(compiled > 400 && ran > 200_000, "{compiled} regions, {ran} steps");
    assert!(kinds.len() > 6, "{kinds:?}");
}

#[test]
fn straight_programs_give_what_soft_floats_give() {
    let mut random = Random::new(5);
    let mut executed = vec![0; TABLE.len()];
    for _ in 0..40 {
        let program = Program::random(12, &mut random, &mut executed);
        let elf = program.elf();
        let contents = image::elf::load(&elf, &image::elf::Options::default()).expect("a program").contents;
        let image = Image::new(contents).expect("an image");
        let job = Job { output: (opml_tests::program::DATA, program.compared()), ..Job::whole(&image) };
        let expected = backend::InterpreterBackend(Arithmetic::Soft).run(&job).expect("a run");
        let found = backend::JitBackend(0).run(&job).expect("a run");
        if let Some(difference) = program.difference(&found.output, &expected.output) {
            panic!("{difference}");
        }
        assert_eq!(found, expected);
    }
}

/// One instruction repeated and translated, with operands that are difficult for arithmetic.
#[test]
fn every_computing_instruction_gives_what_the_interpreter_gives() {
    let mut random = Random::new(3);
    let computing = TABLE.iter().filter(|entry| {
        let elsewhere = [Layout::B, Layout::J, Layout::S, Layout::Nullary].contains(&entry.layout);
        !elsewhere && !entry.syntax.contains("(rs1)") && entry.op != Op::Jalr
    });
    let mut compared = 0;
    for entry in computing {
        for rm in 0..if entry.is_rounded() { 5 } else { 1 } {
            let has = |name: &str, register| if entry.has(name) { register } else { 0 };
            let float = |name: &str, register| has(name, register);
            let instruction = Instruction {
                rd: has("rd", 7) | float("frd", 7),
                rs1: has("rs1", 5) | float("frs1", 5),
                rs2: has("rs2", 6) | float("frs2", 6),
                rs3: float("frs3", 8),
                rm,
                imm: if entry.has("imm") { 13 << if entry.layout == Layout::U { 12 } else { 0 } } else { 0 },
                ..Instruction::new(entry.op)
            };
            let image = program(&[encode(instruction).expect("operands that fit")]);
            let mut reference = Interpreter::new(&image).expect("memory").with_arithmetic(Arithmetic::Soft);
            let mut machine = Jit::new(&image).expect("a host").with_threshold(0);
            for _ in 0..400 {
                let x = std::array::from_fn(|register| if register == 0 { 0 } else { random.word() });
                let f = std::array::from_fn(|_| match random.below(4) {
                    0 => *random.pick(&special_floats(Format::F64)),
                    1 => *random.pick(&special_floats(Format::F32)) | 0xffff_ffff << 32,
                    2 => random.float(Format::F64),
                    _ => random.float(Format::F32) | 0xffff_ffff << 32,
                });
                reference.start(image.entry);
                start(&mut reference, &mut machine, &Registers { x, f });
                reference.run(1);
                machine.run(1);
                let (found, expected) = (
                    (machine.pc(), machine.x(7), machine.interpreter().floats()),
                    (reference.pc(), reference.x(7), reference.floats()),
                );
                assert_eq!(found, expected, "{instruction}: x {x:x?}, f {f:x?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50_000, "{compared}");
}

/// Accesses that are checked together, at the edges of memory and of code that hides some. One of them may be
/// valid while another is not.
#[test]
fn no_access_leaves_memory() {
    use Op::{Addi, Fld, Flw, Fsd, Fsw, Lb, Ld, Lh, Lw, Sb, Sd, Sh, Sw};
    let sizes = [
        (Lb, 1),
        (Sb, 1),
        (Lh, 2),
        (Sh, 2),
        (Lw, 4),
        (Sw, 4),
        (Flw, 4),
        (Fsw, 4),
        (Ld, 8),
        (Sd, 8),
        (Fld, 8),
        (Fsd, 8),
    ];
    let mut random = Random::new(9);
    let mut trapped = 0;
    for number in 0..500 {
        let words: Vec<u32> = (0..3 + random.below(5))
            .map(|_| {
                let (op, size) = *random.pick(&sizes);
                let op = if random.one_in(8) { Addi } else { op };
                let free = random.below(128) as i32 - 64;
                let imm = if random.one_in(16) { free } else { free / size * size };
                let entry = op.entry();
                let has = |name: &str, register| if entry.has(name) { register } else { 0 };
                let rd = if op == Addi { 8 } else { has("rd", 7) | has("frd", 7) };
                let rs2 = has("rs2", 6) | has("frs2", 6);
                encode(Instruction { rd, rs1: 8, rs2, imm, ..Instruction::new(op) })
                    .expect("operands that fit")
            })
            .collect();
        let base = *random.pick(&[1 << 12, 1 << 11, 0]);
        let image = program_at(base, &words);
        let mut machine = Jit::new(&image).expect("a host").with_threshold(0);
        let mut reference = Interpreter::new(&image).expect("memory");
        let begin = reference.snapshot();
        for _ in 0..60 {
            reference.restore(&begin).expect("the same image");
            let edge = *random.pick(&[0, base, base + image.code.len() as u64, 1 << 12]);
            let mut x = [0; 32];
            x[8] = edge
                .wrapping_add(8 * random.below(24))
                .wrapping_sub(96)
                .wrapping_add(random.below(2) * random.below(8));
            x[6] = random.bits();
            start(&mut reference, &mut machine, &Registers { x, f: [0x3ff8_0000_3fc0_0000; 32] });
            let limit = words.len() as u64;
            assert_eq!(machine.run(limit), reference.run(limit), "program {number}, x8 {:#x}", x[8]);
            assert_eq!(machine.state(), reference.state(), "program {number}, x8 {:#x}", x[8]);
            trapped += u32::from(matches!(reference.status(), Status::Trapped(_)));
        }
    }
    // Many of 30,000 runs trap, and many don't.
    assert!((5_000..28_000).contains(&trapped), "{trapped}");
}

/// Loops whose accesses move by the same distance in every iteration, up and down, also by the value of a
/// register: to the edges of memory, of pages and of code that hides memory, and beyond them.
#[test]
fn no_loop_leaves_memory_or_a_page_unmarked() {
    use Op::{Add, Addi, Bne, Lb, Ld, Lw, Sb, Sd, Sh, Sw};
    let word = |instruction: Instruction| encode(instruction).expect("operands that fit");
    let addi = |rd, imm| word(Instruction { rd, rs1: rd, imm, ..Instruction::new(Addi) });
    let mut random = Random::new(31);
    let (mut trapped, mut ended, mut translated) = (0, 0, 0);
    for number in 0..400 {
        let mut words = Vec::new();
        for _ in 0..1 + random.below(4) {
            let (op, size) = *random.pick(&[(Lb, 1), (Lw, 4), (Ld, 8), (Sb, 1), (Sh, 2), (Sw, 4), (Sd, 8)]);
            let (register, place) = (8 + random.below(2) as u8, random.below(64) as i32 - 32);
            let has = |name: &str, register| if op.entry().has(name) { register } else { 0 };
            let (rd, rs2) = (has("rd", 7), has("rs2", 6));
            words.push(word(Instruction {
                rd,
                rs1: register,
                rs2,
                imm: place * size,
                ..Instruction::new(op)
            }));
        }
        for register in [8, 9] {
            let by = *random.pick(&[
                0, 1, 2, 4, 8, 8, 12, 16, 24, 64, 72, 512, 1600, -1, -4, -8, -8, -40, -64, -256, -2000,
            ]);
            words.insert(
                random.below(1 + words.len() as u64) as usize,
                match random.below(3) {
                    0 => word(Instruction { rd: register, rs1: register, rs2: 10, ..Instruction::new(Add) }),
                    _ => addi(register, by),
                },
            );
        }
        words.push(addi(11, -1));
        words.push(word(Instruction { rs1: 11, imm: -4 * words.len() as i32, ..Instruction::new(Bne) }));
        let base = *random.pick(&[1 << 12, 1 << 13, 0]);
        let image = program_in(15, base, &words);
        let mut machine = Jit::new(&image).expect("a host").with_threshold(0);
        let mut reference = Interpreter::new(&image).expect("memory");
        let begin = reference.snapshot();
        for _ in 0..20 {
            reference.restore(&begin).expect("the same image");
            let mut x = [0; 32];
            for register in &mut x[8..10] {
                let edge = *random.pick(&[0, base, base + image.code.len() as u64, 1 << 14, 1 << 15]);
                let unaligned = if random.one_in(8) { random.below(8) } else { 0 };
                *register =
                    edge.wrapping_add(8 * random.below(400)).wrapping_sub(1600).wrapping_add(unaligned);
            }
            x[6] = random.bits();
            x[10] =
                *random.pick(&[0, 1, 4, 8, 16, 40, 4096, 7, 1 << 40, u64::MAX, 8u64.wrapping_neg(), 1 << 63]);
            x[11] = 1 + random.below(300);
            start(&mut reference, &mut machine, &Registers { x, f: [0; 32] });
            for limit in [random.below(300), random.below(900), 3000] {
                let case = format!("program {number}, {x:x?}, {limit} steps");
                assert_eq!(machine.run(limit), reference.run(limit), "{case}");
                assert_eq!(machine.state(), reference.state(), "{case}");
            }
            trapped += u32::from(matches!(reference.status(), Status::Trapped(_)) && reference.x(11) != 0);
            ended += u32::from(reference.x(11) == 0);
        }
        translated += machine.translated().steps;
    }
    assert!(trapped > 2_000 && ended > 1_000, "{trapped} trapped in the loop, {ended} got out");
    assert!(translated > 1_000_000, "{translated} steps of translated code");
}

#[test]
fn translated_code_is_kept_for_the_next_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let cached = |folder: &Path, image: &Image| {
        Jit::new(image).expect("a host").with_threshold(0).with_cache(folder, image)
    };
    let mut random = Random::new(21);
    let (mut reused, mut files) = (0, 0);
    for number in 0..200 {
        let (image, registers) = soup(64, &mut random);
        let mut reference = Interpreter::new(&image).expect("memory").with_arithmetic(Arithmetic::Soft);
        let mut first = cached(folder.path(), &image);
        assert_eq!(first.translated().regions, 0, "program {number}: nothing is known of this image");
        start(&mut reference, &mut first, &registers);
        first.run(3000);
        first.keep().expect("room");
        let mut second = cached(folder.path(), &image);
        assert_eq!(second.translated().regions > 0, first.translated().regions > 0, "program {number}");
        reused += second.translated().regions;
        files += u64::from(second.translated().regions > 0);
        start(&mut reference, &mut second, &registers);
        for _ in 0..4 {
            let limit = random.below(1500);
            assert_eq!(second.run(limit), reference.run(limit), "program {number}");
            assert_eq!(second.state(), reference.state(), "program {number} at step {}", reference.steps());
        }
    }
    assert!(reused > files && files > 100, "{reused} regions in {files} files");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count() as u64, files);
}

#[test]
fn a_cache_that_is_not_good_is_as_none() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    // addi x5, x5, 1; j -4
    let image = program(&[0x0012_8293, 0xffdf_f06f]);
    let cached = || Jit::new(&image).expect("a host").with_threshold(0).with_cache(folder.path(), &image);
    let regions = || cached().translated().regions;
    let mut machine = cached();
    machine.run(1_000_000);
    machine.keep().expect("room");
    let path =
        std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("a file").path();
    assert!(regions() > 0);
    let good = std::fs::read(&path).expect("a file");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, bad).expect("room");
        assert_eq!(regions(), 0, "byte {at}");
        std::fs::write(&path, &good[..at]).expect("room");
        assert_eq!(regions(), 0, "cut to {at}");
    }
    std::fs::write(&path, &good).expect("room");
    assert!(regions() > 0);
    let permit =
        |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("ours");
    for (what, others, mine) in [(path.as_path(), 0o666, 0o600), (folder.path(), 0o777, 0o700)] {
        permit(what, others);
        assert_eq!(regions(), 0, "others can write to {}", what.display());
        permit(what, mine);
        assert!(regions() > 0);
    }
    // Another machine with the same words, and no cache folder.
    assert_eq!(
        Jit::new(&image).expect("a host").with_cache(Path::new("/proc/none"), &image).translated().regions,
        0
    );
    let other = program_at(1 << 11, &[0x0012_8293, 0xffdf_f06f]);
    assert_eq!(Jit::new(&other).expect("a host").with_cache(folder.path(), &other).translated().regions, 0);
}

/// A loop that jumps to one of eight places in each iteration. They are separate regions until the JIT has
/// learnt these jumps.
#[test]
fn regions_that_learn_where_they_jump_stop_in_the_same_state() {
    use Op::{Add, Addi, Andi, FaddS, Jal, Jalr, Slli, Srli, Xor};
    const HANDLERS: u64 = 8;
    let of = |op, rd, rs1, rs2, imm| Instruction { rd, rs1, rs2, imm, ..Instruction::new(op) };
    let step = |op, by| [of(op, 6, 5, 0, by), of(Xor, 5, 5, 6, 0)];
    let mut code = [step(Slli, 13), step(Srli, 7), step(Slli, 17)].concat();
    code.extend([of(Andi, 7, 5, 0, 0x70), of(Add, 7, 7, 9, 0), of(Jalr, 0, 7, 0, 0)]);
    let handlers = 4 * code.len() as u64;
    for number in 0..HANDLERS {
        let work = if number % 2 == 0 { of(FaddS, 1, 1, 2, 0) } else { of(Add, 11, 11, 10, 0) };
        code.extend([of(Addi, 10, 10, 0, number as i32), work, of(Xor, 12, 12, 10, 0)]);
        code.push(of(Jal, 0, 0, 0, -4 * code.len() as i32));
    }
    let words: Vec<u32> =
        code.into_iter().map(|instruction| encode(instruction).expect("operands that fit")).collect();
    let image = program(&words);
    let mut reference = Interpreter::new(&image).expect("memory").with_arithmetic(Arithmetic::Soft);
    let mut machine = Jit::new(&image).expect("a host").with_threshold(0);
    let mut x = [0; 32];
    (x[5], x[9]) = (88_172_645_463_325_252, image.entry + handlers);
    start(&mut reference, &mut machine, &Registers { x, f: [0xffff_ffff_3f80_0001; 32] });
    let mut random = Random::new(4);
    for _ in 0..200 {
        let limit = random.below(3000);
        assert_eq!(machine.run(limit), reference.run(limit));
        assert_eq!(machine.state(), reference.state(), "at step {}", reference.steps());
    }
    // One for each place where a region starts, and more for the learnt jumps.
    assert!(machine.translated().regions > HANDLERS + 1, "{:?}", machine.translated());
}

/// An image of some words.
fn program(words: &[u32]) -> Image {
    program_at(1 << 12, words)
}

/// An image of some words at an address, with a page of memory.
fn program_at(base: u64, words: &[u32]) -> Image {
    program_in(12, base, words)
}

/// The same with 2^bits bytes of memory.
fn program_in(bits: u8, base: u64, words: &[u32]) -> Image {
    let mut code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    code.resize(code.len().next_multiple_of(32), 0);
    let profile = MachineProfile::new(Extensions::IMFD, bits, base, code.len() as u64).expect("a machine");
    let (segments, tensors, symbols, schedule) = Default::default();
    let contents = Contents {
        profile,
        entry: base,
        sp: 0,
        code: code.into(),
        segments,
        tensors,
        symbols,
        schedule,
        period: None,
        interface: None,
        sections: Vec::new(),
    };
    Image::new(contents).expect("an image")
}
