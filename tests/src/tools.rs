//! External programs that tests run: the oracle and the compiler.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Debian's qemu for riscv64 programs, user mode.
pub const QEMU: &str = "qemu-riscv64";
/// Debian's freestanding riscv gcc.
pub const GCC: &str = "riscv64-unknown-elf-gcc";
/// The disassembler that comes with it.
pub const OBJDUMP: &str = "riscv64-unknown-elf-objdump";

/// Runs a tool to its end.
///
/// # Panics
/// If it is missing. The message tells how to get it.
pub fn run<S: AsRef<OsStr>>(tool: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(tool).args(arguments).output().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            panic!("{tool} is not installed: apt-get install gcc-riscv64-unknown-elf qemu-user")
        }
        _ => panic!("{tool} cannot be started: {error}"),
    })
}

/// Runs an executable under qemu.
///
/// # Panics
/// If qemu is missing or the file can't be written.
#[must_use]
pub fn qemu(elf: &[u8]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("program");
    write_executable(&path, elf);
    run(QEMU, [path])
}

/// Writes a file with permission to be executed, for qemu.
///
/// # Panics
/// If that fails.
pub fn write_executable(path: &Path, elf: &[u8]) {
    fs::write(path, elf).expect("write the program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("make the program executable");
}

/// A number from an environment variable, or a default.
///
/// # Panics
/// If it is set to something else.
#[must_use]
pub fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; a number was expected"))
}

/// The file `path` relative to the repository's root.
#[must_use]
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
