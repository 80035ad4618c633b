//! Freestanding C programs of `fixtures/programs`, compiled by Debian's riscv gcc.

use crate::tools::{self, in_repository};
use std::fmt::{self, Display, Formatter};

/// The programs, by the names of their files. `main` returns a checksum that is never 0.
pub const PROGRAMS: [&str; 10] =
    ["crc32", "division", "float_edges", "mandelbrot", "matmul_f32", "matmul_i8", "n_body", "queens", "sort", "sponge"];

/// How a program is compiled and where it is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Whether the machine has floats; otherwise libgcc's software does them.
    pub floats: bool,
    /// The optimisation option.
    pub optimisation: &'static str,
    /// Whether a product and a sum may become one fused instruction.
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
/// If gcc is missing or refuses.
#[must_use]
pub fn compile(program: &str, build: Build) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let elf = folder.path().join("program.elf");
    let source = |name: &str| in_repository(&format!("fixtures/programs/{name}")).display().to_string();
    let [march, abi] = if build.floats { ["-march=rv64imfd", "-mabi=lp64d"] } else { ["-march=rv64im", "-mabi=lp64"] };
    let contract = if build.fused { "-ffp-contract=fast" } else { "-ffp-contract=off" };
    let mut arguments: Vec<String> = [march, abi, build.optimisation, contract].map(String::from).to_vec();
    let common = "-mcmodel=medany -ffreestanding -nostdlib -static -Wall -Wextra -Werror";
    arguments.extend(common.split(' ').map(String::from));
    arguments.push(format!("-Wl,--defsym=ORIGIN_ADDRESS={:#x}", build.origin));
    arguments.extend(["-T".into(), source("link.ld"), source("start.S"), source(&format!("{program}.c"))]);
    arguments.extend(["-lgcc".into(), "-o".into(), elf.display().to_string()]);
    let output = tools::run(tools::GCC, &arguments);
    assert!(output.status.success(), "{program}, {build}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&elf).expect("gcc wrote the program")
}
