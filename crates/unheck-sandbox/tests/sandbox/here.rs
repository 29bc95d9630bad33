//! Uses the sandbox from a process of its own: as another user, in a chroot, under a filter, to be killed.

use std::path::PathBuf;

use unheck_sandbox::{Forwarding, HelperExe, Root, Spec, Stdio, probe, spawn};

use crate::kit;

/// `probe` | `watch YES|NO ROOT COMMAND…` | `run ROOT ACTION…` | `nest DEPTH ROOT ACTION…` | `refuse WHAT here…`
pub(crate) fn main(words: &[String]) -> i32 {
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["probe"] => match probe(&HelperExe::current()) {
            Ok(rung) => println!("{rung}"),
            Err(error) => println!("{}", kit::chain(&error)),
        },
        ["walled", command @ ..] => {
            let outcome = kit::go(&crate::walled::walled(
                std::path::Path::new("/nowhere"),
                command,
            ));
            print!("rung {}\n{}", outcome.rung, outcome.stdout.text());
        }
        ["watch", yes, root, command @ ..] => watch(*yes == "yes", root, command),
        ["run", root, action @ ..] => return run(&inside(root, action)),
        ["run-as-0", root, action @ ..] => {
            return run(&Spec {
                uid: 0,
                ..inside(root, action)
            });
        }
        ["nest", depth, root, action @ ..] => {
            let deeper = match depth.parse::<u32>().unwrap() {
                0 => return run(&inside(root, action)),
                depth => (depth - 1).to_string(),
            };
            let mut spec = inside(root, &[]);
            spec.argv =
                kit::words(&[&["/bin/inside", "here", "nest", &deeper, "/"], action].concat());
            (spec.seccomp, spec.landlock) = (false, false);
            return run(&spec);
        }
        ["refuse", "namespaces", rest @ ..] => {
            refuse(libc::CLONE_NEWNS | libc::CLONE_NEWUSER, rest)
        }
        ["refuse", "users", rest @ ..] => refuse(libc::CLONE_NEWUSER, rest),
        other => panic!("no use {other:?}"),
    }
    0
}

fn inside(root: &str, action: &[&str]) -> Spec {
    let argv = [&["/bin/inside", "inside"], action].concat();
    Spec {
        stdio: Stdio::Inherit,
        ..Spec::new(Root::Dir(PathBuf::from(root)), kit::words(&argv))
    }
}

/// For measuring by hand: a command of a real root, and what it looked for in vain.
fn watch(yes: bool, root: &str, command: &[&str]) {
    let mut spec = Spec::new(Root::Dir(PathBuf::from(root)), kit::words(command));
    spec.env.insert("PATH".into(), "/usr/bin:/bin".into());
    spec.watch = yes;
    let outcome = kit::go(&spec);
    print!("{}{}", outcome.stdout.text(), outcome.stderr.text());
    for missing in outcome.watched.missing() {
        println!("{missing:?}");
    }
    if let unheck_sandbox::Watched::Unavailable { reason } = &outcome.watched {
        println!("unwatched: {reason}");
    }
    let names = outcome.watched.missing().len();
    println!("{:?} in {:?}, {names} names", outcome.status, outcome.wall);
}

fn run(spec: &Spec) -> i32 {
    let running = match spawn(&HelperExe::current(), spec, None) {
        Ok(running) => running,
        Err(error) => {
            println!("{}", kit::chain(&error));
            return 1;
        }
    };
    println!("rung {}", running.rung());
    let forwarding = Forwarding::start(&running).unwrap();
    assert!(
        Forwarding::start(&running).is_err(),
        "a second one is refused"
    );
    let outcome = running.wait().unwrap();
    drop(forwarding);
    println!("{:?}", outcome.status);
    outcome.status.shell_code()
}

/// A filter like that of a container runtime, then `here REST`.
fn refuse(flags: libc::c_int, rest: &[&str]) {
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    let arch = if cfg!(target_arch = "aarch64") {
        seccompiler::TargetArch::aarch64
    } else {
        seccompiler::TargetArch::x86_64
    };
    let any = |flag: libc::c_int| {
        let flag = flag as u64;
        let condition = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(flag),
            flag,
        );
        SeccompRule::new(vec![condition.unwrap()]).unwrap()
    };
    let rules: Vec<_> = [libc::CLONE_NEWNS, libc::CLONE_NEWUSER]
        .into_iter()
        .filter(|f| flags & f != 0)
        .map(any)
        .collect();
    let table = [(libc::SYS_clone, rules.clone()), (libc::SYS_unshare, rules)].into();
    let filter = SeccompFilter::new(
        table,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        arch,
    );
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let error = std::os::unix::process::CommandExt::exec(command.arg("here").args(rest));
    panic!("{error}");
}
