//! What goes wrong: exit code, message, causes, hints.

use crate::kit::{Kit, PROJECT};
use crate::schema::check;

/// The exit code and the text of a build of a project.
fn build(pyproject: &str, words: &[&str]) -> (i32, String) {
    let ran = Kit::new(pyproject).build(words);
    assert_eq!(ran.stdout, "", "no data when it fails");
    (ran.code, ran.stderr)
}

#[test]
fn usage_errors_are_input() {
    let kit = Kit::new(PROJECT);
    for words in [
        ["biuld"].as_slice(),
        &[],
        &["build", "--trim", "all"],
        &["build", "--locked", "--frozen"],
        &["build", "--platform", "vms"],
        &["why", "x"],
    ] {
        assert_eq!(kit.plain(words).code, 2, "{words:?}");
    }
}

#[test]
fn an_unknown_key_is_shown_with_line_and_column() {
    let (code, text) = build(
        &format!("{PROJECT}[tool.unheck]\nsiute = \"trixie\"\n"),
        &[],
    );
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("line 6") && text.contains("column 1") && text.contains("siute"),
        "{text}"
    );
}

#[test]
fn an_impossible_requirement_is_explained() {
    let (code, text) = build(&PROJECT.replace("native", "clash"), &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("hello-lib"), "{text}");
    insta::assert_snapshot!("no_solution", text);
}

#[test]
fn needs_that_nothing_serves_are_all_shown() {
    let (code, text) = build(
        &PROJECT.replace("\"native\"", "\"nowhere\", \"future\""),
        &[],
    );
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("libnowhere.so.9") && text.contains("GLIBC_2.99"),
        "{text}"
    );
    insta::assert_snapshot!("unmet", text);
}

#[test]
fn no_network_is_the_outside_world() {
    let kit = Kit::new(PROJECT);
    let ran = kit.plain(&["build", "--offline", "--json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(check("error", &ran.stdout)["error"]["exit_code"], 3);
    // Port 9 (discard) of this machine refuses connections.
    let dead = "http://127.0.0.1:9/debian";
    let ran = kit.plain(&[
        "build",
        "--mirror",
        dead,
        "--default-index",
        "http://127.0.0.1:9/simple/",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
}

#[test]
fn an_output_that_cannot_be_written_is_input() {
    let kit = Kit::new(PROJECT);
    kit.write("file", "");
    let ran = kit.build(&["-o", "file/x.oci.tar"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: choose a place"),
        "{}",
        ran.stderr
    );
}

#[test]
fn locked_wants_a_lock_that_fits() {
    let kit = Kit::new(PROJECT);
    let none = kit.build(&["--locked"]);
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("there is no lock"), "{}", none.stderr);
    assert_eq!(kit.run(&["lock"]).code, 0);
    kit.write("pyproject.toml", &PROJECT.replace("native", "demo"));
    let stale = kit.build(&["--locked"]);
    assert_eq!(stale.code, 2, "{}", stale.stderr);
    assert!(
        stale.stderr.contains("is stale") && stale.stderr.contains("hint: run `unheck lock`"),
        "{}",
        stale.stderr
    );
}

#[test]
fn an_unknown_suite_is_named() {
    let (code, text) = build(PROJECT, &["--suite", "potato"]);
    assert!([2, 3].contains(&code), "{code}: {text}");
    assert!(text.contains("potato"), "{text}");
}

#[test]
fn a_keyring_that_is_none_is_input() {
    let kit = Kit::new(PROJECT);
    let ran = kit.plain(&["build", "--keyring", "main.py"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let without = kit.plain(&["build", "--mirror", &kit.world.debian_url(), "--no-verify"]);
    assert_ne!(without.code, 0, "an untrusted signature is refused");
}
