//! Reserved addresses, backed page by page with zeros or a file.

use crate::PAGE;
use memmap2::{MmapMut, MmapOptions};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// 2^bits zero bytes of address space.
pub fn reserve_power(bits: u32) -> io::Result<MmapMut> {
    reserve(1u64.checked_shl(bits).unwrap_or(u64::MAX))
}

/// Zero bytes of address space. They take no memory until they are touched.
pub fn reserve(length: u64) -> io::Result<MmapMut> {
    let length = usize::try_from(length).ok().filter(|&length| isize::try_from(length).is_ok());
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    MmapOptions::new().len(length).no_reserve_swap().map_anon()
}

/// Maps pages of a file over part of the space. They are read when touched, and writes don't reach the file.
/// `at` and `offset` are multiples of [`PAGE`], and the file must be long enough.
pub fn overlay(space: &mut MmapMut, at: usize, length: usize, file: &File, offset: u64) -> io::Result<()> {
    let end = at.checked_add(length);
    let part = end.and_then(|end| space.get_mut(at..end)).ok_or(io::ErrorKind::InvalidInput)?;
    if !PAGE.is_multiple_of(rustix::param::page_size()) || !(at | offset as usize).is_multiple_of(PAGE) {
        // A host with larger pages can't map these.
        return file.read_exact_at(part, offset);
    }
    if part.is_empty() {
        return Ok(());
    }
    // SAFETY: The addresses are those of `part`, which is borrowed from a mapping that `space` alone owns.
    // They begin at a page of the host, and no other mapping contains any of them. They stay readable and
    // writable, so `space` remains valid, and unmapping `space` unmaps them too. The mapping is private:
    // writes are visible to no other process and don't reach the file. As with every mapping of a file, the
    // file must not be truncated while it is in use.
    #[expect(unsafe_code, reason = "a mapping at a fixed address")]
    unsafe {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        mmap(part.as_mut_ptr().cast(), part.len(), ProtFlags::READ | ProtFlags::WRITE, flags, file, offset)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn pages_of_a_file_are_read_and_not_written() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[[1; PAGE], [2; PAGE], [3; PAGE]].concat()).expect("room");
        let mut space = reserve(8 * PAGE as u64).expect("addresses");
        space.fill(9);
        overlay(&mut space, 2 * PAGE, 2 * PAGE, &file, PAGE as u64).expect("a mapping");
        overlay(&mut space, 5 * PAGE, 0, &file, 0).expect("nothing");
        let firsts = |space: &MmapMut| -> Vec<u8> { space.iter().step_by(PAGE).copied().collect() };
        assert_eq!(firsts(&space), [9, 9, 2, 3, 9, 9, 9, 9]);
        space[3 * PAGE] = 7;
        let mut bytes = [0; 1];
        file.read_exact_at(&mut bytes, 2 * PAGE as u64).expect("a byte");
        assert_eq!((firsts(&space), bytes), (vec![9, 9, 2, 7, 9, 9, 9, 9], [3]));
        for (at, length) in [(7 * PAGE, 2 * PAGE), (9 * PAGE, 0), (usize::MAX, PAGE)] {
            assert!(overlay(&mut space, at, length, &file, 0).is_err(), "{at}");
        }
    }

    #[test]
    fn what_cant_be_mapped_is_copied() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[5; 100]).expect("room");
        let mut space = reserve(PAGE as u64).expect("addresses");
        overlay(&mut space, 3, 50, &file, 7).expect("a copy");
        assert_eq!((space[2], space[3], space[52], space[53]), (0, 5, 5, 0));
        assert!(overlay(&mut space, 3, 50, &file, 70).is_err(), "the file is too short");
    }
}
