//! How much a command has written into the host's directories that it was given ([`crate::Limits::disk`]).
//!
//! What the memory file systems take has a size of its own; a directory of the host has none. So a thread of process 1
//! sums up the blocks of all writable binds again and again, and compares with what they held before the command.
//! Start at [`Disk::measure`].
//!
//! Known gaps: blocks of a file that was removed while no process has it open, only mapped or in a socket's queue; and
//! of any removed file where `/proc` is not the sandbox's own ([`ProcMount::Bound`]).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::run::LimitKind;
use crate::spec::{Limits, Mount, Spec};
use crate::stage::watch::{TICK, others};
use crate::wire::{Failure, ProcMount, Step};

/// Deepest directory below a bind; a tree that is deeper cannot be measured and counts as too much.
const MAX_DEPTH: usize = 100;
/// Shortest and longest time between two sums, when the file system shows no hurry.
const PAUSES: (u32, Duration, Duration) = (20, Duration::from_millis(500), Duration::from_secs(10));

/// What the binds hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    bytes: u64,
    inodes: u64,
}

/// The binds of one sandbox and what they held before the command.
pub(super) struct Disk {
    tops: Vec<PathBuf>,
    limits: Limits,
    /// Are the sandbox's processes in `/proc`?
    own_proc: bool,
    before: Usage,
}

impl Disk {
    /// `None` when nothing limits the disk or nothing of the host is writable. In the new root.
    ///
    /// # Errors
    /// When a tree is too deep from the start.
    pub(super) fn measure(spec: &Spec, proc: ProcMount) -> Result<Option<Arc<Self>>, Failure> {
        let writable = spec.mounts.iter().filter_map(|mount| match mount {
            Mount::Bind {
                inside,
                writable: true,
                ..
            } => Some(inside.clone()),
            _ => None,
        });
        let tops: Vec<_> = writable.collect();
        if tops.is_empty() || (spec.limits.disk, spec.limits.inodes) == (None, None) {
            return Ok(None);
        }
        let mut disk = Self {
            tops,
            limits: spec.limits.clone(),
            own_proc: proc == ProcMount::Fresh,
            before: Usage::default(),
        };
        let mut sum = Sum::new(None);
        let tops = disk.tops.iter().try_for_each(|top| sum.add_tree(top));
        tops.map_err(|e| Failure::new(Step::Root, "measure the writable directories", e))?;
        disk.before = sum.usage;
        Ok(Some(Arc::new(disk)))
    }

    /// Starts the thread. Capabilities must be those of process 1 at work, since a thread has its own set.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn watch(self: &Arc<Self>) -> Result<Arc<Full>, Failure> {
        let full = Arc::<Full>::default();
        let (disk, to) = (Arc::clone(self), Arc::clone(&full));
        std::thread::Builder::new()
            .spawn(move || disk.keep_looking(&to))
            .map_err(|e| Failure::new(Step::Command, "watch the disk", e))?;
        Ok(full)
    }

    /// The limit that is exceeded when the command has ended, so that a quick one is judged like a slow one.
    pub(super) fn exceeded_at_end(&self) -> Option<LimitKind> {
        self.look().err()
    }

    /// Sums up as often as a twentieth of the time allows, and at once when a file system has lost half of what is
    /// left of the limit.
    fn keep_looking(&self, to: &Full) {
        loop {
            let begun = Instant::now();
            let usage = match self.look() {
                Ok(usage) => usage,
                Err(kind) => return to.set(kind),
            };
            let (share, least, most) = PAUSES;
            let due = Instant::now() + (begun.elapsed() * share).clamp(least, most);
            let limit = self.limits.disk.unwrap_or(u64::MAX);
            let left = limit.saturating_sub(usage.bytes);
            let free = self.free();
            while Instant::now() < due {
                std::thread::sleep(TICK);
                let lost = |(before, now): (&u64, &u64)| before.saturating_sub(*now) > left / 2;
                if free.iter().zip(&self.free()).any(lost) {
                    break;
                }
            }
        }
    }

    /// What was written, or which limit it exceeds.
    fn look(&self) -> Result<Usage, LimitKind> {
        let most = |limit: Option<u64>, before: u64| limit.map(|n| n.saturating_add(before));
        let mut sum = Sum::new(Some(Usage {
            bytes: most(self.limits.disk, self.before.bytes).unwrap_or(u64::MAX),
            inodes: most(self.limits.inodes, self.before.inodes).unwrap_or(u64::MAX),
        }));
        for top in &self.tops {
            match sum.add_tree(top) {
                Ok(()) => {}
                // Too deep, or too many directories to open: not to be measured.
                Err(Errno::NAMETOOLONG | Errno::MFILE | Errno::NFILE) => {
                    return Err(LimitKind::Inodes);
                }
                Err(_) => return Err(sum.exceeded()),
            }
        }
        if self.own_proc {
            self.add_removed(&mut sum);
        }
        if sum.is_too_much() {
            return Err(sum.exceeded());
        }
        Ok(Usage {
            bytes: sum.usage.bytes.saturating_sub(self.before.bytes),
            inodes: sum.usage.inodes.saturating_sub(self.before.inodes),
        })
    }

    /// Files that were removed and are still open, on the file systems of the binds.
    fn add_removed(&self, sum: &mut Sum) {
        let device = |top: &PathBuf| {
            rustix::fs::stat(top)
                .map(|s| s.st_dev)
                .map_err(std::io::Error::from)
        };
        let devices: Vec<_> = self.tops.iter().flat_map(device).collect();
        let open = |pid: u32| fs_err::read_dir(format!("/proc/{pid}/fd"));
        for file in others().flat_map(open).flatten().flatten() {
            let Ok(found) = rustix::fs::stat(file.path()) else {
                continue;
            };
            let removed = found.st_nlink == 0 && devices.contains(&found.st_dev);
            if removed && sum.first_time(&found) {
                sum.count(&found);
            }
        }
    }

    /// Free bytes of the file system of each bind; 0 where it cannot be told.
    fn free(&self) -> Vec<u64> {
        let of = |top: &PathBuf| {
            rustix::fs::statvfs(top).map_or(0, |fs| fs.f_bfree.saturating_mul(fs.f_frsize))
        };
        self.tops.iter().map(of).collect()
    }
}

/// The answer of the thread.
#[derive(Default)]
pub(super) struct Full {
    bytes: AtomicBool,
    inodes: AtomicBool,
}

impl Full {
    fn set(&self, kind: LimitKind) {
        let which = match kind {
            LimitKind::Inodes => &self.inodes,
            _ => &self.bytes,
        };
        which.store(true, Ordering::Relaxed);
    }

    /// The limit that is exceeded, if one is.
    pub(super) fn kind(&self) -> Option<LimitKind> {
        if self.bytes.load(Ordering::Relaxed) {
            return Some(LimitKind::Disk);
        }
        self.inodes
            .load(Ordering::Relaxed)
            .then_some(LimitKind::Inodes)
    }
}

/// A sum in progress. Directories and files of several names are counted once, so binds may overlap.
struct Sum {
    usage: Usage,
    most: Option<Usage>,
    seen: BTreeSet<(u64, u64)>,
}

impl Sum {
    fn new(most: Option<Usage>) -> Self {
        Self {
            usage: Usage::default(),
            most,
            seen: BTreeSet::new(),
        }
    }

    fn first_time(&mut self, found: &Stat) -> bool {
        self.seen.insert((found.st_dev, found.st_ino))
    }

    fn count(&mut self, found: &Stat) {
        // `st_blocks` is in units of 512 bytes (`stat(3type)`).
        let bytes = u64::try_from(found.st_blocks)
            .unwrap_or(0)
            .saturating_mul(512);
        self.usage.bytes = self.usage.bytes.saturating_add(bytes);
        self.usage.inodes += 1;
    }

    fn is_too_much(&self) -> bool {
        self.most
            .is_some_and(|most| self.usage.bytes > most.bytes || self.usage.inodes > most.inodes)
    }

    fn exceeded(&self) -> LimitKind {
        match self.most {
            Some(most) if self.usage.bytes <= most.bytes => LimitKind::Inodes,
            _ => LimitKind::Disk,
        }
    }

    /// Adds a file, or a directory and all below it; `FBIG` as soon as it is too much. What vanishes meanwhile is not
    /// counted; links are not followed.
    fn add_tree(&mut self, top: &Path) -> Result<(), Errno> {
        let mut stack = Vec::new();
        let name = CString::new(top.as_os_str().as_encoded_bytes()).map_err(|_| Errno::INVAL)?;
        if let Some(dir) = self.add(CWD, &name)? {
            stack.push(dir);
        }
        while let Some(dir) = stack.last_mut() {
            let Some(Ok(entry)) = dir.read() else {
                stack.pop();
                continue;
            };
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let parent = dir.fd()?;
            let Some(below) = self.add(parent, entry.file_name())? else {
                continue;
            };
            if stack.len() >= MAX_DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
            stack.push(below);
        }
        Ok(())
    }

    /// Counts one name; gives the directory, when it is one not seen before.
    fn add(
        &mut self,
        parent: impl std::os::fd::AsFd + Copy,
        name: &std::ffi::CStr,
    ) -> Result<Option<Dir>, Errno> {
        let Ok(found) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(None);
        };
        let directory = FileType::from_raw_mode(found.st_mode).is_dir();
        if (directory || found.st_nlink > 1) && !self.first_time(&found) {
            return Ok(None);
        }
        self.count(&found);
        if self.is_too_much() {
            return Err(Errno::FBIG);
        }
        if !directory {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |file: OwnedFd| Dir::new(file);
        match rustix::fs::openat(parent, name, flags, Mode::empty()).and_then(open) {
            Ok(dir) => Ok(Some(dir)),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => Err(errno),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(tops: &[&Path], most: Option<Usage>) -> (Result<(), Errno>, Usage) {
        let mut sum = Sum::new(most);
        let result = tops.iter().try_for_each(|top| sum.add_tree(top));
        (result, sum.usage)
    }

    #[test]
    fn blocks_are_counted_once_and_links_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs_err::create_dir(top.join("d")).unwrap();
        fs_err::write(top.join("d/a"), vec![1; 100_000]).unwrap();
        rustix::fs::link(top.join("d/a"), top.join("b")).unwrap();
        rustix::fs::symlink("/usr", top.join("c")).unwrap();
        let (result, usage) = sum(&[top, &top.join("d")], None);
        assert_eq!((result, usage.inodes), (Ok(()), 4));
        assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
        let few = Usage {
            bytes: u64::MAX,
            inodes: 3,
        };
        assert_eq!(sum(&[top], Some(few)).0, Err(Errno::FBIG));
    }

    #[test]
    fn too_deep_a_tree_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let deep = |n| dir.path().join(vec!["d"; n].join("/"));
        fs_err::create_dir_all(deep(MAX_DEPTH - 1)).unwrap();
        assert_eq!(sum(&[dir.path()], None).0, Ok(()));
        fs_err::create_dir_all(deep(MAX_DEPTH)).unwrap();
        assert_eq!(sum(&[dir.path()], None).0, Err(Errno::NAMETOOLONG));
    }
}
