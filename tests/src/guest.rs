//! Freestanding C programs, compiled by Debian's riscv gcc: those of `fixtures/programs`, and those of
//! `tests/benches/guests`, which are used for timing and get their size at compile time.

use crate::tools::{self, in_repository};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// The programs, by the names of their files. `main` returns a checksum that is never 0.
pub const PROGRAMS: [&str; 10] = [
    "crc32",
    "division",
    "float_edges",
    "mandelbrot",
    "matmul_f32",
    "matmul_i8",
    "n_body",
    "queens",
    "sort",
    "sponge",
];

/// How a program is compiled, and where it is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Whether the machine has floats. Otherwise libgcc's software computes them.
    pub floats: bool,
    /// The optimisation option.
    pub optimisation: &'static str,
    /// Whether a product and a sum may be fused into one instruction.
    pub fused: bool,
    /// The address of the code: any multiple of 4,096.
    pub origin: u64,
}

impl Display for Build {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let isa = if self.floats { "rv64imfd" } else { "rv64im" };
        let fused = if self.fused { " fused" } else { "" };
        write!(f, "{isa} {}{fused} at {:#x}", self.optimisation, self.origin)
    }
}

/// Compiles a program into an ELF file.
///
/// # Panics
/// If gcc is missing or fails.
#[must_use]
pub fn compile(program: &str, build: Build) -> Vec<u8> {
    link(&in_repository(&format!("{FOLDER}/{program}.c")), build, &[])
}

/// A program of `tests/benches/guests`, which the benchmark of machines runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The name of its file.
    pub name: &'static str,
    /// Whether it computes with floats.
    pub floats: bool,
    /// How often it repeats its work when it is timed: 100 to 400 million instructions. Given without and
    /// with float instructions; a float operation in software takes some 50 instructions.
    pub sizes: [u32; 2],
    /// The same when it is only tested.
    pub small: u32,
}

/// The programs that are timed.
pub const GUESTS: [Guest; 9] = [
    Guest { name: "matmul", floats: true, sizes: [4, 110], small: 1 },
    Guest { name: "matmul_tile", floats: true, sizes: [4, 250], small: 1 },
    Guest { name: "mlp", floats: true, sizes: [60, 1500], small: 2 },
    Guest { name: "matmul_i8", floats: false, sizes: [110; 2], small: 1 },
    Guest { name: "keccak", floats: false, sizes: [8_000; 2], small: 20 },
    Guest { name: "sieve", floats: false, sizes: [70; 2], small: 1 },
    Guest { name: "heapsort", floats: false, sizes: [150; 2], small: 1 },
    Guest { name: "bytecode", floats: false, sizes: [50_000; 2], small: 300 },
    Guest { name: "stride", floats: false, sizes: [1500; 2], small: 3 },
];

/// The program that does nothing.
pub const EMPTY: Guest = Guest { name: "empty", floats: false, sizes: [1; 2], small: 1 };

impl Guest {
    /// Compiles it for the machine, into an ELF file.
    ///
    /// # Panics
    /// If gcc is missing or fails.
    #[must_use]
    pub fn compile(&self, build: Build, size: u32) -> Vec<u8> {
        link(&self.source(), build, &self.defines(build.floats, size))
    }

    /// Compiles it for this computer into an executable at this path, with all optimisations except vectors.
    /// Floats are those of a build with or without float instructions. gcc writes the file itself: a file
    /// written by this process can't be started while another thread is starting a process.
    ///
    /// # Panics
    /// If gcc is missing or fails.
    pub fn compile_natively(&self, floats: bool, size: u32, executable: &Path) {
        let mut arguments = words("-O2 -fno-tree-vectorize -ffp-contract=off -Wall -Wextra -Werror");
        if floats && cfg!(target_arch = "x86_64") {
            arguments.push("-mfma".into());
        }
        arguments.extend(self.defines(floats, size));
        arguments.push(self.source().display().to_string());
        run_compiler("gcc", arguments, executable);
    }

    fn source(&self) -> PathBuf {
        in_repository(&format!("tests/benches/guests/{}.c", self.name))
    }

    /// If a machine has float instructions, the programs may use fused ones.
    fn defines(&self, floats: bool, size: u32) -> Vec<String> {
        let mut defines = vec![format!("-DSIZE={size}"), format!("-I{}", in_repository(FOLDER).display())];
        defines.extend(floats.then(|| "-DFUSED".into()));
        defines
    }
}

/// The folder with start-up code, linker script and header.
const FOLDER: &str = "fixtures/programs";

/// Compiles a freestanding program into an ELF file.
fn link(source: &Path, build: Build, more: &[String]) -> Vec<u8> {
    let common = |name: &str| in_repository(&format!("{FOLDER}/{name}")).display().to_string();
    let isa = if build.floats { "-march=rv64imfd -mabi=lp64d" } else { "-march=rv64im -mabi=lp64" };
    let contract = if build.fused { "-ffp-contract=fast" } else { "-ffp-contract=off" };
    let mut arguments = words(isa);
    arguments.extend([build.optimisation.into(), contract.into()]);
    arguments.extend(words("-mcmodel=medany -ffreestanding -nostdlib -static -Wall -Wextra -Werror"));
    arguments.push(format!("-Wl,--defsym=ORIGIN_ADDRESS={:#x}", build.origin));
    arguments.extend_from_slice(more);
    arguments.extend(["-T".into(), common("link.ld"), common("start.S"), source.display().to_string()]);
    arguments.push("-lgcc".into());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let elf = folder.path().join("program.elf");
    run_compiler(tools::GCC, arguments, &elf);
    std::fs::read(&elf).expect("gcc wrote the program")
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

fn run_compiler(compiler: &str, mut arguments: Vec<String>, result: &Path) {
    arguments.extend(["-o".into(), result.display().to_string()]);
    let output = tools::run(compiler, &arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
