//! Makes the root of a sandbox out of mounts and moves into it.
//!
//! The work happens on a private memory file system: the host's root is put aside as `/old`, the given directories are
//! named `/low/0`, `/low/1` … (short names, so that any number and any character fits the options of an overlay),
//! and between two generated layers they become `/new`: the lowest has the mount points that the directories lack, the
//! highest has `etc/hosts`, `etc/hostname` and `etc/resolv.conf` as a container runtime writes them. When all
//! is mounted, `/new` becomes the root and everything else goes.
//!
//! Linux 5.12 is needed (read-only mounts as a tree, `mount_setattr`).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};
use rustix::process::{chdir, pivot_root};

use crate::spec::{Mount, Network, Spec};
use crate::stage::layers;
use crate::sys;
use crate::wire::{Base, Failure, ProcMount, Step};

/// Directories that exist nearly everywhere, one of which the private memory file system covers for a moment.
const BASES: [&str; 6] = ["/tmp", "/run", "/var/tmp", "/mnt", "/dev", "/etc"];
/// Device nodes of the host that are harmless.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Parts of a new `/proc` through which user 0 could change the host, also without capabilities.
const PROC_READ_ONLY: [&str; 6] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi"];
/// Files of a new `/proc` that tell about the host.
const PROC_MASKED: [&str; 5] = [
    "kcore",
    "keys",
    "timer_list",
    "latency_stats",
    "sched_debug",
];
/// Most that is copied of the host's `resolv.conf` and `hosts`, in bytes.
const ETC_BYTES: u64 = 64 << 10;

const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const SAFE_ATTRIBUTES: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// One mount over the root.
#[derive(Debug, Clone)]
enum Task {
    Proc,
    Dev,
    Tmpfs {
        size: u64,
        mode: u32,
        owned: bool,
    },
    /// The host's path is one below `/old`.
    Bind {
        host: PathBuf,
        directory: bool,
        writable: bool,
    },
}

/// A task and where, inside and without links.
#[derive(Debug, Clone)]
struct Placed {
    task: Task,
    at: PathBuf,
}

fn fail(operation: impl Into<String>) -> impl FnOnce(Errno) -> Failure {
    let operation = operation.into();
    move |errno| Failure::new(Step::Root, operation, errno)
}

fn fail_io(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
    let operation = operation.into();
    move |error| Failure::new(Step::Root, operation, error)
}

fn first(operation: &'static str) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::new(Step::FirstMounts, operation, errno)
}

/// Puts the host's root aside: afterwards `/` is an empty memory file system and the host is at `/old`.
pub(super) fn set_host_aside() -> Result<(), Failure> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(first("making all mounts private"))?;
    let Some(base) = BASES.iter().find(|base| Path::new(base).is_dir()) else {
        return Err(first("finding a directory to mount on")(Errno::NOENT));
    };
    mount("sandbox", *base, "tmpfs", SAFE, c"mode=755").map_err(first("mounting a tmpfs"))?;
    chdir(*base).map_err(first("entering the tmpfs"))?;
    for name in ["old", "new", "low", "rw", "skeleton", "etc-layer"] {
        rustix::fs::mkdir(name, Mode::from_raw_mode(0o755)).map_err(first("making a directory"))?;
    }
    pivot_root(".", "old").map_err(first("`pivot_root`"))?;
    chdir("/").map_err(first("entering the new root"))
}

/// An empty root, to find out what this machine allows.
pub(super) fn probe() -> Result<ProcMount, Failure> {
    set_host_aside()?;
    let proc = mount_proc(Path::new("/new"))?;
    sys::set_mount_attributes(c"/new", libc::MOUNT_ATTR_RDONLY)
        .map_err(|e| Failure::new(Step::FirstMounts, "`mount_setattr`", e))?;
    Ok(proc)
}

/// Makes the root of `spec` and moves into it.
pub(super) fn make(spec: &Spec, base: Base) -> Result<ProcMount, Failure> {
    let hosts = HostPaths::find(spec)?;
    set_host_aside()?;
    let mut lowers = vec![PathBuf::from("/low/s")];
    rustix::fs::symlink("/skeleton", "/low/s").map_err(fail("name the lowest layer"))?;
    for (number, host) in hosts.lowers.iter().enumerate() {
        let name = PathBuf::from(format!("/low/{number}"));
        rustix::fs::symlink(host, &name).map_err(fail("name a layer"))?;
        lowers.push(name);
    }
    lowers.reverse();
    let placed = place(spec, &hosts, &lowers)?;
    make_skeleton(&placed, &lowers)?;
    if write_etc(spec, &hosts, &lowers)? {
        rustix::fs::symlink("/etc-layer", "/low/e").map_err(fail("name the highest layer"))?;
        lowers.insert(0, "/low/e".into());
    }
    mount_root(spec, base, &lowers)?;
    let mut proc = ProcMount::Fresh;
    for (index, mount) in placed.iter().enumerate() {
        ensure_mount_point(mount, &placed[..index])?;
        let target = under_new(&mount.at);
        match &mount.task {
            Task::Proc => proc = mount_proc(&target)?,
            Task::Dev => mount_dev(&target, spec)?,
            Task::Tmpfs { size, mode, owned } => {
                let owner = if *owned {
                    format!(",uid={},gid={}", spec.uid, spec.gid)
                } else {
                    String::new()
                };
                mount_tmpfs(
                    &target,
                    &format!("{},mode={:o}{owner}", bounds(*size), mode & 0o1777),
                )?;
            }
            Task::Bind { host, writable, .. } => mount_host(host, &target, *writable)?,
        }
    }
    if let Some(dev) = placed.iter().find(|p| matches!(p.task, Task::Dev)) {
        seal_dev(&under_new(&dev.at))?;
    }
    move_in()?;
    Ok(proc)
}

/// `/new` becomes the root; the host's goes.
fn move_in() -> Result<(), Failure> {
    chdir("/new").map_err(fail("enter the root"))?;
    pivot_root(".", ".").map_err(fail("make it the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(fail("let go of the host's root"))?;
    chdir("/").map_err(fail("enter the root"))
}

/// Paths of the host without links, looked up while the host's root is still the root, seen from below `/old`.
struct HostPaths {
    lowers: Vec<PathBuf>,
    /// One for each mount of the specification; `true`: a directory.
    binds: Vec<Option<(PathBuf, bool)>>,
    resolv_conf: Option<Vec<u8>>,
    hosts: Option<Vec<u8>>,
}

impl HostPaths {
    fn find(spec: &Spec) -> Result<Self, Failure> {
        let old = |path: &Path| -> Result<PathBuf, Failure> {
            let real = fs_err::canonicalize(path)
                .map_err(fail_io(format!("find `{}` on the host", path.display())))?;
            Ok(Path::new("/old").join(real.strip_prefix("/").unwrap_or(&real)))
        };
        let mut lowers = Vec::new();
        for lower in spec.root.lowers() {
            if !lower.is_dir() {
                let errno = if lower.exists() {
                    Errno::NOTDIR
                } else {
                    Errno::NOENT
                };
                return Err(fail(format!("use `{}` as a root", lower.display()))(errno));
            }
            lowers.push(old(&lower)?);
        }
        let mut binds = Vec::new();
        for mount in &spec.mounts {
            binds.push(match mount {
                Mount::Bind { host, .. } => Some((old(host)?, host.is_dir())),
                Mount::Tmpfs { .. } => None,
            });
        }
        let host_file = |path: &str| -> Option<Vec<u8>> {
            use std::io::Read;
            let mut bytes = Vec::new();
            let file = fs_err::File::open(path).ok()?;
            file.take(ETC_BYTES).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        };
        let shared = spec.network == Network::Host;
        Ok(Self {
            lowers,
            binds,
            resolv_conf: if shared {
                host_file("/etc/resolv.conf")
            } else {
                None
            },
            hosts: if shared {
                host_file("/etc/hosts")
            } else {
                None
            },
        })
    }
}

/// All mounts over the root in their order, each with the place where it really comes to be.
fn place(spec: &Spec, hosts: &HostPaths, lowers: &[PathBuf]) -> Result<Vec<Placed>, Failure> {
    let size = spec.limits.scratch_bytes;
    let open = Task::Tmpfs {
        size,
        mode: 0o1777,
        owned: false,
    };
    let mut tasks = vec![
        (Task::Proc, PathBuf::from("/proc")),
        (Task::Dev, "/dev".into()),
        (open.clone(), "/tmp".into()),
        (open, "/var/tmp".into()),
        (
            Task::Tmpfs {
                size: size.min(16 << 20),
                mode: 0o755,
                owned: true,
            },
            "/run".into(),
        ),
    ];
    for (mount, host) in spec.mounts.iter().zip(&hosts.binds) {
        let task = match (mount, host) {
            (Mount::Tmpfs { size, mode, .. }, _) => Task::Tmpfs {
                size: *size,
                mode: *mode,
                owned: true,
            },
            (Mount::Bind { writable, .. }, Some((host, directory))) => Task::Bind {
                host: host.clone(),
                directory: *directory,
                writable: *writable,
            },
            (Mount::Bind { .. }, None) => continue,
        };
        tasks.push((task, mount.inside().to_owned()));
    }
    let mut placed: Vec<Placed> = Vec::new();
    for (task, inside) in tasks {
        let covered: Vec<PathBuf> = placed.iter().map(|p| p.at.clone()).collect();
        let at = layers::resolve(lowers, &covered, &inside)?;
        if at == Path::new("/") {
            return Err(fail(format!(
                "mount on `{}`, which is the root itself",
                inside.display()
            ))(Errno::BUSY));
        }
        placed.push(Placed { task, at });
    }
    Ok(placed)
}

/// The last of the mounts that lies at or above a path.
fn cover<'a>(earlier: &'a [Placed], at: &Path) -> Option<&'a Placed> {
    earlier.iter().rev().find(|mount| at.starts_with(&mount.at))
}

/// Makes the mount points that no other mount covers, in the lowest layer.
fn make_skeleton(placed: &[Placed], lowers: &[PathBuf]) -> Result<(), Failure> {
    for (index, mount) in placed.iter().enumerate() {
        if cover(&placed[..index], &mount.at).is_some() {
            continue;
        }
        let wrong = |e| fail_io(format!("make the mount point `{}`", mount.at.display()))(e);
        let target = Path::new("/skeleton").join(mount.at.strip_prefix("/").unwrap_or(&mount.at));
        if is_file(&mount.task) {
            let parent = mount.at.parent().unwrap_or(Path::new("/"));
            make_directories("/skeleton", parent, lowers).map_err(wrong)?;
            fs_err::File::create(target).map_err(wrong)?;
        } else {
            make_directories("/skeleton", &mount.at, lowers).map_err(wrong)?;
        }
    }
    Ok(())
}

fn is_file(task: &Task) -> bool {
    matches!(
        task,
        Task::Bind {
            directory: false,
            ..
        }
    )
}

/// Makes a directory and those above it in a generated layer, each with the mode it has in the root.
fn make_directories(layer: &str, inside: &Path, lowers: &[PathBuf]) -> std::io::Result<()> {
    let mut target = PathBuf::from(layer);
    let mut path = PathBuf::from("/");
    layers::copy_mode(&layers::directories(lowers, &path), &target)?;
    for name in inside.components().skip(1) {
        target.push(name);
        path.push(name);
        if !target.is_dir() {
            fs_err::create_dir(&target)?;
            layers::copy_mode(&layers::directories(lowers, &path), &target)?;
        }
    }
    Ok(())
}

/// Files that a container runtime writes into every root; `false` when the root has no place for them.
fn write_etc(spec: &Spec, hosts: &HostPaths, lowers: &[PathBuf]) -> Result<bool, Failure> {
    let etc = layers::resolve(lowers, &[], Path::new("/etc"))?;
    let exists = !layers::directories(lowers, &etc).is_empty();
    let taken = !exists && layers::resolve(lowers, &[], &etc.join("hosts")).is_err();
    if taken || etc == Path::new("/") {
        return Ok(false);
    }
    let wrong = |e| fail_io("write the generated files of `/etc`")(e);
    make_directories("/etc-layer", &etc, lowers).map_err(wrong)?;
    let dir = Path::new("/etc-layer").join(etc.strip_prefix("/").unwrap_or(&etc));
    let name = &spec.hostname;
    let own = format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost {name}\n").into_bytes();
    let files = [
        ("hosts", hosts.hosts.clone().unwrap_or(own)),
        ("resolv.conf", hosts.resolv_conf.clone().unwrap_or_default()),
        ("hostname", format!("{name}\n").into_bytes()),
    ];
    for (file, text) in files {
        fs_err::write(dir.join(file), text).map_err(wrong)?;
        fs_err::set_permissions(dir.join(file), PermissionsExt::from_mode(0o644)).map_err(wrong)?;
    }
    Ok(true)
}

/// Mounts the layers, highest first, at `/new`: as an overlay or, where that is refused, merged by bind mounts.
fn mount_root(spec: &Spec, base: Base, lowers: &[PathBuf]) -> Result<(), Failure> {
    chdir("/low").map_err(fail("enter the list of layers"))?;
    let names: Vec<String> = lowers
        .iter()
        .filter_map(|l| Some(l.file_name()?.to_str()?.to_owned()))
        .collect();
    let mut options = format!("lowerdir={}", names.join(":"));
    if !spec.read_only_root {
        mount_tmpfs(
            Path::new("/rw"),
            &format!("{},mode=755", bounds(spec.limits.scratch_bytes)),
        )?;
        for name in ["/rw/upper", "/rw/work"] {
            fs_err::create_dir(name).map_err(fail_io("make the writable layer"))?;
        }
        let dirs = layers::directories(lowers, Path::new("/"));
        layers::copy_mode(&dirs, Path::new("/rw/upper"))
            .map_err(fail_io("make the writable layer"))?;
        options.push_str(",upperdir=/rw/upper,workdir=/rw/work");
    }
    let mut result = Err(Errno::INVAL);
    if base == Base::UserNamespace {
        // Without it, directories cannot be marked opaque in a user namespace (Linux 5.11, overlayfs).
        result = mount_overlay(&format!("{options},userxattr"));
    }
    if result == Err(Errno::INVAL) {
        result = mount_overlay(&options);
    }
    chdir("/").map_err(fail("leave the list of layers"))?;
    match result {
        Ok(()) => {}
        Err(errno) if spec.read_only_root => assemble(lowers, errno)?,
        Err(errno) => return Err(fail("mount an overlay, which a writable root needs")(errno)),
    }
    let read_only = if spec.read_only_root {
        libc::MOUNT_ATTR_RDONLY
    } else {
        0
    };
    set_attributes(Path::new("/new"), SAFE_ATTRIBUTES | read_only)
}

fn mount_overlay(options: &str) -> Result<(), Errno> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount("overlay", "/new", "overlay", SAFE, options.as_c_str())
}

/// In place of an overlay that was refused with `errno`.
fn assemble(lowers: &[PathBuf], errno: Errno) -> Result<(), Failure> {
    mount_tmpfs(Path::new("/new"), "mode=755")?;
    layers::assemble(lowers, Path::new("/new")).map_err(|mut failure| {
        failure
            .operation
            .push_str(&format!(" (an overlay was refused: {errno})"));
        failure
    })
}

fn under_new(at: &Path) -> PathBuf {
    Path::new("/new").join(at.strip_prefix("/").unwrap_or(at))
}

/// Walks to the mount point without following links and makes what is missing, where it is not the host's.
fn ensure_mount_point(mount: &Placed, earlier: &[Placed]) -> Result<(), Failure> {
    let on_host =
        cover(earlier, &mount.at).is_some_and(|m| matches!(m.task, Task::Bind { .. } | Task::Proc));
    let wrong = || format!("reach the mount point `{}` in the root", mount.at.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open("/new", flags | OFlags::DIRECTORY, Mode::empty())
        .map_err(fail(wrong()))?;
    let names: Vec<_> = mount.at.components().skip(1).collect();
    for (index, name) in names.iter().enumerate() {
        let file = is_file(&mount.task) && index + 1 == names.len();
        let open = |dir: &_| {
            let kind = if file {
                OFlags::empty()
            } else {
                OFlags::DIRECTORY
            };
            rustix::fs::openat(dir, name.as_os_str(), flags | kind, Mode::empty())
        };
        let next = match open(&dir) {
            Err(Errno::NOENT) if !on_host => {
                if file {
                    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(&dir, name.as_os_str(), create, Mode::from_raw_mode(0o644))
                        .map(drop)
                } else {
                    rustix::fs::mkdirat(&dir, name.as_os_str(), Mode::from_raw_mode(0o755))
                }
                .map_err(fail(wrong()))?;
                open(&dir)
            }
            other => other,
        };
        dir = next.map_err(fail(wrong()))?;
        let is_link = rustix::fs::fstat(&dir)
            .is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode).is_symlink());
        if is_link {
            return Err(fail(wrong())(Errno::LOOP));
        }
    }
    Ok(())
}

/// Options for the size of a tmpfs. Inodes too: each takes about 1 KiB of the kernel's memory, and by default there is one
/// for every two pages of the machine.
fn bounds(bytes: u64) -> String {
    format!("size={bytes},nr_inodes={}", (bytes / 4096).max(1024))
}

fn mount_tmpfs(target: &Path, options: &str) -> Result<(), Failure> {
    let text =
        CString::new(options).map_err(|_| fail("read the options of a tmpfs")(Errno::INVAL))?;
    mount("tmpfs", target, "tmpfs", SAFE, text.as_c_str())
        .map_err(fail(format!("mount a tmpfs for `{}`", shown(target))))
}

/// A path below `/new` as the command will see it.
fn shown(target: &Path) -> String {
    format!(
        "/{}",
        target.strip_prefix("/new").unwrap_or(target).display()
    )
}

fn set_attributes(target: &Path, attributes: u64) -> Result<(), Failure> {
    let path = CString::new(target.as_os_str().as_bytes())
        .map_err(|_| fail("name a mount")(Errno::INVAL))?;
    sys::set_mount_attributes(&path, attributes).map_err(fail_io(format!(
        "protect the mount `{}` (Linux 5.12)",
        shown(target)
    )))
}

fn mount_host(host: &Path, target: &Path, writable: bool) -> Result<(), Failure> {
    let name = format!("/{}", host.strip_prefix("/old").unwrap_or(host).display());
    mount_bind_recursive(host, target)
        .map_err(fail(format!("bind `{name}` on `{}`", shown(target))))?;
    set_attributes(
        target,
        SAFE_ATTRIBUTES | if writable { 0 } else { libc::MOUNT_ATTR_RDONLY },
    )
}

/// A new `/proc`, its dangerous parts read-only; or, where the kernel refuses because the caller's is masked
/// (`mount_too_revealing`), the caller's own, read-only.
fn mount_proc(target: &Path) -> Result<ProcMount, Failure> {
    match mount("proc", target, "proc", SAFE | MountFlags::NOEXEC, None) {
        Ok(()) => {}
        Err(Errno::PERM | Errno::ACCESS) => {
            mount_bind_recursive("/old/proc", target).map_err(first("binding /proc"))?;
            set_attributes(
                target,
                SAFE_ATTRIBUTES | libc::MOUNT_ATTR_NOEXEC | libc::MOUNT_ATTR_RDONLY,
            )?;
            return Ok(ProcMount::Bound);
        }
        Err(errno) => return Err(first("mounting /proc")(errno)),
    }
    for name in PROC_READ_ONLY
        .map(|name| target.join(name))
        .iter()
        .filter(|path| path.exists())
    {
        mount_bind_recursive(name, name).map_err(fail(format!("protect `{}`", shown(name))))?;
        set_attributes(name, libc::MOUNT_ATTR_RDONLY)?;
    }
    for name in PROC_MASKED
        .map(|name| target.join(name))
        .iter()
        .filter(|path| path.exists())
    {
        mount_bind_recursive("/old/dev/null", name)
            .map_err(fail(format!("mask `{}`", shown(name))))?;
    }
    Ok(ProcMount::Fresh)
}

/// A private `/dev`: the harmless nodes of the host, own shared memory and pseudo terminals.
fn mount_dev(target: &Path, spec: &Spec) -> Result<(), Failure> {
    mount(
        "tmpfs",
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"size=64k,mode=755",
    )
    .map_err(fail("mount a tmpfs for `/dev`"))?;
    for name in DEVICES {
        let node = target.join(name);
        fs_err::File::create(&node).map_err(fail_io(format!("make `/dev/{name}`")))?;
        mount_bind_recursive(Path::new("/old/dev").join(name), node)
            .map_err(fail(format!("bind `/dev/{name}`")))?;
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, to) in links {
        rustix::fs::symlink(to, target.join(name)).map_err(fail(format!("link `/dev/{name}`")))?;
    }
    let shm = target.join("shm");
    fs_err::create_dir(&shm).map_err(fail_io("make `/dev/shm`"))?;
    mount_tmpfs(
        &shm,
        &format!("{},mode=1777", bounds(spec.limits.scratch_bytes)),
    )?;
    let pts = target.join("pts");
    fs_err::create_dir(&pts).map_err(fail_io("make `/dev/pts`"))?;
    let options = c"newinstance,ptmxmode=0666,mode=620";
    // Pseudo terminals are optional: some containers forbid them.
    if mount(
        "devpts",
        &pts,
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        options,
    )
    .is_ok()
    {
        rustix::fs::symlink("pts/ptmx", target.join("ptmx")).map_err(fail("link `/dev/ptmx`"))?;
    }
    Ok(())
}

/// No new names in `/dev`. Only the memory file system itself: nodes and the mounts below stay writable.
fn seal_dev(target: &Path) -> Result<(), Failure> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount_remount(target, flags, c"").map_err(fail("make `/dev` read-only"))
}
