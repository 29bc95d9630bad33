//! How many builds run side by side: all cores are used, and the memory of the machine is not promised twice.
//! Start at [`Permits::take`].

use std::sync::{Condvar, Mutex, PoisonError};

use super::frontend::Allowance;

/// Memory that one build is promised at least, in bytes: a large C++ file takes as much.
const ONE_BUILD: u64 = 2 << 30;

/// Memory that one compiler process is promised, in bytes.
const ONE_JOB: u64 = 1 << 30;

/// Builds that may run at one time.
pub(crate) struct Permits {
    left: Mutex<usize>,
    freed: Condvar,
    allowance: Allowance,
}

/// The right to run one build; given back when it is dropped.
pub(crate) struct Permit<'p>(&'p Permits);

impl Permits {
    /// As many as this machine has cores and memory for.
    pub(crate) fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores, available_memory().unwrap_or(4 << 30))
    }

    /// For so many cores and bytes of memory.
    fn new(cores: usize, memory: u64) -> Self {
        let fit = usize::try_from(memory / ONE_BUILD).unwrap_or(usize::MAX);
        let builds = cores.min(fit).max(1);
        let memory = memory / builds as u64;
        // One build seldom keeps all cores busy from its beginning to its end, and what others leave idle it may use.
        let jobs = usize::try_from(memory / ONE_JOB)
            .unwrap_or(usize::MAX)
            .clamp(1, cores);
        Self {
            left: Mutex::new(builds),
            freed: Condvar::new(),
            allowance: Allowance {
                jobs,
                memory: memory.max(ONE_BUILD),
            },
        }
    }

    /// Waits until a build may run.
    pub(crate) fn take(&self) -> Permit<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self
            .freed
            .wait_while(left, |left| *left == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Permit(self)
    }
}

impl Permit<'_> {
    /// What the build may use.
    pub(crate) fn allowance(&self) -> Allowance {
        self.0.allowance
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Bytes of memory that processes can have now without swapping (`MemAvailable` of proc(5)), less a tenth.
fn available_memory() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024 / 10 * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_builds_before_cores_do() {
        let permits = |cores, gigabytes: u64| {
            let permits = Permits::new(cores, gigabytes << 30);
            let builds = *permits.left.lock().expect("not poisoned");
            (builds, permits.allowance.jobs)
        };
        assert_eq!(permits(2, 24), (2, 2));
        assert_eq!(permits(16, 8), (4, 2));
        assert_eq!(permits(8, 1), (1, 1));
        assert_eq!(permits(4, 64), (4, 4));
    }

    #[test]
    fn a_permit_comes_back() {
        let permits = Permits::new(1, 64 << 30);
        drop(permits.take());
        drop(permits.take());
        assert_eq!(*permits.left.lock().expect("not poisoned"), 1);
    }
}
