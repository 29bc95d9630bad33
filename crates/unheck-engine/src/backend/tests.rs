//! The pure parts; that backends run is shown by hand and by end-to-end runs.

use unheck_base::Digest;

use super::hook::{build_lock, only_wheel, trace};
use crate::lock::{Hashes, Interpreter, Target, Wheel};
use crate::platform::Platform;
use crate::sdist::frontend::read_answer;

fn wheel(name: &str) -> Wheel {
    let hashes = Hashes {
        sha256: Digest::of(name.as_bytes()),
    };
    Wheel {
        name: name.to_owned(),
        url: None,
        path: None,
        upload_time: None,
        size: None,
        hashes,
    }
}

#[test]
fn one_named_regular_wheel_is_taken_and_nothing_else() {
    let name = "shop-1.0-py3-none-any.whl";
    let check = |fill: &dyn Fn(&std::path::Path), named: &str| {
        let directory = tempfile::tempdir().expect("temporary directory");
        fill(directory.path());
        only_wheel(directory.path(), named)
    };
    let write = |directory: &std::path::Path, name: &str| {
        fs_err::write(directory.join(name), "").expect("write")
    };
    assert_eq!(check(&|at| write(at, name), name).as_deref(), Ok(name));
    assert!(check(&|_| (), name).unwrap_err().contains("0 wheels"));
    let two = |at: &std::path::Path| {
        write(at, name);
        write(at, "other-1.0-py3-none-any.whl");
    };
    assert!(check(&two, name).unwrap_err().contains("2 wheels"));
    assert!(
        check(&|at| write(at, name), "../x.whl")
            .unwrap_err()
            .contains("named the wheel")
    );
    assert!(
        check(&|at| write(at, "x.whl"), "x.whl")
            .unwrap_err()
            .contains("not the name of a wheel")
    );
    let link = |at: &std::path::Path| {
        fs_err::os::unix::fs::symlink("/etc/passwd", at.join(name)).expect("link")
    };
    assert!(check(&link, name).unwrap_err().contains("no regular file"));
}

#[test]
fn an_answer_is_a_small_regular_json_file() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("answer.json");
    assert!(read_answer(&path).is_none());
    fs_err::write(&path, r#"{"requires": ["wheel"]}"#).expect("write");
    assert_eq!(read_answer(&path).expect("answer").requires, ["wheel"]);
    fs_err::write(&path, r#"{"requires": [1]}"#).expect("write");
    assert!(read_answer(&path).is_none());
    fs_err::write(&path, vec![b' '; 2 << 20]).expect("write");
    assert!(read_answer(&path).is_none());
    let link = directory.path().join("link.json");
    fs_err::os::unix::fs::symlink("/etc/hostname", &link).expect("link");
    assert!(read_answer(&link).is_none());
}

#[test]
fn a_trace_has_no_frames_of_the_driver() {
    let text = "Traceback (most recent call last):\n  File \"/in/driver.py\", line 9, in main\n    hook()\n    ~~~~^^\n  File \"/usr/x.py\", line 1, in hook\n    boom\nValueError: no\n";
    assert_eq!(
        trace(text),
        "Traceback (most recent call last):\n  File \"/usr/x.py\", line 1, in hook\n    boom\nValueError: no"
    );
}

#[test]
fn the_backend_is_installed_into_the_interpreter_and_nothing_else() {
    let interpreter = Interpreter::debian("3.13.5", "2.41");
    let target = Target {
        platform: Platform::LinuxAmd64,
        interpreter,
        wheels: vec!["app-1-py3-none-any.whl".to_owned()],
        suites: Vec::new(),
        debs: Vec::new(),
        notes: vec!["x".to_owned()],
        build_requires: vec![wheel("Hatch_Ling-1.0-py3-none-any.whl")],
        build_debs: Vec::new(),
    };
    let (lock, build) = build_lock(&target);
    assert_eq!(build.wheels, ["Hatch_Ling-1.0-py3-none-any.whl"]);
    let (package, _) = lock.wheel(&build.wheels[0]).expect("the wheel's package");
    assert_eq!(package.name, "hatch-ling");
}
