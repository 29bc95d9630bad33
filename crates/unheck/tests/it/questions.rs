//! `why`, `size`, `cache`, `completions`.

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
        "why",
        "size",
        "cache",
        "completions",
    ] {
        assert!(script.contains(&format!("unheck,{verb})")), "{verb}");
    }
}
