//! Two at once.

use std::os::unix::fs::symlink;
use std::process::Command;

use unheck_deploy::{DeployError, Kind, Wanted};

use crate::kit::{Kit, link};

/// When the kernel started a process: field 22 of its stat (proc(5)).
fn started(pid: u32) -> String {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let (_, fields) = stat.rsplit_once(") ").expect("fields");
    fields.split(' ').nth(19).expect("start").to_owned()
}

const OWNER: &str =
    r#"{"time":"2026-01-01T00:00:00Z","who":"bob@desk","from":"192.0.2.7","what":"release"}"#;

#[test]
fn the_second_is_told_who_the_first_is_and_may_take_the_lock_away() {
    let kit = Kit::new();
    kit.deploy(&kit.artifact("1")).expect("deploy");
    let mut first = Command::new("sleep").arg("600").spawn().expect("sleep");
    let text = format!("{}:{}:{OWNER}", first.id(), started(first.id()));
    symlink(&text, kit.host(0).join("lock")).expect("lock");
    for error in [
        kit.deploy(&kit.artifact("2")).expect_err("locked"),
        kit.release(Wanted::Newest).expect_err("locked"),
    ] {
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.hints()[0].contains("--steal-lock"));
        let DeployError::Hosts { failures, .. } = &error else {
            panic!("{error}")
        };
        let text = failures[0].to_string();
        assert!(
            text.contains("bob@desk from 192.0.2.7, `release` since 2026-01-01T00:00:00Z"),
            "{text}"
        );
    }
    let told = kit.with(unheck_deploy::status).expect("status");
    assert!(
        told.hosts[0]
            .locked
            .as_ref()
            .expect("locked")
            .contains("bob@desk")
    );
    // Its parent must not keep it as a zombie, which is still a process.
    let reaper = std::thread::spawn(move || first.wait());
    kit.with_steal(true, |context| {
        unheck_deploy::release(context, Wanted::Newest, true)
    })
    .expect("stolen");
    assert!(!reaper.join().expect("reaper").expect("status").success());
    kit.check_tidy(0);
}

#[test]
fn a_lock_whose_owner_is_gone_is_taken() {
    let kit = Kit::new();
    kit.deploy(&kit.artifact("1")).expect("deploy");
    let mut gone = Command::new("true").spawn().expect("true");
    gone.wait().expect("end");
    let me = std::process::id();
    // A process that is no more; one whose number another has now; what is no lock at all.
    for text in [
        format!("{}:1:{OWNER}", gone.id()),
        format!("{me}:1:{OWNER}"),
        "garbage".to_owned(),
    ] {
        symlink(&text, kit.host(0).join("lock")).expect("lock");
        kit.release(Wanted::Newest).expect("release");
        assert_eq!(link(&kit.host(0).join("lock")), None);
    }
}

#[test]
fn many_at_once_do_no_harm() {
    let kit = Kit::new();
    let kit = &kit;
    let artifacts: Vec<_> = (0..6).map(|n| kit.artifact(&n.to_string())).collect();
    let refused = std::sync::atomic::AtomicU32::new(0);
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = artifacts
            .iter()
            .map(|artifact| {
                let refused = &refused;
                scope.spawn(move || {
                    for _ in 0..600 {
                        match kit.deploy(artifact) {
                            Ok(deployed) => return deployed.release,
                            Err(error) => {
                                let DeployError::Hosts { failures, .. } = &error else {
                                    panic!("{error}")
                                };
                                let text = failures[0].to_string();
                                assert!(
                                    text.contains("somebody else is at it: ada@laptop"),
                                    "{text}"
                                );
                                refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                std::thread::sleep(std::time::Duration::from_millis(20));
                            }
                        }
                    }
                    panic!("never got the lock");
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("thread"))
            .collect()
    });
    for (id, artifact) in ids.iter().zip(&artifacts) {
        kit.check(0, id, artifact);
    }
    assert!(refused.into_inner() > 0);
    kit.check_tidy(0);
}
