//! The launcher as a file of a tree.

use std::process::Command as Process;

use fs_err::os::unix::fs::symlink;

use unheck_launcher::{Argv0, Mode};

use crate::kit::{self, Run, World};

pub(crate) const TESTS: &[crate::Test] = &[
    (
        "command_is_chosen_by_file_name",
        command_is_chosen_by_file_name,
    ),
    ("moved_tree_starts", moved_tree_starts),
    ("links_to_launcher_start", links_to_launcher_start),
    ("launcher_is_found_in_path", launcher_is_found_in_path),
    (
        "interpreter_keeps_the_name_it_was_called_by",
        interpreter_keeps_the_name_it_was_called_by,
    ),
    ("false_names_do_not_deceive", false_names_do_not_deceive),
    (
        "environment_is_set_as_described_and_no_more",
        environment_is_set_as_described_and_no_more,
    ),
    (
        "arguments_and_exit_codes_pass_through",
        arguments_and_exit_codes_pass_through,
    ),
    (
        "loaders_that_pass_no_names_leave_them_in_a_variable",
        loaders_that_pass_no_names_leave_them_in_a_variable,
    ),
    (
        "unknown_command_is_127_and_names_the_known",
        unknown_command_is_127_and_names_the_known,
    ),
    (
        "launcher_outside_of_a_tree_is_125",
        launcher_outside_of_a_tree_is_125,
    ),
    (
        "wrong_description_is_125_with_its_line",
        wrong_description_is_125_with_its_line,
    ),
    ("missing_loader_is_127", missing_loader_is_127),
    (
        "path_that_loaders_cannot_search_is_126",
        path_that_loaders_cannot_search_is_126,
    ),
    (
        "the_stub_ends_with_its_section_headers",
        the_stub_ends_with_its_section_headers,
    ),
    (
        "what_the_stub_needs_is_in_the_outer_lock",
        what_the_stub_needs_is_in_the_outer_lock,
    ),
];

fn command_is_chosen_by_file_name() {
    let world = World::tree();
    let app = world.run("tree/usr/bin/app", &["--flag"]).good();
    let script = world.at("tree/app.py");
    assert_eq!(
        app.all("argument"),
        ["show", script.to_str().unwrap(), "--flag"]
    );
    assert_eq!(
        app.argv0(),
        world.at("tree/usr/bin/python").to_str().unwrap()
    );
    let python = world.run("tree/usr/bin/python", &["show", "x"]).good();
    assert_eq!(python.all("argument"), ["show", "x"]);
    assert_eq!(
        python.argv0(),
        world.at("tree/usr/bin/python").to_str().unwrap()
    );
}

fn moved_tree_starts() {
    let world = World::tree();
    fs_err::create_dir(world.at("else where")).unwrap();
    fs_err::rename(world.at("tree"), world.at("else where/b")).unwrap();
    let run = world.run("else where/b/usr/bin/app", &[]).good();
    assert_eq!(
        run.argv0(),
        world.at("else where/b/usr/bin/python").to_str().unwrap()
    );
}

fn links_to_launcher_start() {
    let world = World::tree();
    symlink("tree/usr/bin/app", world.at("first")).unwrap();
    symlink(world.at("first"), world.at("second")).unwrap();
    symlink("tree", world.at("way")).unwrap();
    for link in ["first", "second", "way/usr/bin/app"] {
        let run = world.run(link, &[]).good();
        assert_eq!(
            run.argv0(),
            world.at("tree/usr/bin/python").to_str().unwrap(),
            "{link}"
        );
    }
}

fn launcher_is_found_in_path() {
    let world = World::tree();
    let mut shell = Process::new("/bin/sh");
    shell.env_clear().env("PATH", world.at("tree/usr/bin"));
    let run = Run::of(shell.args(["-c", "python show; exit $?"])).good();
    assert_eq!(
        run.argv0(),
        world.at("tree/usr/bin/python").to_str().unwrap()
    );
}

/// Virtual environments are found by the path of the link.
fn interpreter_keeps_the_name_it_was_called_by() {
    let world = World::tree();
    fs_err::create_dir_all(world.at("venv/bin")).unwrap();
    symlink(
        world.at("tree/usr/bin/python"),
        world.at("venv/bin/python3"),
    )
    .unwrap();
    let run = world.run("venv/bin/python3", &["show"]).good();
    assert_eq!(run.argv0(), world.at("venv/bin/python3").to_str().unwrap());
    // Relative names become absolute.
    let mut command = Process::new("venv/bin/python3");
    let run = Run::of(command.current_dir(world.at("")).env_clear().arg("show")).good();
    assert!(run.argv0().ends_with("/venv/bin/python3") && run.argv0().starts_with('/'));
}

fn false_names_do_not_deceive() {
    use std::os::unix::process::CommandExt;
    let world = World::tree();
    for name in ["/bin/sh", "nothing", ""] {
        let run = Run::of(world.command("tree/usr/bin/python").arg0(name).arg("show")).good();
        assert_eq!(
            run.argv0(),
            world.at("tree/usr/bin/python").to_str().unwrap(),
            "{name}"
        );
    }
}

fn environment_is_set_as_described_and_no_more() {
    let world = World::tree();
    let mut command = world.command("tree/usr/bin/app");
    command
        .env("FORCED", "no")
        .env("KEPT", "a=b")
        .env("LD_LIBRARY_PATH", "/nowhere");
    let run = Run::of(&mut command).good();
    assert_eq!(
        run.variable("SSL_CERT_FILE"),
        world.at("tree/cert.pem").to_str()
    );
    assert_eq!(run.variable("FORCED"), Some("yes"));
    assert_eq!(run.variable("KEPT"), Some("a=b"));
    assert_eq!(run.variable("LD_LIBRARY_PATH"), Some("/nowhere"));
    let names = run.all("variable").len() - usize::from(run.variable("UNHECK_ARGV0").is_some());
    assert_eq!(names, 5, "{run:?}");
    let run = Run::of(command.env("SSL_CERT_FILE", "")).good();
    assert_eq!(
        run.variable("SSL_CERT_FILE"),
        Some(""),
        "set to nothing is set"
    );
}

fn arguments_and_exit_codes_pass_through() {
    let world = World::tree();
    assert_eq!(
        world.run("tree/usr/bin/python", &["exit", "42"]).code,
        Some(42)
    );
    let odd = ["show", "", "a b", "--library-path", "ü\n"];
    let run = world.run("tree/usr/bin/python", &odd).good();
    assert_eq!(run.stdout.matches("argument ").count(), odd.len());
}

fn loaders_that_pass_no_names_leave_them_in_a_variable() {
    let world = World::empty();
    let mut launch = kit::launch();
    if let Mode::Static { argv0, .. } = &mut launch.mode {
        *argv0 = Argv0::Environment;
    }
    kit::make_tree(&world.at("tree"), &launch);
    let run = world.run("tree/usr/bin/app", &[]).good();
    assert_eq!(
        run.variable("UNHECK_ARGV0"),
        world.at("tree/usr/bin/python").to_str()
    );
    assert_eq!(
        run.all("argv0"),
        [world.at("tree/usr/bin/python.bin").to_str().unwrap()]
    );
}

fn unknown_command_is_127_and_names_the_known() {
    let world = World::tree();
    fs_err::rename(world.at("tree/usr/bin/app"), world.at("tree/usr/bin/other")).unwrap();
    world
        .run("tree/usr/bin/other", &[])
        .bad(127, &["`other`", "app, python"]);
}

fn launcher_outside_of_a_tree_is_125() {
    let world = World::empty();
    world.put_exe("alone", kit::stub());
    world
        .run("alone", &[])
        .bad(125, &["is in no tree", "hint: "]);
}

fn wrong_description_is_125_with_its_line() {
    let world = World::tree();
    let at = world.at("tree").join(unheck_launcher::LAUNCH_PATH);
    let text = fs_err::read_to_string(&at).unwrap();
    fs_err::write(&at, text.replacen("names-by", "named-by", 1)).unwrap();
    world.run("tree/usr/bin/app", &[]).bad(125, &["line 4"]);
    fs_err::write(&at, text.replacen("unheck-launch 1", "unheck-launch 9", 1)).unwrap();
    world.run("tree/usr/bin/app", &[]).bad(125, &["version"]);
}

fn missing_loader_is_127() {
    let world = World::tree();
    for name in kit::names_in(&world.at("tree/usr/lib")) {
        fs_err::remove_file(world.at("tree/usr/lib").join(name)).unwrap();
    }
    world
        .run("tree/usr/bin/app", &[])
        .bad(127, &["cannot start", "No such file"]);
}

fn path_that_loaders_cannot_search_is_126() {
    let world = World::tree();
    fs_err::rename(world.at("tree"), world.at("a:b")).unwrap();
    world
        .run("a:b/usr/bin/app", &[])
        .bad(126, &["`:`", "hint: move it"]);
}

/// By this the launcher tells a cut executable from a bare launcher.
fn the_stub_ends_with_its_section_headers() {
    let stub = kit::stub();
    let table = u64::from_le_bytes(*stub[40..].first_chunk().unwrap());
    let number = |at: usize| u64::from(u16::from_le_bytes(*stub[at..].first_chunk().unwrap()));
    assert_eq!(table + number(58) * number(60), stub.len() as u64);
    assert!(
        stub.len() < 700_000,
        "the launcher has {} bytes",
        stub.len()
    );
}

/// So that a clean clone compiles without asking for more than its own lock names.
fn what_the_stub_needs_is_in_the_outer_lock() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = |path: &str| -> Vec<String> {
        let text = fs_err::read_to_string(here.join(path)).unwrap();
        let mut packages: Vec<String> = text
            .split("\n[[package]]\n")
            .skip(1)
            .map(str::to_owned)
            .collect();
        packages.retain(|package| package.contains("\nsource = "));
        let head = |package: &String| package.lines().take(4).collect::<Vec<_>>().join(" ");
        packages.iter().map(head).collect()
    };
    let outer = packages("../../Cargo.lock");
    let inner = packages("stub/Cargo.lock");
    assert!(inner.len() > 3, "the lock is not read as it should be");
    for package in inner {
        assert!(outer.contains(&package), "the outer lock has no {package}");
    }
}
