//! A limit on the memory that runs take.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The time between two measurements. A measurement takes a few microseconds. A process can't take much
/// memory within this time, because the system clears pages first.
const PAUSE: Duration = Duration::from_millis(5);

/// How much memory this process may hold. A machine's memory costs nothing until it is touched, so the size
/// that an image asks for says little. The limit is on the memory that the process actually holds.
#[derive(Debug, Clone)]
pub struct MemoryLimit {
    most: u64,
    /// The time of the last measurement.
    looked: Cell<Instant>,
}

/// The process holds too much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this program holds more memory than the limit, {most} bytes")]
pub struct Exceeded {
    /// The limit in bytes.
    pub most: u64,
}

impl MemoryLimit {
    /// The steps to run between two checks. A program that touches a new page with every other step takes at
    /// most 2 GiB between them.
    pub const SLICE: u64 = 1 << 20;

    /// No limit except the system's.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Some(u64::MAX))
    }

    /// A limit in bytes. The default is seven eighths of the computer's memory, since the system may kill
    /// other programs beyond that.
    #[must_use]
    pub fn new(most: Option<u64>) -> Self {
        let most = most.or_else(|| installed().map(|bytes| bytes / 8 * 7)).unwrap_or(u64::MAX);
        Self { most, looked: Cell::new(Instant::now()) }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Fails if the process holds more. It is cheap to call: it measures at most once per pause.
    pub fn check(&self) -> Result<(), Exceeded> {
        if self.looked.get().elapsed() < PAUSE {
            return Ok(());
        }
        self.looked.set(Instant::now());
        let most = self.most;
        if held().is_some_and(|held| held > most) { Err(Exceeded { most }) } else { Ok(()) }
    }
}

/// The bytes of memory that this process holds, if the system reports them. Pages of the image's file don't
/// count: the system reclaims them when it needs room.
fn held() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// The memory available to the process: the computer's, or less in a container.
fn installed() -> Option<u64> {
    let all = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let granted =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(granted.unwrap_or(u64::MAX).min(all))
}

/// The number in a line "NAME   123 kB", in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_limit() {
        let check = |limit: MemoryLimit| {
            std::thread::sleep(PAUSE);
            limit.check()
        };
        assert_eq!(check(MemoryLimit::none()), Ok(()));
        if let Some(held) = held() {
            assert_eq!(check(MemoryLimit::new(Some(1000))), Err(Exceeded { most: 1000 }));
            assert!(MemoryLimit::new(None).most >= held);
        }
    }

    #[test]
    fn the_systems_lines_are_read() {
        let text = "VmPeak:\t   99 kB\nVmRSS:\t   12 kB\nThreads:\t1\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "Threads:")), (Some(12 << 10), None));
        assert_eq!(
            (kilobytes(text, "Vm"), kilobytes("VmRSS: 18446744073709551615 kB", "VmRSS:")),
            (None, None)
        );
    }
}
