//! `why`, `size`, `cache`, `completions`.

use unheck_testkit::{WheelBuilder, World};

use crate::kit::{Kit, PROJECT};
use crate::schema::check;

#[test]
fn why_leads_from_a_library_to_the_project() {
    let kit = Kit::new(PROJECT);
    let built = kit.build(&["-o", "a.oci.tar"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let zlib = kit.plain(&["why", "a.oci.tar", "hello_lib/__init__.py"]);
    assert_eq!(zlib.code, 1, "a path is whole or a name: {}", zlib.stdout);
    for name in [
        "hello-lib",
        "native",
        "libz.so.1",
        "libc6",
        "main.py",
        "libvendored-1a2b3c4d.so.1",
    ] {
        let ran = kit.plain(&["why", "a.oci.tar", name, "--json"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let value = check("why", &ran.stdout);
        assert!(
            !value["chains"].as_array().expect("chains").is_empty(),
            "{name}"
        );
    }
    let text = kit.plain(&["why", "a.oci.tar", "Hello_Lib"]);
    assert_eq!(
        text.stdout,
        "hello-lib (hello-lib 1.0)\n  ← required by native 1.0\n  ← required by shop (project)\n"
    );
    insta::assert_snapshot!(
        "why_libz",
        kit.plain(&["why", "a.oci.tar", "libz.so.1"]).stdout
    );
    let unknown = kit.plain(&["why", "a.oci.tar", "natve", "--json"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("near names: `native`"),
        "{}",
        unknown.stderr
    );
    check("error", &unknown.stdout);
    let size = kit.plain(&["size", "a.oci.tar", "--json"]);
    let value = check("size", &size.stdout);
    let origins = value["platforms"][0]["origins"]
        .as_array()
        .expect("origins");
    for wanted in ["distribution native", "deb zlib1g", "app"] {
        assert!(
            origins.iter().any(|one| one["origin"] == wanted),
            "{wanted}: {origins:?}"
        );
    }
    let text = kit.plain(&["size", "a.oci.tar"]).stdout;
    assert!(
        text.contains("layers, compressed:") && text.contains("distribution native"),
        "{text}"
    );
}

/// A world with `parts`, of which trimming leaves something out at every level.
fn with_parts() -> Kit {
    let wheel = WheelBuilder::new("parts", "1.0")
        .file("parts/__init__.py", "")
        .file("parts/never.py", "")
        .file("parts/fast.h", "int fast;\n")
        .file("parts/tests/test_a.py", "")
        .file("parts/tests/sub/test_b.py", "");
    let project = PROJECT.replace("native", "parts");
    let kit = Kit::of(World::basic().wheel(&wheel).serve(), &project);
    kit.write("main.py", "import parts\n");
    kit
}

#[test]
fn why_says_why_something_was_left_out_and_what_keeps_it() {
    let kit = with_parts();
    let site = "usr/local/lib/python3.13/dist-packages";
    for (format, output) in [
        ("image", "a.oci.tar"),
        ("dir", "d"),
        ("exe", "e"),
        ("tar", "t.tar"),
    ] {
        assert_eq!(kit.build(&["--format", format, "-o", output]).code, 0);
        let header = kit.plain(&["why", output, "fast.h"]);
        assert_eq!(
            header.stdout,
            format!(
                "fast.h ({site}/parts/fast.h)\n  left out by `--trim safe`: a header\n  keep it with `--trim none`\n"
            ),
            "{format}: {}",
            header.stderr
        );
        let ran = kit.plain(&["why", output, "parts.tests.sub", "--json"]);
        assert_eq!(ran.code, 0, "{format}: {}", ran.stderr);
        let chain = &check("why", &ran.stdout)["chains"][0];
        assert_eq!(chain["subject"]["kind"], "left-out");
        assert_eq!(chain["subject"]["file"], format!("{site}/parts/tests/"));
        let reason = "a test suite that nothing shipped imports";
        assert_eq!(
            chain["left_out"],
            serde_json::json!({"by": "trim safe", "reason": reason, "keep": "--keep parts.tests.sub"})
        );
        let there = kit.plain(&["why", output, "parts"]);
        assert!(
            there.stdout.contains("required by shop (project)"),
            "{}",
            there.stdout
        );
    }
    assert_eq!(
        kit.build(&["--keep", "parts.tests.sub", "-o", "k.oci.tar"])
            .code,
        0
    );
    let kept = kit.plain(&["why", "k.oci.tar", "parts.tests.sub.test_b"]);
    assert!(kept.stdout.contains("required by shop"), "{}", kept.stdout);
    let levels: &[&str] = &["--trim", "imports", "-o"];
    for (format, output) in [("image", "i.oci.tar"), ("dir", "i"), ("exe", "ie")] {
        let ran = kit.build(&[levels, &[output, "--format", format]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let never = kit.plain(&["why", output, "parts.never"]);
        assert_eq!(
            never.stdout,
            format!(
                "parts.never ({site}/parts/never.py)\n  left out by `--trim imports`: a module that no import path from the entry reaches\n  keep it with `--keep parts.never`\n"
            ),
            "{format}: {}",
            never.stderr
        );
    }
}

#[test]
fn size_compares_and_writes_a_page() {
    let kit = Kit::new(PROJECT);
    assert_eq!(kit.build(&["-o", "a.oci.tar"]).code, 0);
    kit.write("main.py", "import native\n");
    assert_eq!(kit.build(&["-o", "b.oci.tar"]).code, 0);
    let words = ["size", "b.oci.tar", "--against", "a.oci.tar"];
    let ran = kit.plain(&[&words[..], &["--html", "size.html", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let value = check("size", &ran.stdout);
    let platform = &value["platforms"][0];
    let sent = platform["update"]["layers"].as_array().expect("layers");
    let sent = sent.iter().filter(|one| one["transferred"] != 0);
    assert_eq!(
        sent.map(|one| &one["name"]).collect::<Vec<_>>(),
        ["app"],
        "only the app changed"
    );
    let page = fs_err::read_to_string(kit.project().join("size.html")).expect("page");
    assert!(page.starts_with("<!doctype html>") && page.contains("shop: who takes the space"));
    assert_eq!(ran.stderr, "page: size.html");
    let text = kit.plain(&words).stdout;
    for wanted in [
        "an update sends",
        "(there already)",
        "app (files: 1 changed)",
        "kinds of files, unpacked",
        "shared library",
        "`--trim safe` would leave out nothing more",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let nowhere = kit.plain(&["size", "b.oci.tar", "--html", "no/where.html"]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (2, ""));
    assert!(
        nowhere.stderr.contains("hint: choose a place"),
        "{}",
        nowhere.stderr
    );
    let other = kit.plain(&["size", "b.oci.tar", "--against", "main.py"]);
    assert_eq!(other.code, 2);
    assert!(
        other.stderr.contains("cannot look into `main.py`"),
        "{}",
        other.stderr
    );
}

#[test]
fn a_build_over_its_budget_ends_with_its_own_exit_code() {
    let kit = Kit::new(PROJECT);
    assert_eq!(kit.build(&["-o", "a.oci.tar"]).code, 0);
    kit.write(
        "pyproject.toml",
        &format!("{PROJECT}[tool.unheck.limits]\nsize = \"1 kB\"\nlayers = 1\n"),
    );
    let ran = kit.build(&["-o", "b.oci.tar", "--json"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(!kit.project().join("b.oci.tar").exists());
    let error = check("error", &ran.stdout);
    let problems = error["error"]["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 2, "{problems:?}");
    insta::assert_snapshot!("over_budget", ran.stderr);
}

#[test]
fn what_is_no_image_is_the_users_input() {
    let kit = Kit::new(PROJECT);
    for words in [
        ["why", "main.py", "x"].as_slice(),
        &["size", "main.py"],
        &["size", "nothing"],
        &["run", "nothing"],
        &["verify", "nothing"],
    ] {
        let ran = kit.plain(words);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{words:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn the_cache_tells_where_it_is_and_how_big() {
    let kit = Kit::new(PROJECT);
    let dir = kit.plain(&["cache", "dir"]);
    assert_eq!(dir.stdout, format!("{}\n", kit.path("cache").display()));
    check("cache-dir", &kit.plain(&["cache", "dir", "--json"]).stdout);
    check(
        "cache-size",
        &kit.plain(&["cache", "size", "--json"]).stdout,
    );
    check(
        "cache-prune",
        &kit.plain(&["cache", "prune", "--unused-for", "0", "--json"])
            .stdout,
    );
}

#[test]
fn completions_name_every_verb() {
    let kit = Kit::new(PROJECT);
    let script = kit.plain(&["completions", "bash"]).stdout;
    for verb in [
        "build",
        "lock",
        "run",
        "verify",
        "check",
        "why",
        "size",
        "cache",
        "completions",
    ] {
        assert!(script.contains(&format!("unheck,{verb})")), "{verb}");
    }
}
