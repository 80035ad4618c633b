//! Executable memory for host code.

use memmap2::{Mmap, MmapMut};
use std::io;
use std::ops::Deref;

/// Host code in executable memory. The memory is first writable, then executable, never both.
#[derive(Debug)]
pub struct Executable {
    map: Mmap,
    length: usize,
}

impl Executable {
    /// Copies code into executable memory. The code starts at a page boundary.
    pub fn new(code: &[u8]) -> io::Result<Self> {
        // The system refuses an empty mapping.
        let mut map = MmapMut::map_anon(code.len().max(1))?;
        map[..code.len()].copy_from_slice(code);
        Ok(Self { map: map.make_exec()?, length: code.len() })
    }
}

impl Deref for Executable {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_any_length_is_kept() {
        for length in [0, 1, 4095, 4097] {
            let code = vec![0xc3; length];
            assert_eq!(*Executable::new(&code).expect("memory"), *code);
        }
    }
}
