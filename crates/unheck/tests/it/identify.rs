//! `identify`, and what locks and builds tell of distributions.

use unheck_testkit::{About, FileOptions, WheelBuilder};

use crate::kit::{Kit, PROJECT};
use crate::schema::check;

/// A wheel without modules that only requires `of`.
fn shim(name: &str, of: &str) -> WheelBuilder {
    WheelBuilder::new(name, "0.1").requires(of)
}

#[test]
fn offline_answers_need_no_network_and_unknown_is_a_no() {
    let kit = Kit::new(PROJECT);
    let ran = kit.plain(&["identify", "BS4", "os.path", "--offline", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let value = check("identify", &ran.stdout);
    assert_eq!(value[0]["candidates"][0]["distribution"], "beautifulsoup4");
    assert_eq!(value[0]["verdict"], "certain");
    assert_eq!(value[1]["stdlib"]["module"], "os");
    let unknown = kit.plain(&["identify", "qqzzxxy", "\u{1b}[31m", "--offline"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown
            .stdout
            .starts_with("qqzzxxy → nothing that evidence supports · unknown\n")
    );
    assert!(!unknown.stdout.contains('\u{1b}'), "{:?}", unknown.stdout);
}

#[test]
fn the_index_tells_shims_from_what_is_meant() {
    let kit = Kit::new(PROJECT);
    let index = &kit.world.index;
    index.add(&shim("shimmed", "native"), FileOptions::default());
    let owners = |name: &str| About {
        owners: vec![name.to_owned()],
        summary: "words".to_owned(),
        ..About::default()
    };
    index.about("shimmed", owners("ann"));
    index.about("native", owners("ann"));
    let url = kit.world.index_url();
    let words = ["identify", "shimmed", "native", "nothing-there", "--json"];
    let ran = kit.plain(&[&words[..], &["--default-index", &url]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let value = check("identify", &ran.stdout);
    assert_eq!(value[0]["candidates"][0]["distribution"], "native");
    assert_eq!(value[0]["candidates"][0]["evidence"][0]["kind"], "redirect");
    assert_eq!(value[0]["not"][0]["warnings"][0]["kind"], "shim");
    assert_ne!(value[0]["verdict"], "certain");
    assert_eq!(value[2]["verdict"], "unknown");
}

#[test]
fn the_projects_own_lock_is_the_first_evidence() {
    let kit = Kit::new(PROJECT);
    assert_eq!(kit.run(&["lock"]).code, 0);
    let ran = kit.plain(&["identify", "native", "--offline", "--json"]);
    let value = check("identify", &ran.stdout);
    assert_eq!(
        value[0]["candidates"][0]["evidence"][0]["kind"], "locked",
        "{}",
        ran.stdout
    );
    assert_eq!(value[0]["verdict"], "certain");
}

#[test]
fn imports_are_held_against_what_is_declared() {
    let kit = Kit::new(
        "[project]\nname = \"shop\"\nversion = \"1.0\"\ndependencies = [\"native\", \"PyYAML\"]\n",
    );
    kit.write(
        "main.py",
        "import native\nimport requests\nimport json\nimport shop_part\n",
    );
    kit.write("shop_part.py", "");
    let ran = kit.plain(&["identify", "--from-code", ".", "--offline", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let value = check("identify-code", &ran.stdout);
    assert_eq!(value["undeclared"][0]["distribution"], "requests");
    assert_eq!(value["undeclared"][0]["at"], "main.py:2");
    assert_eq!(value["undeclared"].as_array().expect("a list").len(), 1);
    assert!(
        value["unused"]
            .as_array()
            .expect("a list")
            .contains(&"pyyaml".into())
    );
}

#[test]
fn a_lock_says_what_its_distributions_are_and_allow_silences() {
    let kit = Kit::new(PROJECT);
    let about = About {
        owners: vec!["ann".into()],
        summary: "does things".into(),
        status: Some(("archived".into(), "moved".into())),
        ..About::default()
    };
    kit.world.index.about("native", about);
    let locked = kit.run(&["lock", "-v"]);
    assert_eq!(locked.code, 0, "{}", locked.stderr);
    assert!(
        locked
            .stderr
            .contains("does things · owned by ann · since 2026-01-01"),
        "{}",
        locked.stderr
    );
    assert!(
        locked
            .stderr
            .contains("the index marks it as archived: moved"),
        "{}",
        locked.stderr
    );
    let text = fs_err::read_to_string(kit.project().join("pylock.unheck.toml")).expect("a lock");
    assert!(text.contains("[packages.tool.unheck]"), "{text}");
    // A build tells it from the lock alone.
    let built = kit.build(&["--offline", "-o", "a.oci.tar"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(built.stderr.contains("archived: moved"), "{}", built.stderr);
    kit.write("unheck.toml", "[allow]\n\"native:marked\" = \"it works\"\n");
    let silent = kit.build(&["--offline", "-o", "b.oci.tar"]);
    assert!(!silent.stderr.contains("archived"), "{}", silent.stderr);
    let same = |name: &str| fs_err::read(kit.project().join(name)).expect("built");
    assert!(
        same("a.oci.tar") == same("b.oci.tar"),
        "what is told changes nothing"
    );
}
