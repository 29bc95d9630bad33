//! Relocatable artifacts: what is in them, that they are the same bytes anywhere, and that they
//! replace nothing of the user's. Nothing is started here: the world's interpreter is a stand-in.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use unheck_base::{Digest, TreePath};
use unheck_engine::form::{Format, MANIFEST_PATH, Manifest, describe, kind_of};
use unheck_engine::inside::look;

use crate::reproducible::{assert_built, child_with_umask, copy_project};
use crate::support::*;

/// A project with a console script of a distribution, a native module and files of its own.
fn fixture() -> Fixture {
    Fixture::new()
        .pyproject(
            &["demo", "native"],
            "[tool.unheck]\nentry = 'demo --file /app/main.py'\n",
        )
        .file("pkg/__init__.py", "")
}

fn form(fixture: &Fixture, format: &str, output: &str) -> Run {
    fixture.with(|run| {
        run.format = format.to_owned();
        run.output = fixture.path(output);
    })
}

/// Every file and link below a directory, with mode and content or text.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = entry.unwrap();
        let name = entry
            .path()
            .strip_prefix(root)
            .unwrap()
            .display()
            .to_string();
        let what = if entry.file_type().is_symlink() {
            format!("-> {}", fs_err::read_link(entry.path()).unwrap().display())
        } else if entry.file_type().is_file() {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            format!(
                "{mode:04o} {}",
                Digest::of(&fs_err::read(entry.path()).unwrap())
            )
        } else {
            continue;
        };
        found.insert(name, what);
    }
    found
}

/// Names alone, but those of the standard library and of licences.
fn names_of(root: &Path) -> String {
    let many = ["usr/lib/python3.13/", "usr/share/doc/", "status.d/"];
    let lines = tree(root)
        .into_iter()
        .filter(|(name, _)| !many.iter().any(|part| name.contains(part)));
    let line = |(name, what): (String, String)| match what.strip_prefix("-> ") {
        Some(text) => format!("{name} -> {text}"),
        None => format!("{} {name}", &what[..4]),
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn manifest(root: &Path) -> Manifest {
    Manifest::from_bytes(&fs_err::read(root.join(MANIFEST_PATH)).unwrap()).unwrap()
}

#[test]
fn a_directory_has_launchers_and_nothing_that_only_an_image_needs() {
    let fixture = fixture();
    let run = form(&fixture, "dir", "out");
    fixture.built(&run);
    insta::assert_snapshot!(names_of(&run.output), @r"
    0444 app/main.py
    0444 app/pkg/__init__.py
    0444 app/pyproject.toml
    0555 bin/app
    0444 etc/python3.13/sitecustomize.py
    0444 etc/ssl/certs/ca-certificates.crt
    0444 etc/ssl/openssl.cnf
    usr/bin/python -> python3.13
    usr/bin/python3 -> python3.13
    0555 usr/bin/python3.13
    0555 usr/bin/python3.13.bin
    usr/lib/ssl/cert.pem -> ../../../etc/ssl/certs/ca-certificates.crt
    usr/lib/ssl/certs -> ../../../etc/ssl/certs
    usr/lib/ssl/openssl.cnf -> ../../../etc/ssl/openssl.cnf
    0555 usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    usr/lib/x86_64-linux-gnu/libbz2.so.1.0 -> libbz2.so.1.0.4
    0444 usr/lib/x86_64-linux-gnu/libbz2.so.1.0.4
    0555 usr/lib/x86_64-linux-gnu/libc.so.6
    0444 usr/lib/x86_64-linux-gnu/libcrypto.so.3
    usr/lib/x86_64-linux-gnu/libexpat.so.1 -> libexpat.so.1.10.2
    0444 usr/lib/x86_64-linux-gnu/libexpat.so.1.10.2
    usr/lib/x86_64-linux-gnu/libffi.so.8 -> libffi.so.8.1.4
    0444 usr/lib/x86_64-linux-gnu/libffi.so.8.1.4
    0444 usr/lib/x86_64-linux-gnu/libgcc_s.so.1
    usr/lib/x86_64-linux-gnu/liblzma.so.5 -> liblzma.so.5.8.1
    0444 usr/lib/x86_64-linux-gnu/liblzma.so.5.8.1
    0444 usr/lib/x86_64-linux-gnu/libm.so.6
    0444 usr/lib/x86_64-linux-gnu/libssl.so.3
    usr/lib/x86_64-linux-gnu/libuuid.so.1 -> libuuid.so.1.3.0
    0444 usr/lib/x86_64-linux-gnu/libuuid.so.1.3.0
    usr/lib/x86_64-linux-gnu/libz.so.1 -> libz.so.1.3.1
    0444 usr/lib/x86_64-linux-gnu/libz.so.1.3.1
    usr/lib/x86_64-linux-gnu/libzstd.so.1 -> libzstd.so.1.5.7
    0444 usr/lib/x86_64-linux-gnu/libzstd.so.1.5.7
    0444 usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so
    usr/lib64/ld-linux-x86-64.so.2 -> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    0555 usr/local/bin/demo
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/INSTALLER
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/METADATA
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/RECORD
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/REQUESTED
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/WHEEL
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/entry_points.txt
    0444 usr/local/lib/python3.13/dist-packages/demo-1.1.dist-info/licenses/LICENSE
    0444 usr/local/lib/python3.13/dist-packages/demo/__init__.py
    0444 usr/local/lib/python3.13/dist-packages/demo/cli.py
    0444 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/INSTALLER
    0444 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/METADATA
    0444 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/RECORD
    0444 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/WHEEL
    0444 usr/local/lib/python3.13/dist-packages/hello_lib/__init__.py
    0444 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/INSTALLER
    0444 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/METADATA
    0444 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/RECORD
    0444 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/REQUESTED
    0444 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/WHEEL
    0555 usr/local/lib/python3.13/dist-packages/native.libs/libvendored-1a2b3c4d.so.1
    0444 usr/local/lib/python3.13/dist-packages/native/__init__.py
    0555 usr/local/lib/python3.13/dist-packages/native/_core.cpython-313-x86_64-linux-gnu.so
    0444 usr/local/lib/python3.13/dist-packages/unheck.pth
    0444 usr/local/libexec/unheck/demo
    0444 usr/share/unheck/launch
    0444 usr/share/unheck/left-out.txt
    0444 usr/share/unheck/manifest.json
    0444 usr/share/unheck/pylock.unheck.toml
    0444 usr/share/zoneinfo/America/New_York
    0444 usr/share/zoneinfo/Etc/UTC
    0444 usr/share/zoneinfo/Europe/Paris
    usr/share/zoneinfo/UTC -> Etc/UTC
    0444 usr/share/zoneinfo/zone.tab
    ");
    insta::assert_snapshot!(fs_err::read_to_string(run.output.join("usr/share/unheck/launch")).unwrap(), @r"
    unheck-launch 1
    mode static
    loader usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    names-by loader
    library usr/lib/x86_64-linux-gnu
    default LANG=C.UTF-8
    default PYTHONDONTWRITEBYTECODE=1
    default PYTHONTZPATH={root}/usr/share/zoneinfo
    default PYTHONUNBUFFERED=1
    default SSL_CERT_FILE={root}/etc/ssl/certs/ca-certificates.crt
    default TZDIR={root}/usr/share/zoneinfo
    start app
    command app
    program usr/bin/python3.13.bin
    as usr/bin/python3.13
    argument -s
    argument {root}/usr/local/libexec/unheck/demo
    argument --file
    argument {root}/app/main.py
    command demo
    program usr/bin/python3.13.bin
    as usr/bin/python3.13
    argument -s
    argument {root}/usr/local/libexec/unheck/demo
    command python3.13
    program usr/bin/python3.13.bin
    argument -s
    end unheck-launch
    ");
}

#[test]
fn every_file_is_on_the_list_with_its_origin_and_records_are_true() {
    let fixture = fixture();
    let run = form(&fixture, "dir", "out");
    fixture.built(&run);
    let list = manifest(&run.output);
    let mut there: Vec<String> = tree(&run.output).into_keys().collect();
    there.retain(|name| name != MANIFEST_PATH);
    let mut listed: Vec<String> = list.files.keys().map(ToString::to_string).collect();
    listed.sort();
    assert_eq!(there, listed);
    let origin = |path: &str| list.files[&TreePath::new(path).unwrap()].origin.to_string();
    assert_eq!(origin("usr/bin/python3.13.bin"), "deb python3.13-minimal");
    assert_eq!(origin("usr/local/libexec/unheck/demo"), "distribution demo");
    assert_eq!(origin("usr/bin/python3.13"), "generated launcher");
    assert_eq!(origin("app/main.py"), "app");
    let verified = unheck_engine::verify::against_list(&run.output, &list).unwrap();
    assert_eq!(verified, []);
    records_are_true(&run.output);
    fs_err::remove_file(run.output.join("app/main.py")).unwrap();
    fs_err::write(run.output.join("app/main.py"), "other").unwrap();
    fs_err::write(run.output.join("app/more.py"), "").unwrap();
    fs_err::remove_file(run.output.join("usr/bin/python3")).unwrap();
    let verified = unheck_engine::verify::against_list(&run.output, &list).unwrap();
    let told: Vec<String> = verified
        .iter()
        .map(|one| format!("{} {}", one.rule, one.subject))
        .collect();
    assert_eq!(
        told,
        [
            "file-differs app/main.py",
            "file-differs usr/bin/python3",
            "file-unknown app/more.py"
        ]
    );
}

/// Every row of every `RECORD` names a file that is there with the digest that it says.
fn records_are_true(root: &Path) {
    let site = root.join("usr/local/lib/python3.13/dist-packages");
    let mut rows = 0;
    for name in names(&site)
        .iter()
        .filter(|name| name.ends_with(".dist-info"))
    {
        let text = fs_err::read_to_string(site.join(name).join("RECORD")).unwrap();
        for row in text.lines() {
            let (path, digest) = row.rsplit_once(',').unwrap().0.rsplit_once(',').unwrap();
            let bytes = fs_err::read(site.join(path)).unwrap();
            if !digest.is_empty() {
                let found = unheck_wheel::record::digest_text(&Digest::of(&bytes));
                assert_eq!(digest, found, "{row}");
                rows += 1;
            }
        }
    }
    assert!(rows > 5, "{rows}");
}

#[test]
fn links_are_relative_and_lead_somewhere_inside() {
    let fixture = fixture();
    let run = form(&fixture, "dir", "out");
    fixture.built(&run);
    let inside = fs_err::canonicalize(&run.output).unwrap();
    let mut links = 0;
    for (name, what) in tree(&run.output) {
        let Some(text) = what.strip_prefix("-> ") else {
            continue;
        };
        links += 1;
        assert!(!text.starts_with('/'), "{name} {text}");
        let target = fs_err::canonicalize(run.output.join(&name)).unwrap();
        assert!(target.starts_with(&inside), "{name} {text}");
    }
    assert!(links > 10, "{links}");
}

#[test]
fn all_forms_are_the_same_bytes_whatever_differs_around_them() {
    let names = [
        "pyproject.toml",
        "main.py",
        "pkg/__init__.py",
        "pylock.unheck.toml",
    ];
    let fixture = fixture();
    let outputs = [
        ("dir", "out"),
        ("tar", "out.tar.zst"),
        ("tar", "out.tar.gz"),
        ("tar", "out.tar"),
        ("exe", "out.exe"),
    ];
    let first: Vec<Digest> = outputs
        .iter()
        .map(|(format, output)| {
            fixture
                .built(&form(&fixture, format, output))
                .built
                .image
                .digest
        })
        .collect();
    for (umask, threads, cache) in [("077", "1", "cold"), ("000", "7", "warm")] {
        let place = fixture.path(&format!("elsewhere/{umask}"));
        copy_project(&fixture.run.project, &place.join("copy"), &names, 0o600);
        for ((format, output), digest) in outputs.iter().zip(&first) {
            let run = fixture.with(|run| {
                run.project = place.join("copy");
                run.output = place.join("made").join(output);
                run.format = (*format).to_owned();
                run.mode = "locked".to_owned();
                if cache == "cold" {
                    run.store = place.join("store");
                    run.resolver = place.join("resolver");
                }
            });
            assert_built(child_with_umask(&run, umask, threads));
            if *format == "dir" {
                assert_eq!(tree(&run.output), tree(&fixture.path(output)));
                assert_eq!(Digest::of(&manifest(&run.output).to_bytes()), *digest);
            } else {
                assert_eq!(digest_of(&run.output), *digest, "{output} {umask}");
                assert!(
                    fs_err::read(&run.output).unwrap()
                        == fs_err::read(fixture.path(output)).unwrap()
                );
            }
        }
    }
}

#[test]
fn an_archive_has_one_directory_and_the_files_of_the_directory_form() {
    let fixture = fixture();
    let dir = form(&fixture, "dir", "out");
    fixture.built(&dir);
    for output in ["out.tar.zst", "out.tar.gz", "out.tar"] {
        let run = form(&fixture, "tar", output);
        fixture.built(&run);
        assert_eq!(kind_of(&run.output).unwrap(), Format::Tar, "{output}");
        let session = run
            .session(std::sync::Arc::new(unheck_engine::event::Silent))
            .unwrap();
        let opened = unheck_engine::form::open_form(session.store(), &run.output).unwrap();
        assert_eq!(opened.root.file_name().unwrap(), "app-1.0");
        let bare = |tree: BTreeMap<String, String>| -> BTreeMap<String, String> {
            // Archives leave the rights to write to whoever unpacks them.
            tree.into_iter()
                .map(|(name, what)| {
                    (
                        name,
                        what.replacen("0444 ", "0644 ", 1)
                            .replacen("0555 ", "0755 ", 1),
                    )
                })
                .collect()
        };
        assert_eq!(tree(&opened.root), bare(tree(&dir.output)), "{output}");
    }
}

#[test]
fn what_was_built_answers_like_an_image() {
    let fixture = fixture();
    for (format, output) in [("dir", "out"), ("tar", "out.tar.zst")] {
        let run = form(&fixture, format, output);
        let built = fixture.built(&run).built;
        let inside = look(&run.output).unwrap();
        assert_eq!(inside.len(), 1);
        assert_eq!(inside[0].platform, "linux/amd64");
        assert_eq!(inside[0].layers[0].name, format);
        assert_eq!(inside[0].layers[0].digest, built.image.digest);
        assert_eq!(inside[0].layers[0].size, built.image.size);
        assert!(inside[0].lock.is_some());
        let library = TreePath::new("usr/lib/x86_64-linux-gnu/libz.so.1").unwrap();
        assert_eq!(inside[0].files[&library].origin.to_string(), "deb zlib1g");
        let chains = unheck_engine::why::why(&run.output, "libssl.so.3").unwrap();
        assert!(!chains.is_empty());
        assert_eq!(
            inside[0].files.len(),
            describe(&run.output).unwrap().manifest.files.len()
        );
        let counted: u64 = inside[0].files.values().map(|file| file.size).sum();
        assert_eq!(counted, inside[0].layers[0].uncompressed);
    }
}

#[test]
fn without_system_libraries_only_python_ships_and_the_needs_are_written_down() {
    let fixture = fixture();
    let run = fixture.with(|run| {
        run.format = "dir".to_owned();
        run.libs = "dynamic".to_owned();
        run.output = fixture.path("out");
    });
    let built = fixture.built(&run).built;
    let list = manifest(&run.output);
    let of_system: Vec<&TreePath> = list
        .files
        .keys()
        .filter(|path| path.is_under("usr/lib/x86_64-linux-gnu") || path.is_under("etc/ssl"))
        .collect();
    assert!(of_system.is_empty(), "{of_system:?}");
    let needs: Vec<String> = list
        .needs
        .iter()
        .map(|need| {
            let debian = need.packages.get("debian").map_or("-", String::as_str);
            format!("{} {} {debian}", need.soname, need.versions.join(","))
        })
        .collect();
    insta::assert_snapshot!(needs.join("\n"), @r"
    libbz2.so.1.0  libbz2-1.0
    libc.so.6 GLIBC_2.14,GLIBC_2.17,GLIBC_2.34,GLIBC_2.38,GLIBC_2.4 libc6
    libcrypto.so.3  libssl3t64
    libexpat.so.1  libexpat1
    libffi.so.8  libffi8
    liblzma.so.5  liblzma5
    libm.so.6  libc6
    libssl.so.3 OPENSSL_3.0.0 libssl3t64
    libuuid.so.1  libuuid1
    libz.so.1  zlib1g
    ");
    let sizes = built.platforms[0].sizes;
    assert!(sizes.without < sizes.with_libraries, "{sizes:?}");
}

#[test]
fn nothing_of_the_users_is_replaced() {
    let fixture = fixture();
    let run = form(&fixture, "dir", "out");
    fs_err::create_dir(&run.output).unwrap();
    fs_err::write(run.output.join("thesis.txt"), "mine").unwrap();
    insta::assert_snapshot!(fixture.refused(&run), @r"
    Input
    cannot write the artifact
    `[dir]/out` is there already and holds `thesis.txt`, which unheck did not write
    hint: remove `[dir]/out` if you do not need what is in it, or write elsewhere with `--output PATH`
    ");
    fs_err::remove_file(run.output.join("thesis.txt")).unwrap();
    fixture.built(&run);
    fs_err::write(run.output.join("app/notes.txt"), "mine").unwrap();
    insta::assert_snapshot!(fixture.refused(&run), @r"
    Input
    cannot write the artifact
    `[dir]/out` is there already and holds `app/notes.txt`, which unheck did not write
    hint: remove `[dir]/out` if you do not need what is in it, or write elsewhere with `--output PATH`
    ");
    assert_eq!(
        fs_err::read(run.output.join("app/notes.txt")).unwrap(),
        b"mine"
    );
    fs_err::remove_file(run.output.join("app/notes.txt")).unwrap();
    fixture.write("main.py", "print('other')\n");
    fixture.built(&run);
    assert_eq!(
        fs_err::read(run.output.join("app/main.py")).unwrap(),
        b"print('other')\n"
    );
    let beside: Vec<String> = names(fixture.dir.path());
    assert_eq!(beside, ["out", "project", "resolver", "store"]);
}

#[test]
fn a_file_is_written_again_only_when_something_changed() {
    let fixture = fixture();
    for (format, output) in [("tar", "out.tar.zst"), ("exe", "out.exe")] {
        let run = form(&fixture, format, output);
        let first = fixture.built(&run).built.image;
        assert!(!first.unchanged);
        let again = fixture.built(&run).built.image;
        assert!(again.unchanged);
        assert_eq!(again.digest, first.digest);
        let mut bytes = fs_err::read(&run.output).unwrap();
        bytes.truncate(100);
        fs_err::write(&run.output, bytes).unwrap();
        let mended = fixture.built(&run).built.image;
        assert!(!mended.unchanged);
        assert_eq!(digest_of(&run.output), first.digest);
        let other = fixture.with(|other| {
            *other = run.clone();
            other.compression = "zstd:2".to_owned();
        });
        assert!(!fixture.built(&other).built.image.unchanged);
    }
}

#[test]
fn files_are_shared_with_the_store_and_what_was_written_through_them_is_noticed() {
    let fixture = fixture();
    let run = form(&fixture, "dir", "out");
    fixture.built(&run);
    let module = run.output.join("usr/lib/python3.13/json/__init__.py");
    let before = fs_err::read(&module).unwrap();
    let found = fs_err::metadata(&module).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o444);
    assert!(found.nlink() > 1, "it is a copy");
    assert_eq!(
        fs_err::metadata(run.output.join("app/main.py"))
            .unwrap()
            .nlink(),
        1
    );
    // What an editor does that asks nobody.
    fs_err::set_permissions(&module, PermissionsExt::from_mode(0o644)).unwrap();
    fs_err::write(&module, "raise SystemExit\n").unwrap();
    fs_err::set_permissions(&module, PermissionsExt::from_mode(0o444)).unwrap();
    let other = form(&fixture, "dir", "other");
    fixture.built(&other);
    let again = other.output.join("usr/lib/python3.13/json/__init__.py");
    assert_eq!(fs_err::read(again).unwrap(), before);
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_is_done() {
    let fixture = fixture();
    let refused = |change: &dyn Fn(&mut Run)| {
        let text = fixture.refused(&fixture.with(|run| {
            run.output = fixture.path("out");
            change(run);
        }));
        assert!(!fixture.path("out").exists());
        assert!(!fixture.run.project.join("pylock.unheck.toml").exists());
        text
    };
    insta::assert_snapshot!(refused(&|run| run.libs = "dynamic".to_owned()), @r"
    Input
    an image has no host whose libraries it could use
    hint: leave `--libs dynamic` out, or choose `--format dir`, `tar` or `exe`
    ");
    insta::assert_snapshot!(refused(&|run| {
        run.format = "exe".to_owned();
        run.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    }), @r"
    Input
    the format `exe` holds one platform, and several are asked for
    hint: name one platform with `--platform`, and build once for each
    ");
    assert_eq!(fixture.scenario.mirror.requests().len(), 0);
}

#[test]
fn an_entry_that_no_launcher_can_start_is_told() {
    let fixture = Fixture::new().pyproject(&["demo"], "[tool.unheck]\nentry = 'sh -c true'\n");
    insta::assert_snapshot!(fixture.refused(&form(&fixture, "dir", "out")), @r"
    Input
    the artifact cannot start `sh -c true`: it is no Python program of the environment
    hint: start a module of Python, such as `--entry 'python -m NAME'`, or build an image with `--format image`
    ");
}

#[test]
fn what_was_built_into_the_project_is_no_part_of_the_next_build() {
    let fixture = fixture();
    for (format, output) in [("dir", "here"), ("exe", "app.bin")] {
        let mut run = form(&fixture, format, output);
        run.output = run.project.join(output);
        fixture.built(&run);
        let first = describe(&run.output).unwrap();
        fixture.built(&run);
        let second = describe(&run.output).unwrap();
        assert_eq!(first.digest, second.digest, "{format}");
        let names = |found: &unheck_engine::form::Described| {
            found.manifest.files.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&first), names(&second));
    }
}

#[test]
fn a_platform_without_launcher_is_refused_before_any_work() {
    use unheck_launcher::{Architecture, stub};
    let platforms = [
        ("linux/amd64", Architecture::Amd64),
        ("linux/arm64", Architecture::Arm64),
    ];
    for (platform, architecture) in platforms {
        let fixture = fixture();
        let run = fixture.with(|run| {
            run.format = "exe".to_owned();
            run.output = fixture.path("out");
            run.platforms = vec![platform.to_owned()];
        });
        if stub(architecture).is_some() {
            fixture.built(&run);
            assert!(run.output.is_file(), "{platform}");
            continue;
        }
        let report = fixture.refused(&run);
        let said = format!(
            "cannot build the format `exe` for {platform}: this unheck was built without a launcher for it"
        );
        assert!(report.contains(&said), "{report}");
        assert!(report.contains("--format image"), "{report}");
        assert_eq!(fixture.scenario.mirror.requests().len(), 0);
        fixture.assert_nothing_written();
    }
}
