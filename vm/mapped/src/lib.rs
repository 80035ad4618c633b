//! Files: opened with care, mapped for reading, or mapped for results too large for memory.

mod files;

pub use files::{open, open_with, read};

use memmap2::{Mmap, MmapMut, MmapOptions, UncheckedAdvice};
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Bytes of a file that the system reads when they are touched. Clones share them.
///
/// The file must not be changed or truncated while it is mapped: changes would show in the bytes, and the
/// system would kill a program that touches missing ones. Replacing the file by another of the same name is
/// safe.
#[derive(Debug, Clone)]
pub struct Mapped(Arc<Mmap>);

impl Mapped {
    /// Maps part of a file. It must not be changed, as described above.
    pub fn new(file: &File, offset: u64, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: No other program has access to a file without a name. For other files, the documentation
        // above forbids changes. Any byte values are valid.
        #[expect(unsafe_code, reason = "a mapping of a file")]
        let map = unsafe { MmapOptions::new().offset(offset).len(length).map(file) }?;
        Ok(Self(Arc::new(map)))
    }

    /// Gives up the memory behind the bytes. They stay in the system's cache of the file, as far as it has
    /// room, and come back when they are touched.
    pub fn release(&self) {
        // SAFETY: The mapping is of a file, shared and only readable, so it has no bytes of its own to lose.
        // Whoever reads it meanwhile or later gets the same bytes of the file again.
        #[expect(unsafe_code, reason = "advice that would lose bytes without a file")]
        let advised = unsafe { self.0.unchecked_advise(UncheckedAdvice::DontNeed) };
        // A system that doesn't take the advice only keeps more memory.
        let _ = advised;
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Mapped {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Bytes that are being written to a file without a name, in the system's folder for such files. They are zero at
/// first.
#[derive(Debug)]
pub struct Draft(MmapMut);

impl Draft {
    /// So many bytes. The file has all of its room from now on.
    pub fn new(length: u64) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        let size = usize::try_from(length).map_err(io::Error::other)?;
        // On a disk that is full, this fails, but a write to a mapping would kill the program.
        io::copy(&mut io::repeat(0).take(length), &mut file)?;
        // SAFETY: No other program has access to a file without a name, and this one keeps only the mapping. Any
        // byte values are valid.
        #[expect(unsafe_code, reason = "a mapping of a file")]
        let map = unsafe { MmapOptions::new().len(size).map_mut(&file) }?;
        Ok(Self(map))
    }

    /// Gives up the memory behind the bytes, which stay in the file.
    pub fn release(&mut self) {
        // SAFETY: The mapping is shared with the file, so the system keeps what was written, and whoever reads it
        // later gets it again. Nobody does meanwhile: it is borrowed exclusively.
        #[expect(unsafe_code, reason = "advice that would lose bytes without a file")]
        let advised = unsafe { self.0.unchecked_advise(UncheckedAdvice::DontNeed) };
        // A system that doesn't take the advice only keeps more memory.
        let _ = advised;
    }

    /// The same bytes, for reading.
    pub fn finish(self) -> io::Result<Mapped> {
        Ok(Mapped(Arc::new(self.0.make_read_only()?)))
    }
}

impl Deref for Draft {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn released_bytes_come_back() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[[1; 4096], [2; 4096]].concat()).expect("room");
        let map = Mapped::new(&file, 4096, 4096).expect("a mapping");
        assert_eq!(map[..], [2; 4096]);
        let copy = map.clone();
        map.release();
        assert_eq!((map[4095], copy[0], copy.len()), (2, 2, 4096));
        Mapped::new(&file, 0, 0).expect("nothing").release();
    }

    #[test]
    fn a_draft_keeps_what_was_written() {
        let mut draft = Draft::new(10_000).expect("room");
        assert!(draft.len() == 10_000 && draft.iter().all(|&byte| byte == 0));
        draft[5000..].fill(7);
        draft.release();
        draft[1] = 3;
        draft.release();
        let mapped = draft.finish().expect("a mapping");
        mapped.release();
        assert_eq!((mapped[0], mapped[1], mapped[4999], mapped[9999], mapped.len()), (0, 3, 0, 7, 10_000));
        assert_eq!(Draft::new(0).and_then(Draft::finish).expect("nothing").len(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn released_bytes_leave_the_memory_of_this_process() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/status").expect("a process");
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
        };
        const LENGTH: u64 = 64 << 20;
        let file = tempfile::tempfile().expect("a file");
        file.set_len(LENGTH).expect("room");
        let map = Mapped::new(&file, 0, LENGTH).expect("a mapping");
        let before = resident();
        assert!(map.iter().all(|&byte| byte == 0));
        assert!(resident() > before + LENGTH / 2);
        map.release();
        assert!(resident() < before + LENGTH / 2);
        let mut draft = Draft::new(LENGTH).expect("room");
        draft.fill(1);
        assert!(resident() > before + LENGTH / 2);
        draft.release();
        assert!(resident() < before + LENGTH / 2);
        assert!(draft.iter().all(|&byte| byte == 1));
    }
}
