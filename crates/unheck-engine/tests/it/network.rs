//! A network that fails, and a disk that does: healed, or told with whose fault it is.

use std::process::{Command, Stdio};

use unheck_testkit::Fault;

use crate::support::*;

fn wheel_path(fixture: &Fixture) -> String {
    let wheel = unheck_testkit::scenario::wheels()
        .into_iter()
        .find(|wheel| wheel.name() == "hello-lib")
        .unwrap();
    fixture.scenario.index.file_path(&wheel)
}

#[test]
fn what_passes_is_waited_for() {
    let faults: [(&str, Fault); 4] = [
        ("truncated", Fault::Truncate(100)),
        ("closed", Fault::Close),
        ("unavailable", Fault::Status(503)),
        ("flipped", Fault::Flip(300)),
    ];
    for (name, fault) in faults {
        let fixture = Fixture::new().requirements("hello-lib\n");
        let deb = fixture.scenario.pool_path("zlib1g", "amd64");
        fixture
            .scenario
            .index
            .server
            .fault_times(&wheel_path(&fixture), 1, fault.clone());
        fixture.scenario.mirror.fault_times(&deb, 1, fault.clone());
        fixture.scenario.mirror.fault_times(
            "/debian/dists/trixie/InRelease",
            1,
            Fault::Status(503),
        );
        let outcome = fixture.build();
        assert!(
            outcome
                .heard
                .iter()
                .any(|line| line.starts_with("retry: zlib1g")),
            "{name}: {:?}",
            outcome.heard
        );
        assert_eq!(
            leftovers(&fixture.run.store),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

/// What is said when a file of a new fixture stays broken.
fn broken(place: impl Fn(&Fixture), fixture: &Fixture) -> String {
    for name in ["store", "resolver"] {
        fs_err::remove_dir_all(fixture.path(name)).ok();
    }
    place(fixture);
    let text = fixture.refused(&fixture.run);
    fixture.assert_nothing_written();
    fixture.scenario.mirror.clear_faults();
    fixture.scenario.index.server.clear_faults();
    text
}

#[test]
fn what_stays_broken_is_the_world_s_fault() {
    let fixture = Fixture::new().requirements("hello-lib\n");
    let deb = fixture.scenario.pool_path("zlib1g", "amd64");
    let wheel = |fault: Fault| {
        broken(
            |fixture| {
                fixture
                    .scenario
                    .index
                    .server
                    .fault(&wheel_path(fixture), fault.clone())
            },
            &fixture,
        )
    };
    let mirror = |path: &str, fault: Fault| {
        broken(
            |fixture| fixture.scenario.mirror.fault(path, fault.clone()),
            &fixture,
        )
    };
    insta::assert_snapshot!(wheel(Fault::Truncate(100)), @r"
    Outside
    cannot lock
    cannot fetch what the lock needs
    a download failed
    - cannot fetch `hello_lib-1.0-py3-none-any.whl` from `[index]/files/hello-lib/hello_lib-1.0-py3-none-any.whl`
    cannot read from `[index]` (600 bytes came)
    the connection broke
    error decoding response body
    request or response body error
    error reading a body from connection
    end of file before message length reached
    cannot fetch 1 of 1 files
    hint: check the network and the addresses, then run the same command again: what arrived is kept
    ");
    insta::assert_snapshot!(wheel(Fault::Flip(300)), @r"
    Input
    cannot lock
    cannot fetch what the lock needs
    a download failed
    - cannot fetch `hello_lib-1.0-py3-none-any.whl` from `[index]/files/hello-lib/hello_lib-1.0-py3-none-any.whl`
    `[index]/files/hello-lib/hello_lib-1.0-py3-none-any.whl` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
    cannot fetch 1 of 1 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
    insta::assert_snapshot!(mirror(&deb, Fault::Status(503)), @r"
    Outside
    cannot lock
    cannot look into a Debian package
    cannot fetch Debian packages
    a download failed
    - cannot fetch `zlib1g 1:1.3.dfsg+really1.3.1-1+b1` from `[mirror]/debian/pool/main/z/zlib/zlib1g_1.3.dfsg+really1.3.1-1+b1_amd64.deb`
    cannot read from `[mirror]` (0 bytes came)
    the server answers `503 Service Unavailable`
    cannot fetch 1 of 1 files
    hint: check the network and the addresses, then run the same command again: what arrived is kept
    ");
    insta::assert_snapshot!(mirror(&deb, Fault::Endless), @r"
    Outside
    cannot lock
    cannot look into a Debian package
    cannot fetch Debian packages
    a download failed
    - cannot fetch `zlib1g 1:1.3.dfsg+really1.3.1-1+b1` from `[mirror]/debian/pool/main/z/zlib/zlib1g_1.3.dfsg+really1.3.1-1+b1_amd64.deb`
    `[mirror]/debian/pool/main/z/zlib/zlib1g_1.3.dfsg+really1.3.1-1+b1_amd64.deb` gives more than the 1664 bytes that are allowed
    cannot fetch 1 of 1 files
    hint: check the network and the addresses, then run the same command again: what arrived is kept
    ");
    insta::assert_snapshot!(mirror("/debian/dists/trixie/InRelease", Fault::Endless), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    cannot fetch the index of the suite `trixie`
    cannot read `[mirror]/debian/dists/trixie/InRelease`
    `[mirror]/debian/dists/trixie/InRelease` gives more than the 4194304 bytes that are allowed
    hint: check the network and the addresses, then run the same command again: what arrived is kept
    ");
    fixture.build();
}

#[test]
fn servers_that_are_not_there_are_named() {
    let fixture = Fixture::new().requirements("hello-lib\n");
    let closed = unheck_testkit::Server::start().url("");
    let mirror = fixture.with(|run| {
        run.debian = format!("{closed}/debian");
        run.security = None;
    });
    let hidden = |text: String| {
        text.replace(&closed, "[closed]")
            .replace(closed.trim_start_matches("http://"), "[closed]")
    };
    let text = hidden(fixture.refused(&mirror));
    insta::assert_snapshot!(text, @r"
    Outside
    cannot lock
    cannot use the Debian suite
    cannot fetch the index of the suite `trixie`
    cannot read `[closed]/debian/dists/trixie/InRelease`
    cannot read from `[closed]` (0 bytes came)
    cannot connect
    error sending request
    client error (Connect)
    tcp connect error
    Connection refused (os error 111)
    hint: check the network and the addresses, then run the same command again: what arrived is kept
    ");
    fixture.assert_nothing_written();
    let index = fixture.with(|run| run.index = format!("{closed}/simple/"));
    let text = hidden(fixture.refused(&index));
    // How long the retries took differs.
    let text: Vec<&str> = text
        .lines()
        .map(|line| line.split(" in ").next().unwrap())
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    Outside
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    cannot get what is needed from the index
    Request failed after 3 retries
    Failed to fetch: `[closed]/simple/hello-lib/`
    error sending request for url ([closed]/simple/hello-lib/)
    client error (Connect)
    tcp connect error
    Connection refused (os error 111)
    ");
    fixture.assert_nothing_written();
}

#[test]
fn offline_builds_from_what_was_fetched_and_says_what_was_not() {
    let fixture = Fixture::new().requirements("hello-lib\n");
    let offline = fixture.with(|run| run.offline = true);
    insta::assert_snapshot!(fixture.refused(&offline), @r"
    Outside
    cannot lock
    cannot use the Debian suite
    cannot fetch the index of the suite `trixie`
    a file that the store lacks cannot be fetched offline: /debian/dists/trixie/InRelease
    hint: run once without `--offline`
    ");
    fixture.assert_nothing_written();

    let online = fixture.build();
    fixture.scenario.mirror.clear_requests();
    fixture.scenario.index.server.clear_requests();
    fs_err::remove_file(&fixture.run.output).unwrap();
    assert_eq!(
        fixture.built(&offline).built.image.digest,
        online.built.image.digest
    );
    // A lock can be made again from what the caches hold.
    let lock = fixture.run.lock_text();
    fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    fixture.built(&offline);
    assert_eq!(fixture.run.lock_text(), lock);
    // Another requirement cannot be met.
    fixture.write("requirements.txt", "hello-lib\nopener\n");
    insta::assert_snapshot!(fixture.refused(&offline), @r"
    Outside
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    `offline` is set and the cache does not have everything
    Because opener was not found in the cache and you require opener, we can conclude that your requirements are unsatisfiable.
    Packages were unavailable because the network was disabled. When the network is disabled, registry packages may only be read from the cache.
    ");
    assert_eq!(fixture.run.lock_text(), lock);
    assert!(fixture.scenario.mirror.requests().is_empty());
    assert!(fixture.scenario.index.server.requests().is_empty());
    // A lock whose files are gone from the store says which.
    fixture.write("requirements.txt", "hello-lib\n");
    fs_err::remove_dir_all(fixture.run.store.join("blobs")).unwrap();
    let text = fixture.refused(&offline);
    assert!(
        text.starts_with("Outside\n") && text.contains("hello_lib-1.0-py3-none-any.whl"),
        "{text}"
    );
    assert!(
        text.contains("hint: run once without `--offline`"),
        "{text}"
    );
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let fixture = Fixture::new().requirements("");
    // A directory stands where the archive should go.
    fs_err::create_dir_all(fixture.path("taken.tar/x")).unwrap();
    let taken = fixture.with(|run| run.output = fixture.path("taken.tar"));
    insta::assert_snapshot!(fixture.refused(&taken), @r"
    Input
    cannot write the image
    cannot write the image
    cannot write the image `[dir]/taken.tar`
    is a directory
    hint: choose a place that you may write to with `--output PATH`
    ");
    // A file stands where a directory should be.
    fs_err::write(fixture.path("file"), "").unwrap();
    let below = fixture.with(|run| run.output = fixture.path("file/out.tar"));
    insta::assert_snapshot!(fixture.refused(&below), @r"
    Input
    cannot write the image
    cannot make the directory `[dir]/file`
    failed to create directory `[dir]/file`: File exists (os error 17)
    hint: choose a place that you may write to with `--output PATH`
    ");
    let proc = fixture.with(|run| run.output = "/proc/out.oci.tar".into());
    insta::assert_snapshot!(fixture.refused(&proc), @r"
    Input
    cannot write the image
    cannot write the image
    cannot write the image `/proc/out.oci.tar`
    failed to open file `/proc/.out.oci.tar.partial`: No such file or directory (os error 2)
    hint: choose a place that you may write to with `--output PATH`
    ");
    // A folder that is no layout is not emptied.
    fs_err::create_dir(fixture.path("mine.oci")).unwrap();
    fs_err::write(fixture.path("mine.oci/thesis.txt"), "x").unwrap();
    let mine = fixture.with(|run| run.output = fixture.path("mine.oci"));
    insta::assert_snapshot!(fixture.refused(&mine), @r"
    Input
    cannot write the image
    cannot write the image
    `[dir]/mine.oci` exists and is not an image layout: it has `thesis.txt`
    ");
    assert_eq!(names(&fixture.path("mine.oci")), ["thesis.txt"]);
    assert_eq!(leftovers(&fixture.run.store), Vec::<String>::new());
}

/// Run as a child process whose output's disk is full or read-only.
#[test]
fn child_that_must_not_succeed() {
    let Some(run) = child_run() else { return };
    let failure = run.build().err().unwrap();
    let limit = class(&failure);
    assert!(!run.output.exists());
    let mut text = format!("{limit:?} ");
    let mut next: Option<&dyn std::error::Error> = match &failure {
        Failure::Build(error) => Some(error),
        _ => None,
    };
    while let Some(error) = next {
        text.push_str(&format!("{error}; "));
        next = error.source();
    }
    // Into the test's own directory, which is on another disk.
    fs_err::write(run.project.with_file_name("said"), text).unwrap();
}

/// Runs the child in a namespace with a disk of its own at `place`; `None` where that is forbidden.
fn on_a_disk(run: &Run, place: &std::path::Path, options: &str) -> Option<String> {
    fs_err::create_dir_all(place).unwrap();
    let child = run.child("network::child_that_must_not_succeed");
    let mut command = Command::new("unshare");
    command.args([
        "-Urm",
        "sh",
        "-c",
        &format!("mount -t tmpfs -o {options} none \"$0\" && exec \"$@\""),
    ]);
    command
        .arg(place)
        .arg(child.get_program())
        .args(child.get_args());
    for (name, value) in child.get_envs() {
        command.env(name, value.unwrap());
    }
    let probe = Command::new("unshare")
        .args(["-Urm", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return None;
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(fs_err::read_to_string(run.project.with_file_name("said")).unwrap())
}

#[test]
fn a_full_disk_is_a_limit_and_a_read_only_one_is_named() {
    let fixture = Fixture::new().requirements("native\n");
    fixture.build();
    fs_err::remove_file(&fixture.run.output).unwrap();
    let disk = fixture.path("disk");
    let full = fixture.with(|run| run.output = disk.join("out.tar"));
    if let Some(text) = on_a_disk(&full, &disk, "size=16k,mode=755") {
        insta::assert_snapshot!(fixture.redact(&text), @"Limit cannot write the image; cannot write the image; cannot copy the blob `sha256:[sha256]` to the image; No space left on device (os error 28);");
    }
    if let Some(text) = on_a_disk(&full, &disk, "ro,mode=755") {
        insta::assert_snapshot!(fixture.redact(&text), @"Input cannot write the image; cannot write the image; cannot write the image `[dir]/disk/out.tar`; failed to open file `[dir]/disk/.out.tar.partial`: Read-only file system (os error 30);");
    }
    // The store's disk is full.
    let store = fixture.with(|run| run.store = disk.join("store"));
    if let Some(text) = on_a_disk(&store, &disk, "size=60k,mode=755") {
        insta::assert_snapshot!(fixture.redact(&text), @"Limit cannot fetch what the lock names; a download failed; cannot fetch 1 of 25 files;");
    }
    // All is well once there is room.
    fixture.build();
}

#[test]
fn an_index_is_asked_once_for_all_platforms_by_the_resolver_and_by_the_census() {
    let fixture = Fixture::new().requirements("native\n");
    let index = &fixture.scenario.index;
    for name in ["native", "hello-lib"] {
        let about = unheck_testkit::About {
            owners: vec!["ann".into()],
            ..Default::default()
        };
        index.about(name, about);
    }
    // Slow enough for the platforms to be asked for side by side.
    let slow = Fault::Slow(500, std::time::Duration::from_millis(10));
    for name in ["native", "hello-lib"] {
        index
            .server
            .fault(&format!("/simple/{name}/"), slow.clone());
        index
            .server
            .fault(&format!("/pypi/{name}/1.0/json"), slow.clone());
    }
    fixture.built(&fixture.with(|run| {
        run.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    }));
    let mut asked: Vec<String> = index
        .server
        .requests()
        .into_iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .filter(|request| !request.ends_with(".whl"))
        .collect();
    asked.sort();
    let pages = asked.iter().filter(|one| one.starts_with("GET /simple/"));
    assert_eq!(pages.count(), 2, "{asked:?}");
    let mut once = asked.clone();
    once.dedup();
    assert_eq!(asked, once);
}
