//! A store that rots, a process that is killed, and two at once: the same image or an error, never
//! another image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use unheck_base::Digest;

use crate::support::*;

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Truncate,
    Delete,
    Empty,
}

const DAMAGES: [Damage; 4] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Delete,
    Damage::Empty,
];

fn damage(path: &Path, how: Damage) {
    let mut bytes = fs_err::read(path).unwrap();
    let middle = bytes.len() / 2;
    match how {
        Damage::Flip => match bytes.get_mut(middle) {
            Some(byte) => *byte ^= 1,
            None => bytes.push(0),
        },
        Damage::Truncate => bytes.truncate(middle),
        Damage::Empty => bytes.clear(),
        Damage::Delete => return fs_err::remove_file(path).unwrap(),
    }
    // Blobs are read-only: a new file takes the place, as after a restore from a bad backup.
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// The files of a store that hold content.
fn content(store: &Path) -> Vec<PathBuf> {
    let areas = ["blobs", "derived", "state"].map(|area| store.join(area));
    files(store)
        .into_iter()
        .filter(|path| areas.iter().any(|area| path.starts_with(area)))
        .collect()
}

fn fixture() -> Fixture {
    Fixture::new().requirements("demo\nnative\nneeds-gl\n")
}

/// Damages the files, builds without the old output and compares; what went wrong, if anything.
fn after(
    fixture: &Fixture,
    good: &(Digest, Digest),
    files: &[PathBuf],
    how: Damage,
) -> Option<String> {
    for file in files {
        damage(file, how);
    }
    fs_err::remove_file(&fixture.run.output).ok();
    let names: Vec<String> = files
        .iter()
        .map(|file| {
            file.strip_prefix(&fixture.run.store)
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    let wrong = |what: String| Some(format!("{how:?} {names:?}: {what}"));
    match fixture.run.build() {
        Err(failure) => wrong(fixture.report(&failure)),
        Ok(outcome) if outcome.built.image.digest != good.0 => wrong("another digest".to_owned()),
        Ok(_) if digest_of(&fixture.run.output) != good.1 => {
            wrong("other bytes under the same digest".to_owned())
        }
        Ok(_) => None,
    }
}

fn good(fixture: &Fixture) -> (Digest, Digest) {
    let outcome = fixture.build();
    (outcome.built.image.digest, digest_of(&fixture.run.output))
}

/// One file of each kind: wheel, deb, layer and every kind of derived file.
#[test]
fn a_damaged_file_of_any_kind_is_noticed_and_made_again() {
    let fixture = fixture();
    let good = good(&fixture);
    let mut wrong = Vec::new();
    for how in [Damage::Flip, Damage::Truncate] {
        let mut kinds = std::collections::BTreeMap::new();
        for path in content(&fixture.run.store) {
            let relative = path.strip_prefix(&fixture.run.store).unwrap();
            let mut parts = relative
                .iter()
                .map(|part| part.to_string_lossy().into_owned());
            let (area, kind) = (parts.next().unwrap(), parts.next().unwrap());
            let kind = if area == "derived" {
                kind
            } else {
                String::new()
            };
            kinds.insert((area, kind), path);
        }
        assert!(kinds.len() > 6, "{kinds:?}");
        for path in kinds.into_values() {
            wrong.extend(after(&fixture, &good, &[path], how));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn all_blobs_or_all_derived_files_damaged_at_once_are_made_again() {
    let fixture = fixture();
    let good = good(&fixture);
    let mut wrong = Vec::new();
    for area in ["blobs", "derived"] {
        for how in DAMAGES {
            let files: Vec<PathBuf> = content(&fixture.run.store)
                .into_iter()
                .filter(|path| path.starts_with(fixture.run.store.join(area)))
                .collect();
            wrong.extend(after(&fixture, &good, &files, how));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_damaged_layer_never_ends_in_an_image() {
    let fixture = fixture();
    let outcome = fixture.build();
    let good = (outcome.built.image.digest, digest_of(&fixture.run.output));
    let layers = outcome.built.platforms[0].layers.iter();
    let blobs: Vec<PathBuf> = layers
        .map(|layer| {
            let hex = layer.layer.digest.hex();
            fixture
                .run
                .store
                .join("blobs/sha256")
                .join(&hex[..2])
                .join(&hex)
        })
        .collect();
    let mut wrong = Vec::new();
    for how in DAMAGES {
        for blob in &blobs {
            wrong.extend(after(&fixture, &good, std::slice::from_ref(blob), how));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Nothing that was unpacked is left, so that every damaged archive is read again.
#[test]
fn a_lock_is_made_again_from_a_store_of_damaged_archives() {
    let fixture = fixture();
    let good = good(&fixture);
    let lock = fixture.run.lock_text();
    for how in [Damage::Flip, Damage::Truncate] {
        fs_err::remove_dir_all(fixture.run.store.join("derived")).unwrap();
        fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
        let blobs = content(&fixture.run.store);
        assert_eq!(after(&fixture, &good, &blobs, how), None);
        assert_eq!(fixture.run.lock_text(), lock);
    }
}

#[test]
#[ignore = "some hundred builds: every file of the store, every damage"]
fn every_file_of_the_store_damaged_in_every_way_is_made_again() {
    let fixture = fixture();
    let good = good(&fixture);
    let mut wrong = Vec::new();
    for how in DAMAGES {
        for path in content(&fixture.run.store) {
            if path.exists() {
                wrong.extend(after(&fixture, &good, &[path], how));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_killed_build_leaves_nothing_half_done() {
    let reference = fixture();
    let good = good(&reference);
    let lock = reference.run.lock_text();
    let mut killed = 0;
    for step in 0..8_u64 {
        for name in ["store", "resolver"] {
            fs_err::remove_dir_all(reference.path(name)).ok();
        }
        for path in [
            &reference.run.output,
            &reference.run.project.join("pylock.unheck.toml"),
        ] {
            fs_err::remove_file(path).ok();
        }
        let mut child = reference
            .run
            .child("reproducible::child_that_builds")
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + 90 * step));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // What stands under its final name is whole.
        if reference.run.project.join("pylock.unheck.toml").exists() {
            assert_eq!(reference.run.lock_text(), lock, "{step}");
        }
        if reference.run.output.exists() {
            assert_eq!(digest_of(&reference.run.output), good.1, "{step}");
        }
        let outcome = reference.build();
        assert_eq!(
            (outcome.built.image.digest, digest_of(&reference.run.output)),
            good,
            "{step}"
        );
        assert_eq!(reference.run.lock_text(), lock, "{step}");
        assert_eq!(
            leftovers(&reference.run.store),
            Vec::<String>::new(),
            "{step}"
        );
        let strays: Vec<String> = names(&reference.run.project)
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(strays, Vec::<String>::new(), "{step}");
    }
    assert!(killed >= 3, "only {killed} were killed while they ran");
}

#[test]
fn two_processes_share_a_store_and_a_project() {
    let fixture = fixture();
    let runs: Vec<Run> = ["one", "two", "three"]
        .iter()
        .map(|name| fixture.with(|run| run.output = fixture.path(&format!("{name}.tar"))))
        .collect();
    let children: Vec<_> = runs
        .iter()
        .map(|run| {
            run.child("reproducible::child_that_builds")
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let digests: Vec<Digest> = runs.iter().map(|run| digest_of(&run.output)).collect();
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
    drop(
        fixture
            .run
            .session(std::sync::Arc::new(unheck_engine::event::Silent))
            .unwrap(),
    );
    assert_eq!(leftovers(&fixture.run.store), Vec::<String>::new());
}
