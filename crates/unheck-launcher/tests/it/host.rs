//! Dynamic trees: what the host must have is checked before the start.

use std::collections::{BTreeMap, BTreeSet};

use unheck_launcher::{Family, Launch, Mode, Need};

use crate::kit::{self, Run, World};

pub(crate) const TESTS: &[crate::Test] = &[
    (
        "host_with_everything_starts_the_program_itself",
        host_with_everything_starts_the_program_itself,
    ),
    (
        "missing_library_and_version_are_named_with_packages",
        missing_library_and_version_are_named_with_packages,
    ),
    ("own_directories_count", own_directories_count),
    (
        "missing_loader_of_the_host_is_named",
        missing_loader_of_the_host_is_named,
    ),
];

fn need(soname: &str, versions: &[&str]) -> Need {
    let families = [Family::Alpine, Family::Debian, Family::Rhel, Family::Suse];
    Need {
        soname: soname.to_owned(),
        versions: versions
            .iter()
            .map(|version| (*version).to_owned())
            .collect::<BTreeSet<_>>(),
        packages: families
            .map(|family| (family, format!("{soname}-package")))
            .into(),
    }
}

fn dynamic(needs: Vec<Need>) -> World {
    let world = World::empty();
    let launch = Launch {
        mode: Mode::Dynamic { needs },
        ..kit::launch()
    };
    kit::make_tree(&world.at("tree"), &launch);
    world
}

/// The oldest version that glibc has on this architecture.
fn oldest() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "GLIBC_2.17"
    } else {
        "GLIBC_2.2.5"
    }
}

fn host_with_everything_starts_the_program_itself() {
    let world = dynamic(vec![need("libc.so.6", &[oldest()])]);
    let run = world.run("tree/usr/bin/app", &["x"]).good();
    // No loader in between: the kernel passes the name on, whatever glibc there is.
    assert_eq!(
        run.all("argv0"),
        [world.at("tree/usr/bin/python").to_str().unwrap()]
    );
    assert_eq!(run.all("argument").last(), Some(&"x"));
}

fn missing_library_and_version_are_named_with_packages() {
    let world = dynamic(vec![
        need("libc.so.6", &[oldest(), "GLIBC_9.99", "NOBODYS_1"]),
        need("libnobody-has-this.so.7", &[]),
        need("libgcc_s.so.1", &["GCC_3.0"]),
    ]);
    let run = world.run("tree/usr/bin/app", &[]);
    assert!(!run.stderr.contains("libgcc_s"), "{run:?}");
    assert!(!run.stderr.contains(oldest()), "{run:?}");
    let mut words = vec![
        "libnobody-has-this.so.7: not found",
        "libc.so.6 has no GLIBC_9.99, NOBODYS_1",
    ];
    // Every family has these packages; a host of none gets no hint.
    let os_release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let families = ["debian", "ubuntu", "alpine", "fedora", "rhel", "suse"];
    if families
        .iter()
        .any(|family| os_release.contains(&format!("ID={family}\n")))
    {
        words.extend([
            "(package libc.so.6-package)",
            "hint: ",
            " libc.so.6-package libnobody-has-this.so.7-package",
        ]);
    }
    run.bad(126, &words);
}

fn own_directories_count() {
    let world = dynamic(vec![need("libmine.so.1", &["GCC_3.0"])]);
    world
        .run("tree/usr/bin/app", &[])
        .bad(126, &["libmine.so.1: not found"]);
    let lib = world.at("tree/usr/lib");
    fs_err::copy(lib.join("libgcc_s.so.1"), lib.join("libmine.so.1")).unwrap();
    world.run("tree/usr/bin/app", &[]).good();
    // The first that is found counts, as for the loader, and one that cannot be read is none.
    fs_err::create_dir(world.at("first")).unwrap();
    fs_err::copy(lib.join("libc.so.6"), world.at("first/libmine.so.1")).unwrap();
    let mut command = world.command("tree/usr/bin/app");
    command.env("LD_LIBRARY_PATH", world.at("first"));
    Run::of(&mut command).bad(126, &["first/libmine.so.1 has no GCC_3.0"]);
    fs_err::write(world.at("first/libmine.so.1"), "no object").unwrap();
    Run::of(&mut command).good();
}

fn missing_loader_of_the_host_is_named() {
    let world = dynamic(vec![]);
    let program = world.at("tree/usr/bin/python.bin");
    let mut bytes = fs_err::read(&program).unwrap();
    let loaders = BTreeMap::from([
        ("x86_64", "/lib64/ld-linux-x86-64.so.2"),
        ("aarch64", "/lib/ld-linux-aarch64.so.1"),
    ]);
    let loader = loaders[std::env::consts::ARCH].as_bytes();
    let at = bytes
        .windows(loader.len())
        .position(|part| part == loader)
        .unwrap();
    bytes[at + loader.len() - 1] = b'9';
    fs_err::write(&program, bytes).unwrap();
    world
        .run("tree/usr/bin/app", &[])
        .bad(126, &["so.9", "the program's loader", "not found"]);
}
