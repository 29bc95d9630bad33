//! `build` and `lock` when all goes well.

use crate::kit::{Kit, PROJECT, exists};
use crate::schema::check;

#[test]
fn build_prints_the_path_and_a_second_build_changes_nothing() {
    let kit = Kit::new(PROJECT);
    let first = kit.build(&[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.stdout, "dist/shop-1.0.oci.tar\n");
    assert!(exists(&kit.project().join("dist/shop-1.0.oci.tar")));
    assert!(exists(&kit.project().join("pylock.unheck.toml")));
    insta::assert_snapshot!("build_summary", first.stderr);
    let second = kit.build(&["--json"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let value = check("build", &second.stdout);
    assert_eq!(value["unchanged"], true);
    assert_eq!(value["locked"], false);
    let layers = value["platforms"][0]["layers"]
        .as_array()
        .expect("layers")
        .len();
    assert!(layers >= 3, "{layers}");
    // What is locked and cached needs no network, and `--frozen` no fresh lock.
    let offline = kit.build(&["--offline", "--locked", "-q"]);
    assert_eq!((offline.code, offline.stderr.as_str()), (0, ""));
}

#[test]
fn a_dry_run_writes_neither_lock_nor_image() {
    let kit = Kit::new(PROJECT);
    let ran = kit.build(&["--dry-run", "--json", "-o", "x.oci.tar"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let value = check("plan", &ran.stdout);
    assert_eq!(value["lock_is_new"], true);
    assert_eq!(value["output"], "x.oci.tar");
    assert!(!exists(&kit.project().join("pylock.unheck.toml")));
    assert!(!exists(&kit.project().join("x.oci.tar")));
}

#[test]
fn lock_says_whether_it_wrote() {
    let kit = Kit::new(PROJECT);
    let first = check("lock", &kit.run(&["lock", "--json"]).stdout);
    assert_eq!(first["changed"], true);
    let second = kit.run(&["lock", "--json"]);
    assert_eq!(
        check("lock", &second.stdout)["changed"],
        false,
        "{}",
        second.stderr
    );
    // A lock that cannot be read is written anew.
    kit.write("pylock.unheck.toml", "broken = \n");
    assert_eq!(kit.build(&[]).code, 2);
    assert_eq!(kit.run(&["lock"]).code, 0);
}
