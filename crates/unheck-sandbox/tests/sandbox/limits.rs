//! Each limit ends a command, and is named.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use unheck_sandbox::{HelperExe, LimitKind, Limits, Log, Spec, Status, Stdio, Stream, spawn};

use crate::kit::{Test, go, output, spec};

pub(crate) const TESTS: &[Test] = &[
    ("memory_is_limited", memory_is_limited),
    ("processes_are_limited", processes_are_limited),
    (
        "processor_time_of_all_processes_is_limited",
        processor_time_of_all_processes_is_limited,
    ),
    ("wall_time_is_limited", wall_time_is_limited),
    ("files_are_limited", files_are_limited),
    (
        "output_is_limited_and_bounded",
        output_is_limited_and_bounded,
    ),
    (
        "lines_stream_while_the_command_runs",
        lines_stream_while_the_command_runs,
    ),
    (
        "output_is_logged_while_the_command_runs",
        output_is_logged_while_the_command_runs,
    ),
    (
        "generous_limits_do_not_disturb",
        generous_limits_do_not_disturb,
    ),
];

fn limited(action: &[&str], limits: Limits) -> Spec {
    Spec {
        limits,
        ..spec(action)
    }
}

fn memory_is_limited() {
    let limits = Limits {
        memory: Some(100 << 20),
        ..Limits::default()
    };
    assert_eq!(
        go(&limited(&["hog", "4000000000"], limits.clone())).status,
        Status::LimitHit(LimitKind::Memory)
    );
    assert_eq!(output(&limited(&["hog", "30000000"], limits)), "28\n");
}

fn processes_are_limited() {
    let limits = Limits {
        processes: Some(20),
        ..Limits::default()
    };
    assert_eq!(
        go(&limited(&["bomb"], limits)).status,
        Status::LimitHit(LimitKind::Processes)
    );
}

fn processor_time_of_all_processes_is_limited() {
    let limits = Limits {
        cpu_seconds: Some(1),
        wall: Some(Duration::from_secs(30)),
        ..Limits::default()
    };
    let outcome = go(&limited(&["spin", "4"], limits));
    assert_eq!(outcome.status, Status::LimitHit(LimitKind::Cpu));
}

fn wall_time_is_limited() {
    let limits = Limits {
        wall: Some(Duration::from_millis(300)),
        ..Limits::default()
    };
    let outcome = go(&limited(&["sleep"], limits));
    assert_eq!(outcome.status, Status::LimitHit(LimitKind::Wall));
    assert!(
        outcome.wall >= Duration::from_millis(250) && outcome.wall < Duration::from_secs(10),
        "{:?}",
        outcome.wall
    );
}

fn files_are_limited() {
    let limits = Limits {
        file_size: Some(1000),
        open_files: Some(20),
        ..Limits::default()
    };
    let outcome = go(&limited(&["big-file", "5000"], limits.clone()));
    assert!(outcome.status.success(), "a partial write first");
    let mut twice = limited(&[], limits.clone());
    twice.argv = crate::kit::words(&[
        "/bin/sh",
        "-c",
        "while echo 0123456789012345678901234567890123456789; do :; done >/tmp/x",
    ]);
    assert_eq!(go(&twice).status, Status::LimitHit(LimitKind::FileSize));
    assert_eq!(output(&limited(&["files"], limits)), "17\n");
}

fn output_is_limited_and_bounded() {
    let mut spec = limited(
        &["flood", "100000000"],
        Limits {
            output: Some(1_000_000),
            ..Limits::default()
        },
    );
    spec.stdio = Stdio::Capture { limit: 1000 };
    let outcome = go(&spec);
    assert_eq!(outcome.status, Status::LimitHit(LimitKind::Output));
    assert_eq!(
        (outcome.stdout.head.len(), outcome.stdout.tail.len()),
        (500, 500)
    );
    assert!(outcome.stdout.total() >= 1_000_000);
    spec.limits.output = None;
    let outcome = go(&spec);
    assert!(outcome.status.success());
    assert_eq!(outcome.stdout.total(), 100_000_000);
}

fn lines_stream_while_the_command_runs() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let to = Arc::clone(&seen);
    let sink = Arc::new(move |stream: Stream, line: &[u8]| {
        to.lock()
            .unwrap()
            .push(format!("{stream:?} {}", String::from_utf8_lossy(line)));
    });
    let mut running = spawn(&HelperExe::current(), &spec(&["catch"]), Some(sink)).unwrap();
    crate::kit::wait_until("a line", || *seen.lock().unwrap() == ["Stdout ready"]);
    assert!(
        running
            .wait_for(Duration::from_millis(10))
            .unwrap()
            .is_none()
    );
    running.signaller().signal(libc::SIGTERM as u8);
    assert_eq!(running.wait().unwrap().status, Status::Exited(7));
}

/// Both streams into one file, and shown besides.
fn output_is_logged_while_the_command_runs() {
    let file = tempfile::tempfile().unwrap();
    let log = Log::new(file.try_clone().unwrap(), 1000);
    let (to_log, shown) = (log.sink(), Arc::<Mutex<Vec<Stream>>>::default());
    let to = Arc::clone(&shown);
    let sink = Arc::new(move |stream: Stream, line: &[u8]| {
        to_log(stream, line);
        to.lock().unwrap().push(stream);
    });
    let mut shell = spec(&[]);
    let script = "echo out; sleep 0.3; echo err >&2; sleep 0.3; echo last";
    shell.argv = crate::kit::words(&["/bin/sh", "-c", script]);
    shell.env.insert("PATH".into(), "/bin".into());
    shell.stdio = Stdio::Capture { limit: 0 };
    let outcome = spawn(&HelperExe::current(), &shell, Some(sink)).unwrap();
    let outcome = outcome.wait().unwrap();
    assert_eq!((outcome.stdout.head.len(), outcome.stdout.total()), (0, 9));
    assert_eq!(log.finish().unwrap(), 0);
    assert_eq!(
        *shown.lock().unwrap(),
        [Stream::Stdout, Stream::Stderr, Stream::Stdout]
    );
    use std::os::unix::fs::FileExt;
    let mut text = [0; 100];
    let n = file.read_at(&mut text, 0).unwrap();
    assert_eq!(&text[..n], b"out\nerr\nlast\n");
}

fn generous_limits_do_not_disturb() {
    let limits = Limits {
        memory: Some(1 << 30),
        processes: Some(100),
        file_size: Some(1 << 30),
        open_files: Some(1000),
        cpu_seconds: Some(100),
        wall: Some(Duration::from_secs(100)),
        output: Some(1 << 30),
        disk: Some(1 << 30),
        inodes: Some(1000),
        scratch_bytes: 1 << 20,
    };
    assert_eq!(output(&limited(&["say", "a", "b"], limits)), "a\nb\n");
}
