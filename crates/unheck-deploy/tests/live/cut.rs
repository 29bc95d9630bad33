//! Connections that are cut at any moment, and disks that are full.

use std::process::Command;
use std::time::{Duration, Instant};

use unheck_deploy::{DeployError, Kind, Wanted};
use unheck_testkit::hosts::{Load, ask};

use crate::switch::World;

/// Ends every ssh that this test started.
fn cut() -> u32 {
    let own = std::process::id().to_string();
    let mut ended = 0;
    for entry in fs_err::read_dir("/proc").expect("proc").flatten() {
        // A process may end while it is looked at.
        let stat = fs_err::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        if name.ends_with("(ssh") && rest.split(' ').nth(1) == Some(own.as_str()) {
            let pid = entry.file_name();
            ended += u32::from(
                Command::new("kill")
                    .arg("-9")
                    .arg(pid)
                    .status()
                    .is_ok_and(|s| s.success()),
            );
        }
    }
    ended
}

/// A number below `below` that differs from round to round, and not from run to run.
fn scattered(round: u32, below: u32) -> u32 {
    round.wrapping_mul(2_654_435_761).rotate_left(13) % below.max(1)
}

fn is_cut(error: &DeployError) -> bool {
    let DeployError::Hosts { failures, .. } = error else {
        return false;
    };
    failures
        .iter()
        .all(|failure| failure.error.kind() == Kind::Outside)
}

#[test]
#[ignore = "live: sshd in network namespaces, needs root"]
fn ssh_cut_at_twenty_points_leaves_the_old_release_and_the_next_call_repairs() {
    let world = World::new(2);
    world.deploy("1");
    world.release(Wanted::Newest);
    let clock = Instant::now();
    world.deploy("2");
    let deploys = clock.elapsed();
    let clock = Instant::now();
    world.release(Wanted::Newest);
    let switches = clock.elapsed();
    let mut serving = "2".to_owned();
    let load = Load::of(&world.hosts.hosts, Duration::from_millis(20));
    let (mut cuts, mut late) = (0, 0);
    for round in 0..80 {
        if cuts - late >= 20 {
            break;
        }
        let version = format!("r{round}");
        let deploying = round % 2 == 0;
        if !deploying {
            world.deploy(&version);
        }
        let most = if deploying { deploys } else { switches };
        let after = scattered(round + 1, u32::try_from(most.as_millis()).expect("time"));
        let failed = std::thread::scope(|scope| {
            let act = scope.spawn(|| {
                if deploying {
                    let artifact = world.artifact(&version);
                    world
                        .with(|context| unheck_deploy::deploy(context, &artifact))
                        .map(drop)
                } else {
                    world
                        .with(|context| unheck_deploy::release(context, Wanted::Newest, true))
                        .map(drop)
                }
            });
            std::thread::sleep(Duration::from_millis(after.into()));
            let ended = cut();
            cuts += u32::from(ended > 0);
            late += u32::from(ended > 0 && act.is_finished());
            act.join().expect("thread")
        });
        if let Err(error) = &failed {
            assert!(is_cut(error), "{version} after {after} ms: {error:?}");
        }
        if failed.is_ok() && !deploying {
            serving.clone_from(&version);
        }
        settled(&world, &serving, &version, &failed);
        // The next call repairs, and completes.
        world.deploy(&version);
        world.release(Wanted::Newest);
        world.check(&version);
        serving = version;
    }
    println!("{cuts} cuts, {late} of them too late");
    assert!(cuts - late >= 20, "{cuts} cuts, {late} late");
    Load::none_lost(load);
}

/// Hosts whose session was cut go back by themselves; within seconds all serve what they did.
fn settled(world: &World, before: &str, version: &str, failed: &Result<(), DeployError>) {
    let clock = Instant::now();
    loop {
        let answers: Vec<_> = world
            .hosts
            .hosts
            .iter()
            .map(|host| ask(host.address))
            .collect();
        if answers.iter().all(|answer| answer.as_deref() == Ok(before)) {
            return;
        }
        // Only a cut among the last words, after every host was healthy, may leave some released.
        let committed = world.hosts.hosts.iter().any(|host| {
            let log = fs_err::read_to_string(host.place.join("web/audit.log")).unwrap_or_default();
            log.lines()
                .last()
                .is_some_and(|line| line.contains("done") && line.contains("release\""))
        });
        if committed && failed.is_err() {
            return;
        }
        assert!(
            clock.elapsed() < Duration::from_secs(10),
            "{version}: {answers:?}, {before} before"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "live: sshd in network namespaces, needs root"]
fn a_full_disk_is_told_and_harms_nothing() {
    let world = World::new(1);
    let host = &world.hosts.hosts[0];
    // A small file system of the host's own, below its directory.
    let web = host.place.join("web");
    fs_err::create_dir_all(&web).expect("directory");
    let size = 2 * world.artifact("1").bytes();
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs {}",
        world.hosts.mount.join("web").display()
    );
    let sshd = Command::new("ssh")
        .arg("-F")
        .arg(&world.hosts.config)
        .args([host.name.as_str(), &script])
        .status();
    assert!(sshd.expect("ssh").success());
    world.deploy("1");
    let mut large = world.artifact("2");
    let noise: Vec<u8> = (0..u32::try_from(size).expect("size"))
        .map(|n| n.wrapping_mul(2_654_435_761) as u8)
        .collect();
    fs_err::write(large.root.join("app/large"), &noise).expect("file");
    large.files.insert(
        unheck_base::TreePath::new("app/large").expect("path"),
        unheck_deploy::Node::File {
            digest: unheck_base::Digest::of(&noise),
            len: noise.len() as u64,
            executable: false,
        },
    );
    let error = world
        .with(|context| unheck_deploy::deploy(context, &large))
        .expect_err("full");
    assert_eq!(error.kind(), Kind::Limit, "{error:?}");
    // What arrived in part is removed by the next call, and there is room again.
    world.deploy("3");
    let status = world.with(unheck_deploy::status).expect("status");
    assert_eq!(status.hosts[0].deployed.len(), 2);
}
