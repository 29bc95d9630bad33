//! Which users and groups exist inside (`user_namespaces(7)`).
//!
//! A caller with `CAP_SETUID` and `CAP_SETGID` (root) gets every id that it has, under the same number: files of
//! root stay root's and the command runs as the real unprivileged user that was asked for. Anybody else may map
//! one id only: the caller's own, under the number asked for.

use rustix::fs::{Mode, OFlags};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::wire::{Base, Failure, Order, Step};

/// Most ranges that are copied; Linux has a limit of 340.
const MAX_RANGES: usize = 340;

/// The mapping of one sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Text of `uid_map` and of `gid_map`.
    maps: [String; 2],
    /// May process 1 become another user?
    pub(super) many: bool,
}

impl Plan {
    pub(super) fn make(order: &Order) -> Result<Self, Failure> {
        let (uid, gid) = order
            .spec
            .as_ref()
            .map_or((65532, 65532), |spec| (spec.uid, spec.gid));
        let single = Self {
            maps: [
                format!("{uid} {} 1\n", geteuid().as_raw()),
                format!("{gid} {} 1\n", getegid().as_raw()),
            ],
            many: order.base == Base::SysAdmin,
        };
        let wanted = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
        let able = capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted));
        if order.base != Base::UserNamespace || !able {
            return Ok(single);
        }
        let read = |path: &str| {
            fs_err::read_to_string(path)
                .map(|text| Ranges::parse(&text))
                .map_err(|e| Failure::new(Step::Mapping, format!("read `{path}`"), e))
        };
        let (users, groups) = (read("/proc/self/uid_map")?, read("/proc/self/gid_map")?);
        if users.contains(uid) && users.contains(geteuid().as_raw()) && groups.contains(gid) {
            return Ok(Self {
                maps: [users.identity(), groups.identity()],
                many: true,
            });
        }
        Ok(single)
    }

    /// Writes the mapping of a child that waits for it.
    pub(super) fn write(&self, pid: libc::pid_t) -> Result<(), Failure> {
        let put = |name: &str, text: &str| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::open(format!("/proc/{pid}/{name}"), flags, Mode::empty())
                .and_then(|file| rustix::io::write(file, text.as_bytes()).map(drop))
                .map_err(|e| Failure::new(Step::Mapping, format!("writing `{name}`"), e))
        };
        if !self.many {
            put("setgroups", "deny")?;
        }
        put("uid_map", &self.maps[0])?;
        put("gid_map", &self.maps[1])
    }
}

/// The ids that exist in the caller's own namespace.
#[derive(Debug, PartialEq, Eq)]
struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Lines of first id inside, first id outside, count; only the inner side matters here.
    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut fields = line.split_ascii_whitespace();
            let first = fields.next()?.parse().ok()?;
            let count = fields.nth(1)?.parse().ok()?;
            Some((first, count))
        };
        Self(text.lines().filter_map(range).take(MAX_RANGES).collect())
    }

    fn contains(&self, id: u32) -> bool {
        self.0
            .iter()
            .any(|(first, count)| id >= *first && id - first < *count)
    }

    fn identity(&self) -> String {
        self.0
            .iter()
            .map(|(first, count)| format!("{first} {first} {count}\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_copied_under_their_own_number() {
        let ranges =
            Ranges::parse("         0     100000      1000\n      2000       5000         1\n");
        assert!(ranges.contains(0) && ranges.contains(999) && ranges.contains(2000));
        assert!(!ranges.contains(1000) && !ranges.contains(1999) && !ranges.contains(2001));
        assert_eq!(ranges.identity(), "0 0 1000\n2000 2000 1\n");
        assert!(Ranges::parse("0 0 4294967295").contains(65532));
    }
}
