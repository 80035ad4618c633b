//! Image files and ELF programs.

mod elf;
mod file;
