//! The lock: other tools read its Python half, and it holds what it promises.

use std::path::Path;

use serde_json::Value;

use crate::inputs::Toolbox;
use crate::kit::{directory, example, project, run, text, unheck};

/// Name to version of what a lock's packages say.
fn packages(lock: &Path) -> std::collections::BTreeMap<String, String> {
    let lock: toml::Table = fs_err::read_to_string(lock).unwrap().parse().unwrap();
    let field = |package: &toml::Value, name: &str| package[name].as_str().unwrap().to_owned();
    let packages = lock["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (field(package, "name"), field(package, "version")))
        .collect()
}

#[test]
#[ignore = "live: index and Debian archive"]
fn pip_and_uv_install_the_python_half_of_a_lock() {
    let directory = directory();
    let web = example("web", directory.path());
    unheck(&["lock", text(&web)]).ok();
    let lock = web.join("pylock.unheck.toml");
    let expected = serde_json::to_value(packages(&lock)).unwrap();
    let toolbox = Toolbox::new(&[("lock.txt", &fs_err::read_to_string(&lock).unwrap())]);
    for tool in ["uv", "pip"] {
        let installed = toolbox.run(&["install", tool]).ok().json();
        assert_eq!(installed["installed"], expected, "{tool}");
        assert_eq!(installed["imports"], Value::Bool(true), "{tool}");
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_lock_is_kept_until_the_project_changes_and_needs_no_network() {
    let directory = directory();
    let requirements = "[project]\nname = \"small\"\nversion = \"1\"\ndependencies = [\"idna\"]\n";
    let small = project(
        &directory.path().join("small"),
        &[
            ("pyproject.toml", requirements),
            (
                "main.py",
                "import idna\n\nprint(idna.encode('köln').decode())\n",
            ),
        ],
    );
    let image = directory.path().join("small.oci.tar");
    let build = |flags: &[&str]| {
        let words = ["build", text(&small), "-o", text(&image), "--json"];
        unheck(&[&words[..], flags].concat())
    };
    let missing = build(&["--locked"]).ended(2);
    assert!(
        missing.stderr.contains("pylock.unheck.toml"),
        "{}",
        missing.stderr
    );
    let first = build(&[]).ok().json();
    assert_eq!(first["locked"], true);
    let lock = fs_err::read(small.join("pylock.unheck.toml")).unwrap();
    for flags in [
        &["--locked"][..],
        &["--frozen"],
        &["--offline"],
        &["--offline", "--locked"],
    ] {
        let again = build(flags).ok().json();
        assert_eq!(
            (&again["digest"], &again["locked"]),
            (&first["digest"], &Value::Bool(false)),
            "{flags:?}"
        );
    }
    assert_eq!(run(&image, &[]).ok().stdout.trim(), "xn--kln-sna");

    let changed = requirements.replace("\"idna\"", "\"idna\", \"certifi\"");
    fs_err::write(small.join("pyproject.toml"), changed).unwrap();
    let refused = build(&["--locked"]).ended(2);
    assert!(refused.stderr.contains("stale"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("unheck lock"),
        "it says what mends it: {}",
        refused.stderr
    );
    assert_eq!(
        build(&["--frozen"]).ok().json()["locked"],
        false,
        "taken as it is"
    );
    assert_eq!(
        fs_err::read(small.join("pylock.unheck.toml")).unwrap(),
        lock,
        "nothing wrote it"
    );
    assert_eq!(build(&[]).ok().json()["locked"], true);
    assert!(packages(&small.join("pylock.unheck.toml")).contains_key("certifi"));
    build(&["--offline", "--locked"]).ok();
}
