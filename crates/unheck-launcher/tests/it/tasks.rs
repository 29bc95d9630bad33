//! What executables can be asked for.

use std::os::unix::fs::MetadataExt;
use std::process::Command as Process;

use unheck_launcher::{ExeFile, ExeOptions, ItemKind, ReadExeError};

use crate::kit::{self, Run, World};

pub(crate) const TESTS: &[crate::Test] = &[
    (
        "self_check_says_that_all_is_well",
        self_check_says_that_all_is_well,
    ),
    (
        "unpack_makes_a_tree_that_starts",
        unpack_makes_a_tree_that_starts,
    ),
    (
        "unpack_goes_into_no_directory_with_content",
        unpack_goes_into_no_directory_with_content,
    ),
    (
        "flags_beside_other_arguments_are_the_programs",
        flags_beside_other_arguments_are_the_programs,
    ),
    (
        "flags_can_be_given_to_the_program",
        flags_can_be_given_to_the_program,
    ),
    (
        "other_commands_can_be_started",
        other_commands_can_be_started,
    ),
    ("unknown_task_is_refused", unknown_task_is_refused),
    (
        "executable_is_read_without_running_it",
        executable_is_read_without_running_it,
    ),
    (
        "same_tree_gives_same_bytes_on_any_number_of_cores",
        same_tree_gives_same_bytes_on_any_number_of_cores,
    ),
];

fn self_check_says_that_all_is_well() {
    let world = World::exe();
    let run = world.run("exe", &["--self-check"]).good();
    assert!(run.stdout.contains(&kit::content_name()), "{run:?}");
    assert!(run.stdout.contains("not unpacked in any cache"), "{run:?}");
    assert!(!world.cache().exists(), "a check changes nothing");
}

fn unpack_makes_a_tree_that_starts() {
    for by_variable in [false, true] {
        let world = World::exe();
        let target = world.at("unpacked");
        let mut command = world.command("exe");
        if by_variable {
            fs_err::create_dir(&target).unwrap();
            command.env("UNHECK_EXE", format!("unpack:{}/", target.display()));
        } else {
            command
                .current_dir(world.at(""))
                .args(["--unpack", "unpacked"]);
        }
        Run::of(&mut command).good();
        let packed = World::tree();
        assert_eq!(
            kit::read_tree(&packed.at("tree")).entries,
            kit::read_tree(&target).entries
        );
        for path in ["app.py", "data/link", "data", "usr/lib"] {
            let status = fs_err::symlink_metadata(target.join(path)).unwrap();
            assert_eq!(status.mtime(), 315_532_800, "{path}");
        }
        assert!(!world.cache().exists());
        let run = Run::of(Process::new(target.join("usr/bin/app")).env_clear()).good();
        assert_eq!(run.argv0(), target.join("usr/bin/python").to_str().unwrap());
    }
}

fn unpack_goes_into_no_directory_with_content() {
    let world = World::exe();
    let home = world.at("home");
    fs_err::write(home.join("file"), "mine").unwrap();
    world
        .run("exe", &["--unpack", home.to_str().unwrap()])
        .bad(125, &["cannot unpack", "not empty"]);
    assert_eq!(kit::names_in(&home), ["file"]);
    let names = kit::names_in(&world.at(""));
    assert_eq!(names, ["exe", "home"]);
}

fn flags_beside_other_arguments_are_the_programs() {
    let world = World::exe();
    for arguments in [
        &["--self-check", "x"][..],
        &["--unpack"],
        &["--unpack", "a", "b"],
        &["x", "--self-check"],
    ] {
        let run = world.run("exe", arguments).good();
        assert!(run.all("argument").ends_with(arguments), "{run:?}");
    }
}

fn flags_can_be_given_to_the_program() {
    let world = World::exe();
    let run = Run::of(
        world
            .command("exe")
            .arg("--self-check")
            .env("UNHECK_EXE", "run"),
    )
    .good();
    assert_eq!(run.all("argument").last(), Some(&"--self-check"));
    assert_eq!(
        run.variable("UNHECK_EXE"),
        None,
        "it was said to the launcher alone"
    );
    let options = ExeOptions {
        flags: false,
        ..kit::OPTIONS
    };
    world.put_exe("plain", &kit::exe_with(options).0);
    let run = world.run("plain", &["--self-check"]).good();
    assert_eq!(run.all("argument").last(), Some(&"--self-check"));
    let run = Run::of(world.command("plain").env("UNHECK_EXE", "self-check")).good();
    assert!(run.stdout.contains("as written"), "{run:?}");
}

fn other_commands_can_be_started() {
    let world = World::exe();
    let run = Run::of(
        world
            .command("exe")
            .args(["exit", "5"])
            .env("UNHECK_EXE", "run:python"),
    );
    assert_eq!(run.code, Some(5), "{run:?}");
    Run::of(world.command("exe").env("UNHECK_EXE", "run:ruby"))
        .bad(127, &["`ruby`", "app, python"]);
}

fn unknown_task_is_refused() {
    let world = World::exe();
    Run::of(world.command("exe").env("UNHECK_EXE", "dance")).bad(125, &["dance", "self-check"]);
}

fn executable_is_read_without_running_it() {
    let world = World::tree();
    world.put_exe("exe", &kit::exe_bytes().0);
    let exe = ExeFile::open(&world.at("exe")).unwrap();
    assert_eq!(exe.content(), kit::exe_bytes().1.content);
    let mut seen = 0;
    exe.visit(&|_| true, &mut |item, content| {
        let path = world.at("tree").join(item.path.as_str());
        if matches!(item.kind, ItemKind::File { .. } | ItemKind::Launcher { .. }) {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            assert!(bytes == fs_err::read(&path)?, "{}", item.path);
        }
        seen += usize::from(fs_err::symlink_metadata(path).is_ok());
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, kit::read_tree(&world.at("tree")).entries.len());
    world.put_exe("bare", kit::stub());
    let bare = ExeFile::open(&world.at("bare"));
    assert!(matches!(bare, Err(ReadExeError::Absent { .. })), "{bare:?}");
}

fn same_tree_gives_same_bytes_on_any_number_of_cores() {
    let usual = kit::exe_bytes();
    for threads in [1, 5] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let other = pool.install(|| kit::exe_with(kit::OPTIONS));
        assert!(other.0 == usual.0, "{threads} threads");
        assert_eq!(other.1.len, usual.0.len() as u64);
    }
}
