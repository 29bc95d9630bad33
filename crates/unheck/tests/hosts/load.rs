//! The example `web`, served by uvicorn on hosts, released and rolled back under load.

use std::path::Path;

use unheck_testkit::hosts::{Host, twenty_switches};

use crate::kit::{example, text};
use crate::world::World;

/// What the page `/` of a version is.
fn edit(version: &str) -> impl FnOnce(&str) -> String {
    let page = format!(
        "\n\n@app.get(\"/\")\ndef version() -> fastapi.Response:\n    return fastapi.Response(\"{version}\")\n"
    );
    move |source| source.to_owned() + &page
}

/// docs/deploy.md has it for users.
const PATIENT: &str = r#"
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Patient(HttpToolsProtocol):
    def shutdown(self):
        if self.cycle is None:
            self.loop.call_later(1, super().shutdown)
        else:
            super().shutdown()
"#;

/// Bytes of the app's files that another version has otherwise: the release's own list of files is none of them.
fn changed(old: &Path, new: &Path) -> u64 {
    let files = fs_err::read_dir(new.join("app")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let contents = files.filter(|file| file.is_file()).map(|file| {
        let before = fs_err::read(old.join("app").join(file.file_name().unwrap()));
        (before.ok(), fs_err::read(file).unwrap())
    });
    let changed = contents.filter(|(before, now)| before.as_ref() != Some(now));
    let bytes = changed.map(|(_, now)| now.len() as u64).sum();
    assert!((1..4096).contains(&bytes), "{bytes}");
    bytes
}

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root and the network"]
fn uvicorn_loses_no_request_over_twenty_releases_and_rollbacks() {
    let world = World::new(2, |directory| {
        let project = example("web", directory);
        fs_err::write(project.join("patient.py"), PATIENT).unwrap();
        project
    });
    world.arguments(&["--fd", "3", "--http", "patient:Patient"]);
    let [one, two] = ["1", "2"].map(|version| world.build(version, "web.py", edit(version)));
    let app = changed(&one, &two);
    world.install(&one);
    let one = world.ok(&["deploy", text(&one)]);
    world.ok(&["release"]);
    world.check("1");
    let before: Vec<u64> = world.hosts.hosts.iter().map(Host::bytes).collect();
    let update = world.json(&["deploy", text(&two)]);
    let two = update["release"].as_str().unwrap().to_owned();
    for (host, before) in world.hosts.hosts.iter().zip(before) {
        let wire = host.bytes() - before;
        println!("an edit of the app: {app} bytes of it changed, {wire} bytes on the wire");
        assert!(wire <= app + (64 << 10), "{wire} for {app}");
    }
    twenty_switches(&world.hosts.hosts, |round| {
        let words: &[&str] = match round % 4 {
            0 => &["release", &two],
            1 => &["rollback"],
            2 => &["release"],
            _ => &["rollback", &one],
        };
        let report = world.json(words);
        let expected = if round % 2 == 0 {
            ("2", &two)
        } else {
            ("1", &one)
        };
        assert_eq!(report["release"], expected.1.as_str());
        world.check(expected.0);
        let hosts = report["hosts"].as_array().unwrap().iter();
        hosts
            .map(|host| host["switch_ms"].as_u64().unwrap())
            .collect()
    });
}
