//! `unheck check`: verdicts, profiles and their JSON.

use crate::kit::{Kit, PROJECT};
use crate::schema::check;

#[test]
fn an_image_is_checked_on_targets_by_name_and_by_profile() {
    let kit = Kit::new(PROJECT);
    assert_eq!(kit.build(&["-o", "a.oci.tar"]).code, 0);
    let ran = kit.plain(&[
        "check",
        "a.oci.tar",
        "--on",
        "debian:11,alpine:3.20",
        "--offline",
    ]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            0,
            "debian:11 linux/amd64: runs\nalpine:3.20 linux/amd64: runs\n"
        ),
        "{}",
        ran.stderr
    );
    let dynamic = [
        "check",
        "a.oci.tar",
        "--libs",
        "dynamic",
        "--offline",
        "--on",
    ];
    let ran = kit.plain(&[&dynamic[..], &["alpine:3.20"]].concat());
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stdout,
        "alpine:3.20 linux/amd64: does not run: the target's libc is musl, and the artifact's interpreter and extension modules are made for glibc\n"
    );
    let ran = kit.plain(&[&dynamic[..], &["alpine:3.20,debian:12", "--json"]].concat());
    let value = check("check", &ran.stdout);
    assert_eq!((ran.code, &value["ok"]), (1, &false.into()));
    assert_eq!(value["libs"], "dynamic");
    assert_eq!(value["verdicts"][0]["outcome"], "fails");
    assert_eq!(value["verdicts"][1]["basis"], "shipped");
    // A profile is a target, and this one is of another machine.
    kit.write(
        "pi.toml",
        "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n",
    );
    let ran = kit.plain(&["check", "a.oci.tar", "--on", "pi.toml"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stdout,
        "pi.toml linux/amd64: does not run: the artifact is for amd64, the target is arm64\n"
    );
    let ran = kit.plain(&["check", "a.oci.tar", "--on", "a.oci.tar", "--json"]);
    let value = check("check", &ran.stdout);
    assert_eq!(
        value["verdicts"][0]["basis"], "captured",
        "an image is a target too"
    );
}

#[test]
fn what_is_no_target_is_the_users_input() {
    let kit = Kit::new(PROJECT);
    assert_eq!(kit.build(&["-o", "a.oci.tar"]).code, 0);
    let ran = kit.plain(&["check", "a.oci.tar", "--on", "rhel:7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr
            .contains("hint: unheck knows `rhel:8`, `rhel:9`, `rhel:10`"),
        "{}",
        ran.stderr
    );
    kit.write("bad.toml", "nothing = 1\n");
    let ran = kit.plain(&["check", "a.oci.tar", "--on", "bad.toml"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let ran = kit.plain(&["check", "nothing", "--on", "rhel:9"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let ran = kit.plain(&["check", "a.oci.tar"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn targets_are_listed_and_this_machine_is_captured() {
    let kit = Kit::new(PROJECT);
    let list = kit.plain(&["check", "--list"]).stdout;
    assert!(
        list.lines().any(|line| line.starts_with("ubi:9 ")),
        "{list}"
    );
    check(
        "check-list",
        &kit.plain(&["check", "--list", "--json"]).stdout,
    );
    let ran = kit.plain(&["check", "--capture", "-o", "here.toml", "--json"]);
    let value = check("check-capture", &ran.stdout);
    assert_eq!(value["path"], "here.toml");
    assert_eq!(value["profile"]["basis"], "captured");
    let kernel = value["profile"]["kernel"]["version"]
        .as_str()
        .unwrap_or_default();
    assert!(kernel.split('.').count() >= 2, "{kernel}");
    let file = fs_err::read_to_string(kit.project().join("here.toml")).expect("profile");
    assert_eq!(kit.plain(&["check", "--capture"]).stdout, file);
    // A directory without anything is a root without a C library.
    fs_err::create_dir(kit.path("empty")).expect("directory");
    let empty = kit.path("empty").display().to_string();
    let ran = kit.plain(&["check", "--capture", &empty]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("name = \"unknown\"") && !ran.stdout.contains("[libc]"),
        "{}",
        ran.stdout
    );
    assert_eq!(kit.plain(&["check", "--capture", "nothing"]).code, 2);
}

#[test]
fn a_promise_that_does_not_hold_ends_the_build_with_one() {
    let promise = "[tool.unheck]\nrequire = [\"debian:12\", \"pi.toml\"]\n";
    let kit = Kit::new(&format!("{PROJECT}{promise}"));
    kit.write(
        "pi.toml",
        "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n",
    );
    let ran = kit.build(&["-o", "a.oci.tar"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error[target-machine]: pi.toml"),
        "{}",
        ran.stderr
    );
    assert!(!kit.project().join("a.oci.tar").exists());
}
