//! The stamp of an image's file, which tells whether it is the same file as before.

use crate::Image;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::MetadataExt;

/// Which file an image is in, and when that file was last changed.
///
/// The system sets the time of a change with every write, and no call sets it back, as one does with the time
/// of modification. So whoever can't set the clock or write past the file system can't change a file and keep
/// its stamp. A disk can: a stamp says nothing about bits that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds since 1970, and nanoseconds.
    changed: (i64, i64),
}

impl Image {
    /// The stamp of the file that is open, as of now.
    pub fn stamp(&self) -> io::Result<Stamp> {
        let found = self.base().file().metadata()?;
        let (device, inode, length) = (found.dev(), found.ino(), found.len());
        Ok(Stamp { device, inode, length, changed: (found.ctime(), found.ctime_nsec()) })
    }
}
