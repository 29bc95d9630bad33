//! `export`, and `build` and `lock` with a kit.

use crate::kit::{Kit, PROJECT, exists};
use crate::schema::check;

/// A kit of the project, with a small file for the program: a debug build has hundreds of megabytes.
fn export(kit: &Kit, words: &[&str]) -> crate::kit::Ran {
    fs_err::write(kit.path("program"), "stands for the program").expect("file");
    let program = kit.path("program").display().to_string();
    let output = kit.path("shop.kit").display().to_string();
    kit.run(
        &[
            &["export", "--air-gap", &output, "--program", &program],
            words,
        ]
        .concat(),
    )
}

/// The words of a run where there is no network and nothing in the cache.
fn gap(kit: &Kit, words: &[&str]) -> crate::kit::Ran {
    let cache = kit.path("gap").display().to_string();
    let path = kit.path("shop.kit").display().to_string();
    let more = [
        "--offline",
        "--kit",
        &path,
        "--cache-dir",
        &cache,
        "--platform",
        "linux/amd64",
    ];
    kit.plain(&[words, &more].concat())
}

#[test]
fn a_kit_is_written_and_gives_the_same_digest_where_nothing_else_is() {
    let kit = Kit::new(PROJECT);
    let built = check(
        "build",
        &kit.build(&["--json", "-o", "here.oci.tar"]).stdout,
    );
    let ran = export(&kit, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("shop.kit\n"), "{}", ran.stdout);
    insta::assert_snapshot!("export_summary", ran.stderr);
    let value = check("export", &export(&kit, &["--json"]).stdout);
    assert_eq!(value["locked"], false);
    assert_eq!(value["contents"]["program"]["files"], 1);
    assert_eq!(value["contents"]["index"]["files"], 6);

    kit.world.mirror.clear_requests();
    kit.world.index.server.clear_requests();
    // No mirror, no index and no keyring is named: the kit stands for them.
    let ran = gap(
        &kit,
        &["build", "--no-verify", "--json", "-o", "gap.oci.tar"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let value = check("build", &ran.stdout);
    assert_eq!(value["digest"], built["digest"]);
    let files = ["here.oci.tar", "gap.oci.tar"].map(|name| fs_err::read(kit.project().join(name)));
    let [here, there] = files.map(|read| read.expect("image"));
    assert!(here == there, "the archives differ");

    let ran = gap(&kit, &["lock"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!("lock_of_a_kit", ran.stderr);
    let ran = gap(&kit, &["lock", "--rebuild-check", "--json"]);
    assert_eq!(check("lock", &ran.stdout)["changed"], false);
    assert!(kit.world.mirror.requests().is_empty());
    assert!(kit.world.index.server.requests().is_empty());
}

#[test]
fn the_bytes_do_not_depend_on_umask_jobs_or_place() {
    let kit = Kit::new(PROJECT);
    let first = export(&kit, &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let other = kit.path("other/place/x.kit").display().to_string();
    let (program, keyring) = (kit.path("program"), kit.path("keys.pgp"));
    let (debian, security, index) = (
        kit.world.debian_url(),
        kit.world.security_url(),
        kit.world.index_url(),
    );
    let script = "umask 077; exec \"$0\" \"$@\"";
    let mut command = assert_cmd::Command::new("/bin/sh");
    command
        .env_clear()
        .env("HOME", kit.path("."))
        .env("RAYON_NUM_THREADS", "1")
        .env("UNHECK_CACHE_DIR", kit.path("cache-2"))
        .current_dir(kit.path("."))
        .args(["-c", script])
        .arg(assert_cmd::cargo::cargo_bin("unheck"))
        .args([
            "export",
            "shop",
            "--air-gap",
            &other,
            "--platform",
            "linux/amd64",
        ])
        .args(["--mirror", &debian, "--security-mirror", &security])
        .args(["--default-index", &index, "--keyring"])
        .arg(keyring)
        .arg("--program")
        .arg(program);
    let output = command.output().expect("output");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = |path: &std::path::Path| fs_err::read(path).expect("kit");
    let same = read(&kit.path("shop.kit")) == read(std::path::Path::new(&other));
    assert!(same, "two exports of one lock differ");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(&other).expect("kit").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn tar_gets_the_program_and_the_lock_out() {
    let kit = Kit::new(PROJECT);
    assert_eq!(export(&kit, &["-q"]).code, 0);
    let out = kit.path("out");
    fs_err::create_dir(&out).expect("directory");
    let mut tar = assert_cmd::Command::new("tar");
    tar.arg("-xf").arg(kit.path("shop.kit")).arg("-C").arg(&out);
    tar.args(["unheck", "pylock.unheck.toml", "keys"]);
    assert!(tar.output().expect("tar").status.success());
    let text = |path: std::path::PathBuf| fs_err::read_to_string(path).expect("file");
    assert_eq!(text(out.join("unheck")), "stands for the program");
    let lock = kit.project().join("pylock.unheck.toml");
    assert_eq!(text(out.join("pylock.unheck.toml")), text(lock));
    assert!(exists(&out.join("keys/debian-archive-keyring.pgp")));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(out.join("unheck"))
        .expect("program")
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
}

#[test]
fn errors_say_what_is_wrong_with_a_kit_and_what_mends_it() {
    let kit = Kit::new(PROJECT);
    let lock = kit.project().join("pylock.unheck.toml");
    let mut said = String::new();
    let mut note = |what: &str, ran: &crate::kit::Ran| {
        said.push_str(&format!("# {what}: {}\n{}\n", ran.code, ran.stderr));
    };
    let offline = export(&kit, &["--offline", "--locked"]);
    note("no lock", &offline);
    assert_eq!(kit.run(&["lock", "-q"]).code, 0);
    let empty = kit.path("empty").display().to_string();
    let ran = export(&kit, &["--offline", "--cache-dir", &empty]);
    assert!(!exists(&kit.path("shop.kit")));
    note("offline, nothing in the cache", &ran);
    assert_eq!(export(&kit, &["-q"]).code, 0);

    let good = fs_err::read(kit.path("shop.kit")).expect("kit");
    fs_err::write(kit.path("shop.kit"), &good[..good.len() / 2]).expect("file");
    let cut = gap(&kit, &["build"]);
    let lengths = format!("{} of {} bytes are there", good.len() / 2, good.len());
    assert_eq!(cut.code, 2);
    assert!(cut.stderr.contains(&lengths), "{}", cut.stderr);
    fs_err::write(kit.path("shop.kit"), "something").expect("file");
    note("no kit", &gap(&kit, &["build"]));
    let text = String::from_utf8_lossy(&good).into_owned();
    let at = text.find("\"format\": 1").expect("format");
    let mut newer = good.clone();
    newer[at + 10] = b'7';
    fs_err::write(kit.path("shop.kit"), newer).expect("file");
    note("newer", &gap(&kit, &["build"]));
    fs_err::write(kit.path("shop.kit"), &good).expect("file");

    note("choosing", &gap(&kit, &["lock", "--upgrade"]));
    let text = fs_err::read_to_string(&lock).expect("lock");
    fs_err::write(
        &lock,
        text.replace("version = \"3.13.5\"", "version = \"3.13.4\""),
    )
    .expect("lock");
    note("another lock", &gap(&kit, &["build"]));
    fs_err::remove_file(&lock).expect("lock");
    note("no lock beside the project", &gap(&kit, &["build"]));
    fs_err::write(&lock, text).expect("lock");
    kit.write("pyproject.toml", &PROJECT.replace("native", "demo"));
    note("other requirements", &gap(&kit, &["build"]));
    assert!(!exists(&kit.project().join("dist")));
    insta::assert_snapshot!("kit_errors", said);
}

#[test]
fn a_kit_may_be_configured() {
    let kit = Kit::new(PROJECT);
    assert_eq!(export(&kit, &["-q"]).code, 0);
    kit.write(
        "pyproject.toml",
        &format!("{PROJECT}[tool.unheck]\nkit = \"../shop.kit\"\n"),
    );
    let cache = kit.path("gap").display().to_string();
    let words = ["build", "--no-verify", "--offline", "--cache-dir", &cache];
    let ran = kit.plain(&[&words[..], &["--platform", "linux/amd64"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
