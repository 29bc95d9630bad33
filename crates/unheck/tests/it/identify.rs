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

/// A wheel whose METADATA is too far from its end to be read with the list of its files.
fn long(name: &str) -> WheelBuilder {
    let mut seed = 1_u64;
    let noise = (0..60_000).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (seed >> 58) as u8)
    });
    WheelBuilder::new(name, "1.0")
        .metadata_line("Summary: told by METADATA alone")
        .description(&noise.collect::<String>())
        .requires("native")
}

/// The warnings and the summary of the only answer, and the paths that were asked for.
fn asked(kit: &Kit, label: &str) -> (serde_json::Value, Vec<String>) {
    let server = &kit.world.index.server;
    server.clear_requests();
    let url = kit.world.index_url();
    // Its own cache: what was kept from before would not be asked again.
    let cache = tempfile::tempdir().expect("a directory");
    let cache = cache.path().display().to_string();
    let words = [
        "identify",
        label,
        "--json",
        "--check",
        "--cache-dir",
        &cache,
    ];
    let ran = kit.plain(&[&words[..], &["--default-index", &url]].concat());
    let value = check("identify", &ran.stdout);
    let requests = server.requests().into_iter();
    let paths = requests.map(|request| request.path).collect();
    (value[0].clone(), paths)
}

#[test]
fn metadata_beside_a_wheel_is_read_where_an_index_offers_it() {
    let kit = Kit::new(PROJECT);
    let index = &kit.world.index;
    let shim = |name: &str| long(name);
    index.add(&shim("offered"), FileOptions::default());
    let none = FileOptions {
        no_metadata: true,
        ..FileOptions::default()
    };
    index.add(&shim("plain"), none);
    let wrong = FileOptions {
        wrong_metadata_hash: true,
        ..FileOptions::default()
    };
    index.add(&shim("lying"), wrong);
    let (answer, paths) = asked(&kit, "offered");
    assert_eq!(answer["not"][0]["warnings"][0]["kind"], "shim", "{answer}");
    assert_eq!(answer["candidates"][0]["distribution"], "native");
    let beside = |paths: &[String]| paths.iter().any(|path| path.ends_with(".whl.metadata"));
    assert!(beside(&paths) && paths.len() <= 5, "{paths:?}");
    // A plain mirror: what only METADATA says stays unknown.
    let (answer, paths) = asked(&kit, "plain");
    assert!(!beside(&paths) && paths.len() <= 5, "{paths:?}");
    assert!(!answer.to_string().contains("shim"), "{answer}");
    // What is not what the index says is not believed.
    let (answer, paths) = asked(&kit, "lying");
    assert!(beside(&paths) && paths.len() <= 5, "{paths:?}");
    assert!(!answer.to_string().contains("shim"), "{answer}");
}

#[test]
fn marks_and_attestations_of_an_index_are_told() {
    let kit = Kit::new(PROJECT);
    let index = &kit.world.index;
    for (name, says_state, word) in [
        ("marked-a", false, "archived"),
        ("marked-b", true, "quarantined"),
        ("marked-c", false, "haunted"),
    ] {
        let about = About {
            status: Some((word.to_owned(), "moved on".to_owned())),
            says_state,
            ..About::default()
        };
        let wheel = WheelBuilder::new(name, "1.0").file("marked/__init__.py", "");
        let options = FileOptions {
            provenance: Some(b"{}".to_vec()),
            ..FileOptions::default()
        };
        index.add(&wheel, options);
        index.about(name, about);
        let (answer, paths) = asked(&kit, &format!("{name}==1.0"));
        let candidate = &answer["candidates"][0];
        let text = format!("the index marks it as {word}: moved on");
        assert_eq!(candidate["warnings"][0]["text"], text, "{answer}");
        let kinds = candidate["evidence"].as_array().expect("a list").iter();
        let kinds: Vec<&str> = kinds.filter_map(|its| its["kind"].as_str()).collect();
        assert!(kinds.contains(&"attested"), "{kinds:?}");
        assert_ne!(answer["verdict"], "certain");
        assert!(paths.len() <= 5, "{paths:?}");
    }
    let (answer, _) = asked(&kit, "native==1.0");
    assert!(!answer.to_string().contains("attested"), "{answer}");
}

#[test]
fn no_label_costs_more_than_five_requests() {
    let kit = Kit::new(PROJECT);
    let index = &kit.world.index;
    index.add(&shim("shimmed", "native"), FileOptions::default());
    for name in ["a-b", "python-thing", "big-cloud-store", "native"] {
        let about = About {
            owners: vec!["ann".into()],
            ..About::default()
        };
        if name != "native" {
            let wheel = long(name).file(&format!("{}.py", name.replace('-', "_")), "");
            index.add(&wheel, FileOptions::default());
        }
        index.about(name, about);
    }
    for label in [
        "native",
        "shimmed",
        "a b",
        "a.b",
        "thing",
        "big.cloud.store",
        "big.cloud.store.deeper",
        "nothing_at_all",
        "nothing.at.all",
        "reqeusts",
        "a-b>=1",
        "yaml",
        "passlib.hash",
        "cv2",
    ] {
        let (_, paths) = asked(&kit, label);
        assert!(!paths.is_empty() && paths.len() <= 5, "{label}: {paths:?}");
    }
}

#[test]
fn an_index_in_html_and_several_indexes_are_asked_as_ever() {
    let html = unheck_testkit::Index::new()
        .add(&WheelBuilder::new("only-html", "1.0").file("only_html/__init__.py", ""))
        .html_only()
        .serve();
    let kit = Kit::new(PROJECT);
    let url = html.simple_url();
    let words = [
        "identify",
        "only-html==1.0",
        "--json",
        "--default-index",
        &url,
    ];
    let value = check("identify", &kit.plain(&words).stdout);
    assert_eq!(value[0]["candidates"][0]["distribution"], "only-html");
    let (first, second) = (html.simple_url(), kit.world.index_url());
    let words = ["identify", "native==1.0", "only-html==1.0", "--json"];
    let places = ["--index", &first, "--default-index", &second];
    let value = check(
        "identify",
        &kit.plain(&[&words[..], &places].concat()).stdout,
    );
    for at in 0..2 {
        assert_eq!(value[at]["verdict"], "certain", "{value}");
    }
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
fn owners_are_told_where_an_index_has_no_json_of_versions() {
    let kit =
        Kit::new("[project]\nname = \"shop\"\nversion = \"1.0\"\ndependencies = [\"two==1.0\"]\n");
    kit.write("main.py", "import two\n");
    let index = &kit.world.index;
    for version in ["1.0", "2.0"] {
        let wheel = WheelBuilder::new("two", version).file("two.py", "");
        index.add(&wheel, FileOptions::default());
    }
    let about = About {
        owners: vec!["ann".into()],
        summary: "does things".into(),
        open: vec!["PYSEC-1".into()],
        no_versions: true,
        ..About::default()
    };
    index.about("two", about);
    let locked = kit.run(&["lock", "-v"]);
    assert_eq!(locked.code, 0, "{}", locked.stderr);
    let told = &locked.stderr;
    assert!(
        told.contains("does things · owned by ann · since"),
        "{told}"
    );
    // What the newest version is vulnerable to says nothing of this one.
    assert!(!told.contains("PYSEC-1"), "{told}");
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
