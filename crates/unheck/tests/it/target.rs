//! A target that is a repository: `deploy`, `release`, `rollback`, `status`, `prune` against the registry of the
//! test kit.

use std::collections::BTreeSet;

use unheck_testkit::http::{Response, Server};
use unheck_testkit::{ElfBuilder, Machine, Registry, RegistryOptions};

use crate::kit::{Kit, PROJECT, Ran};
use crate::schema::check;

/// Three images of one project, and a registry that one target names.
struct World {
    kit: Kit,
    registry: Registry,
    host: String,
}

const IMAGES: [&str; 3] = ["a.oci.tar", "b.oci.tar", "c.oci.tar"];

impl World {
    fn new(options: RegistryOptions, more: &str) -> Self {
        let registry = Registry::start(options);
        let host = registry.address();
        let kit = Kit::new(PROJECT);
        for image in IMAGES {
            kit.write(
                "main.py",
                &format!("import native\n\nprint({image:?}, native)\n"),
            );
            let built = kit.build(&["-o", image]);
            assert_eq!(built.code, 0, "{}", built.stderr);
        }
        let target = format!("[tool.unheck.targets.prod]\nregistry = \"{host}/team/shop\"\n{more}");
        kit.write("pyproject.toml", &format!("{PROJECT}{target}"));
        Self {
            kit,
            registry,
            host,
        }
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.kit
            .plain(&[words, &["--insecure-registry", &self.host]].concat())
    }

    /// The one line that a verb which works prints.
    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    /// The JSON of a verb that works, held against its schema.
    #[track_caller]
    fn json(&self, schema: &str, words: &[&str]) -> serde_json::Value {
        check(schema, &self.ok(&[words, &["--json"]].concat()))
    }

    /// Builds an image whose app has the program `probe`, which says something and ends with a code.
    fn probe(&self, image: &str, (said, code): (&str, u8), words: &[&str]) {
        let place = self.kit.project().join("probe");
        let program = ElfBuilder::new(Machine::X86_64).program(said, code).build();
        fs_err::write(&place, program).expect("file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&place, mode).expect("mode");
        let built = self.kit.build(&[&["-o", image], words].concat());
        assert_eq!(built.code, 0, "{}", built.stderr);
    }

    /// What is written down as deployed.
    fn deployed(&self) -> Option<usize> {
        let status = self.json("status", &["status"]);
        status["hosts"][0]["deployed"].as_array().map(Vec::len)
    }

    /// The releases that are written down.
    fn releases(&self) -> BTreeSet<String> {
        let status = self.json("status", &["status"]);
        let deployed = status["hosts"][0]["deployed"].as_array().expect("a list");
        let names = deployed.iter().map(|one| one["release"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    }

    /// The releases that have a tag.
    fn tagged(&self) -> BTreeSet<String> {
        let tags = self.registry.tags("team/shop");
        let ours = tags.iter().filter(|tag| tag.starts_with("live-shop"));
        ours.map(|tag| tag["live-".len()..].to_owned()).collect()
    }

    /// The release whose image a tag names.
    fn named(&self, tag: &str) -> Option<String> {
        let (_, bytes) = self.registry.manifest("team/shop", tag)?;
        let same = |other: &&String| {
            let other = self.registry.manifest("team/shop", other);
            other.is_some_and(|(_, other)| other == bytes)
        };
        let tags = self.registry.tags("team/shop");
        let release = tags.iter().filter(|tag| tag.starts_with("live-shop"));
        release
            .clone()
            .find(same)
            .map(|tag| tag["live-".len()..].to_owned())
    }

    fn live(&self) -> Option<String> {
        self.named("live")
    }
}

#[test]
fn releases_in_a_registry_come_go_and_come_back() {
    let world = World::new(RegistryOptions::default(), "");
    let nothing = world.json("status", &["status"]);
    assert_eq!(
        nothing["hosts"][0]["deployed"].as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(world.run(&["release"]).code, 2, "nothing is deployed");

    let first = world.json("deploy", &["deploy", "a.oci.tar"]);
    let a = first["release"].as_str().expect("name").to_owned();
    assert!(a.starts_with("shop-1.0-"), "{a}");
    assert_eq!(
        first["hosts"][0]["host"],
        format!("{}/team/shop", world.host)
    );
    assert_eq!(world.live(), None, "nothing serves by being deployed");
    let again = world.json("deploy", &["deploy", "a.oci.tar"]);
    assert_eq!(again["hosts"][0]["already"], true);
    assert_eq!(again["hosts"][0]["sent"], 0);

    assert_eq!(world.ok(&["release"]), a);
    assert_eq!(world.live(), Some(a.clone()));
    let b = world.ok(&["deploy", "b.oci.tar"]);
    assert_eq!(world.live(), Some(a.clone()));
    let switched = world.json("release", &["release", &b[.."shop-1.0-".len() + 6]]);
    assert_eq!(switched["hosts"][0]["before"], a.as_str());
    assert_eq!(world.live(), Some(b.clone()));
    assert_eq!(world.named("live-previous"), Some(a.clone()));

    let status = world.json("status", &["status"]);
    let host = &status["hosts"][0];
    assert_eq!(
        (&host["released"], &host["previous"]),
        (&b.as_str().into(), &a.as_str().into())
    );
    assert_eq!(host["since"]["what"], "release");
    assert_eq!(host["deployed"].as_array().map(Vec::len), Some(2));
    assert!(host["locked"].is_null() && host["unconfirmed"].is_null());
    let text = world.ok(&["status"]);
    assert!(text.contains(&format!("serves    {b}, since ")), "{text}");

    assert_eq!(world.json("release", &["rollback"])["release"], a.as_str());
    assert_eq!(world.live(), Some(a.clone()));
    assert_eq!(world.named("live-previous"), Some(b.clone()));
    assert_eq!(
        world.json("status", &["status"])["hosts"][0]["since"]["what"],
        "rollback"
    );
    let same = world.json("release", &["release", &a]);
    assert_eq!(same["hosts"][0]["already"], true);
    assert_eq!(world.ok(&["rollback", &b]), b);

    // Its image is what was pushed, with what is said about it.
    let reference = format!("{}/team/shop:live", world.host);
    let why = world.ok(&["why", &reference, "hello-lib"]);
    assert_eq!(
        why,
        world
            .kit
            .plain(&["why", "b.oci.tar", "hello-lib"])
            .stdout
            .trim_end()
    );
    let verified = world.run(&["verify", "--static", &reference]);
    assert!(
        !verified.stdout.contains("sbom-differs"),
        "{}",
        verified.stdout
    );
    let unknown = world.run(&["release", "nothing-of-that-name"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("is not deployed"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn what_was_deployed_last_is_released_though_it_was_there_before() {
    let world = World::new(RegistryOptions::default(), "");
    let [a, b, c] = IMAGES.map(|image| {
        let id = world.ok(&["deploy", image]);
        assert_eq!(world.ok(&["release"]), id, "whatever second it is");
        id
    });
    assert_eq!(world.live(), Some(c));
    // A change that is taken back has the bytes of before.
    let again = world.json("deploy", &["deploy", "a.oci.tar"]);
    assert_eq!(again["hosts"][0]["already"], true);
    assert_eq!(world.ok(&["release"]), a);
    assert_eq!(world.ok(&["rollback", &b]), b);
}

#[test]
fn old_releases_go_but_not_what_serves_served_or_has_another_tag() {
    let world = World::new(RegistryOptions::default(), "keep = 0\n");
    let [a, b, c] = IMAGES.map(|image| {
        let id = world.ok(&["deploy", image]);
        world.ok(&["release"]);
        id
    });
    assert_eq!(world.live(), Some(c.clone()));
    let tag = format!("live-{a}");
    // Somebody calls the first one 1.0 as well.
    let (media, bytes) = world
        .registry
        .manifest("team/shop", &tag)
        .expect("manifest");
    world
        .registry
        .put_manifest("team/shop", "1.0", &media, &bytes);
    let pruned = world.json("prune", &["prune"]);
    assert_eq!(pruned["hosts"][0]["removed"], serde_json::json!([a]));
    assert!(!world.registry.tags("team/shop").contains(&tag));
    assert!(world.registry.manifest("team/shop", "1.0").is_some());
    assert_eq!(
        (world.live(), world.named("live-previous")),
        (Some(c.clone()), Some(b.clone()))
    );

    world.ok(&["deploy", "a.oci.tar"]);
    world.ok(&["release", &a]);
    // Now the second is neither live nor previous, and nobody else names it.
    let pruned = world.json("prune", &["prune"]);
    assert_eq!(pruned["hosts"][0]["removed"], serde_json::json!([b]));
    assert_eq!(world.run(&["rollback", &b]).code, 2);
    assert_eq!(
        world.json("prune", &["prune"])["hosts"][0]["removed"],
        serde_json::json!([])
    );
    let left: Vec<String> = world.registry.tags("team/shop");
    let attached = left.iter().filter(|tag| tag.starts_with("sha256-")).count();
    assert_eq!(attached, 0, "the registry lists referrers itself: {left:?}");
    assert_eq!(world.ok(&["rollback"]), c);
}

#[test]
fn a_registry_that_removes_nothing_is_told_and_locks_nobody_out() {
    let options = RegistryOptions {
        delete: false,
        referrers: false,
        ..RegistryOptions::default()
    };
    let world = World::new(options, "keep = 0\n");
    for image in IMAGES {
        world.ok(&["deploy", image]);
        world.ok(&["release"]);
    }
    let pruned = world.run(&["prune"]);
    assert_eq!(pruned.code, 3);
    assert!(
        pruned.stderr.contains("removes no manifests") && pruned.stderr.contains("storage.delete"),
        "{}",
        pruned.stderr
    );
    let status = world.json("status", &["status"]);
    assert_eq!(
        status["hosts"][0]["deployed"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(status["hosts"][0]["locked"].is_null());
    world.ok(&["rollback"]);
}

// The kit builds for amd64, and what is built is run.
#[cfg(target_arch = "x86_64")]
#[test]
fn what_fails_in_the_image_does_not_count_as_deployed() {
    let options = RegistryOptions {
        referrers: false,
        ..RegistryOptions::default()
    };
    let world = World::new(options, "smoke = '/app/probe \"of it\"'\n");
    let absent = world.run(&["deploy", "a.oci.tar"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(
        absent
            .stderr
            .contains("cannot run `smoke` of `prod` in the image")
            && absent.stderr.contains("was not written down as deployed")
            && absent
                .stderr
                .contains("hint: correct `smoke` of the target"),
        "{}",
        absent.stderr
    );
    world.probe("ill.oci.tar", ("no such table", 3), &[]);
    let ill = world.run(&["deploy", "ill.oci.tar"]);
    assert_eq!(ill.code, 1, "{}", ill.stderr);
    assert!(
        ill.stderr.contains("`/app/probe of it` of `smoke` failed in the image for linux/amd64: it ended with exit code 3")
            && ill.stderr.contains("it printed: no such table"),
        "{}",
        ill.stderr
    );
    assert_eq!(world.deployed(), Some(0));
    assert_eq!(world.run(&["release"]).code, 2, "nothing is deployed");
    // Nor does a tag keep it, not even one for what is attached.
    assert!(world.registry.tags("team/shop").is_empty());

    world.probe("good.oci.tar", ("fine", 0), &[]);
    let good = world.json("deploy", &["deploy", "good.oci.tar"]);
    assert!(good["hosts"][0]["not_run"].is_null(), "{good}");
    assert_eq!(world.ok(&["release"]), good["release"]);
    // One that was deployed before is run again.
    world.ok(&["deploy", "good.oci.tar"]);

    world.probe("two.oci.tar", ("fine", 0), &["--platform", "linux/arm64"]);
    let two = world.json("deploy", &["deploy", "two.oci.tar"]);
    assert_eq!(
        two["hosts"][0]["not_run"],
        serde_json::json!(["linux/arm64/v8"])
    );
    let said = world.run(&["deploy", "two.oci.tar"]);
    assert!(
        said.stderr.contains("`smoke` was not run for linux/arm64"),
        "{}",
        said.stderr
    );
    assert_eq!(world.deployed(), Some(2));
}

/// In a user namespace in which there can be no further ones, as in a container that forbids them.
#[cfg(target_arch = "x86_64")]
#[test]
fn where_there_can_be_no_sandbox_nothing_counts_as_deployed() {
    let world = World::new(RegistryOptions::default(), "smoke = \"/app/probe\"\n");
    world.probe("good.oci.tar", ("fine", 0), &[]);
    let forbidden = |words: &[&str]| {
        let script = "echo 0 >/proc/sys/user/max_mnt_namespaces && \
                      echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
        let output = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_unheck"))
            .args(words)
            .env("UNHECK_CACHE_DIR", world.kit.path("cache"))
            .current_dir(world.kit.project())
            .output()
            .expect("unshare");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let host = ["--insecure-registry", &world.host];
    let (code, said) = forbidden(&[&["deploy", "good.oci.tar"][..], &host].concat());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("was not written down as deployed"), "{said}");
    let (code, run) = forbidden(&["run", "good.oci.tar"]);
    assert_eq!(code, Some(4), "{run}");
    // The same reason and the same advice.
    let words = |said: &str| {
        let lines = said
            .lines()
            .filter(|line| line.contains("no sandbox") || line.starts_with("hint"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(words(&run).len() >= 2, "{run}");
    assert_eq!(words(&said), words(&run));
    assert_eq!(world.deployed(), Some(0));
    world.ok(&["deploy", "good.oci.tar"]);
}

#[test]
fn what_does_not_run_where_it_must_is_not_sent() {
    let world = World::new(
        RegistryOptions::default(),
        "require = [\"debian:12\", \"pi.toml\"]\n",
    );
    let profile = |architecture: &str| {
        let text = "format = 1\nname = \"pi\"\nbasis = \"captured\"\n";
        world.kit.write(
            "pi.toml",
            &format!("{text}architecture = \"{architecture}\"\n"),
        );
    };
    profile("arm64");
    let no = world.run(&["deploy", "a.oci.tar"]);
    assert_eq!(no.code, 1, "{}", no.stderr);
    assert!(
        no.stderr.contains("cannot deploy to `prod`: pi.toml linux/amd64: does not run: the artifact is for amd64, the target is arm64; nothing was sent"),
        "{}",
        no.stderr
    );
    assert_eq!(world.registry.tags("team/shop"), Vec::<String>::new());
    profile("amd64");
    world.ok(&["deploy", "a.oci.tar"]);
    assert_eq!(world.deployed(), Some(1));
}

#[test]
fn what_does_not_run_where_it_must_is_not_sent_to_hosts() {
    let kit = Kit::new(PROJECT);
    let built = kit.build(&["--format", "dir", "-o", "tree"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let target =
        "[tool.unheck.targets.prod]\nhosts = [\"nowhere.invalid\"]\ndirectory = \"/srv/web\"\n";
    let deploy = |on: &str| {
        let text = format!("{PROJECT}{target}require = [\"{on}\"]\n");
        kit.write("pyproject.toml", &text);
        kit.plain(&["deploy", "tree"])
    };
    let profile = "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n";
    kit.write("pi.toml", profile);
    let no = deploy("pi.toml");
    assert_eq!(no.code, 1, "{}", no.stderr);
    assert!(
        no.stderr
            .contains("cannot deploy to `prod`: pi.toml linux/amd64: does not run"),
        "{}",
        no.stderr
    );
    let unknown = deploy("rhel:7");
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    // Where it runs, the host is asked for, and this one is not there.
    let yes = deploy("debian:12");
    assert_eq!(yes.code, 3, "{}", yes.stderr);
    assert!(yes.stderr.contains("nowhere.invalid"), "{}", yes.stderr);
}

#[test]
fn what_is_ill_is_undone() {
    let health = Server::start();
    health.put_response("/health", Response::status(503));
    let more = format!(
        "health = {{ url = \"{}\", deadline = 1 }}\n",
        health.url("/health")
    );
    let world = World::new(RegistryOptions::default(), &more);
    let a = world.ok(&["deploy", "a.oci.tar"]);
    let first = world.run(&["release"]);
    assert_eq!(first.code, 1);
    assert!(
        first.stderr.contains("nothing serves, as before")
            && first.stderr.contains("it was not healthy within"),
        "{}",
        first.stderr
    );
    assert_eq!(world.live(), None, "the test kit takes a tag away");

    assert_eq!(world.ok(&["release", "--no-health-check"]), a);
    let b = world.ok(&["deploy", "b.oci.tar"]);
    let ill = world.run(&["release"]);
    assert_eq!(ill.code, 1);
    assert!(
        ill.stderr.contains("what served before serves again") && ill.stderr.contains("503"),
        "{}",
        ill.stderr
    );
    assert_eq!(world.live(), Some(a));
    assert_eq!(
        world.named("live-previous"),
        None,
        "nothing served before it"
    );
    let status = world.json("status", &["status"]);
    assert!(status["hosts"][0]["locked"].is_null() && status["hosts"][0]["unconfirmed"].is_null());

    health.put("/health", b"fine".to_vec());
    assert_eq!(world.ok(&["release"]), b);
    assert_eq!(world.live(), Some(b));
}

/// The registry refuses everything from the n-th request of a verb on, for every n there is: what it has then is what
/// a program leaves that is killed there.
#[test]
fn a_release_that_ends_at_any_request_is_undone_or_done() {
    let world = World::new(RegistryOptions::default(), "");
    let a = world.ok(&["deploy", "a.oci.tar"]);
    world.ok(&["release"]);
    let b = world.ok(&["deploy", "b.oci.tar"]);
    let (mut locked, mut moved, mut ended) = (0, 0, 0);
    for requests in 0.. {
        world.registry.refuse_after(Some(requests));
        let cut = world.run(&["release", &b]);
        world.registry.refuse_after(None);
        let live = world.live().expect("something serves");
        moved += u32::from(live == b && cut.code != 0);
        let status = world.json("status", &["status"]);
        let host = &status["hosts"][0];
        let unconfirmed = host["unconfirmed"].as_str();
        if cut.code == 0 {
            assert_eq!(live, b);
        } else {
            assert!(
                [1, 3].contains(&cut.code) && !cut.stderr.contains("bug"),
                "{requests}: {}",
                cut.stderr
            );
            assert!(
                live == a || unconfirmed == Some(&a) || host["released"] == b.as_str(),
                "{requests}: {status}"
            );
        }
        if unconfirmed.is_some() {
            locked += 1;
            let second = world.run(&["rollback"]);
            assert_eq!(second.code, 2, "{requests}: {}", second.stderr);
            assert!(
                second.stderr.contains("somebody else is at it: ")
                    && second.stderr.contains("--steal-lock"),
                "{}",
                second.stderr
            );
            // The next call, whatever it is, brings back what served.
            world.ok(&["prune", "--releases", "9", "--steal-lock"]);
            assert_eq!(world.live(), Some(a.clone()), "{requests}");
            assert_ne!(world.named("live-previous"), Some(a.clone()), "{requests}");
        }
        world.ok(&["release", &b]);
        assert_eq!(world.live(), Some(b.clone()));
        let status = world.json("status", &["status"]);
        assert_eq!(status["hosts"][0]["previous"], a.as_str(), "{requests}");
        assert_eq!(world.named("live-previous"), Some(a.clone()), "{requests}");
        // As it was before, up to the previous one.
        world.ok(&["release", &a]);
        if cut.code == 0 {
            ended = requests;
            break;
        }
    }
    assert!(
        ended >= 20 && locked >= 5 && moved >= 2,
        "{ended} requests, {locked} locks, {moved} times it served"
    );
}

#[test]
fn a_deployment_that_ends_at_any_request_is_completed_by_the_next() {
    let world = World::new(RegistryOptions::default(), "");
    let a = world.ok(&["deploy", "a.oci.tar"]);
    world.ok(&["release"]);
    let mut cuts = 0;
    for requests in 0.. {
        world.registry.refuse_after(Some(requests));
        let cut = world.run(&["deploy", "b.oci.tar"]);
        world.registry.refuse_after(None);
        assert_eq!(world.live(), Some(a.clone()));
        let deployed = world.releases();
        let tagged = world.tagged();
        // What is half done does not count as deployed, and no tag names what does not count.
        assert!(tagged.is_subset(&deployed), "{requests}: {tagged:?}");
        if cut.code == 0 {
            assert_eq!((deployed.len(), tagged.len()), (2, 2));
            break;
        }
        assert_eq!(cut.code, 3, "{requests}: {}", cut.stderr);
        // The next call, whatever it is, sets the tag that lacks; another deployment is one.
        match requests % 3 {
            0 => drop(world.ok(&["prune", "--releases", "9"])),
            1 => drop(world.ok(&["release", &a])),
            _ => drop(world.ok(&["deploy", "c.oci.tar"])),
        }
        assert_eq!(world.tagged(), world.releases(), "{requests}");
        // As it was before.
        world.ok(&["prune", "--releases", "0"]);
        assert_eq!(world.tagged(), [a.clone()].into());
        cuts += 1;
    }
    assert!(cuts >= 20, "{cuts}");
    let b = world.ok(&["deploy", "b.oci.tar"]);
    assert_eq!(world.ok(&["release", &b]), b);
}

/// What is left of a deployment that ends between its record and its tag.
#[test]
fn a_release_without_its_tag_gets_it_from_the_next_call() {
    let world = World::new(RegistryOptions::default(), "");
    let a = world.ok(&["deploy", "a.oci.tar"]);
    world.ok(&["release"]);
    let b = world.ok(&["deploy", "b.oci.tar"]);
    let calls: [&[&str]; 4] = [
        &["prune"],
        &["release", &a],
        &["deploy", "b.oci.tar"],
        &["deploy", "c.oci.tar"],
    ];
    for call in calls {
        assert!(world.registry.remove_tag("team/shop", &format!("live-{b}")));
        world.ok(&["status"]);
        assert!(!world.tagged().contains(&b), "a question changes nothing");
        world.ok(call);
        assert_eq!(world.tagged(), world.releases(), "{call:?}");
        assert_eq!(world.named(&format!("live-{b}")), Some(b.clone()));
    }
}

#[test]
fn many_at_once_leave_one_release_and_a_true_record() {
    let world = World::new(RegistryOptions::default(), "");
    let [a, b] = [IMAGES[0], IMAGES[1]].map(|image| world.ok(&["deploy", image]));
    world.ok(&["release", &a]);
    for _ in 0..4 {
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let (world, a, b) = (&world, &a, &b);
            let threads = [a, b, a, b].map(|id| scope.spawn(move || world.run(&["release", id])));
            threads
                .map(|thread| thread.join().expect("thread").code)
                .to_vec()
        });
        // 2: somebody else is at it; 3: somebody came between.
        assert!(
            codes.iter().all(|code| [0, 2, 3].contains(code)),
            "{codes:?}"
        );
        let live = world.live().expect("something serves");
        assert!(live == a || live == b);
        // Whatever the race was, one call brings all to one state.
        world.ok(&["release", &b, "--steal-lock"]);
        let status = world.json("status", &["status"]);
        assert_eq!(status["released"], b.as_str());
        assert_eq!(world.live(), Some(b.clone()));
        assert!(status["hosts"][0]["locked"].is_null());
    }
}

#[test]
fn what_cannot_be_deployed_or_read_is_told() {
    let world = World::new(RegistryOptions::default(), "");
    let tree = world.run(&["deploy", "pyproject.toml"]);
    assert_eq!(tree.code, 2, "{}", tree.stderr);
    let unit = world.run(&["deploy", "a.oci.tar", "--unit"]);
    assert_eq!(unit.code, 2);
    assert!(
        unit.stderr.contains("units are for hosts"),
        "{}",
        unit.stderr
    );
    let offline = world.run(&["status", "--offline"]);
    assert_eq!(offline.code, 3, "{}", offline.stderr);
    let plain = world.kit.plain(&["status"]);
    assert_eq!(plain.code, 3, "no plain HTTP unless it is allowed");

    // An image of somebody's own under the record's tag is nobody's record.
    world.ok(&[
        "push",
        "a.oci.tar",
        &format!("{}/team/shop:live-releases", world.host),
    ]);
    let stranger = world.run(&["status"]);
    assert_eq!(stranger.code, 2);
    assert!(
        stranger.stderr.contains("was not written by unheck"),
        "{}",
        stranger.stderr
    );

    let both = world.kit.project().join("pyproject.toml");
    let text = fs_err::read_to_string(&both).expect("file") + "hosts = [\"a\"]\n";
    fs_err::write(&both, text).expect("file");
    let both = world.run(&["status"]);
    assert_eq!(both.code, 2);
    assert!(
        both.stderr.contains("`hosts` is for hosts"),
        "{}",
        both.stderr
    );
}
