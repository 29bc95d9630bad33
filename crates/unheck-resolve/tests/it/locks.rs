//! Locks: written, read back, and read as other tools write them.

use unheck_resolve::{LockError, Resolution, pylock_text};
use unheck_testkit::{Index, SdistBuilder, WheelBuilder};

use crate::world::{World, aarch64, chain, pins, x86_64};

fn wheel(name: &str, version: &str) -> WheelBuilder {
    WheelBuilder::new(name, version)
}

fn world() -> World {
    let index = Index::new()
        .add(
            &wheel("app", "1.0")
                .requires("num")
                .requires("arm; platform_machine == 'aarch64'")
                .extra("x")
                .requires("opt; extra == 'x'"),
        )
        .add(&wheel("num", "2.0").tag("cp313-cp313-manylinux_2_28_x86_64"))
        .add(&wheel("num", "2.0").tag("cp313-cp313-manylinux_2_28_aarch64"))
        .add_sdist(&SdistBuilder::new("num", "2.0"))
        .add(&wheel("arm", "1.0"))
        .add(&wheel("opt", "1.0"));
    World::new(index)
        .project(
            "[project]\nname='p'\nversion='1'\nrequires-python='>=3.11'\ndependencies=['app[x]','member']\n\
             [tool.uv.sources]\nmember = { path = 'member' }\n",
        )
        .file(
            "member/pyproject.toml",
            "[project]\nname='member'\nversion='2'\ndependencies=[]\n\
             [build-system]\nrequires=['x']\nbuild-backend='y'\n",
        )
}

#[test]
fn a_written_lock_reads_back_equal_for_each_of_its_targets() {
    let world = world();
    let (intel, arm) = (
        world.resolve().unwrap(),
        world.resolve_for(&aarch64()).unwrap(),
    );
    assert_eq!(
        pins(&arm),
        "*app[x] app-1.0-py3-none-any.whl -> arm,num,opt\narm arm-1.0-py3-none-any.whl\n\
         *member directory member\nnum num-2.0-cp313-cp313-manylinux_2_28_aarch64.whl\n\
         opt opt-1.0-py3-none-any.whl"
    );
    for (name, parts) in [
        ("pylock.toml", vec![&intel]),
        ("pylock.both.toml", vec![&intel, &arm]),
    ] {
        let text = pylock_text(&parts, world.dir.path()).unwrap();
        assert_eq!(text, pylock_text(&parts, world.dir.path()).unwrap());
        assert!(!text.contains(world.dir.path().to_str().unwrap()), "{text}");
        world.write(name, &text);
        assert_eq!(world.read_lock(name).unwrap(), intel, "{text}");
    }
    let path = world.path("pylock.both.toml");
    let target = aarch64();
    let again = unheck_resolve::read_lock(&path, &world.inputs, &target, &world.options);
    assert_eq!(crate::world::run(again).unwrap(), arm);
}

#[test]
fn the_text_of_a_lock_has_the_fields_of_pep_751_in_order() {
    let world = World::new(
        Index::new()
            .add(&wheel("a", "1.0").requires("b"))
            .add(&wheel("b", "1.0")),
    )
    .ask(&["a"]);
    let text = pylock_text(&[&world.resolve().unwrap()], world.dir.path()).unwrap();
    let host = world.index.server.address();
    let digest = |name: &str, requires: &[&str]| {
        let wheel = requires
            .iter()
            .fold(wheel(name, "1.0"), |wheel, r| wheel.requires(r));
        (
            unheck_testkit::sha256_hex(&wheel.build()),
            wheel.build().len().to_string(),
        )
    };
    let (a, b) = (digest("a", &["b"]), digest("b", &[]));
    let text = text
        .replace(&host, "HOST")
        .replace(&a.0, "SHA-A")
        .replace(&b.0, "SHA-B")
        .replace(&format!("size = {}", a.1), "size = A")
        .replace(&format!("size = {}", b.1), "size = B");
    insta::assert_snapshot!(text, @r#"
    lock-version = "1.0"
    environments = [
        "implementation_name == 'cpython' and python_version == '3.13' and sys_platform == 'linux' and platform_machine == 'x86_64'",
    ]
    created-by = "unheck"

    [[packages]]
    name = "a"
    version = "1.0"
    index = "http://HOST/simple/"
    dependencies = [
        { name = "b" },
    ]
    wheels = [
        { name = "a-1.0-py3-none-any.whl", url = "http://HOST/files/a/a-1.0-py3-none-any.whl", upload-time = 2026-01-01T00:00:00Z, size = A, hashes = { sha256 = "SHA-A" } },
    ]

    [packages.tool.unheck]
    requested = true

    [[packages]]
    name = "b"
    version = "1.0"
    index = "http://HOST/simple/"
    wheels = [
        { name = "b-1.0-py3-none-any.whl", url = "http://HOST/files/b/b-1.0-py3-none-any.whl", upload-time = 2026-01-01T00:00:00Z, size = B, hashes = { sha256 = "SHA-B" } },
    ]

    [packages.tool.unheck]
    requested = false
    "#);
}

#[test]
fn a_lock_of_another_tool_is_read_with_its_markers_groups_and_hashes() {
    let sha = "a".repeat(64);
    let file = |name: &str| {
        format!(
            "wheels = [{{ name = '{name}', url = 'https://h.example/{name}', size = 3, hashes = {{ sha256 = '{sha}' }} }}]\n"
        )
    };
    let head = "lock-version = '1.0'\ncreated-by = 'other'\nextras = ['x']\ndependency-groups = ['dev']\ndefault-groups = ['main']\n";
    let lock = [
        head.to_owned(),
        "[[packages]]\nname = 'a'\nversion = '1.0'\nmarker = \"'main' in dependency_groups\"\ndependencies = [{ name = 'b' }]\n".to_owned(),
        file("a-1.0-py3-none-any.whl"),
        "[[packages]]\nname = 'b'\nversion = '1.0'\nmarker = \"sys_platform == 'linux'\"\n".to_owned(),
        file("b-1.0-py3-none-any.whl"),
        "[[packages]]\nname = 'c'\nversion = '1.0'\nmarker = \"'x' in extras or 'dev' in dependency_groups\"\n".to_owned(),
        file("c-1.0-py3-none-any.whl"),
        "[[packages]]\nname = 'g'\n[packages.vcs]\ntype = 'git'\nurl = 'https://t:k@h.example/g.git'\n".to_owned(),
        format!("commit-id = '{}'\nsubdirectory = 'sub'\n", "b".repeat(40)),
    ]
    .concat();
    let world = World::new(Index::new()).file("pylock.toml", &lock);
    let told = |world: &World| match world.read_lock("pylock.toml") {
        Ok(found) => pins(&found),
        Err(error) => chain(&error),
    };
    let git = format!("*g git {}", "b".repeat(40));
    assert_eq!(
        told(&world),
        format!("*a a-1.0-py3-none-any.whl -> b\nb b-1.0-py3-none-any.whl\n{git}")
    );
    let extra = world.extra("x");
    assert!(told(&extra).contains("*c c-1.0"));
    let unknown = extra.extra("y");
    assert!(
        told(&unknown).ends_with("it was not made with the extra `y`"),
        "{}",
        told(&unknown)
    );
}

#[test]
fn wrong_pep_751_locks_are_refused_with_the_reason() {
    let sha = "a".repeat(64);
    let head = "lock-version = '1.0'\ncreated-by = 'x'\n";
    let package = |rest: &str| format!("{head}[[packages]]\nname = 'a'\nversion = '1.0'\n{rest}\n");
    let file = |name: &str, hashes: &str| {
        format!(
            "wheels = [{{ name = '{name}', url = 'https://h.example/w', hashes = {{ {hashes} }} }}]"
        )
    };
    let good = format!("sha256 = '{sha}'");
    let deep = format!(
        "marker = \"{}os_name == 'x'{}\"",
        "(".repeat(20_000),
        ")".repeat(20_000)
    );
    let cases = [
        (
            "lock-version = '2.0'\ncreated-by='x'\npackages = []\n".to_owned(),
            "is not 1.x",
        ),
        ("x = ".to_owned(), "line 1, column 5"),
        (
            package(&file("a-1.0-py3-none-any.whl", "md5 = 'x'")),
            "has no sha256 for `a-1.0-py3-none-any.whl`",
        ),
        (
            package(&file("a-1.0-cp39-cp39-win32.whl", &good)),
            "has no wheel of `a 1.0`",
        ),
        (package(""), "needs exactly one of"),
        (package(&deep), "(limit `MAX_NESTING`)"),
        (
            format!("{head}requires-python = '<3.10'\npackages = []\n"),
            "it needs Python `<3.10`",
        ),
        (
            format!("{head}environments = [\"sys_platform == 'win32'\"]\npackages = []\n"),
            "none of its `environments`",
        ),
        (package(&file("../../a.whl", &good)), "a.whl"),
        (
            package(&format!(
                "wheels = [{{ url = 'ftp://h/w', hashes = {{ {good} }} }}]"
            )),
            "no usable `url`",
        ),
    ];
    for (lock, reason) in cases {
        let world = World::new(Index::new()).file("pylock.toml", &lock);
        let error = world.read_lock("pylock.toml").unwrap_err();
        assert!(chain(&error).contains(reason), "{}", chain(&error));
    }
}

/// As uv writes it (revision 3), for `UV_PROJECT`.
fn uv_lock() -> String {
    let sha = "a".repeat(64);
    format!(
        r#"version = 1
revision = 3
requires-python = ">=3.12"

[[package]]
name = "a"
version = "1.0"
source = {{ registry = "https://i.example/simple" }}
dependencies = [
    {{ name = "b", marker = "sys_platform == 'linux'" }},
]
wheels = [
    {{ url = "https://f.example/a-1.0-py3-none-any.whl", hash = "sha256:{sha}", size = 10, upload-time = "2025-01-02T03:04:05.678Z" }},
]

[[package]]
name = "b"
version = "2.0"
source = {{ registry = "https://i.example/simple" }}
sdist = {{ url = "https://f.example/b-2.0.tar.gz", hash = "sha256:{sha}", size = 20 }}
wheels = [
    {{ url = "https://f.example/b-2.0-cp313-cp313-manylinux_2_28_aarch64.whl", hash = "sha256:{sha}", size = 30 }},
    {{ url = "https://f.example/b-2.0-cp313-cp313-manylinux_2_28_x86_64.whl", hash = "sha256:{sha}", size = 31 }},
]

[[package]]
name = "d"
version = "1.0"
source = {{ registry = "https://i.example/simple" }}
wheels = [
    {{ url = "https://f.example/d-1.0-py3-none-any.whl", hash = "sha256:{sha}", size = 10 }},
]

[[package]]
name = "p"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "a" }},
]

[package.dev-dependencies]
dev = [
    {{ name = "d" }},
]

[package.metadata]
requires-dist = [{{ name = "a", specifier = ">=1" }}]

[package.metadata.requires-dev]
dev = [{{ name = "d" }}]
"#
    )
}

const UV_PROJECT: &str = "[project]\nname = 'p'\nversion = '0.1'\nrequires-python = '>=3.12'\ndependencies = ['a>=1']\n[dependency-groups]\ndev = ['d']\n";

fn uv_told(project: &str, lock: &str, defaults: bool) -> String {
    let world = World::new(Index::new())
        .project(project)
        .file("uv.lock", lock)
        .set(|i| i.groups.defaults = defaults);
    match world.read_lock("uv.lock") {
        Ok(found) => pins(&found),
        Err(error) => chain(&error).replace(world.dir.path().to_str().unwrap(), "DIR"),
    }
}

#[test]
fn a_uv_lock_is_read_for_the_target() {
    let expected = "*a a-1.0-py3-none-any.whl -> b\nb b-2.0-cp313-cp313-manylinux_2_28_x86_64.whl";
    assert_eq!(uv_told(UV_PROJECT, &uv_lock(), false), expected);
    let dev = uv_told(UV_PROJECT, &uv_lock(), true);
    assert_eq!(dev, format!("{expected}\n*d d-1.0-py3-none-any.whl"));
    let world = World::new(Index::new())
        .project(UV_PROJECT)
        .file("uv.lock", &uv_lock());
    let found: Resolution = world.read_lock("uv.lock").unwrap();
    let a = found.package("a").unwrap();
    assert_eq!(
        a.all_wheels[0].upload_time.as_deref(),
        Some("2025-01-02T03:04:05.678Z")
    );
    assert_eq!(
        a.all_wheels[0].index.as_deref(),
        Some("https://i.example/simple")
    );
    assert_eq!(found.package("b").unwrap().all_wheels.len(), 2);
    assert_eq!(found.target, x86_64());
    assert_eq!(
        world.index.server.requests(),
        [],
        "reading a lock asks no index"
    );
}

#[test]
fn a_stale_or_foreign_uv_lock_is_refused_with_the_difference() {
    let changed = |from: &str, to: &str| uv_told(&UV_PROJECT.replace(from, to), &uv_lock(), false);
    let stale = "the lock `DIR/uv.lock` is stale: ";
    assert_eq!(
        changed("'a>=1'", "'a>=1', 'n'"),
        format!("{stale}the requirement of `p` `n` is new")
    );
    assert_eq!(
        changed("'a>=1'", "'a>=2'"),
        format!(
            "{stale}the requirement of `p` `a>=1` is gone; the requirement of `p` `a>=2` is new"
        )
    );
    assert_eq!(
        changed("dev = ['d']", "dev = ['d', 'e']"),
        format!("{stale}the requirement of group `dev` of `p` `e` is new")
    );
    assert_eq!(
        changed("version = '0.1'", "version = '0.2'"),
        format!("{stale}the version of `p` is 0.2, locked is 0.1")
    );
    let foreign = changed("name = 'p'", "name = 'q'");
    assert!(
        foreign.starts_with(stale) && foreign.contains('q'),
        "{foreign}"
    );
}

#[test]
fn uv_locks_that_cannot_serve_the_target_are_refused() {
    let told = |from: &str, to: &str| uv_told(UV_PROJECT, &uv_lock().replace(from, to), false);
    let python = told(
        "requires-python = \">=3.12\"",
        "requires-python = \">=3.14\"",
    );
    assert!(python.contains("it is for Python `>=3.14`"), "{python}");
    let sdist = told("manylinux_2_28_x86_64", "manylinux_2_99_x86_64");
    assert!(
        sdist.contains("has no wheel of `b 2.0` for Python 3.13.5"),
        "{sdist}"
    );
    let hash = format!(", hash = \"sha256:{}\", size = 10, upload", "a".repeat(64));
    assert!(
        told(&hash, ", size = 10, upload").contains("has no sha256 for `a-1.0-py3-none-any.whl`")
    );
    assert!(told("version = 1\n", "version = 9\n").contains("cannot read the lock"));
    let deep = told("sys_platform == 'linux'", &"(".repeat(20_000));
    assert!(deep.contains("MAX_NESTING"), "{deep}");
}

#[test]
fn a_missing_lock_is_unreadable() {
    let error = World::new(Index::new())
        .read_lock("pylock.toml")
        .unwrap_err();
    assert!(matches!(error, LockError::Unreadable { .. }), "{error:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn no_mutation_of_a_lock_makes_the_readers_panic(
        at in 0usize..1500,
        length in 0usize..40,
        insert in "[\"'{}=,a-z0-9\\[\\]\n.;-]{0,12}",
    ) {
        let sha = "a".repeat(64);
        let whole = format!(
            "lock-version = '1.0'\ncreated-by = 'x'\nrequires-python = '>=3.9'\n\
             environments = [\"sys_platform == 'linux'\"]\n[[packages]]\nname = 'a'\nversion = '1.0'\n\
             marker = \"python_version > '3'\"\nindex = 'https://h.example/'\n\
             sdist = {{ name = 'a-1.0.tar.gz', path = '../a', hashes = {{ sha256 = '{sha}' }} }}\n\
             wheels = [{{ name = 'a-1.0-py3-none-any.whl', url = 'https://h.example/a', \
             upload-time = 2025-01-01T00:00:00Z, size = 3, hashes = {{ sha256 = '{sha}' }} }}]\n"
        );
        let mut text = whole.clone();
        let at = at % text.len();
        let end = (at + length).min(text.len());
        text.replace_range(at..end, &insert);
        let world = LOCKS.with(std::clone::Clone::clone);
        world.write("pylock.toml", &text);
        let _ = world.read_lock("pylock.toml");
    }
}

thread_local! {
    static LOCKS: std::rc::Rc<World> = std::rc::Rc::new(World::new(Index::new()));
}
