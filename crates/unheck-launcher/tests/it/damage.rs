//! Damaged executables are refused, by name where a file is hit.

use crate::kit::{self, World, names_in};

pub(crate) const TESTS: &[crate::Test] = &[
    ("damage_in_a_file_is_named", damage_in_a_file_is_named),
    (
        "damage_in_the_index_is_refused",
        damage_in_the_index_is_refused,
    ),
    (
        "damage_in_the_trailer_is_refused",
        damage_in_the_trailer_is_refused,
    ),
    (
        "cut_or_grown_executable_is_refused",
        cut_or_grown_executable_is_refused,
    ),
    (
        "damage_in_the_launcher_copy_is_found",
        damage_in_the_launcher_copy_is_found,
    ),
    (
        "self_check_finds_damage_in_the_unpacked_tree",
        self_check_finds_damage_in_the_unpacked_tree,
    ),
];

fn with(change: impl FnOnce(&mut Vec<u8>)) -> World {
    let world = World::exe();
    let mut bytes = kit::exe_bytes().0.clone();
    change(&mut bytes);
    world.put_exe("exe", &bytes);
    world
}

/// What is in the cache after a refusal: nothing but the lock.
fn assert_nothing_unpacked(world: &World) {
    if world.cache().exists() {
        let names = names_in(&world.cache());
        assert!(
            names.iter().all(|name| name.ends_with(".lock")),
            "{names:?}"
        );
    }
}

fn damage_in_a_file_is_named() {
    // The noise does not compress, so its bytes are in the file as they are.
    let noise = fs_err::read(World::tree().at("tree/data/noise")).unwrap();
    let needle = &noise[noise.len() - 4000..][..64];
    let world = with(|bytes| {
        let at = bytes.windows(64).position(|part| part == needle).unwrap();
        bytes[at] ^= 0x10;
    });
    world.run("exe", &[]).bad(125, &["damaged", "`data/noise`"]);
    assert_nothing_unpacked(&world);
    world
        .run("exe", &["--self-check"])
        .bad(1, &["damaged", "`data/noise`"]);
}

fn damage_in_the_index_is_refused() {
    let world = with(|bytes| {
        let at = bytes.len() - 128 - 20;
        bytes[at] ^= 1;
    });
    world.run("exe", &[]).bad(125, &["damaged", "index"]);
    world
        .run("exe", &["--self-check"])
        .bad(1, &["damaged", "index"]);
    assert_nothing_unpacked(&world);
}

fn damage_in_the_trailer_is_refused() {
    for back in [128, 100, 60, 20] {
        let world = with(|bytes| {
            let at = bytes.len() - back;
            bytes[at] ^= 1;
        });
        world.run("exe", &[]).bad(125, &["damaged"]);
    }
}

fn cut_or_grown_executable_is_refused() {
    for len in [1, 1000, 1 << 20] {
        let world = with(|bytes| bytes.truncate(bytes.len() - len));
        world.run("exe", &[]).bad(125, &["damaged"]);
    }
    let world = with(|bytes| bytes.push(b'\n'));
    world.run("exe", &[]).bad(125, &["damaged"]);
}

/// The text of a message in the program: changed bytes that change nothing of what it does here.
fn damage_in_the_launcher_copy_is_found() {
    let world = with(|bytes| {
        let needle = b"launchers must not be setuid";
        let at = bytes
            .windows(needle.len())
            .position(|part| part == needle)
            .unwrap();
        bytes[at] ^= 0x20;
    });
    world.run("exe", &[]).bad(125, &["damaged", "launcher"]);
    world
        .run("exe", &["--self-check"])
        .bad(1, &["damaged", "launcher"]);
}

fn self_check_finds_damage_in_the_unpacked_tree() {
    let world = World::exe();
    world.run("exe", &[]).good();
    let run = world.run("exe", &["--self-check"]).good();
    assert!(run.stdout.contains("unpacked at "), "{run:?}");
    fs_err::write(world.unpacked().join("tree/app.py"), "print('APP')\n").unwrap();
    world
        .run("exe", &["--self-check"])
        .bad(1, &["`app.py`", "hint: remove"]);
}
