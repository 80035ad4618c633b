//! What a process leaves behind when it is killed at any moment.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// A process: until it is killed, it can write and ask.
#[derive(Debug)]
pub struct Life(AtomicU64);

impl Life {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(u64::MAX)))
    }

    /// Kills it after so many more writes and queries.
    pub fn end_after(&self, more: u64) {
        self.0.store(more, Ordering::Relaxed);
    }

    /// Whether it still lives. If so, it has done one more thing.
    pub fn goes_on(&self) -> bool {
        let less = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(1) };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// A disk that is full at times, as one process sees it.
#[derive(Debug, Clone)]
pub struct Disk {
    pub memory: Arc<redb::backends::InMemoryBackend>,
    pub full: Option<Range<u64>>,
    pub start: Instant,
    pub life: Arc<Life>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if !self.life.goes_on() {
            return Err(io::Error::other("the process was killed"));
        }
        match self.full.as_ref().is_some_and(|full| full.contains(&self.start.elapsed().as_secs())) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.life.goes_on() {
            return Err(io::Error::other("the process was killed"));
        }
        self.memory.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.memory.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }
}
