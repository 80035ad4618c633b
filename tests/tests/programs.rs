//! Freestanding C programs: our machine and qemu must exit with the same code, wherever the program is linked and
//! however it is compiled.

use image::Image;
use interpreter::Arithmetic;
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
    Ok(Image::new(image::elf::load(elf, &image::elf::Options::default())?.contents)?)
}

#[test]
fn programs_exit_as_under_qemu() {
    let mut failures = Vec::new();
    for program in PROGRAMS {
        let mut exact = None;
        for build in BUILDS {
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
            // IEEE arithmetic has one answer, in software or in hardware, as long as nothing is fused.
            if !build.fused && *exact.get_or_insert(code) != code {
                failures.push(format!("{program}, {build}: exit code {code}, other builds {exact:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The backends for millions of steps.
const QUICK: &[&dyn Backend] = &[&InterpreterBackend(Arithmetic::Host), &JitBackend(0), &JitBackend(1 << 12)];

/// The exit code on our machine, which must not trap.
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
    let elf = std::fs::read(in_repository("fixtures/programs/crc32.elf")).expect("the program that is checked in");
    let image = load(&elf).expect("an image");
    let ending = agree(ALL_BACKENDS, &Job { limit: 3_000, ..Job::whole(&image) });
    assert_eq!((ending.steps, ending.state.status), (3_000, Status::Running));
    let ending = agree(BACKENDS, &Job::whole(&image));
    assert_eq!((ending.state.x[10], ending.state.status), (225, Status::Exited));
}
