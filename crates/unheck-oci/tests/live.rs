//! Other people's tools read what this crate writes. Run with `cargo test -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use unheck_base::{Digest, TreePath};
use unheck_oci::image::{Config, Platform};
use unheck_oci::layer::{Compression, LayerWriter};
use unheck_oci::layout::{Blob, write_archive, write_layout};
use unheck_oci::open::open;
use unheck_oci::plan::{Image, Images, Plan, plan};
use unheck_oci::tar_writer::{Entry, EntryKind};
use unheck_oci::validate::validate;

type Blobs = BTreeMap<Digest, Vec<u8>>;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn layer(
    compression: Compression,
    architecture: &str,
    blobs: &mut Blobs,
) -> unheck_oci::layer::Layer {
    let long = format!("opt/{}/{}é", "d".repeat(150), "n".repeat(120));
    let paths: Vec<TreePath> = ["opt", "opt/arch", "opt/link", "opt/hard", &long]
        .iter()
        .map(|text| TreePath::new(text).unwrap())
        .collect();
    let text = format!("for {architecture}\n").repeat(1000);
    let kinds = [
        EntryKind::Dir,
        EntryKind::File {
            len: text.len() as u64,
        },
        EntryKind::Symlink("arch"),
        EntryKind::Hardlink(&paths[1]),
        EntryKind::File {
            len: text.len() as u64,
        },
    ];
    let mut writer = LayerWriter::new(Vec::new(), compression).unwrap();
    for (path, kind) in paths.iter().zip(kinds) {
        let mode = if matches!(kind, EntryKind::Dir) {
            0o755
        } else {
            0o640
        };
        let entry = Entry {
            path,
            mode,
            uid: 0,
            gid: 0,
            mtime: 1,
            kind,
        };
        let is_file = matches!(kind, EntryKind::File { .. });
        let content = if is_file { text.as_bytes() } else { b"" };
        writer.append_bytes(&entry, content).unwrap();
    }
    let (layer, blob) = writer.finish().unwrap();
    blobs.insert(layer.digest, blob);
    layer
}

fn scene(compression: Compression, platforms: &[&str]) -> (Plan, Blobs) {
    let mut blobs = Blobs::new();
    let images = platforms.iter().map(|architecture| Image {
        config: {
            let mut config = Config::new(&Platform::linux(architecture));
            config.config.entrypoint = vec!["/opt/arch".to_owned()];
            config.config.user = Some("65532".to_owned());
            config
        },
        layers: vec![layer(compression, architecture, &mut blobs)],
        annotations: BTreeMap::new(),
    });
    let images = Images {
        images: images.collect(),
        name: Some("unheck-live:1.0".parse().unwrap()),
        annotations: BTreeMap::new(),
    };
    (plan(&images).unwrap(), blobs)
}

const ZSTD: Compression = Compression::Zstd {
    level: 3,
    workers: 2,
};

struct Scene<'a> {
    compression: Compression,
    platforms: &'a [&'a str],
    plan: Plan,
    tar: &'a Path,
    layout: &'a Path,
}

fn each_scene(visit: impl Fn(&Scene<'_>)) {
    let compressions = [Compression::None, Compression::Gzip { level: 6 }, ZSTD];
    for compression in compressions {
        for platforms in [&["amd64"][..], &["amd64", "arm64"]] {
            let (plan, blobs) = scene(compression, platforms);
            let source = |digest: &Digest| -> io::Result<Blob> {
                let bytes = blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
                Ok(Blob::Bytes(bytes.clone()))
            };
            let dir = tempfile::tempdir().unwrap();
            let (tar, layout) = (dir.path().join("x.tar"), dir.path().join("x"));
            write_archive(&tar, &plan, &source).unwrap();
            write_layout(&layout, &plan, &source).unwrap();
            visit(&Scene {
                compression,
                platforms,
                plan,
                tar: &tar,
                layout: &layout,
            });
        }
    }
}

#[test]
#[ignore = "live: needs skopeo and umoci"]
fn skopeo_and_umoci_read_and_unpack_every_form() {
    each_scene(|scene| {
        let Scene {
            platforms,
            plan,
            tar,
            layout,
            ..
        } = scene;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let archive = format!("oci-archive:{}:1.0", tar.display());
        let raw = run("skopeo", &["inspect", "--raw", &archive]);
        assert_eq!(Digest::of(raw.as_bytes()), plan.digest());
        let oci = format!("oci:{}:1.0", layout.display());
        assert_eq!(run("skopeo", &["inspect", "--raw", &oci]), raw);

        let all = format!("oci:{}:1.0", at("all"));
        run(
            "skopeo",
            &["copy", "--all", "--preserve-digests", &archive, &all],
        );
        assert_eq!(run("skopeo", &["inspect", "--raw", &all]), raw);
        assert_eq!(validate(&open(Path::new(&at("all"))).unwrap()), []);

        for architecture in platforms.iter() {
            let one = at(architecture);
            let to = format!("oci:{one}:1.0");
            // umoci before 0.5 knows no zstd: skopeo compresses anew then.
            let gzip: &[&str] = match scene.compression {
                ZSTD => &["--dest-compress-format", "gzip"],
                _ => &[],
            };
            let common = ["--override-arch", architecture, "copy", &archive, &to];
            run("skopeo", &[&common[..], gzip].concat());
            let bundle = at(&format!("bundle-{architecture}"));
            run(
                "umoci",
                &[
                    "unpack",
                    "--rootless",
                    "--image",
                    &format!("{one}:1.0"),
                    &bundle,
                ],
            );
            let file = fs_err::read_to_string(format!("{bundle}/rootfs/opt/hard")).unwrap();
            assert_eq!(file, format!("for {architecture}\n").repeat(1000));
        }
        // The same file as docker without the containerd store sees it.
        let docker = format!("docker-archive:{}", tar.display());
        run(
            "skopeo",
            &["copy", &docker, &format!("dir:{}", at("docker"))],
        );
    });
}

#[test]
#[ignore = "live: needs podman"]
fn podman_loads_every_archive() {
    each_scene(|scene| {
        let tar = scene.tar;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (root, state) = (at("root"), at("run"));
        let common = [
            "--root",
            &root,
            "--runroot",
            &state,
            "--storage-driver",
            "vfs",
        ];
        let podman = |arguments: &[&str]| run("podman", &[&common[..], arguments].concat());
        podman(&["load", "-i", &tar.display().to_string()]);
        let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        assert_eq!(names.trim(), "docker.io/library/unheck-live:1.0");
        let user = podman(&["inspect", "--format", "{{.User}}", "unheck-live:1.0"]);
        assert_eq!(user.trim(), "65532");
    });
}

#[test]
#[ignore = "live: needs skopeo"]
fn an_archive_that_skopeo_wrote_as_docker_would_is_read() {
    let (plan, blobs) = scene(Compression::Gzip { level: 6 }, &["amd64"]);
    let source = |digest: &Digest| -> io::Result<Blob> {
        let bytes = blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
        Ok(Blob::Bytes(bytes.clone()))
    };
    let dir = tempfile::tempdir().unwrap();
    let (tar, saved) = (dir.path().join("x.tar"), dir.path().join("saved.tar"));
    write_archive(&tar, &plan, &source).unwrap();
    let from = format!("oci-archive:{}:1.0", tar.display());
    let to = format!(
        "docker-archive:{}:docker.io/library/saved:2",
        saved.display()
    );
    run("skopeo", &["copy", &from, &to]);
    let opened = open(&saved).unwrap();
    assert!(opened.is_docker_archive());
    let images = opened.images().unwrap();
    assert!(
        images[0]
            .name
            .as_deref()
            .is_some_and(|name| name.ends_with("saved:2"))
    );
    assert_eq!(validate(&opened), []);
}
