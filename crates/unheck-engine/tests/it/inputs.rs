//! Every kind of project file, resolved or taken as locked.

use unheck_engine::lock::Lock;
use unheck_testkit::{FileOptions, WheelBuilder, World, sha256_hex};

use crate::support::*;

/// `name version` of each locked distribution.
fn pins(run: &Run) -> String {
    let lock = Lock::from_text(&run.lock_text(), "lock".as_ref()).unwrap();
    let pin = |package: &unheck_engine::lock::Package| {
        format!(
            "{} {}",
            package.name,
            package.version.as_deref().unwrap_or("-")
        )
    };
    lock.packages.iter().map(pin).collect::<Vec<_>>().join(", ")
}

fn demo(version: &str) -> (WheelBuilder, String) {
    let wheels = unheck_testkit::scenario::wheels();
    let wheel = wheels
        .into_iter()
        .find(|wheel| wheel.name() == "demo" && wheel.version() == version)
        .unwrap();
    let digest = sha256_hex(&wheel.build());
    (wheel, digest)
}

/// Name and text of files of a project.
type Files<'a> = &'a [(&'a str, &'a str)];

#[test]
fn requirements_follow_includes_constraints_markers_extras_and_hashes() {
    let hash = format!("demo==1.0 --hash=sha256:{}\n", demo("1.0").1);
    let cases: [(&str, Files<'_>, &str); 7] = [
        (
            "plain",
            &[("requirements.txt", "demo\n")],
            "demo 1.1, hello-lib 1.0",
        ),
        ("empty", &[("requirements.txt", "# nothing\n")], ""),
        (
            "include",
            &[
                ("requirements.txt", "-r more/base.txt\nopener\n"),
                ("more/base.txt", "hello-lib\n"),
            ],
            "hello-lib 1.0, opener 1.0",
        ),
        (
            "constraint",
            &[
                ("requirements.txt", "-c limits.txt\ndemo\n"),
                ("limits.txt", "demo<1.1\nopener==1.0\n"),
            ],
            "demo 1.0",
        ),
        (
            "marker",
            &[(
                "requirements.txt",
                "demo==1.0; sys_platform == 'linux'\nwin-only; sys_platform == 'win32'\n",
            )],
            "demo 1.0",
        ),
        (
            "extra",
            &[("requirements.txt", "demo[fast]\n")],
            "demo 1.1, hello-lib 1.0, native 1.0",
        ),
        ("hash", &[("requirements.txt", &hash)], "demo 1.0"),
    ];
    let fixture = Fixture::new().file("main.py", "");
    for (name, files, expected) in cases {
        for (file, text) in files {
            fixture.write(file, text);
        }
        fixture.build();
        assert_eq!(pins(&fixture.run), expected, "{name}");
        // Its versions would be kept for the next.
        fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    }
}

#[test]
fn a_change_of_a_constraint_makes_the_lock_stale() {
    let fixture = Fixture::new()
        .requirements("-c limits.txt\ndemo\n")
        .file("limits.txt", "demo<1.1\n");
    fixture.build();
    fixture.write("limits.txt", "demo>1.0\n");
    let locked = fixture.with(|run| run.mode = "locked".to_owned());
    assert!(fixture.refused(&locked).contains("is stale"));
    assert!(fixture.build().built.locked);
    assert_eq!(pins(&fixture.run), "demo 1.1, hello-lib 1.0");
}

#[test]
fn versions_of_an_older_lock_are_kept_where_they_still_fit() {
    let fixture = Fixture::new().requirements("demo<1.1\n");
    fixture.build();
    fixture.write("requirements.txt", "demo\nopener\n");
    fixture.build();
    assert_eq!(pins(&fixture.run), "demo 1.0, opener 1.0");
}

#[test]
fn pyproject_has_extras_groups_and_a_python() {
    let more = "[project.optional-dependencies]\nextra = ['opener']\n[dependency-groups]\ndev = ['hello-lib']\nall = [{include-group = 'dev'}]\n";
    let fixture = Fixture::new().pyproject(
        &["demo==1.0"],
        &format!("requires-python = '>=3.12'\n{more}"),
    );
    fixture.build();
    assert_eq!(pins(&fixture.run), "demo 1.0");
    let extra = fixture.with(|run| run.extras = vec!["extra".to_owned()]);
    fixture.built(&extra);
    assert_eq!(pins(&extra), "demo 1.0, opener 1.0");
    let group = fixture.with(|run| run.groups = vec!["all".to_owned()]);
    fixture.built(&group);
    assert_eq!(pins(&group), "demo 1.0, hello-lib 1.0");
    let wrong = fixture.with(|run| run.extras = vec!["nothing".to_owned()]);
    insta::assert_snapshot!(fixture.refused(&wrong), @r"
    Input
    cannot lock
    cannot resolve the requirements of `app` for linux/amd64
    the project has no extra `nothing` (it has: extra)
    ");
}

#[test]
fn a_script_brings_its_own_requirements_and_nothing_beside_it() {
    let text = "# /// script\n# requires-python = '>=3.12'\n# dependencies = ['demo<1.1']\n# ///\nimport demo\n";
    let fixture = Fixture::new()
        .file("tool.py", text)
        .file("other.py", "x = 1\n");
    let run = fixture.with(|run| run.project = run.project.join("tool.py"));
    let outcome = fixture.built(&run);
    assert_eq!(pins(&run), "demo 1.0");
    assert_eq!(
        outcome.built.platforms[0].entrypoint,
        ["/usr/bin/python3.13", "/app/tool.py"]
    );
    let app: Vec<String> = run
        .shipped("linux/amd64")
        .into_keys()
        .filter(|path| path.starts_with("app/"))
        .collect();
    assert_eq!(app, ["app/tool.py"]);
}

#[test]
fn a_pylock_is_taken_as_it_is() {
    let fixture = Fixture::new().file("main.py", "");
    let (wheel, digest) = demo("1.0");
    let url = fixture
        .scenario
        .index
        .server
        .url(&fixture.scenario.index.file_path(&wheel));
    let name = wheel.filename();
    let lock = |digest: &str| {
        format!(
            "lock-version = '1.0'\ncreated-by = 'hand'\n[[packages]]\nname = 'demo'\nversion = '1.0'\n\
             wheels = [{{ name = '{name}', url = '{url}', hashes = {{ sha256 = '{digest}' }} }}]\n\
             [[packages]]\nname = 'nowhere'\nversion = '1.0'\nmarker = \"sys_platform == 'win32'\"\n\
             wheels = [{{ name = 'nowhere-1.0-py3-none-any.whl', url = '{url}', hashes = {{ sha256 = '{digest}' }} }}]\n"
        )
    };
    fixture.write("pylock.toml", lock(&digest));
    fixture.build();
    assert_eq!(pins(&fixture.run), "demo 1.0");
    // Nothing was resolved: the index's pages were not read.
    assert!(
        fixture
            .scenario
            .index
            .server
            .requests()
            .iter()
            .all(|request| !request.path.starts_with("/simple"))
    );

    let other = Fixture::new()
        .file("main.py", "")
        .file("pylock.toml", lock(&"0".repeat(64)));
    insta::assert_snapshot!(fixture.redact(&other.refused(&other.run)), @r"
        Input
        cannot lock
        cannot fetch what the lock needs
        a download failed
        - cannot fetch `demo-1.0-py3-none-any.whl` from `[index]/files/demo/demo-1.0-py3-none-any.whl`
        `[index]/files/demo/demo-1.0-py3-none-any.whl` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
        cannot fetch 1 of 1 files
        hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
        ");
    other.assert_nothing_written();
}

#[test]
fn a_uv_lock_is_taken_as_it_is() {
    let fixture = Fixture::new().pyproject(&["demo"], "requires-python = '>=3.13'\n");
    let (wheel, digest) = demo("1.0");
    let registry = fixture.run.index.clone();
    let url = fixture
        .scenario
        .index
        .server
        .url(&fixture.scenario.index.file_path(&wheel));
    let lock = |digest: &str| {
        format!(
            "version = 1\nrevision = 3\nrequires-python = \">=3.13\"\n\n[[package]]\nname = \"app\"\nversion = \"1.0\"\n\
             source = {{ virtual = \".\" }}\ndependencies = [\n    {{ name = \"demo\" }},\n]\n\n[package.metadata]\n\
             requires-dist = [{{ name = \"demo\" }}]\n\n[[package]]\nname = \"demo\"\nversion = \"1.0\"\n\
             source = {{ registry = \"{registry}\" }}\nwheels = [\n    {{ url = \"{url}\", hash = \"sha256:{digest}\", size = {} }},\n]\n",
            wheel.build().len()
        )
    };
    fixture.write("uv.lock", lock(&digest));
    fixture.build();
    assert_eq!(pins(&fixture.run), "demo 1.0");
    fixture.write("uv.lock", lock(&"0".repeat(64)));
    fs_err::remove_dir_all(&fixture.run.store).unwrap();
    let text = fixture.refused(&fixture.run);
    insta::assert_snapshot!(text, @r"
    Input
    cannot lock
    cannot fetch what the lock needs
    a download failed
    - cannot fetch `demo-1.0-py3-none-any.whl` from `[index]/files/demo/demo-1.0-py3-none-any.whl`
    `[index]/files/demo/demo-1.0-py3-none-any.whl` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
    cannot fetch 1 of 1 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
}

#[test]
fn files_that_are_newer_than_allowed_do_not_exist() {
    let late = FileOptions {
        upload_time: Some("2026-03-01T00:00:00Z".to_owned()),
        ..FileOptions::default()
    };
    let world = World::basic().wheel_with(
        &WheelBuilder::new("hello-lib", "2.0").file("hello_lib/__init__.py", ""),
        late,
    );
    let fixture = Fixture::world(world).requirements("hello-lib\n");
    let before = fixture.with(|run| run.exclude_newer = Some("2026-02-01".to_owned()));
    fixture.built(&before);
    assert_eq!(pins(&before), "hello-lib 1.0");
    let fresh = fixture.with(|run| run.exclude_newer = Some("2026-04-01".to_owned()));
    fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    fixture.built(&fresh);
    assert_eq!(pins(&fresh), "hello-lib 2.0");
}

#[test]
fn a_hash_that_does_not_fit_is_refused() {
    let wrong = "0".repeat(64);
    let fixture = Fixture::new().requirements(&format!("demo==1.0 --hash=sha256:{wrong}\n"));
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    no file of `demo==1.0` has a required hash
    ");
    fixture.assert_nothing_written();
}
