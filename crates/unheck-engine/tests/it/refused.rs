//! Bad input: what is said of it, whose fault it is, and that nothing is left behind.

use unheck_testkit::{FileOptions, WheelBuilder, World};

use crate::support::*;

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let fixture = Fixture::new().pyproject(&[], "[tool.unheck]\nsuit = 'trixie'\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    `[dir]/project/pyproject.toml` is not valid
    TOML parse error at line 6, column 1
      |
    6 | suit = 'trixie'
      | ^^^^
    unknown field `suit`, expected one of `suite`, `python`, `platforms`, `standalone`, `prefix`, `entry`, `extras`, `groups`, `debs`, `include`, `exclude`, `env`, `build-env`, `builds`, `labels`, `expose`, `require`, `format`, `libs`, `trim`, `keep`, `leave-out`, `bytecode`, `compression`, `tag`, `mirrors`, `keyring`, `kit`, `attestation-root`, `allow`, `limits`, `vulnerabilities`, `osv`, `vex`, `sign-command`, `sign-public-key`, `targets`
    ");
    fixture.write(
        "pyproject.toml",
        "[project]\nname = 'app'\nversion = = '1'\n",
    );
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
        Input
        `[dir]/project/pyproject.toml` is not valid
        TOML parse error at line 3, column 11
          |
        3 | version = = '1'
          |           ^
        extra `=`, expected nothing
        ");
    assert!(!fixture.run.output.exists());
}

#[test]
fn a_wrong_requirement_is_shown_with_its_file() {
    let fixture = Fixture::new().requirements("demo\nhello-lib >== 1\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r#"
Input
cannot lock
cannot resolve the requirements of `project` for linux/amd64
cannot use `[dir]/project/requirements.txt`
Couldn't parse requirement in `[dir]/project/requirements.txt` at position 5
no such comparison operator ">==", must be one of ~= == != <= >= < > ===
hello-lib >== 1
          ^^^^^
"#);
    fixture.write("requirements.txt", "-r gone.txt\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    cannot use `[dir]/project/requirements.txt`
    Error parsing included file in `[dir]/project/requirements.txt` at position 0
    failed to read from file `[dir]/project/gone.txt`: No such file or directory (os error 2)
    ");
}

#[test]
fn requirements_without_a_solution_are_explained() {
    let fixture = Fixture::new().requirements("clash\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
Input
cannot lock
cannot resolve the requirements of `project` for linux/amd64
no solution for the requirements on Python 3.13.5 on glibc 2.41, x86_64:
Because only hello-lib==1.0 is available and all versions of clash depend on hello-lib<1, we can conclude that all versions of clash cannot be used.
And because you require clash, we can conclude that your requirements are unsatisfiable.
");
    fixture.assert_nothing_written();
    fixture.write("requirements.txt", "demo>=1.1\nhello-lib<1\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    no solution for the requirements on Python 3.13.5 on glibc 2.41, x86_64:
    Because demo>=1.1 depends on hello-lib>=1 and you require demo>=1.1, we can conclude that you require hello-lib>=1.
    And because you require hello-lib<1, we can conclude that your requirements are unsatisfiable.
    ");
    fixture.write("requirements.txt", "no-such-thing\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot resolve the requirements of `project` for linux/amd64
    no solution for the requirements on Python 3.13.5 on glibc 2.41, x86_64:
    Because no-such-thing was not found in the package registry and you require no-such-thing, we can conclude that your requirements are unsatisfiable.
    ");
    fixture.assert_nothing_written();
}

#[test]
fn a_distribution_without_a_wheel_for_the_target_is_told_with_the_tags_there_are() {
    let fixture = Fixture::new().requirements("win-only\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
Input
cannot lock
cannot resolve the requirements of `project` for linux/amd64
`win-only` 1.0 has no wheel for Python 3.13.5 on glibc 2.41, x86_64
hint: Wheels are available for `win-only` (v1.0) on the following platform: `win_amd64`
");
    fixture.write("requirements.txt", "source-only\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot compile a distribution that comes without a fitting wheel
    cannot make the build root
    cannot choose the packages of a build root
    the suite `trixie` has no package `gcc` for linux/amd64
    hint: check the name, or choose another suite with `--suite`
    ");
    fixture.assert_nothing_written();
}

#[test]
fn a_python_that_is_not_there_is_told_with_those_that_are() {
    let fixture = Fixture::new().pyproject(&[], "requires-python = '>=3.14'\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
Input
cannot lock
no interpreter fits
the project wants Python `>=3.14`, and the suite `trixie` has 3.13
hint: choose a suite that has it with `--suite` (bullseye 3.9, bookworm 3.11, trixie 3.13, forky and sid newer), or give an archive of any version: `[tool.unheck.standalone]`
");
    let fixture = Fixture::new().requirements("");
    let old = fixture.with(|run| run.python = Some("3.9".to_owned()));
    insta::assert_snapshot!(fixture.refused(&old), @r"
    Input
    cannot lock
    no interpreter fits
    the suite `trixie` has no Python 3.9 (it has 3.13)
    hint: choose a suite that has it with `--suite` (bullseye 3.9, bookworm 3.11, trixie 3.13, forky and sid newer), or give an archive of any version: `[tool.unheck.standalone]`
    ");
    fixture.assert_nothing_written();
}

#[test]
fn bytes_that_do_not_have_the_hash_of_the_index_are_refused() {
    let lying = FileOptions {
        wrong_hash: true,
        ..FileOptions::default()
    };
    let wheel = WheelBuilder::new("liar", "1.0").file("liar.py", "");
    let fixture = Fixture::world(World::basic().wheel_with(&wheel, lying)).requirements("liar\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot fetch what the lock needs
    a download failed
    - cannot fetch `liar-1.0-py3-none-any.whl` from `[index]/files/liar/liar-1.0-py3-none-any.whl`
    `[index]/files/liar/liar-1.0-py3-none-any.whl` gives a file with the digest `sha256:[sha256]`, not `sha256:[sha256]`
    cannot fetch 1 of 1 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
    fixture.assert_nothing_written();

    let lying = FileOptions {
        wrong_size: true,
        ..FileOptions::default()
    };
    let fixture = Fixture::world(World::basic().wheel_with(&wheel, lying)).requirements("liar\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    cannot fetch what the lock needs
    a download failed
    - cannot fetch `liar-1.0-py3-none-any.whl` from `[index]/files/liar/liar-1.0-py3-none-any.whl`
    `[index]/files/liar/liar-1.0-py3-none-any.whl` announces 810 bytes, not 811
    cannot fetch 1 of 1 files
    hint: the file is not the one that was locked or listed: find out who changed it before you trust it, then `unheck lock`
    ");
    fixture.assert_nothing_written();
}

#[test]
fn a_wheel_without_a_hash_is_pinned_when_it_is_seen() {
    let silent = FileOptions {
        no_hash: true,
        ..FileOptions::default()
    };
    let wheel = WheelBuilder::new("silent", "1.0").file("silent.py", "");
    let fixture =
        Fixture::world(World::basic().wheel_with(&wheel, silent)).requirements("silent\n");
    fixture.build();
    let digest = unheck_testkit::sha256_hex(&wheel.build());
    assert!(fixture.run.lock_text().contains(&digest));
}

#[test]
fn a_stale_or_missing_lock_stops_those_who_want_one() {
    let fixture = Fixture::new().requirements("demo<1.1\n");
    let locked = fixture.with(|run| run.mode = "locked".to_owned());
    let frozen = fixture.with(|run| run.mode = "frozen".to_owned());
    insta::assert_snapshot!(fixture.refused(&frozen), @r"
    Input
    there is no lock `[dir]/project/pylock.unheck.toml`
    hint: run `unheck lock`, or leave `--locked` and `--frozen` out
    ");
    insta::assert_snapshot!(fixture.refused(&locked), @r"
    Input
    there is no lock `[dir]/project/pylock.unheck.toml`
    hint: run `unheck lock`, or leave `--locked` and `--frozen` out
    ");
    fixture.assert_nothing_written();

    let first = fixture.build();
    fs_err::remove_file(&fixture.run.output).unwrap();
    assert_eq!(
        fixture.built(&locked).built.image.digest,
        first.built.image.digest
    );
    fixture.write("requirements.txt", "demo\n");
    let before = fixture.run.lock_text();
    insta::assert_snapshot!(fixture.refused(&locked), @r"
    Input
    the lock `[dir]/project/pylock.unheck.toml` is stale: the requirements or options changed
    hint: run `unheck lock`, or leave `--locked` and `--frozen` out
    ");
    assert_eq!(fixture.run.lock_text(), before);
    // Frozen: the lock is taken although the requirements changed.
    fixture.built(&frozen);
    assert_eq!(fixture.run.lock_text(), before);
    assert!(
        fixture
            .run
            .shipped("linux/amd64")
            .contains_key("usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/RECORD")
    );
}

#[test]
fn a_lock_of_another_platform_is_stale_and_when_frozen_refused() {
    let fixture = Fixture::new().requirements("");
    fixture.build();
    let arm = |mode: &str| {
        fixture.with(|run| {
            run.platforms = vec!["linux/arm64".to_owned()];
            run.mode = mode.to_owned();
        })
    };
    assert!(fixture.refused(&arm("locked")).contains("is stale"));
    insta::assert_snapshot!(fixture.refused(&arm("frozen")), @r"
    Input
    the lock `[dir]/project/pylock.unheck.toml` is stale: it is not for the platform that is asked for
    hint: run `unheck lock`, or leave `--locked` and `--frozen` out
    ");
}

#[test]
fn a_lock_of_the_future_or_a_broken_one_is_no_excuse_to_write_over_it() {
    let fixture = Fixture::new().requirements("");
    fixture.build();
    let lock = fixture.run.project.join("pylock.unheck.toml");
    let good = fixture.run.lock_text();
    for (from, to, expected) in [
        (
            "format = 1",
            "format = 99\nwonder = true",
            "has format 99, this unheck reads up to 1",
        ),
        ("format = 1", "format = ", "is not one that unheck wrote"),
        (
            "format = 1",
            "format = 1\nfoo = 1",
            "is not one that unheck wrote",
        ),
        (
            &good.clone(),
            "<<<<<<< HEAD\n",
            "is not one that unheck wrote",
        ),
    ] {
        let broken = good.replace(from, to);
        fs_err::write(&lock, &broken).unwrap();
        let text = fixture.refused(&fixture.run);
        assert!(
            text.starts_with("Input\n") && text.contains(expected),
            "{text}"
        );
        assert!(text.contains("hint: run `unheck lock`"), "{text}");
        assert_eq!(fixture.run.lock_text(), broken);
    }
}

#[test]
fn a_lock_that_was_edited_by_hand_cannot_smuggle_paths() {
    let fixture = Fixture::new().requirements("demo==1.0\n");
    fixture.build();
    let lock = fixture.run.project.join("pylock.unheck.toml");
    let good = fixture.run.lock_text();
    let frozen = fixture.with(|run| run.mode = "frozen".to_owned());
    for (from, to) in [
        ("\"etc/debian_version\" =", "\"../../etc/evil\" ="),
        ("\"etc/debian_version\" =", "\"/etc/evil\" ="),
        ("\"etc/debian_version\" =", "\"etc/not-there\" ="),
        (
            "name = \"demo-1.0-py3-none-any.whl\"",
            "name = \"../demo-1.0-py3-none-any.whl\"",
        ),
        ("sha256 = \"", "sha256 = \"zz"),
    ] {
        let edited = good.replacen(from, to, 1);
        assert_ne!(edited, good, "{from}");
        fs_err::write(&lock, edited).unwrap();
        fs_err::remove_file(&fixture.run.output).ok();
        let text = fixture.refused(&frozen);
        assert!(text.starts_with("Input\n"), "{to}: {text}");
        assert!(!fixture.run.output.exists());
    }
}

#[test]
fn nothing_to_start_is_told_before_anything_is_fetched() {
    let fixture = Fixture::new().file("requirements.txt", "demo\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r#"
        Input
        cannot tell what the artifact should start
        nothing says what to start: no `[project.scripts]`, no `__main__.py`, `main.py` or `app.py`
        hint: add `--entry 'python main.py'`, or `entry = "python main.py"` to `[tool.unheck]`
        "#);
    assert!(!fixture.run.output.exists());
}
