//! What is computed of a Debian release agrees with a machine that runs it.

use serde_json::Value;

use crate::kit::unheck;

fn versions<'a>(profile: &'a Value, soname: &str) -> &'a Value {
    &profile["libraries"][soname]["versions"]
}

#[test]
#[ignore = "live: Debian archive, on a machine with Debian"]
fn this_machine_agrees_with_what_is_computed_of_its_release() {
    let here = unheck(&["check", "--capture", "--json"]).ok().json();
    let here = &here["profile"];
    let name = here["name"].as_str().unwrap();
    assert!(
        name.starts_with("debian:"),
        "this machine has {name}, not Debian"
    );
    let flags = ["check", "--capture", name, "--json"];
    let computed = unheck(&flags).ok().json();
    let computed = &computed["profile"];
    assert_eq!(computed["basis"], "computed", "{computed}");
    assert_eq!(computed["name"], name);
    assert_eq!(computed["libc"]["version"], here["libc"]["version"]);
    assert_eq!(computed["installer"], here["installer"]);
    let mut compared = 0;
    for soname in [
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libm.so.6",
        "libpthread.so.0",
        "libcrypto.so.3",
        "libssl.so.3",
        "libz.so.1",
        "libstdc++.so.6",
        "libgcc_s.so.1",
    ] {
        let found = versions(here, soname);
        if found.is_array() {
            assert_eq!(versions(computed, soname), found, "{soname}");
            compared += 1;
        }
    }
    assert!(compared >= 7, "{compared} libraries were compared");
    // What shipped data says of the release is true of its packages.
    for (soname, library) in computed["libraries"].as_object().unwrap() {
        assert!(library["package"].is_string(), "{soname}");
    }
}

/// Shipped data stands in for Debian's indexes, so it must say nothing that they do not.
#[test]
#[ignore = "live: Debian archive"]
fn shipped_data_of_debian_is_true_of_its_indexes() {
    let nothing = crate::kit::directory();
    let cache = crate::kit::text(nothing.path());
    for (name, suite) in [
        ("debian:11", "bullseye"),
        ("debian:12", "bookworm"),
        ("debian:13", "trixie"),
    ] {
        let profile = |flags: &[&str], basis: &str| {
            let words = [&["check", "--capture", name, "--json"], flags].concat();
            let profile = unheck(&words).ok().json()["profile"].clone();
            assert_eq!(profile["basis"], basis, "{name}");
            profile
        };
        let computed = profile(&["--allow-expired-suite", suite], "computed");
        let shipped = profile(&["--offline", "--cache-dir", cache], "shipped");
        for field in ["libc", "kernel"] {
            assert_eq!(
                shipped[field]["version"], computed[field]["version"],
                "{name}: {field}"
            );
        }
        let gcc = |profile: &Value| profile["gcc"]["version"].as_str().unwrap().to_owned();
        assert!(gcc(&computed).starts_with(&gcc(&shipped)), "{name}: gcc");
        for (soname, library) in shipped["libraries"].as_object().unwrap() {
            let there = &computed["libraries"][soname];
            for field in ["package", "installed"] {
                assert_eq!(there[field], library[field], "{name}: {soname}: {field}");
            }
            let have = there["versions"].as_array().unwrap();
            let has = |version: String| have.contains(&version.into());
            for version in library["versions"].as_array().into_iter().flatten() {
                assert!(have.contains(version), "{name}: {soname}: {version}");
            }
            for (family, level) in library["levels"].as_object().into_iter().flatten() {
                let level = level.as_str().unwrap();
                // libxcrypt keeps the oldest version of each processor's glibc.
                let there = has(format!("{family}_{level}"))
                    || has(format!("{family}_{}", level.replace('.', "_")))
                    || (soname == "libcrypt.so.1" && family == "GLIBC");
                assert!(there, "{name}: {soname}: {family}_{level}");
            }
        }
        for soname in shipped["absent"].as_object().unwrap().keys() {
            assert!(computed["libraries"][soname].is_null(), "{name}: {soname}");
        }
    }
}

/// The answer about this machine, and what happens on it.
#[test]
#[ignore = "live: Debian archive, on a machine with Debian"]
fn what_is_said_to_run_here_starts_and_nothing_else_does() {
    let directory = crate::kit::directory();
    let here = directory.path().join("here.toml");
    let here = crate::kit::text(&here);
    unheck(&["check", "--capture", "-o", here]).ok();
    let mut answers = Vec::new();
    for suite in ["bullseye", "bookworm", "trixie"] {
        let project = crate::kit::example("hello", directory.path());
        let output = directory.path().join(suite);
        let artifact = crate::kit::text(&output);
        // What does not run here cannot be verified here either.
        let flags = [
            "--format",
            "dir",
            "--libs",
            "dynamic",
            "--suite",
            suite,
            "--allow-expired-suite",
            suite,
            "--no-verify",
        ];
        crate::kit::build(&project, &output, &flags);
        let said = unheck(&["check", artifact, "--on", here, "--json"]).json();
        let outcome = said["verdicts"][0]["outcome"].as_str().unwrap().to_owned();
        let program = output.join("bin/hello");
        let started = crate::kit::finish(crate::kit::command(crate::kit::text(&program)));
        let starts = started.code == Some(0);
        assert_eq!(outcome == "runs", starts, "{suite}: {outcome}\n{started:?}");
        if !starts {
            // The launcher names the same libraries.
            for finding in said["verdicts"][0]["findings"].as_array().unwrap() {
                let subject = finding["subject"].as_str().unwrap();
                if finding["severity"] == "error" {
                    assert!(started.stderr.contains(subject), "{subject}\n{started:?}");
                }
            }
        }
        answers.push(starts);
    }
    assert!(
        answers.contains(&true) && answers.contains(&false),
        "{answers:?}"
    );
}
