//! What images may cost this computer. `docs/machine.md` has a table of all limits.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::output::count;

/// How long nobody looks at the memory that is held. Looking takes some microseconds, and taking much memory takes longer
/// than this, because the system clears it.
const PAUSE: Duration = Duration::from_millis(5);

/// How much memory a run may take. A machine's memory costs nothing before it is touched, so how much an image asks for
/// says little, and what is watched is what this process holds.
#[derive(Debug)]
pub struct Memory {
    most: u64,
    /// When was looked.
    looked: Cell<Instant>,
}

impl Memory {
    /// As much as the system gives.
    pub fn any() -> Self {
        Self::new(Some(u64::MAX))
    }

    /// So many bytes, or seven eighths of what there is: beyond that the system may end other programs.
    pub fn new(most: Option<u64>) -> Self {
        let most = most.or_else(|| installed().map(|bytes| bytes / 8 * 7)).unwrap_or(u64::MAX);
        Self { most, looked: Cell::new(Instant::now()) }
    }

    /// An error if more is held. May be called often, and looks only now and then.
    pub fn check(&self, steps: u64) -> Result<(), Failure> {
        if self.looked.get().elapsed() < PAUSE {
            return Ok(());
        }
        self.looked.set(Instant::now());
        match held() {
            Some(held) if held > self.most => Err(Failure::new(format!(
                "after {steps} steps this program holds more memory than the limit, {} bytes",
                count(self.most)
            ))
            .hint("raise --max-memory if the image is meant to touch so much")),
            _ => Ok(()),
        }
    }
}

/// The bytes of memory that this process holds, where the system says so. Pages of the image's file don't count: the system
/// takes them back when it needs room.
fn held() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// The bytes of memory that there are for it: the computer's, or less in a container.
fn installed() -> Option<u64> {
    let all = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let granted = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(granted.unwrap_or(u64::MAX).min(all))
}

/// The number of a line "NAME   123 kB", in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_limit() {
        let check = |memory: Memory| {
            std::thread::sleep(PAUSE);
            memory.check(7)
        };
        assert!(check(Memory::any()).is_ok());
        if held().is_some() {
            let error = check(Memory::new(Some(1000))).expect_err("more is held");
            assert!(
                error.message.contains("after 7 steps") && error.message.contains("the limit, 1,000 bytes"),
                "{error}"
            );
            assert!(Memory::new(None).most >= held().expect("a number"));
        }
    }

    #[test]
    fn the_systems_lines_are_read() {
        let text = "VmPeak:\t   99 kB\nVmRSS:\t   12 kB\nThreads:\t1\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "Threads:")), (Some(12 << 10), None));
        assert_eq!((kilobytes(text, "Vm"), kilobytes("VmRSS: 18446744073709551615 kB", "VmRSS:")), (None, None));
    }
}
