//! The way of releases: deployed, released, rolled back, pruned.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use unheck_base::TreePath;
use unheck_deploy::{Context, DeployError, Kind, Wanted};

use crate::kit::{Kit, PATH, link};

fn status(kit: &Kit) -> unheck_deploy::StatusReport {
    kit.with(|context: &Context<'_>| unheck_deploy::status(context))
        .expect("status")
}

#[test]
fn releases_come_go_and_come_back() {
    let mut kit = Kit::with_hosts(3);
    let (one, two) = (kit.artifact("1"), kit.artifact("2"));
    assert!(
        status(&kit)
            .hosts
            .iter()
            .all(|host| host.deployed.is_empty())
    );
    let first = kit.deploy(&one).expect("deploy").release;
    for host in 0..3 {
        kit.check(host, &first, &one);
        kit.check_tidy(host);
        assert_eq!((kit.current(host), kit.served(host)), (None, String::new()));
    }
    let released = kit.release(Wanted::Newest).expect("release");
    assert_eq!(released.release, first);
    assert!(
        released
            .hosts
            .iter()
            .all(|host| host.before.is_none() && !host.already)
    );
    kit.later();
    let second = kit.deploy(&two).expect("deploy").release;
    assert_ne!(first, second);
    for host in 0..3 {
        kit.check(host, &second, &two);
        assert_eq!(
            (kit.current(host), kit.served(host)),
            (Some(first.clone()), "1".to_owned())
        );
    }
    kit.later();
    let released = kit.release(Wanted::Newest).expect("release");
    assert_eq!(released.hosts[2].before.as_ref(), Some(&first));
    let again = kit.release(Wanted::Newest).expect("again");
    assert!(again.hosts.iter().all(|host| host.already));
    let back = kit.release(Wanted::Previous).expect("back");
    assert_eq!(back.release, first);
    let forth = kit.release(Wanted::Previous).expect("forth");
    assert_eq!(forth.release, second);
    let named = kit
        .release(Wanted::Named(first.rsplit('-').next().expect("digest")))
        .expect("named");
    assert_eq!(named.release, first);
    for host in 0..3 {
        assert_eq!(kit.served(host), "1");
        assert_eq!(link(&kit.host(host).join("previous")), Some(second.clone()));
        kit.check_tidy(host);
    }
    let told = status(&kit);
    assert_eq!(told.released.as_ref(), Some(&first));
    let since = told.hosts[1].since.as_ref().expect("since");
    assert_eq!(
        (since.who.as_str(), since.what.as_str()),
        ("ada@laptop", "release")
    );
    let there = told.hosts[1]
        .deployed
        .iter()
        .find(|one| one.release == second);
    let record = there.and_then(|one| one.record.as_ref()).expect("record");
    assert_eq!(
        (record.version.as_deref(), record.bytes),
        (Some("2"), two.bytes())
    );
}

#[test]
fn the_same_content_is_the_same_release_and_sends_nothing() {
    let kit = Kit::new();
    let one = kit.artifact("1");
    let first = kit.deploy(&one).expect("deploy");
    let again = kit.deploy(&one).expect("deploy");
    assert_eq!(again.release, first.release);
    let host = &again.hosts[0];
    assert!(
        host.already && host.files == 0 && host.sent < 8 << 10,
        "{host:?}"
    );
}

#[test]
fn what_was_deployed_last_is_released_whatever_the_clock_says() {
    // Eight in one second: by their names alone the last would be picked once in eight times.
    let mut kit = Kit::new();
    let mut last = String::new();
    for text in 0..8 {
        let artifact = kit.changed("1", "app/version", &text.to_string());
        last = kit.deploy(&artifact).expect("deploy").release;
        let report = kit.release(Wanted::Newest).expect("release");
        assert_eq!(report.release, last);
    }
    // Somebody else's clock is behind, and what they deploy was there before: a change that is taken back.
    kit.earlier();
    let first = kit.changed("1", "app/version", "0");
    let again = kit.deploy(&first).expect("deploy");
    assert!(again.hosts[0].already && again.release != last, "{again:?}");
    let report = kit.release(Wanted::Newest).expect("release");
    assert_eq!(report.release, again.release);
    let record = |kit: &Kit| {
        let status = status(kit);
        let of = |one: &&unheck_deploy::DeployedRelease| one.release == again.release;
        let found = status.hosts[0].deployed.iter().find(of).cloned();
        found.and_then(|one| one.record).expect("a record")
    };
    let then = record(&kit);
    assert_eq!(
        (then.order, &*then.deployed.time),
        (9, "2027-01-15T07:00:00Z")
    );
    // Once more changes nothing, not even the record.
    kit.later();
    kit.deploy(&first).expect("deploy");
    assert_eq!(record(&kit), then);
}

#[test]
fn an_update_sends_what_changed_and_little_more() {
    let mut kit = Kit::new();
    let many = |kit: &Kit, text: &str| {
        let mut artifact = kit.changed("1", "app/version", text);
        for number in 0..1200 {
            let path = format!("usr/lib/d{}/f{number}", number / 25);
            let bytes = format!("content of {number}").repeat(20);
            let place = artifact.root.join(&path);
            fs_err::create_dir_all(place.parent().expect("parent")).expect("directory");
            fs_err::write(place, &bytes).expect("file");
            let node = unheck_deploy::Node::File {
                digest: unheck_base::Digest::of(bytes.as_bytes()),
                len: bytes.len() as u64,
                executable: false,
            };
            artifact
                .files
                .insert(TreePath::new(&path).expect("path"), node);
        }
        artifact
    };
    let full = kit.deploy(&many(&kit, "old")).expect("deploy");
    kit.later();
    let new = many(&kit, "new");
    let update = kit.deploy(&new).expect("deploy");
    kit.check(0, &update.release, &new);
    let (full, update) = (&full.hosts[0], &update.hosts[0]);
    assert_eq!((full.files, update.files, update.bytes), (1212, 1, 3));
    let travelled = update.sent + update.received;
    assert!(
        travelled <= update.bytes + (64 << 10),
        "{travelled} bytes for {}",
        update.bytes
    );
    println!("full {full:?}\nupdate {update:?}");
}

/// On a link to the other end of the world each of them is a quarter of a second.
#[test]
fn a_deployment_waits_for_few_answers() {
    let mut kit = Kit::new();
    let mut deploy = |artifact: &unheck_deploy::Artifact| {
        kit.later();
        let deployed = kit.deploy(artifact).expect("deploy");
        kit.check(0, &deployed.release, artifact);
        deployed.hosts[0].round_trips
    };
    let other = Kit::new();
    let one = other.artifact("1");
    // Who it is; the lock, and what is there; what lacks; a session for what is large; the rest, to the audit log.
    assert_eq!(deploy(&one), 6);
    // The list of lists, the lists that changed, and what of the files lacks come between.
    let edit = other.changed("1", "app/version", "2");
    assert_eq!(deploy(&edit), 6);
    // Where a large file changed a little, its blocks are asked for.
    assert_eq!(deploy(&other.artifact("3")), 7);
    assert_eq!(deploy(&edit), 4, "there, and to be the newest again");
    assert_eq!(deploy(&edit), 3, "there");
}

#[test]
fn a_large_file_that_changed_a_little_sends_what_is_new_in_it() {
    let mut kit = Kit::new();
    let one = kit.artifact("1");
    let full = kit.deploy(&one).expect("deploy");
    kit.later();
    let two = kit.artifact("2");
    let update = kit.deploy(&two).expect("deploy");
    kit.check(0, &update.release, &two);
    let bytes = update.hosts[0].bytes;
    let (full, sent) = (full.hosts[0].sent, update.hosts[0].sent);
    // Text of 65 kB that compresses to half of it, of which a line is new.
    assert!(
        bytes > 65_000 && sent + 25_000 < full,
        "{bytes}: {sent}, {full} in full"
    );

    // What the host has of the old one is not what it was: then it goes whole.
    let old = kit
        .host(0)
        .join(format!("releases/{}/app/large", update.release));
    fs_err::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let rotten = fs_err::read_to_string(&old)
        .expect("text")
        .replace("a", "b");
    fs_err::write(&old, rotten).expect("file");
    kit.later();
    let three = kit.artifact("3");
    let mended = kit.deploy(&three).expect("deploy");
    kit.check(0, &mended.release, &three);
    kit.check_tidy(0);
}

#[test]
fn a_release_that_is_not_healthy_is_undone_everywhere() {
    let mut kit = Kit::with_hosts(3);
    let good = kit.deploy(&kit.artifact("1")).expect("deploy").release;
    kit.release(Wanted::Newest).expect("release");
    kit.later();
    let bad = kit
        .deploy(&kit.changed("2", "app/health", "bad"))
        .expect("deploy")
        .release;
    for first in [false, true] {
        kit.config.one_host_first = first;
        let error = kit.release(Wanted::Newest).expect_err("unhealthy");
        assert_eq!(error.kind(), Kind::Verdict);
        assert!(
            error
                .to_string()
                .ends_with("what served before serves again"),
            "{error}"
        );
        let DeployError::Hosts { failures, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(failures.len(), if first { 1 } else { 3 });
        assert!(
            failures[0]
                .to_string()
                .contains("not healthy within 1 s: exit code 1"),
            "{failures:?}"
        );
        for host in 0..3 {
            assert_eq!(
                (kit.current(host), kit.served(host)),
                (Some(good.clone()), "1".to_owned())
            );
            kit.check_tidy(host);
        }
        let log = fs_err::read_to_string(kit.host(2).join("audit.log")).expect("log");
        let undone = log
            .lines()
            .filter(|line| line.contains("undone") && line.contains(&bad))
            .count();
        assert_eq!(undone, 1, "{log}");
    }
    let forced = kit.with(|context| unheck_deploy::release(context, Wanted::Newest, false));
    assert_eq!(forced.expect("without a check").release, bad);
}

#[test]
fn a_reload_that_fails_is_undone_and_its_words_are_told() {
    let mut kit = Kit::new();
    kit.deploy(&kit.artifact("1")).expect("deploy");
    kit.release(Wanted::Newest).expect("release");
    kit.later();
    kit.deploy(&kit.artifact("2")).expect("deploy");
    let reload = "cat current/app/version >served; test \"$(cat served)\" = 1 || { echo no such unit >&2; exit 5; }";
    kit.config.reload = Some(reload.to_owned());
    let error = kit.release(Wanted::Newest).expect_err("reload");
    let DeployError::Hosts { failures, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        failures[0]
            .to_string()
            .contains("exit code 5. no such unit"),
        "{failures:?}"
    );
    assert_eq!(kit.served(0), "1");
    kit.check_tidy(0);
}

#[test]
fn a_first_release_that_fails_leaves_nothing_released() {
    let kit = Kit::new();
    kit.deploy(&kit.changed("1", "app/health", "bad"))
        .expect("deploy");
    let error = kit.release(Wanted::Newest).expect_err("unhealthy");
    // There is nothing to reload to, and the reload command says so.
    assert_eq!(kit.current(0), None, "{error}");
    assert!(kit.release(Wanted::Previous).is_err());
}

#[test]
fn old_releases_go_with_their_files_and_the_live_one_stays() {
    let mut kit = Kit::new();
    let mut ids = Vec::new();
    for version in ["1", "2", "3", "4"] {
        ids.push(kit.deploy(&kit.artifact(version)).expect("deploy").release);
        kit.later();
        if version < "3" {
            kit.release(Wanted::Newest).expect("release");
        }
    }
    let pruned = kit
        .with(|context| unheck_deploy::prune(context, 1))
        .expect("prune");
    assert_eq!(pruned.hosts[0].removed, [ids[2].clone()]);
    assert!(pruned.hosts[0].bytes > 0);
    for (version, id) in [("1", &ids[0]), ("2", &ids[1]), ("4", &ids[3])] {
        kit.check(0, id, &kit.artifact(version));
    }
    let none = kit
        .with(|context| unheck_deploy::prune(context, 0))
        .expect("prune");
    assert_eq!(none.hosts[0].kept, [ids[0].clone(), ids[1].clone()]);
    kit.release(Wanted::Previous).expect("rollback after prune");
    kit.check_tidy(0);
    // What was swept is sent again.
    let again = kit.deploy(&kit.artifact("3")).expect("deploy");
    kit.check(0, &again.release, &kit.artifact("3"));
}

#[test]
fn files_that_changed_on_a_host_do_not_get_into_the_next_release() {
    let mut kit = Kit::new();
    let first = kit.deploy(&kit.artifact("1")).expect("deploy").release;
    kit.later();
    let write = |path: &str, text: &str| {
        let path = kit.host(0).join(path);
        let parent = path.parent().expect("parent");
        let open = |path: &std::path::Path| {
            let _ = fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755));
        };
        open(parent);
        open(&path);
        fs_err::write(&path, text).expect("file");
    };
    // A stray file, and a file that shares its bytes with a blob.
    write(&format!("releases/{first}/app/__pycache__.pyc"), "stale");
    let two = kit.artifact("2");
    let second = kit.deploy(&two).expect("deploy").release;
    kit.check(0, &second, &two);
    write(&format!("releases/{second}/usr/lib/same"), "rot!\n");
    kit.later();
    let three = kit.artifact("3");
    let third = kit.deploy(&three).expect("deploy").release;
    kit.check(0, &third, &three);
    // A release that is damaged and needed by nothing is made anew.
    let mended = kit.deploy(&two).expect("deploy");
    assert!(!mended.hosts[0].already);
    kit.check(0, &second, &two);
    kit.check_tidy(0);
}

#[test]
fn an_artifact_that_is_not_what_it_says_is_not_deployed() {
    let kit = Kit::new();
    let one = kit.artifact("1");
    for text in ["x", "longer than it was"] {
        fs_err::write(one.root.join("app/version"), text).expect("file");
        let error = kit.deploy(&one).expect_err("damaged");
        let DeployError::Hosts { failures, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), Kind::Input);
        assert!(
            failures[0]
                .to_string()
                .contains("`app/version` of the artifact is not"),
            "{failures:?}"
        );
    }
    let mut other = kit.artifact("1");
    other.machine = "sparc64".to_owned();
    let error = kit.deploy(&other).expect_err("machine");
    assert_eq!(error.kind(), Kind::Input);
    kit.deploy(&kit.artifact("1")).expect("deploy");
    kit.check_tidy(0);
}

#[test]
fn what_does_not_start_there_is_no_release() {
    let mut kit = Kit::new();
    kit.config.smoke =
        Some("test \"$(bin/web)\" = 1 || { bin/web; echo is wrong; exit 3; }".to_owned());
    kit.deploy(&kit.artifact("1")).expect("starts");
    kit.later();
    let error = kit.deploy(&kit.artifact("2")).expect_err("does not start");
    assert_eq!(error.kind(), Kind::Verdict);
    let DeployError::Hosts { failures, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        failures[0].to_string().contains("exit code 3. 2is wrong"),
        "{failures:?}"
    );
    assert_eq!(status(&kit).hosts[0].deployed.len(), 1);
    let mut broken = kit.artifact("3");
    broken.interpreter = Some(TreePath::new("usr/lib/same-run").expect("path"));
    assert_eq!(
        kit.deploy(&broken).expect_err("no program").kind(),
        Kind::Verdict
    );
}

#[test]
fn a_directory_with_strangers_is_not_taken() {
    let kit = Kit::new();
    fs_err::create_dir_all(kit.host(0)).expect("directory");
    fs_err::write(kit.host(0).join("mine"), "x").expect("file");
    let error = kit.deploy(&kit.artifact("1")).expect_err("stranger");
    let DeployError::Hosts { failures, .. } = &error else {
        panic!("{error}")
    };
    assert!(failures[0].to_string().contains("/mine"), "{failures:?}");
    assert_eq!(error.kind(), Kind::Input);
    let error = kit.release(Wanted::Newest).expect_err("nothing");
    assert_eq!(error.kind(), Kind::Input);
}

#[test]
fn a_release_must_be_on_every_host() {
    let kit = Kit::with_hosts(2);
    let one = kit.deploy(&kit.artifact("1")).expect("deploy").release;
    let place = kit.host(1).join("releases").join(&one);
    assert!(
        Command::new("rm")
            .arg("-rf")
            .arg(place)
            .status()
            .expect("rm")
            .success()
    );
    let error = kit.release(Wanted::Newest).expect_err("one lacks it");
    assert!(
        error.to_string().contains("is not deployed on host1"),
        "{error}"
    );
    assert_eq!(kit.current(0), None);
    kit.deploy(&kit.artifact("1")).expect("mends");
    kit.release(Wanted::Newest).expect("release");
}

/// Every shell and set of tools that is on this machine.
#[test]
fn any_posix_shell_will_do() {
    let tools = tempfile::tempdir().expect("tools");
    let has = |program: &str| {
        PATH.split(':')
            .any(|directory| std::path::Path::new(directory).join(program).exists())
    };
    let mut shells: Vec<(Vec<&str>, String)> = Vec::new();
    for shell in ["dash", "bash", "mksh", "ksh", "zsh"] {
        if has(shell) {
            shells.push((vec![shell], PATH.to_owned()));
        }
    }
    if has("busybox") {
        let path = tools.path().display().to_string();
        let installed = Command::new("busybox")
            .args(["--install", "-s", &path])
            .status();
        assert!(installed.expect("busybox").success());
        // Only what busybox has: no tool of the host.
        shells.push((vec!["/bin/busybox", "ash"], path));
    }
    assert!(!shells.is_empty());
    for (shell, path) in shells {
        let mut kit = Kit::new();
        kit.shell(&shell, &path);
        let told = |error: DeployError| panic!("{shell:?}: {error:?}");
        let (one, two) = (kit.artifact("1"), kit.artifact("2"));
        let first = kit.deploy(&one).unwrap_or_else(told).release;
        kit.release(Wanted::Newest)
            .unwrap_or_else(|error| panic!("{shell:?}: {error:?}"));
        kit.later();
        let second = kit
            .deploy(&two)
            .unwrap_or_else(|error| panic!("{shell:?}: {error:?}"))
            .release;
        kit.release(Wanted::Newest)
            .unwrap_or_else(|error| panic!("{shell:?}: {error:?}"));
        kit.release(Wanted::Previous)
            .unwrap_or_else(|error| panic!("{shell:?}: {error:?}"));
        kit.check(0, &first, &one);
        kit.check(0, &second, &two);
        assert_eq!(kit.served(0), "1", "{shell:?}");
        kit.with(|context| unheck_deploy::prune(context, 0))
            .unwrap_or_else(|error| panic!("{shell:?}: {error:?}"));
        kit.check_tidy(0);
        println!("{shell:?} works");
    }
}
