use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs_err::write(path, text).expect("file");
    }
    directory
}

const PYPROJECT: &str = "[project]\nname = 'demo'\nversion = '1'\nrequires-python = '>=3.11'\n";

fn options() -> LockOptions {
    LockOptions {
        platforms: vec![crate::platform::Platform::LinuxAmd64],
        suite: "trixie".to_owned(),
        python: None,
        provider: crate::lock::Provider::Debian,
        extras: vec![],
        groups: vec![],
        exclude_newer: None,
        indexes: vec![],
        debs: vec![],
    }
}

#[test]
fn a_directory_is_read_by_what_it_holds() {
    let cases: &[(&[(&str, &str)], Kind)] = &[
        (&[("pyproject.toml", PYPROJECT)], Kind::Pyproject),
        (
            &[("pyproject.toml", PYPROJECT), ("uv.lock", "")],
            Kind::UvLock,
        ),
        (
            &[("pyproject.toml", "[tool.ruff]"), ("requirements.txt", "a")],
            Kind::Requirements,
        ),
        (&[("pylock.toml", "")], Kind::Pylock),
    ];
    for (files, kind) in cases {
        let directory = project(files);
        assert_eq!(read(directory.path()).expect("project").kind, *kind);
    }
    let empty = project(&[("readme", "")]);
    assert!(matches!(
        read(empty.path()),
        Err(ReadProjectError::Nothing { .. })
    ));
}

#[test]
fn wrong_toml_is_refused_with_line_and_column() {
    let cases = [
        ("[project]\nname = \n", "line 2, column 8"),
        (
            "[project]\nname = 'x'\n[tool.unheck]\nsuit = 'sid'\n",
            "line 4, column 1",
        ),
        (
            "[project]\nname = 'x'\n[tool.unheck]\nplatforms = ['linux/vax']\n",
            "line 4",
        ),
    ];
    for (text, at) in cases {
        let directory = project(&[("pyproject.toml", text)]);
        let error = read(directory.path()).expect_err(text);
        let cause = std::error::Error::source(&error)
            .expect("cause")
            .to_string();
        assert!(cause.contains(at), "{cause}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    let directory = project(&[(
        "pyproject.toml",
        "[project]\nname='x'\n[tool.unheck]\nsuit='sid'\n",
    )]);
    let error = read(directory.path()).expect_err("unknown key");
    let cause = std::error::Error::source(&error)
        .expect("cause")
        .to_string();
    assert!(
        cause.contains("unknown field `suit`") && cause.contains("`suite`"),
        "{cause}"
    );
}

#[test]
fn deep_nesting_is_refused_before_any_parser_sees_it() {
    let text = format!("x = {}", "[".repeat(20_000));
    let directory = project(&[("pyproject.toml", &text)]);
    assert!(matches!(
        read(directory.path()),
        Err(ReadProjectError::TooDeep { .. })
    ));
}

#[test]
fn a_script_block_is_read_as_pep_723_says() {
    let text = "#!/usr/bin/env python\n# /// script\n# requires-python = '>=3.12'\n#\n# dependencies = ['a']\n# ///\nimport a\n";
    let directory = project(&[("tool.py", text)]);
    let script = read(&directory.path().join("tool.py")).expect("script");
    assert_eq!((script.kind, script.name.as_str()), (Kind::Script, "tool"));
    assert_eq!(script.requires_python.as_deref(), Some(">=3.12"));
    assert!(script_block("print(1)\n").is_err());
    assert!(script_block("# /// script\n# a = 1\n").is_err());
    assert!(script_block("# /// script\n# ///\n\n# /// script\n# ///\n").is_err());
}

#[test]
fn what_never_ships_stays_out_and_secrets_are_named() {
    let directory = project(&[
        ("pyproject.toml", PYPROJECT),
        ("main.py", "x"),
        ("data/a.txt", "x"),
        ("ignored.txt", "x"),
        (".gitignore", "ignored.txt\n"),
        ("__pycache__/main.pyc", "x"),
        (".git/config", "x"),
        (".env", "PASSWORD=1"),
        ("deep/id_rsa", "x"),
        ("pylock.unheck.toml", "x"),
    ]);
    let project = read(directory.path()).expect("project");
    let found = app_files(&project).expect("files");
    let names: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["data/a.txt", "main.py", "pyproject.toml"]);
    assert_eq!(found.secrets, [".env", "deep/id_rsa"]);
}

#[test]
fn exclude_and_include_are_the_users_last_word() {
    let config = format!("{PYPROJECT}[tool.unheck]\nexclude = ['data']\ninclude = ['/tests']\n");
    let directory = project(&[
        ("pyproject.toml", &config),
        ("tests/t.py", ""),
        ("data/a", ""),
    ]);
    let found = app_files(&read(directory.path()).expect("project")).expect("files");
    let names: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["pyproject.toml", "tests/t.py"]);
}

#[test]
fn what_was_built_and_recorded_is_no_part_of_the_app() {
    let directory = project(&[
        ("pyproject.toml", PYPROJECT),
        ("main.py", ""),
        ("unheck.trace", ""),
        ("unheck.sizes.toml", ""),
        ("shop.tar.zst", ""),
        ("data/shop.tar.zst", ""),
        ("built/usr/share/unheck/manifest.json", "{}"),
        ("built/bin/shop", ""),
        ("usr/share/other/manifest.json", "{}"),
    ]);
    let found = app_files(&read(directory.path()).expect("project")).expect("files");
    let names: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
    let expected = [
        "data/shop.tar.zst",
        "main.py",
        "pyproject.toml",
        "usr/share/other/manifest.json",
    ];
    assert_eq!(names, expected);
}

#[test]
fn links_out_of_the_project_and_pipes_are_refused() {
    let directory = project(&[("pyproject.toml", PYPROJECT)]);
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("leak")).expect("link");
    let project = read(directory.path()).expect("project");
    assert!(matches!(
        app_files(&project),
        Err(AppFilesError::LinkOut { .. })
    ));
    fs_err::remove_file(directory.path().join("leak")).expect("remove");
    std::os::unix::fs::symlink("../../x", directory.path().join("leak")).expect("link");
    assert!(matches!(
        app_files(&project),
        Err(AppFilesError::LinkOut { .. })
    ));
    fs_err::remove_file(directory.path().join("leak")).expect("remove");
    let _socket =
        std::os::unix::net::UnixListener::bind(directory.path().join("sock")).expect("socket");
    assert!(matches!(
        app_files(&project),
        Err(AppFilesError::Special { .. })
    ));
}

#[test]
fn the_fingerprint_sees_content_and_mode_but_no_dates() {
    let directory = project(&[("pyproject.toml", PYPROJECT), ("main.py", "1")]);
    let project = read(directory.path()).expect("project");
    let print = || app_files(&project).expect("files").fingerprint();
    let first = print();
    fs_err::write(directory.path().join("main.py"), "1").expect("write");
    assert_eq!(print(), first);
    fs_err::write(directory.path().join("main.py"), "2").expect("write");
    assert_ne!(print(), first);
}

#[test]
fn the_inputs_digest_changes_with_requirements_and_not_with_the_rest() {
    let digest = |text: &str, options: &LockOptions| {
        let directory = project(&[("pyproject.toml", text)]);
        inputs_digest(&read(directory.path()).expect("project"), options).expect("digest")
    };
    let base = digest(PYPROJECT, &options());
    assert_eq!(
        digest(&format!("{PYPROJECT}description = 'x'\n"), &options()),
        base
    );
    assert_ne!(
        digest(&format!("{PYPROJECT}dependencies = ['x']\n"), &options()),
        base
    );
    assert_ne!(
        digest(
            PYPROJECT,
            &LockOptions {
                suite: "sid".to_owned(),
                ..options()
            }
        ),
        base
    );
}

#[test]
fn included_requirements_files_count_as_inputs() {
    let digest = |constraint: &str| {
        let directory = project(&[
            ("requirements.txt", "a\n-c deep/c.txt\n"),
            ("deep/c.txt", constraint),
        ]);
        inputs_digest(&read(directory.path()).expect("project"), &options()).expect("digest")
    };
    assert_ne!(digest("a==1"), digest("a==2"));
}

#[test]
fn the_entry_is_the_only_script_or_a_usual_file() {
    let infer = |text: &str, files: &[(&str, &str)]| {
        let mut all = vec![("pyproject.toml", text)];
        all.extend(files);
        let directory = project(&all);
        Entry::infer(&read(directory.path()).expect("project")).map(|(entry, _)| entry)
    };
    let scripts = format!("{PYPROJECT}[project.scripts]\nserve = 'a:b'\n");
    assert_eq!(
        infer(&scripts, &[]),
        Ok(Entry::Script {
            name: "serve".to_owned(),
            reference: "a:b".to_owned()
        })
    );
    assert!(matches!(
        infer(&format!("{scripts}other = 'a:c'\n"), &[]),
        Err(EntryError::Several { .. })
    ));
    assert_eq!(
        infer(PYPROJECT, &[("app.py", "")]),
        Ok(Entry::File("app.py".to_owned()))
    );
    assert_eq!(infer(PYPROJECT, &[]), Err(EntryError::None));
}
