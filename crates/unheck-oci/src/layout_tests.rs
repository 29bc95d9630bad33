use super::*;
use crate::image::{Config, History, Platform};
use crate::layer::Compression;
use crate::layer::tests::{layer_of, sample};
use crate::plan::{Image, Images, plan};
use std::collections::BTreeMap;

/// A plan and the blobs for it.
pub(crate) struct Scene {
    pub(crate) plan: Plan,
    blobs: BTreeMap<Digest, Vec<u8>>,
    dir: tempfile::TempDir,
}

impl BlobSource for Scene {
    /// By turns as a file and as bytes.
    fn open(&self, digest: &Digest) -> io::Result<Blob> {
        let bytes = self.blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
        if digest.as_bytes()[0].is_multiple_of(2) {
            return Ok(Blob::Bytes(bytes.clone()));
        }
        let path = self.dir.path().join(digest.hex());
        Ok(Blob::File(fs_err::File::open(path)?))
    }
}

/// Platforms with the contents of their layers.
pub(crate) fn scene(platforms: &[(&str, &[&[u8]])]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let mut blobs = BTreeMap::new();
    let mut images = Vec::new();
    for (architecture, contents) in platforms {
        let mut config = Config::new(&Platform::linux(architecture));
        config.config.entrypoint = vec!["/opt/file".to_owned()];
        let mut layers = Vec::new();
        for content in *contents {
            let compression = Compression::Zstd {
                level: 3,
                workers: 2,
            };
            let (layer, blob) = layer_of(content, compression);
            fs_err::write(dir.path().join(layer.digest.hex()), &blob).unwrap();
            blobs.insert(layer.digest, blob);
            layers.push(layer);
            config.history.push(History::default());
        }
        images.push(Image {
            config,
            layers,
            annotations: BTreeMap::new(),
        });
    }
    let images = Images {
        images,
        name: Some("web:1.0".parse().unwrap()),
        annotations: BTreeMap::new(),
    };
    Scene {
        plan: plan(&images).unwrap(),
        blobs,
        dir,
    }
}

pub(crate) fn web() -> Scene {
    scene(&[("amd64", &[b"libc", b"python", b"app 1"])])
}

pub(crate) fn two_platforms() -> Scene {
    scene(&[
        ("arm64", &[b"libc arm", b"app"]),
        ("amd64", &[b"libc amd", b"app"]),
    ])
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_archive_has_its_members_in_the_planned_order_and_the_same_bytes_by_each_way() {
    let scene = two_platforms();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.oci.tar");
    let record = write_archive(&path, &scene.plan, &scene).unwrap();
    let mut streamed = Vec::new();
    write_archive_to(&mut streamed, &scene.plan, &scene).unwrap();
    let bytes = fs_err::read(&path).unwrap();
    assert!(bytes == streamed);
    assert_eq!(record.len, bytes.len() as u64);
    assert_eq!(prefix_len(&record.members) + 1024, record.len);
    let mut archive = tar::Archive::new(&bytes[..]);
    let found: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    let planned = scene.plan.members().into_iter().map(|member| member.name);
    let head = ["blobs/".to_owned(), "blobs/sha256/".to_owned()];
    assert_eq!(found, head.into_iter().chain(planned).collect::<Vec<_>>());
    assert_eq!(names(dir.path()), ["web.oci.tar"], "nothing else is left");
}

#[test]
fn an_update_reuses_the_beginning_and_gives_the_same_bytes_as_a_new_archive() {
    let big = sample(300_000);
    let first = scene(&[("amd64", &[&big, b"app 1"])]);
    let second = scene(&[("amd64", &[&big, b"app 2"])]);
    let dir = tempfile::tempdir().unwrap();
    let (path, fresh) = (dir.path().join("a.tar"), dir.path().join("b.tar"));
    let record = write_archive(&path, &first.plan, &first).unwrap();
    write_archive(&fresh, &second.plan, &second).unwrap();

    let same = update_archive(&path, &record, &first.plan, &first).unwrap();
    assert_eq!((same.reused, &same.record), (record.len, &record));

    let updated = update_archive(&path, &record, &second.plan, &second).unwrap();
    assert_eq!(updated.reused, prefix_len(&record.members[..1]));
    assert!(fs_err::read(&path).unwrap() == fs_err::read(&fresh).unwrap());

    // The old record tells of a file that is gone: nothing of it is trusted.
    let again = update_archive(&path, &record, &second.plan, &second).unwrap();
    assert_eq!(again.reused, 0);
    fs_err::remove_file(&path).unwrap();
    let again = update_archive(&path, &again.record, &second.plan, &second).unwrap();
    assert_eq!(again.reused, 0);
    assert!(fs_err::read(&path).unwrap() == fs_err::read(&fresh).unwrap());
}

#[test]
fn a_layout_replaces_a_layout_and_nothing_else() {
    let (first, second) = (web(), two_platforms());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    for scene in [&first, &second] {
        write_layout(&path, &scene.plan, scene).unwrap();
        assert_eq!(names(&path), ["blobs", "index.json", "oci-layout"]);
        let blobs = scene.plan.layers().len() + scene.plan.documents().len();
        assert_eq!(names(&path.join("blobs/sha256")).len(), blobs);
        assert_eq!(names(dir.path()), ["layout"]);
    }
    fs_err::write(path.join("notes.txt"), "mine").unwrap();
    let error = write_layout(&path, &first.plan, &first).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is not an image layout: it has `notes.txt`"),
        "{error}"
    );
    let home = dir.path().join("home");
    fs_err::create_dir(&home).unwrap();
    write_layout(&home, &first.plan, &first).unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, "mine").unwrap();
    assert!(write_layout(&file, &first.plan, &first).is_err());
    assert_eq!(fs_err::read(&file).unwrap(), b"mine");
    assert!(write_archive(&home, &first.plan, &first).is_err());
}

#[test]
fn a_missing_or_wrong_blob_leaves_the_old_output_untouched() {
    let scene = web();
    let dir = tempfile::tempdir().unwrap();
    let (tar, layout) = (dir.path().join("web.tar"), dir.path().join("layout"));
    write_archive(&tar, &scene.plan, &scene).unwrap();
    write_layout(&layout, &scene.plan, &scene).unwrap();
    let before = (
        fs_err::read(&tar).unwrap(),
        names(&layout.join("blobs/sha256")),
    );
    let missing = |_: &Digest| -> io::Result<Blob> { Err(io::ErrorKind::NotFound.into()) };
    let wrong = |_: &Digest| -> io::Result<Blob> { Ok(Blob::Bytes(vec![0; 3])) };
    let sources: [&dyn BlobSource; 2] = [&missing, &wrong];
    for source in sources {
        assert!(write_archive(&tar, &scene.plan, source).is_err());
        assert!(write_layout(&layout, &scene.plan, source).is_err());
    }
    assert_eq!(
        before,
        (
            fs_err::read(&tar).unwrap(),
            names(&layout.join("blobs/sha256"))
        )
    );
    assert_eq!(names(dir.path()), ["layout", "web.tar"]);
}

#[test]
fn what_a_killed_run_left_behind_is_taken_over() {
    let scene = web();
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join(".web.tar.partial"), vec![7; 1 << 20]).unwrap();
    fs_err::create_dir_all(dir.path().join(".layout.partial/blobs/x")).unwrap();
    write_archive(&dir.path().join("web.tar"), &scene.plan, &scene).unwrap();
    write_layout(&dir.path().join("layout"), &scene.plan, &scene).unwrap();
    assert_eq!(names(dir.path()), ["layout", "web.tar"]);
    assert_eq!(
        names(&dir.path().join("layout")),
        ["blobs", "index.json", "oci-layout"]
    );
    let opened = crate::open::open(&dir.path().join("web.tar")).unwrap();
    assert_eq!(crate::validate::validate(&opened), []);
}

#[test]
fn two_writers_of_one_output_take_turns() {
    let (scene, dir) = (web(), tempfile::tempdir().unwrap());
    let (tar, layout) = (dir.path().join("web.tar"), dir.path().join("layout"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    write_archive(&tar, &scene.plan, &scene).unwrap();
                    write_layout(&layout, &scene.plan, &scene).unwrap();
                }
            });
        }
    });
    assert_eq!(names(dir.path()), ["layout", "web.tar"]);
    for path in [tar, layout] {
        let opened = crate::open::open(&path).unwrap();
        assert_eq!(crate::validate::validate(&opened), []);
    }
}
