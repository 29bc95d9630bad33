//! Releases and rollbacks under load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_deploy::{
    Artifact, By, Context, DeployError, HealthConfig, Kind, Node, Ssh, SshOptions, Target,
    TargetConfig, Transport, Wanted,
};
use unheck_testkit::hosts::{Hosts, PORT, ask, twenty_switches};

use crate::serve::Supervisor;

/// The example that cargo has built beside this test.
fn tiny_web() -> PathBuf {
    let own = std::env::current_exe().expect("own program");
    let directory = own
        .parent()
        .and_then(Path::parent)
        .expect("target directory");
    directory.join("examples/tiny-web")
}

/// A target on hosts, with supervisors.
pub(crate) struct World {
    // Before the hosts: what serves must end before its namespace does.
    _supervisors: Vec<Supervisor>,
    pub(crate) hosts: Hosts,
    pub(crate) config: TargetConfig,
}

impl World {
    pub(crate) fn new(count: u8) -> Self {
        let hosts = Hosts::new(count);
        let config = TargetConfig {
            hosts: hosts.hosts.iter().map(|host| host.name.clone()).collect(),
            directory: Some(hosts.mount.join("web").display().to_string()),
            reload: Some(Supervisor::reload(&hosts.mount)),
            health: Some(HealthConfig {
                url: Some(format!("http://127.0.0.1:{PORT}/")),
                deadline: Some(10),
                command: None,
            }),
            ..TargetConfig::default()
        };
        Self {
            _supervisors: hosts.hosts.iter().map(Supervisor::new).collect(),
            hosts,
            config,
        }
    }

    /// Hosts with a systemd of their own, which serves by the units that `deploy --unit` prints.
    pub(crate) fn booted(count: u8) -> Self {
        let hosts = Hosts::booted(count);
        let config = TargetConfig {
            hosts: hosts.hosts.iter().map(|host| host.name.clone()).collect(),
            directory: Some("/srv/web".to_owned()),
            unit: Some("web.service".to_owned()),
            listen: vec![PORT.to_string()],
            arguments: vec!["--fd".to_owned(), "3".to_owned()],
            health: Some(HealthConfig {
                url: Some(format!("http://127.0.0.1:{PORT}/")),
                deadline: Some(20),
                command: None,
            }),
            ..TargetConfig::default()
        };
        let world = Self {
            _supervisors: Vec::new(),
            hosts,
            config,
        };
        let target = Target::new("prod", &world.config).expect("target");
        let units = unheck_deploy::units(&target, &world.artifact("1")).expect("units");
        let socket = units.socket.expect("a socket");
        for (name, text) in [
            (&units.service_name, &units.service),
            (&units.socket_name, &socket),
        ] {
            let script = format!("cat >/etc/systemd/system/{name}");
            world.hosts.everywhere(&script, text.as_bytes());
        }
        world
            .hosts
            .everywhere("systemctl daemon-reload && systemctl start web.socket", b"");
        world
    }

    /// Does something over new connections.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Context<'_>) -> T) -> T {
        let target = Target::new("prod", &self.config).expect("target");
        let options = SshOptions {
            program: "ssh".into(),
            config: Some(self.hosts.config.clone()),
            scratch: std::env::temp_dir(),
        };
        let ways: Vec<Box<dyn Transport>> = Ssh::to(&target, &options).expect("ways");
        let since = std::time::UNIX_EPOCH.elapsed().expect("clock");
        let by = By {
            who: "test@here".to_owned(),
            now: i64::try_from(since.as_secs()).expect("time"),
        };
        act(&Context {
            target: &target,
            ways: &ways,
            by: &by,
            steal: false,
            say: &|_, _| {},
        })
    }

    /// A web server of a version, with a number of files that never change.
    pub(crate) fn artifact(&self, version: &str) -> Artifact {
        let root = self.hosts.temp.path().join(format!("artifact-{version}"));
        let mut files = BTreeMap::new();
        let program = tiny_web();
        let mut put = |path: &str, bytes: &[u8], executable: bool| {
            let place = root.join(path);
            fs_err::create_dir_all(place.parent().expect("parent")).expect("directory");
            fs_err::write(&place, bytes).expect("file");
            let node = Node::File {
                digest: Digest::of(bytes),
                len: bytes.len() as u64,
                executable,
            };
            files.insert(TreePath::new(path).expect("path"), node);
        };
        put("bin/web", &fs_err::read(program).expect("program"), true);
        put("app/version", version.as_bytes(), false);
        for number in 0..400 {
            put(
                &format!("usr/lib/d{}/f{number}", number / 20),
                format!("{number}\n").repeat(50).as_bytes(),
                false,
            );
        }
        Artifact {
            root,
            project: "web".to_owned(),
            version: Some(version.to_owned()),
            machine: std::env::consts::ARCH.to_owned(),
            entry: TreePath::new("bin/web").expect("path"),
            interpreter: None,
            files,
        }
    }

    /// Deploys a version to all hosts; its release.
    pub(crate) fn deploy(&self, version: &str) -> String {
        let artifact = self.artifact(version);
        let deployed = self.with(|context| unheck_deploy::deploy(context, &artifact));
        deployed.unwrap_or_else(|error| panic!("{error:?}")).release
    }

    /// Deploys a release that is never healthy and tries to release it; what that ends with.
    pub(crate) fn release_an_ill_one(&mut self) -> DeployError {
        if let Some(health) = &mut self.config.health {
            health.deadline = Some(2);
        }
        self.deploy("2-ill");
        let error = self
            .with(|context| unheck_deploy::release(context, Wanted::Newest, true))
            .expect_err("ill");
        assert_eq!(error.kind(), Kind::Verdict, "{error:?}");
        error
    }

    pub(crate) fn release(&self, wanted: Wanted<'_>) -> unheck_deploy::ReleaseReport {
        let released = self.with(|context| unheck_deploy::release(context, wanted, true));
        released.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Releases; what serves then answers as version 1 where it is `one`, else 2. How long each host that was switched
    /// took, in milliseconds.
    pub(crate) fn switch_times(&self, wanted: Wanted<'_>, one: &str) -> Vec<u64> {
        let report = self.release(wanted);
        self.check(if report.release == one { "1" } else { "2" });
        let switched = report.hosts.iter().filter(|host| !host.already);
        switched.map(|host| host.switch_ms).collect()
    }

    /// What every host answers.
    #[track_caller]
    pub(crate) fn check(&self, version: &str) {
        for host in &self.hosts.hosts {
            assert_eq!(ask(host.address).as_deref(), Ok(version), "{}", host.name);
        }
    }
}

#[test]
#[ignore = "live: sshd in network namespaces, needs root"]
fn twenty_releases_and_rollbacks_lose_no_request() {
    let world = World::new(3);
    let one = world.deploy("1");
    world.release(Wanted::Newest);
    world.check("1");
    let before: Vec<u64> = world
        .hosts
        .hosts
        .iter()
        .map(unheck_testkit::hosts::Host::bytes)
        .collect();
    let changed = world.artifact("2");
    let update = world
        .with(|context| unheck_deploy::deploy(context, &changed))
        .expect("deploy");
    for (host, before) in world.hosts.hosts.iter().zip(before) {
        let travelled = host.bytes() - before;
        let bytes = update.hosts[0].bytes;
        println!("update of {bytes} bytes: {travelled} bytes on the wire, ssh and frames included");
        assert!(travelled <= bytes + (64 << 10));
    }
    twenty_switches(&world.hosts.hosts, |round| {
        let wanted = match round % 3 {
            0 => Wanted::Named(&update.release),
            1 => Wanted::Previous,
            _ if round % 2 == 0 => Wanted::Named(&one),
            _ => Wanted::Named(&update.release),
        };
        world.switch_times(wanted, &one)
    });
}

#[test]
#[ignore = "live: sshd in network namespaces, needs root"]
fn a_release_that_is_ill_is_undone_and_nobody_is_lost_for_long() {
    let mut world = World::new(2);
    world.deploy("1");
    world.release(Wanted::Newest);
    let error = world.release_an_ill_one();
    assert!(
        format!("{error:?}").contains("it answered with 503"),
        "{error:?}"
    );
    world.check("1");
}
