//! What the command inside a sandbox does: one action, facts on standard output.

#![expect(
    clippy::disallowed_methods,
    reason = "the exact error numbers and the process's own state are the point"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

pub(crate) fn main(words: &[String]) -> i32 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["facts"] => facts(),
        ["list", path] => list(path),
        ["stat", path] => {
            let m = std::fs::symlink_metadata(path).unwrap();
            println!("{:o} {} {}", m.mode() & 0o7777, m.uid(), m.gid());
        }
        ["write", path] => println!("{}", result(std::fs::write(path, "x"))),
        ["read", path] => print!(
            "{}",
            std::fs::read_to_string(path).unwrap_or_else(|e| result::<()>(Err(e)))
        ),
        ["mounts"] => mounts(),
        ["env"] => std::env::vars().for_each(|(k, v)| println!("{k}={v}")),
        ["devices"] => devices(),
        ["loopback"] => loopback(),
        ["connect", port] => {
            let port: u16 = port.parse().unwrap();
            println!("{}", result(TcpStream::connect(("127.0.0.1", port))));
        }
        ["calls"] => calls(),
        ["hog", bytes] => hog(bytes.parse().unwrap()),
        ["bomb"] => bomb(),
        ["spin", processes] => spin(processes.parse().unwrap()),
        ["flood", bytes] => flood(bytes.parse().unwrap()),
        ["big-file", bytes] => {
            let written =
                std::fs::File::create("/tmp/big")
                    .unwrap()
                    .write(&vec![0; bytes.parse().unwrap()]);
            println!("{}", result(written));
        }
        ["fill", path] => fill(path),
        ["files"] => println!(
            "{}",
            (0..)
                .map(|_| std::fs::File::open("/"))
                .take_while(Result::is_ok)
                .map(std::mem::forget)
                .count()
        ),
        ["fill-disk", how] => fill_disk(how),
        ["escape"] => escape(),
        ["abstract", name] => println!("{}", result(connect_abstract(name))),
        ["executable", files @ ..] => files.iter().for_each(|file| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(file, mode).unwrap();
        }),
        ["lookups"] => lookups(),
        ["bad-pointers"] => bad_pointers(),
        ["racing", threads] => racing(threads.parse().unwrap()),
        ["many-names", number, length] => {
            let length = length.parse().unwrap();
            for n in 0..number.parse::<usize>().unwrap() {
                let _ = std::fs::metadata(format!("/no/{n:0length$}"));
            }
        }
        ["sleep", ..] => std::thread::sleep(std::time::Duration::from_secs(60)),
        ["daemon", word] => daemon(word),
        ["catch"] => catch(),
        ["exit", code] => return code.parse().unwrap(),
        ["say", lines @ ..] => lines.iter().for_each(|line| println!("{line}")),
        other => panic!("no action {other:?}"),
    }
    0
}

fn result<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => name(error.raw_os_error().unwrap_or(0)),
    }
}

fn name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::EACCES, "EACCES"),
        (libc::EROFS, "EROFS"),
        (libc::ENOENT, "ENOENT"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::ENXIO, "ENXIO"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    ];
    known
        .iter()
        .find(|(n, _)| *n == errno)
        .map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
}

/// Everything that should not depend on the host.
fn facts() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines() {
        let interesting = [
            "CapInh",
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
            "Groups",
            "SigIgn",
            "SigBlk",
        ];
        if interesting.contains(&line.split(':').next().unwrap()) {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    println!(
        "uid {} gid {}",
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw()
    );
    println!("pid {}", std::process::id());
    println!(
        "host {}",
        rustix::system::uname().nodename().to_string_lossy()
    );
    println!("cwd {}", std::env::current_dir().unwrap().display());
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    println!("umask {:o}", mask.as_raw_mode());
    println!("leader {}", unsafe { libc::getsid(0) == libc::getpid() });
    let mut files: Vec<i32> = (0..100)
        .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0)
        .collect();
    files.sort_unstable();
    println!("files {files:?}");
    let net = std::fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<&str> = net
        .lines()
        .skip(2)
        .filter_map(|l| Some(l.split_once(':')?.0.trim()))
        .collect();
    println!("net {names:?}");
    let mut processes: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok())
        .collect();
    processes.sort_unstable();
    println!("processes {processes:?}");
}

fn list(path: &str) {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    names
        .iter()
        .for_each(|name| println!("{}", name.to_str().unwrap()));
}

/// What the root is and that it is whole.
fn mounts() {
    let statfs = rustix::fs::statfs("/").unwrap();
    let kind = match statfs.f_type as u64 {
        0x794c_7630 => "overlay",
        0x0102_1994 => "tmpfs",
        _ => "other",
    };
    let flags = rustix::fs::statvfs("/").unwrap().f_flag;
    let read_only = flags.contains(rustix::fs::StatVfsMountFlags::RDONLY);
    println!("root {kind} {}", if read_only { "ro" } else { "rw" });
    print!("marker {}", std::fs::read_to_string("/etc/marker").unwrap());
    let mut names: Vec<_> = std::fs::read_dir("/")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    println!("names {}", names.join(" "));
    println!(
        "write {}",
        result(std::fs::write("/bin/inside", ""))
            .replace("26", "EROFS")
            .replace("EACCES", "EROFS")
    );
    println!("tmp {}", result(std::fs::write("/tmp/x", "")));
}

fn devices() {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        assert!(
            std::fs::metadata(format!("/dev/{name}"))
                .unwrap()
                .file_type()
                .is_char_device(),
            "{name}"
        );
    }
    let mut zeros = [1; 8];
    std::fs::File::open("/dev/zero")
        .unwrap()
        .read_exact(&mut zeros)
        .unwrap();
    assert_eq!(zeros, [0; 8]);
    std::fs::write("/dev/null", "x").unwrap();
    println!("full {}", result(std::fs::write("/dev/full", "x")));
    std::fs::write("/dev/shm/x", "x").unwrap();
    println!("new {}", result(std::fs::write("/dev/new", "x")));
    println!("tty {}", result(std::fs::File::open("/dev/tty")));
    println!(
        "ptmx {}",
        result(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/ptmx")
        )
    );
    std::fs::File::options()
        .write(true)
        .open("/dev/stdout")
        .unwrap()
        .write_all(b"stdout\n")
        .unwrap();
}

fn loopback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"hello\n").unwrap();
    drop(server);
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    print!("{text}");
    println!("{}", result(TcpListener::bind("[::1]:0")));
}

/// Each system call that must be refused, and some that must not.
fn calls() {
    let zero = 0usize;
    let show = |what: &str, number: libc::c_long, arguments: [usize; 3]| {
        let [a, b, c] = arguments;
        let got = unsafe { libc::syscall(number, a, b, c, zero, zero) };
        let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        println!(
            "{what} {}",
            if got >= 0 {
                "ok".to_owned()
            } else {
                name(error)
            }
        );
    };
    show("mount", libc::SYS_mount, [0; 3]);
    show(
        "unshare",
        libc::SYS_unshare,
        [libc::CLONE_NEWUSER as usize, 0, 0],
    );
    show(
        "clone-user",
        libc::SYS_clone,
        [(libc::CLONE_NEWUSER | libc::SIGCHLD) as usize, 0, 0],
    );
    show("clone3", libc::SYS_clone3, [0; 3]);
    show(
        "ptrace",
        libc::SYS_ptrace,
        [libc::PTRACE_ATTACH as usize, 1, 0],
    );
    show("keyctl", libc::SYS_keyctl, [0; 3]);
    show("bpf", libc::SYS_bpf, [0; 3]);
    show("userfaultfd", libc::SYS_userfaultfd, [0; 3]);
    show("perf", libc::SYS_perf_event_open, [0; 3]);
    show("io_uring", libc::SYS_io_uring_setup, [1, 0, 0]);
    show("kexec", libc::SYS_kexec_load, [0; 3]);
    show("tiocsti", libc::SYS_ioctl, [0, libc::TIOCSTI as usize, 0]);
    show(
        "tiocsti-high",
        libc::SYS_ioctl,
        [0, libc::TIOCSTI as usize | 1 << 40, 0],
    );
    show(
        "vsock",
        libc::SYS_socket,
        [libc::AF_VSOCK as usize, libc::SOCK_STREAM as usize, 0],
    );
    show(
        "alg",
        libc::SYS_socket,
        [libc::AF_ALG as usize, libc::SOCK_SEQPACKET as usize, 0],
    );
    show(
        "inet",
        libc::SYS_socket,
        [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0],
    );
    show("getpid", libc::SYS_getpid, [0; 3]);
    #[cfg(target_arch = "x86_64")]
    show("x32-getpid", libc::SYS_getpid | 0x4000_0000, [0; 3]);
    std::thread::spawn(|| println!("thread ok")).join().unwrap();
}

/// Looks each name up by another system call; says how many answered that there is no such file.
fn lookups() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags};
    std::fs::create_dir("/tmp/d").unwrap();
    std::env::set_current_dir("/tmp/d").unwrap();
    let dir = std::fs::File::open("/bin").unwrap();
    let raw = |number: libc::c_long, arguments: [usize; 5]| {
        let [a, b, c, d, e] = arguments;
        let got = unsafe { libc::syscall(number, a, b, c, d, e) };
        assert_eq!(got, -1);
        std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
    };
    let cwd = libc::AT_FDCWD as usize;
    let at = |text: &std::ffi::CStr| text.as_ptr() as usize;
    let mut missing = vec![
        raw(libc::SYS_execve, [at(c"/no/execve"), 0, 0, 0, 0]),
        raw(libc::SYS_execveat, [cwd, at(c"/no/execveat"), 0, 0, 0]),
        raw(libc::SYS_newfstatat, [cwd, at(c"/no/newfstatat"), 8, 0, 0]),
        raw(libc::SYS_statx, [cwd, at(c"/no/statx"), 0, 0, 8]),
        raw(libc::SYS_faccessat, [cwd, at(c"/no/faccessat"), 0, 0, 0]),
        raw(libc::SYS_faccessat2, [cwd, at(c"/no/faccessat2"), 0, 0, 0]),
        raw(libc::SYS_openat, [cwd, at(c"/no/openat"), 0, 0, 0]),
    ];
    let how = [0u64; 3];
    let openat2 = [cwd, at(c"/no/openat2"), how.as_ptr() as usize, 24, 0];
    missing.push(raw(libc::SYS_openat2, openat2));
    #[cfg(target_arch = "x86_64")]
    for (number, text) in [
        (libc::SYS_open, c"/no/open"),
        (libc::SYS_stat, c"/no/stat"),
        (libc::SYS_lstat, c"/no/lstat"),
        (libc::SYS_access, c"/no/access"),
    ] {
        missing.push(raw(number, [at(text), 0, 0, 0, 0]));
    }
    println!("{}", missing.iter().filter(|m| **m).count());
    // Relative ones, with links and `..`; and what is no lookup in vain.
    let stat = |name: &str| rustix::fs::statat(CWD, name, AtFlags::empty()).is_err();
    assert!(stat("./relative") && stat("../d/../up") && stat("/tmp/d/../../bin/../no-dots"));
    rustix::fs::symlink("/bin", "/tmp/link").unwrap();
    assert!(stat("/tmp/link/behind-link"));
    rustix::fs::symlink("/no/target", "/tmp/dangling").unwrap();
    assert!(rustix::fs::statat(CWD, "/tmp/dangling", AtFlags::SYMLINK_NOFOLLOW).is_ok());
    assert!(rustix::fs::statat(&dir, "by-directory", AtFlags::empty()).is_err());
    assert!(rustix::fs::statat(&dir, "", AtFlags::EMPTY_PATH).is_ok());
    assert!(stat("/proc/1/no") && stat("/dev/no") && stat("") && stat("/bin/true/x"));
    let create = OFlags::CREATE | OFlags::WRONLY;
    assert!(rustix::fs::open("/no/created", create, Mode::empty()).is_err());
    assert!(stat("/tmp/later"));
    std::fs::write("/tmp/later", "").unwrap();
}

/// Paths at addresses where none is: the kernel's answer must be the usual one.
fn bad_pointers() {
    use std::os::unix::ffi::OsStrExt;
    let page = rustix::param::page_size();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            2 * page,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    } as usize;
    let put = |at: usize, text: &[u8]| unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), at as *mut u8, text.len())
    };
    unsafe { libc::munmap((map + page) as *mut libc::c_void, page) };
    put(map + page - 8, b"/no/end\0");
    let endless = map + page - 16;
    let unended = map + page - 4;
    let deep = vec!["a"; 2000].join("/") + "\0";
    let long = [b"/".as_slice(), &[b'x'; 5000], b"\0"].concat();
    let odd = std::ffi::OsStr::from_bytes(b"/no/\xff\x1b[31m\n\0").as_bytes();
    put(endless, b"/no/");
    let stat = |address: usize| {
        let mut buffer = [0u64; 64];
        let to = buffer.as_mut_ptr() as usize;
        let cwd = libc::AT_FDCWD;
        unsafe { libc::syscall(libc::SYS_newfstatat, cwd, address, to, 0) };
        std::io::Error::last_os_error().raw_os_error().unwrap()
    };
    let end = stat(map + page - 8);
    put(unended, b"/no/");
    let addresses = [0, 1, usize::MAX, usize::MAX - 5, 1 << 63, unended];
    let faults = addresses.map(|address| stat(address) == libc::EFAULT);
    let others = [
        end,
        stat(long.as_ptr() as usize),
        stat(deep.as_ptr() as usize),
        stat(odd.as_ptr() as usize),
    ];
    println!("{faults:?} {others:?}");
}

/// Threads that look a changing name up for a while, start threads, and are all killed in the middle.
fn racing(threads: usize) {
    static NAME: [std::sync::atomic::AtomicU8; 16] =
        [const { std::sync::atomic::AtomicU8::new(b'/') }; 16];
    let look = || unsafe { libc::access(NAME.as_ptr().cast(), 0) };
    for n in 0..threads {
        std::thread::spawn(move || {
            loop {
                NAME[1 + n % 14].store(b'a' + (n % 26) as u8, std::sync::atomic::Ordering::Relaxed);
                NAME[15].store(0, std::sync::atomic::Ordering::Relaxed);
                look();
            }
        });
    }
    for _ in 0..20 {
        if unsafe { libc::fork() } == 0 {
            unsafe { libc::alarm(1) };
            loop {
                look();
            }
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(1500));
}

fn hog(bytes: usize) {
    let mut blocks = Vec::new();
    for _ in 0..bytes >> 20 {
        blocks.push(vec![1u8; 1 << 20]);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    println!("{}", blocks.len());
}

fn bomb() {
    for _ in 0..1000 {
        if unsafe { libc::fork() } == 0 {
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
    }
    std::thread::sleep(std::time::Duration::from_secs(60));
}

fn spin(processes: u32) {
    for _ in 1..processes {
        if unsafe { libc::fork() } == 0 {
            break;
        }
    }
    loop {
        std::hint::spin_loop();
    }
}

fn flood(bytes: usize) {
    let mut out = std::io::stdout().lock();
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    for _ in 0..bytes / 100 {
        if out.write_all(&line).is_err() {
            return;
        }
    }
}

fn fill(path: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![0; 1 << 20];
    let mut written = 0;
    let error = loop {
        match file.write_all(&block) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    println!("{} after {written} MiB", result::<()>(Err(error)));
}

/// Writes into `/work` in one of the ways to fill a disk, and gives up before it harms a test's machine.
fn fill_disk(how: &str) {
    let block = vec![1; 256 << 10];
    match how {
        "one" => {
            let mut file = std::fs::File::create("/work/one").unwrap();
            (0..4000).for_each(|_| file.write_all(&block).unwrap());
        }
        "many" => (0..4000).for_each(|n| std::fs::write(format!("/work/{n}"), &block).unwrap()),
        "empty" => (0..400_000).for_each(|n| std::fs::write(format!("/work/{n}"), "").unwrap()),
        "private" => {
            rustix::fs::mkdir("/work/private", rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
            let mut file = std::fs::File::create("/work/private/one").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            std::fs::set_permissions("/work/private", mode).unwrap();
            (0..4000).for_each(|_| file.write_all(&block).unwrap());
        }
        "removed" => {
            let mut file = std::fs::File::create("/work/one").unwrap();
            std::fs::remove_file("/work/one").unwrap();
            (0..4000).for_each(|_| file.write_all(&block).unwrap());
        }
        "deep" => {
            std::env::set_current_dir("/work").unwrap();
            for _ in 0..2000 {
                std::fs::create_dir("d").unwrap();
                std::env::set_current_dir("d").unwrap();
            }
        }
        other => panic!("no way {other:?}"),
    }
    // Slow disks and loaded machines: time for the sum.
    std::thread::sleep(std::time::Duration::from_secs(20));
}

/// Ways out of the root; one line for each, none may be `ok`.
fn escape() {
    for path in [
        "/work/link/escaped",
        "/proc/1/root/escaped",
        "/proc/1/cwd/escaped",
        "/work/../../../../escaped",
        "/etc/escaped",
        "/given/escaped",
    ] {
        println!("{path} {}", result(std::fs::write(path, "x")));
    }
    for path in ["/proc/1/mem", "/proc/1/environ", "/proc/1/maps"] {
        println!("{path} {}", result(std::fs::read(path)));
    }
}

fn connect_abstract(name: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    std::os::unix::net::UnixStream::connect_addr(&address).map(drop)
}

/// A process that leaves its session and its parent, by two forks.
fn daemon(word: &str) {
    if unsafe { libc::fork() } == 0 {
        rustix::process::setsid().unwrap();
        if unsafe { libc::fork() } != 0 {
            unsafe { libc::_exit(0) };
        }
        let _ = std::os::unix::process::CommandExt::exec(
            std::process::Command::new("/bin/inside").args(["inside", "sleep", word]),
        );
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
}

/// Exits 7 on SIGTERM.
fn catch() {
    extern "C" fn stop(_: i32) {
        unsafe { libc::_exit(7) };
    }
    let handler: extern "C" fn(i32) = stop;
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(60));
}
