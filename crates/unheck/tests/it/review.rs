//! `review`, on two versions of a small distribution.

use unheck_testkit::{About, FileOptions, SdistBuilder, WheelBuilder};

use crate::kit::{Kit, PROJECT, Ran};
use crate::schema::check;

const OLD: &str = "import warnings\n\n\ndef paint(wall, colour):\n    return wall\n\n\ndef scrape(wall):\n    return wall\n\n\ndef varnish(wall):\n    warnings.warn('use paint', DeprecationWarning)\n    return wall\n";
const NEW: &str =
    "def paint(wall, *, colour):\n    return wall\n\n\ndef sand(wall):\n    return wall\n";

/// A program with two lines that break and one that does not.
const APP: &str = "import wallpaint\n\nwallpaint.paint(1, 2)\nwallpaint.paint(1, colour=2)\nwallpaint.scrape(3)\n";

fn wheel(version: &str, source: &str) -> WheelBuilder {
    WheelBuilder::new("wallpaint", version).file("wallpaint/__init__.py", source)
}

fn uploaded(day: &str) -> FileOptions {
    FileOptions {
        upload_time: Some(format!("{day}T00:00:00Z")),
        ..FileOptions::default()
    }
}

fn kit() -> Kit {
    let kit = Kit::new(PROJECT);
    let index = &kit.world.index;
    index.add(&wheel("1.0", OLD), uploaded("2026-01-01"));
    index.add(
        &wheel("1.1", NEW).requires("brush>=1"),
        uploaded("2026-02-01"),
    );
    let yanked = FileOptions {
        yanked: Some("wrong colour".to_owned()),
        ..uploaded("2026-01-15")
    };
    index.add(&wheel("1.0.1", OLD), yanked);
    kit.write("code/app.py", APP);
    kit
}

fn ask(kit: &Kit, words: &[&str]) -> Ran {
    let url = kit.world.index_url();
    kit.plain(&[&["review"], words, &["--default-index", &url]].concat())
}

#[test]
fn the_step_the_changes_and_the_lines_are_told() {
    let kit = kit();
    let ran = ask(&kit, &["Wallpaint", "1.0", "1.1", "--code", "code"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    insta::assert_snapshot!("review_text", ran.stdout);
    // Everything is in the cache now.
    let again = ask(
        &kit,
        &["wallpaint", "1.0", "1.1", "--code", "code", "--offline"],
    );
    assert_eq!(
        (again.code, &again.stdout),
        (1, &ran.stdout),
        "{}",
        again.stderr
    );
}

#[test]
fn json_is_as_its_schema_says() {
    let kit = kit();
    let about = About {
        owners: vec!["ann".into()],
        open: vec!["GHSA-1".into()],
        ..About::default()
    };
    kit.world.index.about("wallpaint", about);
    let ran = ask(
        &kit,
        &["wallpaint", "1.0", "1.1", "--code", "code/app.py", "--json"],
    );
    let value = check("review", &ran.stdout);
    assert_eq!(
        (&value["dist"], &value["old"]),
        (&"wallpaint".into(), &"1.0".into())
    );
    assert_eq!(value["step"]["vulnerabilities"]["open"][0], "GHSA-1");
    let change = value["changes"]
        .as_array()
        .and_then(|changes| changes.iter().find(|one| one["api"] == "wallpaint.scrape"));
    let change = change.expect("a change of `scrape`");
    assert_eq!(change["kind"], "removed");
    assert_eq!(change["breaking"], true);
    assert_eq!(change["old"], "wallpaint/__init__.py:8");
    let uses: Vec<(&str, u64)> = value["uses"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            (
                one["file"].as_str().expect("a file"),
                one["line"].as_u64().expect("a line"),
            )
        })
        .collect();
    assert_eq!(uses, [("code/app.py", 3), ("code/app.py", 5)]);
    assert_eq!(value["required"], "major");
}

#[test]
fn other_programs_get_their_own_formats() {
    let kit = kit();
    let with = |format: &str| {
        let words = [
            "wallpaint",
            "1.0",
            "1.1",
            "--code",
            "code",
            "--format",
            format,
        ];
        ask(&kit, &words).stdout
    };
    insta::assert_snapshot!("review_github", with("github"));
    insta::assert_snapshot!("review_markdown", with("markdown"));
    let sarif: serde_json::Value = serde_json::from_str(&with("sarif")).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "code/app.py");
    assert_eq!(place["region"]["startLine"], 3);
    check("review", &with("json"));
}

#[test]
fn code_that_is_not_touched_and_equal_versions_are_no_trouble() {
    let kit = kit();
    kit.write(
        "code/app.py",
        "import wallpaint\n\nwallpaint.paint(1, colour=2)\n",
    );
    let ran = ask(&kit, &["wallpaint", "1.0", "1.1", "--code", "code"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("no line was found that breaks"),
        "{}",
        ran.stdout
    );
    let same = ask(&kit, &["wallpaint", "1.0", "1.0"]);
    assert_eq!(same.code, 0, "{}", same.stdout);
    // Without code every break of the API counts.
    let without = ask(&kit, &["wallpaint", "1.0", "1.1"]);
    assert_eq!(without.code, 1);
    let yanked = ask(&kit, &["wallpaint", "1.0", "1.0.1"]);
    assert_eq!(yanked.code, 0, "{}", yanked.stderr);
    assert!(
        yanked.stdout.contains("1.0.1: yanked: wrong colour"),
        "{}",
        yanked.stdout
    );
}

#[test]
fn what_the_old_version_announces_is_shown() {
    let kit = kit();
    kit.write(
        "code/app.py",
        "from wallpaint import varnish\n\nvarnish(1)\n",
    );
    let ran = ask(
        &kit,
        &["wallpaint", "1.0", "1.0.1", "--code", "code", "--json"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let value = check("review", &ran.stdout);
    assert_eq!(
        value["deprecated"][0]["api"], "wallpaint.varnish",
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_not_there_is_the_users_input() {
    let kit = kit();
    for (words, said) in [
        (
            ["nobody-has-this", "1", "2"],
            "the index has no distribution `nobody-has-this`",
        ),
        (["wallpaint", "1.0", "7"], "there are 1.0, 1.0.1, 1.1"),
        (
            ["wallpaint", "1.0-SNAPSHOT", "1.1"],
            "no version by PEP 440",
        ),
        (["wallpaint", "\u{1b}[31m", "1.1"], "has no version"),
    ] {
        let ran = ask(&kit, &words);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'));
    }
    let ran = ask(&kit, &["wallpaint", "1.0", "1.1", "--code", "not-there"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let offline = ask(
        &kit,
        &[
            "wallpaint",
            "1.0",
            "1.1",
            "--offline",
            "--cache-dir",
            "empty",
        ],
    );
    assert_eq!(offline.code, 3, "{}", offline.stderr);
}

#[test]
fn an_sdist_is_compared_where_there_is_no_wheel() {
    let world = unheck_testkit::World::basic();
    let world = unheck_testkit::World {
        index: world
            .index
            .clone()
            .add_sdist(&SdistBuilder::new("oldpaint", "1").file("oldpaint.py", OLD))
            .add_sdist(&SdistBuilder::new("oldpaint", "2").file("oldpaint.py", NEW)),
        ..world
    };
    let kit = Kit::of(world.serve(), PROJECT);
    let ran = ask(&kit, &["oldpaint", "1", "2", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let value = check("review", &ran.stdout);
    assert_eq!(value["compared"][0], "oldpaint-1.tar.gz");
    let changes = value["changes"].to_string();
    assert!(changes.contains("oldpaint.scrape"), "{changes}");
}

/// A locked project whose code breaks with one of its two upgrades.
fn locked() -> Kit {
    let kit = kit();
    let index = &kit.world.index;
    for version in ["1.0", "1.1"] {
        let brush = WheelBuilder::new("brush", version).file("brush.py", "def dip():\n    pass\n");
        index.add(&brush, FileOptions::default());
    }
    kit.write(
        "main.py",
        "import brush\nimport wallpaint\n\nbrush.dip()\nwallpaint.scrape(1)\n",
    );
    kit.write("code/app.py", "");
    require(&kit, "\"brush==1.0\", \"wallpaint==1.0\"");
    let ran = kit.run(&["lock"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    fs_err::copy(
        kit.project().join("pylock.unheck.toml"),
        kit.path("old.toml"),
    )
    .expect("copied");
    require(&kit, "\"brush\", \"wallpaint\"");
    kit
}

fn require(kit: &Kit, requirements: &str) {
    let project = "[project]\nname = \"shop\"\nversion = \"1.0\"\n";
    kit.write(
        "pyproject.toml",
        &format!("{project}dependencies = [{requirements}]\n"),
    );
}

fn versions(kit: &Kit) -> Vec<String> {
    let text = fs_err::read_to_string(kit.project().join("pylock.unheck.toml")).expect("a lock");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("version = "));
    lines
        .map(|version| version.trim_matches('"').to_owned())
        .take(2)
        .collect()
}

#[test]
fn every_upgrade_of_a_project_has_its_class() {
    let kit = locked();
    let ran = ask(&kit, &["."]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!("review_project", ran.stdout);
    let ran = ask(&kit, &["--json"]);
    let value = check("review-upgrades", &ran.stdout);
    let classes = value["upgrades"].as_array().expect("a list").iter();
    let classes: Vec<_> = classes
        .map(|one| (one["dist"].as_str(), one["class"].as_str()))
        .collect();
    assert_eq!(
        classes,
        [
            (Some("wallpaint"), Some("breaks")),
            (Some("brush"), Some("safe"))
        ]
    );
}

#[test]
fn a_safe_upgrade_leaves_out_what_breaks() {
    let kit = locked();
    let ran = kit.run(&["lock", "--upgrade", "--safe"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(versions(&kit), ["1.1", "1.0"], "{}", ran.stderr);
    assert!(
        ran.stderr.contains("not taken: wallpaint 1.0 → 1.1"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("main.py:5"), "{}", ran.stderr);
    // Nothing in the code stands against it any more.
    kit.write("main.py", "import wallpaint\n");
    let ran = kit.run(&["lock", "--upgrade", "--safe"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(versions(&kit), ["1.1", "1.1"], "{}", ran.stderr);
}

#[test]
fn two_locks_are_compared_for_a_pull_request() {
    let kit = locked();
    let ran = kit.run(&["lock", "--upgrade"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = ask(
        &kit,
        &["../old.toml", "pylock.unheck.toml", "--format", "github"],
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout
            .starts_with("::error file=main.py,line=5,title=wallpaint 1.0 → 1.1::"),
        "{}",
        ran.stdout
    );
    let same = ask(&kit, &["pylock.unheck.toml", "pylock.unheck.toml"]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (0, "no version differs\n")
    );
    let missing = ask(&kit, &["not-there.toml", "pylock.unheck.toml"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
}

/// The lock with a second target, which lacks the wheels whose names begin so.
fn with_second_target(kit: &Kit, lock: &str, without: &str) -> String {
    let text = fs_err::read_to_string(kit.path(lock)).expect("a lock");
    let mut lock: toml::Table = toml::from_str(&text).expect("toml");
    let targets = lock["tool"]["unheck"]["targets"]
        .as_array_mut()
        .expect("targets");
    let mut second = targets[0].clone();
    let other = match second["platform"].as_str() {
        Some("linux/amd64") => "linux/arm64",
        _ => "linux/amd64",
    };
    second["platform"] = other.into();
    let wheels = second["wheels"].as_array_mut().expect("wheels");
    if !without.is_empty() {
        wheels.retain(|wheel| !wheel.as_str().is_some_and(|name| name.starts_with(without)));
    }
    targets.push(second);
    toml::to_string(&lock).expect("toml")
}

#[test]
fn every_platform_of_a_lock_is_looked_at_and_what_is_the_same_told_once() {
    let kit = locked();
    let ran = kit.run(&["lock", "--upgrade"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let new = kit.project().join("pylock.unheck.toml");
    fs_err::copy(new, kit.path("new.toml")).expect("copied");
    kit.write("a.toml", &with_second_target(&kit, "old.toml", ""));
    kit.write("b.toml", &with_second_target(&kit, "new.toml", "brush"));
    let ran = ask(&kit, &["a.toml", "b.toml", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let value = check("review-upgrades", &ran.stdout);
    let all: Vec<(String, String, usize)> = value["upgrades"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().expect("a text").to_owned();
            let targets = one["targets"].as_array().expect("a list").len();
            (text("dist"), text("class"), targets)
        })
        .collect();
    let row = |dist: &str, class: &str, targets| (dist.to_owned(), class.to_owned(), targets);
    assert_eq!(
        all,
        [
            row("wallpaint", "breaks", 2),
            row("brush", "safe", 1),
            row("brush", "removed", 1)
        ]
    );
    assert_eq!(value["targets"].as_array().map(Vec::len), Some(2));
    let ran = ask(&kit, &["a.toml", "b.toml"]);
    assert!(
        ran.stdout.contains("wallpaint 1.0 → 1.1\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("brush 1.0 → 1.1 (on linux/"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("brush 1.0 (on linux/"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_a_locked_version_announces_is_shown_without_any_upgrade() {
    let kit = kit();
    kit.write("main.py", "from wallpaint import varnish\n\nvarnish(1)\n");
    kit.write("code/app.py", "");
    require(&kit, "\"wallpaint==1.0\"");
    assert_eq!(kit.run(&["lock"]).code, 0);
    let ran = ask(&kit, &["."]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("main.py:3  wallpaint.varnish"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("no version differs\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_cannot_be_read_is_opaque_and_fails_nothing() {
    let kit = kit();
    let index = &kit.world.index;
    for version in ["1.0", "1.1"] {
        let empty = WheelBuilder::new("hollow", version).file("hollow.txt", "nothing to import");
        index.add(&empty, FileOptions::default());
    }
    kit.write("main.py", "");
    require(&kit, "\"hollow==1.0\"");
    assert_eq!(kit.run(&["lock"]).code, 0);
    require(&kit, "\"hollow\"");
    let ran = ask(&kit, &["--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let value = check("review-upgrades", &ran.stdout);
    assert_eq!(value["upgrades"][0]["class"], "opaque", "{}", ran.stdout);
    assert_eq!(value["upgrades"][0]["why"], "no module was found in 1.0");
}

#[test]
fn a_project_without_a_lock_is_told_how_to_get_one() {
    let kit = kit();
    let ran = ask(&kit, &["."]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("unheck lock"), "{}", ran.stderr);
}

#[test]
fn a_distribution_that_keeps_its_version_counts_as_code() {
    let kit = locked();
    let stain = WheelBuilder::new("stain", "1.0").requires("wallpaint>=1");
    let stain = stain
        .file("stain.py", "from wallpaint import scrape\n")
        .file("tests/test_stain.py", "from wallpaint import varnish\n");
    kit.world.index.add(&stain, FileOptions::default());
    kit.write("main.py", "import stain\n");
    require(&kit, "\"stain\", \"wallpaint==1.0\"");
    assert_eq!(kit.run(&["lock"]).code, 0);
    require(&kit, "\"stain\", \"wallpaint\"");
    let ran = ask(&kit, &["."]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout
            .contains("stain.py:1  in stain 1.0: wallpaint.scrape"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("varnish"), "{}", ran.stdout);
    let ran = kit.run(&["lock", "--upgrade", "--safe"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("not taken: wallpaint 1.0 → 1.1"),
        "{}",
        ran.stderr
    );
}
