//! Freestanding C programs: opml's machine and qemu must exit with the same code, wherever the program is
//! linked and however it is compiled.

use image::Image;
use image::elf::{ElfError, Options, Program};
use interpreter::Arithmetic;
use isa::Trap;
use opml_tests::backend::{ALL_BACKENDS, BACKENDS, Backend, InterpreterBackend, JitBackend, Job, agree};
use opml_tests::guest::{Build, EMPTY, GUESTS, Guest, PROGRAMS, compile};
use opml_tests::tools::{self, in_repository};
use step::Status;

/// Every program is built in each of these ways.
const BUILDS: [Build; 6] = [
    Build { floats: false, optimisation: "-O0", fused: false, origin: 0x1_0000 },
    Build { floats: false, optimisation: "-O2", fused: false, origin: 0x12_3000 },
    Build { floats: false, optimisation: "-Os", fused: false, origin: 0x8000_0000 },
    Build { floats: true, optimisation: "-O0", fused: false, origin: 0x1_0000 },
    Build { floats: true, optimisation: "-O2", fused: false, origin: 0x7f_f000 },
    Build { floats: true, optimisation: "-O3", fused: true, origin: 0x1_2345_6000 },
];

/// The exit code under qemu.
fn oracle(elf: &[u8]) -> i32 {
    let output = tools::qemu(elf);
    output.status.code().unwrap_or_else(|| panic!("qemu: {}", String::from_utf8_lossy(&output.stderr)))
}

/// An ELF file as an image.
fn load(elf: &[u8]) -> Result<Image, Box<dyn std::error::Error>> {
    Ok(Image::new(image::elf::load(elf, &Options::default())?.contents)?)
}

/// Runs every program, built in one of the ways, on opml's machine and under qemu.
fn exit_as_under_qemu(build: Build) {
    let mut failures = Vec::new();
    for program in PROGRAMS {
        let elf = compile(program, build);
        let code = oracle(&elf);
        if code == 0 {
            failures.push(format!("{program}, {build}: its own check failed"));
        }
        let image = load(&elf).unwrap_or_else(|error| panic!("{program}, {build}: {error}"));
        let ending = agree(BACKENDS, &Job::whole(&image));
        eprintln!("{program}, {build}: {} steps", ending.steps);
        if ending.state.status != Status::Exited || ending.state.x[10] != code as u64 {
            let (status, found) = (ending.state.status, ending.state.x[10]);
            failures.push(format!("{program}, {build}: {status} with {found}, qemu exits with {code}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

// A test for each way, so that they run concurrently.
#[test]
fn unoptimised_programs_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[0]);
}

#[test]
fn optimised_programs_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[1]);
}

#[test]
fn small_programs_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[2]);
}

#[test]
fn unoptimised_programs_with_floats_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[3]);
}

#[test]
fn optimised_programs_with_floats_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[4]);
}

#[test]
fn programs_with_fused_floats_exit_as_under_qemu() {
    exit_as_under_qemu(BUILDS[5]);
}

/// IEEE arithmetic has one result, in software or in hardware, as long as nothing is fused.
#[test]
fn builds_have_one_answer_under_qemu() {
    for program in PROGRAMS {
        let codes = BUILDS.iter().filter(|build| !build.fused).map(|&build| oracle(&compile(program, build)));
        let codes: Vec<_> = codes.collect();
        assert!(codes.iter().all(|code| *code == codes[0]), "{program}: {codes:?}");
    }
}

/// The backends for millions of steps.
const QUICK: &[&dyn Backend] = &[&InterpreterBackend(Arithmetic::Host), &JitBackend(0), &JitBackend(1 << 12)];

/// The exit code on opml's machine, which must not trap.
fn ours(guest: &Guest, build: Build, elf: &[u8]) -> i32 {
    let image = load(elf).unwrap_or_else(|error| panic!("{}, {build}: {error}", guest.name));
    let ending = agree(QUICK, &Job::whole(&image));
    assert_eq!(ending.state.status, Status::Exited, "{}, {build}", guest.name);
    ending.state.x[10] as i32
}

/// The exit code on this computer.
fn natively(guest: &Guest, floats: bool) -> Option<i32> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("program");
    guest.compile_natively(floats, guest.small, &program);
    std::process::Command::new(program).status().expect("it starts").code()
}

#[test]
fn what_the_benchmark_runs_exits_as_under_qemu_and_natively() {
    for guest in GUESTS.iter().chain([&EMPTY]) {
        for floats in [false, true] {
            let build = Build { floats, optimisation: "-O2", fused: false, origin: 0x1_0000 };
            let elf = guest.compile(build, guest.small);
            let code = ours(guest, build, &elf);
            let native = natively(guest, floats);
            assert_ne!(code, 0, "{}, {build}: its own check failed", guest.name);
            assert_eq!([Some(code), native], [Some(oracle(&elf)); 2], "{}, {build}", guest.name);
        }
    }
}

#[test]
fn every_step_of_a_linked_program_verifies() {
    let elf =
        std::fs::read(in_repository("fixtures/programs/crc32.elf")).expect("the program that is checked in");
    let image = load(&elf).expect("an image");
    let ending = agree(ALL_BACKENDS, &Job { limit: 3_000, ..Job::whole(&image) });
    assert_eq!((ending.steps, ending.state.status), (3_000, Status::Running));
    let ending = agree(BACKENDS, &Job::whole(&image));
    assert_eq!((ending.state.x[10], ending.state.status), (225, Status::Exited));
}

/// A program compiled as README says, with more options.
fn build(source: &str, more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (text, elf) = (folder.path().join("program.c"), folder.path().join("program.elf"));
    std::fs::write(&text, source).expect("room");
    let flags = "-O2 -march=rv64imfd -mabi=lp64d -ffreestanding -nostdlib -static -o";
    let mut arguments: Vec<_> = flags.split(' ').map(Into::into).collect();
    arguments.extend([elf.as_os_str().to_owned(), text.into()]);
    arguments.extend(more.iter().map(Into::into));
    let output = tools::run(tools::GCC, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&elf).expect("gcc wrote the program")
}

fn program(elf: &[u8], options: Options) -> (Program, Image) {
    let program = image::elf::load(elf, &options).unwrap_or_else(|error| panic!("{error}"));
    let image = Image::new(program.contents.clone()).expect("an image");
    (program, image)
}

/// How a program ends, and its exit code.
fn ending(image: &Image) -> (Status, u64) {
    let ending = agree(BACKENDS, &Job::whole(image));
    (ending.state.status, ending.state.x[10])
}

#[test]
fn globals_and_float_constants_work_as_gcc_and_ld_place_them() {
    // More data than one offset from gp reaches, then small variables, which ld addresses from gp.
    let large = "volatile unsigned char table[3000] = {1, 2, 3}; volatile long limit = 1000; volatile int counter = 5;
        volatile float scale = 2.5f; static int calls;
        static float twice(float x) { calls++; return x * scale + 0.125f; }
        int _start(void) { return table[2] == 3 && limit == 1000 && twice(counter) == 12.625f && calls == 1 ? 42 : 1; }";
    // Small enough for ld to make a single segment that is writable and executable.
    let small = "volatile float total; volatile float step = 0.75f;
        int _start(void) { for (int i = 0; i < 4; i++) total += step * i; return total == 4.5f ? 42 : 1; }";
    for source in [large, small] {
        for more in
            [&[][..], &["-Wl,--no-relax"], &["-Wl,-Ttext-segment=0x400000"], &["-O0"], &["-mcmodel=medany"]]
        {
            let (loaded, image) = program(&build(source, more), Options::default());
            assert!(loaded.stack.guarded && loaded.not_instructions.is_none(), "{more:?}");
            assert_eq!(ending(&image), (Status::Exited, 42), "{more:?}: {source}");
        }
        // Without symbols, the value for gp is unknown.
        let stripped = image::elf::load(&build(source, &["-s"]), &Options::default());
        assert_eq!(stripped, Err(ElfError::GlobalPointer));
    }
}

#[test]
fn a_stack_overflow_traps_and_overwrites_nothing() {
    let source = "static volatile unsigned char keep[125536];
        __attribute__((noinline)) long deep(long n) {
            volatile char b[2048]; for (int i = 0; i < 2048; i++) b[i] = n; return n ? deep(n - 1) + b[n & 1023] : 0; }
        int _start(void) {
            for (unsigned i = 0; i < sizeof keep; i++) keep[i] = 1;
            deep(60); int bad = 0; for (unsigned i = 0; i < sizeof keep; i++) bad += keep[i] != 1;
            return bad != 0; }";
    let (elf, high) = (build(source, &[]), build(source, &["-Wl,-Ttext-segment=0x100000"]));
    let (loaded, image) = program(&elf, Options::default());
    assert!(loaded.stack.guarded);
    assert_eq!(ending(&image).0, Status::Trapped(Trap::StoreFault));
    let large = Options { stack: 1_000_000, ..Options::default() };
    for (elf, guarded) in [(elf, false), (high, true)] {
        let (loaded, image) = program(&elf, large);
        assert_eq!((loaded.stack.guarded, ending(&image)), (guarded, (Status::Exited, 0)));
        assert!(loaded.stack.bytes >= large.stack);
    }
}

#[test]
fn a_word_that_is_not_an_instruction_traps_only_if_it_is_reached() {
    for word in ["0x00000000", "0x1000a52f", "0xffffffff", "0x00000001"] {
        for reached in [false, true] {
            let skip = if reached { "" } else { "j 1f" };
            let asm = format!("{skip}; .word {word}; 1: addi a0, zero, 7");
            let source = format!(
                "int _start(void) {{ register int a asm(\"a0\"); asm volatile(\"{asm}\" : \"=r\"(a)); return a; }}"
            );
            let elf = build(&source, &["-falign-functions=16"]);
            let (loaded, image) = program(&elf, Options::default());
            // The assembler may mark the word as data. Then it isn't counted.
            assert!(loaded.not_instructions.is_none_or(|others| others.count >= 1));
            let ending = agree(ALL_BACKENDS, &Job::whole(&image));
            let expected = match reached {
                true => Status::Trapped(Trap::IllegalInstruction),
                false => Status::Exited,
            };
            assert_eq!(ending.state.status, expected, "{asm}");
            if reached {
                let at = (ending.state.pc - image.profile.code_base()) as usize;
                let found = u32::from_le_bytes(*image.code[at..].first_chunk().expect("a word"));
                assert_eq!(format!("{found:#010x}"), word);
            }
        }
    }
}
