//! What a command can see and do.

use std::net::TcpListener;

use unheck_sandbox::{Mount, Network, Stdio};

use crate::kit::{Test, go, output, root, spec};

pub(crate) const TESTS: &[Test] = &[
    (
        "command_has_nothing_of_the_host",
        command_has_nothing_of_the_host,
    ),
    (
        "environment_is_exactly_as_given",
        environment_is_exactly_as_given,
    ),
    (
        "dangerous_system_calls_are_refused",
        dangerous_system_calls_are_refused,
    ),
    (
        "writes_fail_but_in_private_places",
        writes_fail_but_in_private_places,
    ),
    (
        "devices_are_private_and_complete",
        devices_are_private_and_complete,
    ),
    ("loopback_is_up_and_alone", loopback_is_up_and_alone),
    (
        "host_network_is_shared_when_asked",
        host_network_is_shared_when_asked,
    ),
    (
        "walls_hold_without_seccomp_and_landlock",
        walls_hold_without_seccomp_and_landlock,
    ),
    (
        "user_0_inside_cannot_change_the_kernel",
        user_0_inside_cannot_change_the_kernel,
    ),
    (
        "ids_inside_are_those_asked_for",
        ids_inside_are_those_asked_for,
    ),
];

fn command_has_nothing_of_the_host() {
    let mut spec = spec(&["facts"]);
    spec.hostname = "box".to_owned();
    spec.cwd = "/tmp".into();
    let none = "0000000000000000";
    let text = output(&spec);
    let without_groups: String = text
        .lines()
        .filter(|l| !l.starts_with("Groups"))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(
        without_groups,
        format!(
            "SigBlk: {none}\nSigIgn: 0000000000001000\n\
             CapInh: {none}\nCapPrm: {none}\nCapEff: {none}\nCapBnd: {none}\nCapAmb: {none}\n\
             NoNewPrivs: 1\nSeccomp: 2\n\
             uid 65532 gid 65532\npid 2\nhost box\ncwd /tmp\numask 22\nleader true\nfiles [0, 1, 2]\nnet [\"lo\"]\nprocesses [1, 2]\n"
        ),
        "SIGPIPE (bit 12) is ignored by the language's runtime, not by the sandbox"
    );
}

fn environment_is_exactly_as_given() {
    let mut spec = spec(&["env"]);
    assert_eq!(output(&spec), "");
    spec.env.insert("A".into(), "1 2\n3".into());
    spec.env.insert("PATH".into(), "/none:/bin".into());
    spec.argv[0] = "inside".into();
    assert_eq!(output(&spec), "A=1 2\n3\nPATH=/none:/bin\n");
}

fn dangerous_system_calls_are_refused() {
    let text = output(&spec(&["calls"]));
    let refused = "mount EPERM\nunshare EPERM\nclone-user EPERM\nclone3 ENOSYS\nptrace EPERM\nkeyctl EPERM\nbpf EPERM\n\
        userfaultfd EPERM\nperf EPERM\nio_uring EPERM\nkexec EPERM\ntiocsti EPERM\ntiocsti-high EPERM\n\
        vsock EAFNOSUPPORT\nalg EAFNOSUPPORT\ninet ok\ngetpid ok\n";
    let x32 = if cfg!(target_arch = "x86_64") {
        "x32-getpid ENOSYS\n"
    } else {
        ""
    };
    assert_eq!(text, format!("{refused}{x32}thread ok\n"));
}

fn write_to(path: &str) -> String {
    output(&spec(&["write", path])).trim().to_owned()
}

fn writes_fail_but_in_private_places() {
    for path in [
        "/x",
        "/etc/x",
        "/etc/hosts",
        "/bin/inside",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
    ] {
        let got = write_to(path);
        assert!(
            ["EROFS", "EACCES", "EPERM", "ENOENT", "26"].contains(&got.as_str()),
            "{path}: {got}"
        );
    }
    for path in ["/tmp/x", "/var/tmp/x", "/run/x", "/dev/shm/x"] {
        assert_eq!(write_to(path), "ok", "{path}");
    }
    assert!(
        !root().join("tmp").exists(),
        "the given directory is not written"
    );
    assert_eq!(
        output(&spec(&["stat", "/tmp"])).split(' ').next(),
        Some("1777")
    );
    assert_eq!(
        output(&spec(&["list", "/"])),
        "bin\ndev\netc\nlib\nlib64\nproc\nrun\ntmp\nvar\n"
    );
    assert_eq!(
        output(&spec(&["list", "/etc"])),
        "hostname\nhosts\nmarker\nresolv.conf\n"
    );
}

fn devices_are_private_and_complete() {
    let text = output(&spec(&["devices"]));
    let new = text.lines().find(|l| l.starts_with("new")).unwrap();
    assert!(["new EROFS", "new EACCES"].contains(&new), "{new}");
    assert_eq!(
        text.replace(new, "new"),
        "full ENOSPC\nnew\ntty ENXIO\nptmx ok\nstdout\n"
    );
}

fn loopback_is_up_and_alone() {
    let text = output(&spec(&["loopback"]));
    assert!(text.starts_with("hello\n"), "{text}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert_eq!(output(&spec(&["connect", &port])), "ECONNREFUSED\n");
    assert_eq!(output(&spec(&["read", "/etc/resolv.conf"])), "");
    assert_eq!(
        output(&spec(&["read", "/etc/hosts"])),
        "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost sandbox\n"
    );
}

fn host_network_is_shared_when_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut connect = spec(&["connect", &port]);
    connect.network = Network::Host;
    assert_eq!(output(&connect), "ok\n");
    let mut read = spec(&["read", "/etc/hosts"]);
    read.network = Network::Host;
    assert_eq!(
        output(&read),
        fs_err::read_to_string("/etc/hosts")
            .unwrap_or("127.0.0.1\tlocalhost sandbox\n::1\tlocalhost sandbox\n".to_owned())
    );
}

fn walls_hold_without_seccomp_and_landlock() {
    let mut spec = spec(&["write", "/etc/x"]);
    (spec.seccomp, spec.landlock) = (false, false);
    let got = output(&spec);
    assert!(["EROFS\n", "EACCES\n"].contains(&got.as_str()), "{got}");
    spec.argv[3] = "/proc/sys/kernel/core_pattern".into();
    assert_ne!(output(&spec), "ok\n");
}

fn user_0_inside_cannot_change_the_kernel() {
    let before = fs_err::read("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let mut spec = spec(&["write", "/proc/sys/kernel/core_pattern"]);
    (spec.uid, spec.gid) = (0, 0);
    (spec.seccomp, spec.landlock) = (false, false);
    assert_ne!(output(&spec), "ok\n");
    assert_eq!(
        fs_err::read("/proc/sys/kernel/core_pattern").unwrap_or_default(),
        before
    );
    spec.argv = crate::kit::words(&["/bin/inside", "inside", "facts"]);
    let text = output(&spec);
    assert!(
        text.contains("CapEff: 0000000000000000\nCapBnd: 0000000000000000"),
        "{text}"
    );
    assert!(text.contains("uid 0 gid 0"), "{text}");
}

fn ids_inside_are_those_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("mine"), "").unwrap();
    let mut spec = spec(&["stat", "/data/mine"]);
    spec.mounts.push(Mount::Bind {
        host: dir.path().to_owned(),
        inside: "/data".into(),
        writable: false,
    });
    (spec.uid, spec.gid) = (1234, 4321);
    spec.stdio = Stdio::Capture { limit: 100 };
    let owner = output(&spec);
    // Root's ids keep their numbers; an ordinary user's own is the one asked for.
    let wanted = if crate::kit::is_root() {
        "644 0 0\n"
    } else {
        "644 1234 4321\n"
    };
    assert_eq!(owner, wanted);
    assert_eq!(go(&spec).status, unheck_sandbox::Status::Exited(0));
}
