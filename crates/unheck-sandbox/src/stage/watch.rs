//! Limits of a sandbox as a whole, kept by looking at its `/proc` every 50 ms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::run::LimitKind;
use crate::spec::Limits;
use crate::stage::disk::Full;
use crate::wire::ProcMount;

/// How often memory, processes and processor time are looked at.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// The limits and what was seen.
pub(super) struct Watch {
    memory: Option<u64>,
    processes: Option<u64>,
    cpu: Option<Duration>,
    deadline: Option<Instant>,
    disk: Option<Arc<Full>>,
}

impl Watch {
    /// With a `/proc` that is not the sandbox's own only time is watched; resource limits hold the rest.
    pub(super) fn new(limits: &Limits, proc: ProcMount, disk: Option<Arc<Full>>) -> Self {
        let own = proc == ProcMount::Fresh;
        Self {
            memory: limits.memory.filter(|_| own),
            processes: limits.processes.filter(|_| own),
            cpu: limits.cpu_seconds.map(Duration::from_secs),
            deadline: limits
                .wall
                .and_then(|wall| Instant::now().checked_add(wall)),
            disk,
        }
    }

    /// How long until the next look is due.
    pub(super) fn next_look(&self, now: Instant) -> Duration {
        let watched = self.memory.is_some()
            || self.processes.is_some()
            || self.cpu.is_some()
            || self.disk.is_some();
        let tick = if watched { TICK } else { Duration::MAX };
        self.deadline.map_or(tick, |deadline| {
            tick.min(deadline.saturating_duration_since(now))
        })
    }

    /// The limit that is exceeded, if one is.
    pub(super) fn look(&self, now: Instant) -> Option<LimitKind> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Some(LimitKind::Wall);
        }
        if self.cpu_is_spent() {
            return Some(LimitKind::Cpu);
        }
        if let Some(kind) = self.disk.as_ref().and_then(|disk| disk.kind()) {
            return Some(kind);
        }
        if self.memory.is_none() && self.processes.is_none() {
            return None;
        }
        let seen = Seen::now();
        if self.processes.is_some_and(|most| seen.processes > most) {
            return Some(LimitKind::Processes);
        }
        // Shared pages count once for each process in the resident size: only when even that is too much are
        // they divided up, which costs milliseconds.
        let too_much = |bytes| self.memory.is_some_and(|most| bytes > most);
        (too_much(seen.resident) && too_much(proportional())).then_some(LimitKind::Memory)
    }

    /// Have all processes together, ended ones included, used up the processor time?
    pub(super) fn cpu_is_spent(&self) -> bool {
        self.cpu
            .is_some_and(|limit| reaped_time() + running_time() >= limit)
    }
}

struct Seen {
    processes: u64,
    resident: u64,
}

impl Seen {
    fn now() -> Self {
        let mut seen = Self {
            processes: 0,
            resident: 0,
        };
        let page = rustix::param::page_size() as u64;
        for pid in others() {
            seen.processes += 1;
            // `proc_pid_statm(5)`: the second field is the resident size in pages.
            let pages = read(pid, "statm")
                .split(' ')
                .nth(1)
                .and_then(|n| n.parse::<u64>().ok());
            seen.resident += pages.unwrap_or(0) * page;
        }
        seen
    }
}

/// Bytes of memory with shared pages divided among their users (`Pss` of `smaps_rollup`).
fn proportional() -> u64 {
    let of = |pid| {
        let text = read(pid, "smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    others().map(|pid| of(pid).unwrap_or(0) * 1024).sum()
}

/// Time of processes that this one has waited for, and of those they had.
fn reaped_time() -> Duration {
    // SAFETY: an all-zero structure is valid, and getrusage fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let span = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec.try_into().unwrap_or(0))
            + Duration::from_micros(t.tv_usec.try_into().unwrap_or(0))
    };
    span(usage.ru_utime) + span(usage.ru_stime)
}

/// Time of the processes that exist, and of the children they have waited for.
fn running_time() -> Duration {
    let ticks: u64 = others().map(|pid| ticks(&read(pid, "stat"))).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The sum of `utime`, `stime`, `cutime` and `cstime`, fields 14 to 17 of `proc_pid_stat(5)`; the name before may
/// have spaces and brackets.
fn ticks(stat: &str) -> u64 {
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0;
    };
    fields
        .split_ascii_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum()
}

/// Numbers of all processes but the first.
pub(super) fn others() -> impl Iterator<Item = u32> {
    let entries = fs_err::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1)
}

fn read(pid: u32, name: &str) -> String {
    fs_err::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_hostile_name() {
        let stat = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0";
        assert_eq!(ticks(stat), 100);
        assert_eq!(ticks("nonsense"), 0);
    }
}
