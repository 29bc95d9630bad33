//! Every suite that is promised gives a working image, with that suite's Python.

use crate::examples::check_hello;
use crate::kit::{build, directory, example, run};

#[track_caller]
fn check(suite: &str, python: &[&str]) {
    let directory = directory();
    let image = directory.path().join("hello.oci.tar");
    // Mirrors may lag behind, and suites past their life are not signed anew. What is refused then
    // has tests of its own, on loopback.
    let flags = ["--suite", suite, "--allow-expired-suite", suite];
    let built = build(&example("hello", directory.path()), &image, &flags);
    let version = built["platforms"][0]["python"].as_str().unwrap();
    assert!(
        python
            .iter()
            .any(|one| version.starts_with(&format!("{one}."))),
        "{suite} has {version}"
    );
    let facts = run(&image, &["--json"]).ok().json();
    check_hello(&facts);
    assert!(
        version.starts_with(facts["python"].as_str().unwrap()),
        "{version}, {facts}"
    );
}

#[test]
#[ignore = "live: Debian archive"]
fn bullseye_has_python_3_9() {
    check("bullseye", &["3.9"]);
}

#[test]
#[ignore = "live: Debian archive"]
fn bookworm_has_python_3_11() {
    check("bookworm", &["3.11"]);
}

#[test]
#[ignore = "live: Debian archive"]
fn forky_has_a_newer_python() {
    check("forky", &["3.13", "3.14", "3.15"]);
}

#[test]
#[ignore = "live: Debian archive"]
fn sid_has_a_newer_python() {
    check("sid", &["3.13", "3.14", "3.15"]);
}
