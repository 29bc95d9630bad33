//! Executables and their caches.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{self, Run, World, content_name, names_in};

pub(crate) const TESTS: &[crate::Test] = &[
    (
        "first_start_unpacks_to_the_cache",
        first_start_unpacks_to_the_cache,
    ),
    ("later_starts_read_no_payload", later_starts_read_no_payload),
    (
        "eight_first_starts_at_once_share_one_tree",
        eight_first_starts_at_once_share_one_tree,
    ),
    (
        "killed_first_start_leaves_nothing_in_the_way",
        killed_first_start_leaves_nothing_in_the_way,
    ),
    (
        "leftovers_of_killed_starts_are_removed",
        leftovers_of_killed_starts_are_removed,
    ),
    (
        "leftovers_whose_owner_lives_stay",
        leftovers_whose_owner_lives_stay,
    ),
    (
        "tree_of_an_earlier_boot_is_compared_once",
        tree_of_an_earlier_boot_is_compared_once,
    ),
    (
        "damaged_tree_of_an_earlier_boot_is_unpacked_again",
        damaged_tree_of_an_earlier_boot_is_unpacked_again,
    ),
    (
        "cache_is_where_the_environment_says",
        cache_is_where_the_environment_says,
    ),
    ("cache_of_others_is_refused", cache_of_others_is_refused),
    (
        "without_usable_home_a_temporary_place_serves",
        without_usable_home_a_temporary_place_serves,
    ),
    (
        "swept_temporary_place_is_unpacked_again",
        swept_temporary_place_is_unpacked_again,
    ),
];

pub(crate) const MOUNTING_TESTS: &[crate::Test] = &[
    (
        "noexec_cache_is_refused_by_name",
        noexec_cache_is_refused_by_name,
    ),
    ("empty_root_is_enough", empty_root_is_enough),
];

fn first_start_unpacks_to_the_cache() {
    let world = World::exe();
    let run = world.run("exe", &["x"]).good();
    let tree = world.unpacked().join("tree");
    assert_eq!(run.argv0(), tree.join("usr/bin/python").to_str().unwrap());
    assert_eq!(run.all("argument").last(), Some(&"x"));
    assert_eq!(
        run.variable("SSL_CERT_FILE"),
        tree.join("cert.pem").to_str()
    );
    assert_eq!(
        fs_err::metadata(world.cache()).unwrap().mode() & 0o777,
        0o700
    );
    // The launcher in there is the interpreter that `sys.executable` names.
    let python = Run::of(Process::new(run.argv0()).arg("show").env_clear()).good();
    assert_eq!(python.argv0(), run.argv0());
    assert_same_tree(&tree);
}

/// Content, modes, links and hard links are those of the tree that was packed.
fn assert_same_tree(unpacked: &std::path::Path) {
    let packed = World::tree();
    let (packed, unpacked_entries) = (kit::read_tree(&packed.at("tree")), kit::read_tree(unpacked));
    assert_eq!(packed.entries, unpacked_entries.entries);
    let inode = |path: &str| fs_err::metadata(unpacked.join(path)).unwrap().ino();
    assert_eq!(inode("data/same-1"), inode("data/same-2"));
}

fn later_starts_read_no_payload() {
    let world = World::exe();
    world.run("exe", &[]).good();
    let before = fs_err::metadata(world.unpacked().join("tree")).unwrap();
    // Damage in the middle of the frames, which only a start that unpacks would notice.
    let mut bytes = kit::exe_bytes().0.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.put_exe("exe2", &bytes);
    world.run("exe2", &[]).good();
    let after = fs_err::metadata(world.unpacked().join("tree")).unwrap();
    assert_eq!(
        (before.ino(), before.ctime_nsec()),
        (after.ino(), after.ctime_nsec())
    );
}

fn eight_first_starts_at_once_share_one_tree() {
    let world = World::exe();
    let children: Vec<_> = (0..8)
        .map(|_| kit::spawn(world.command("exe").stdout(Stdio::piped())))
        .collect();
    let runs: Vec<Run> = children
        .into_iter()
        .map(|child| Run::from(child.wait_with_output().unwrap()).good())
        .collect();
    assert!(runs.iter().all(|run| run.argv0() == runs[0].argv0()));
    assert_eq!(
        names_in(&world.cache()),
        [content_name(), content_name() + ".lock"]
    );
    assert_same_tree(&world.unpacked().join("tree"));
}

fn killed_first_start_leaves_nothing_in_the_way() {
    let mut left = 0;
    for pause in 0..40 {
        let world = World::exe();
        let mut child = kit::spawn(world.command("exe").stdout(Stdio::null()));
        let begin = Instant::now();
        while !world.cache().exists() && begin.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let names = names_in(&world.cache());
        left += usize::from(names.iter().any(|name| name.contains(".new-")));
        world.run("exe", &[]).good();
        assert_eq!(
            names_in(&world.cache()),
            [content_name(), content_name() + ".lock"]
        );
        if left == 3 {
            assert_same_tree(&world.unpacked().join("tree"));
            return;
        }
    }
    panic!("no start was killed while it unpacked");
}

fn leftovers_of_killed_starts_are_removed() {
    let world = World::exe();
    for name in [
        content_name() + ".new-0",
        "0123456789abcdef.new-1".to_owned(),
    ] {
        let directory = world.cache().join(name).join("tree/a");
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("file"), "x").unwrap();
        fs_err::set_permissions(&directory, PermissionsExt::from_mode(0o500)).unwrap();
    }
    fs_err::set_permissions(world.cache(), PermissionsExt::from_mode(0o700)).unwrap();
    world.run("exe", &[]).good();
    let names = names_in(&world.cache());
    assert!(
        !names.iter().any(|name| name.contains(".new-")),
        "{names:?}"
    );
}

fn leftovers_whose_owner_lives_stay() {
    let world = World::exe();
    let theirs = world.cache().join("0123456789abcdef.new-1");
    fs_err::create_dir_all(&theirs).unwrap();
    fs_err::set_permissions(world.cache(), PermissionsExt::from_mode(0o700)).unwrap();
    let lock = fs_err::File::create(world.cache().join("0123456789abcdef.lock")).unwrap();
    lock.file().lock().unwrap();
    world.run("exe", &[]).good();
    assert!(theirs.exists());
}

fn tree_of_an_earlier_boot_is_compared_once() {
    let world = World::exe();
    world.run("exe", &[]).good();
    let mark = world.unpacked().join("complete");
    let tree = fs_err::metadata(world.unpacked().join("tree"))
        .unwrap()
        .ino();
    fs_err::write(&mark, "another boot").unwrap();
    world.run("exe", &[]).good();
    assert_eq!(fs_err::read_to_string(&mark).unwrap(), "settled");
    assert_eq!(
        fs_err::metadata(world.unpacked().join("tree"))
            .unwrap()
            .ino(),
        tree
    );
}

fn damaged_tree_of_an_earlier_boot_is_unpacked_again() {
    for damage in ["content", "length", "missing", "link"] {
        let world = World::exe();
        world.run("exe", &[]).good();
        let tree = world.unpacked().join("tree");
        fs_err::write(world.unpacked().join("complete"), "another boot").unwrap();
        match damage {
            "content" => fs_err::write(tree.join("data/same-1"), "the same CONTENT").unwrap(),
            "length" => fs_err::write(tree.join("app.py"), "").unwrap(),
            "missing" => fs_err::remove_dir(tree.join("data/nothing")).unwrap(),
            _ => {
                fs_err::remove_file(tree.join("data/link")).unwrap();
                fs_err::os::unix::fs::symlink("/", tree.join("data/link")).unwrap();
            }
        }
        world.run("exe", &[]).good();
        assert_same_tree(&tree);
        assert_eq!(
            names_in(&world.cache()),
            [content_name(), content_name() + ".lock"]
        );
    }
}

fn cache_is_where_the_environment_says() {
    let world = World::exe();
    Run::of(world.command("exe").env("XDG_CACHE_HOME", world.at("home"))).good();
    assert!(world.at("home/unheck-exe").join(content_name()).exists());
    let given = world.at("some/where");
    Run::of(world.command("exe").env("UNHECK_EXE_CACHE", &given)).good();
    assert!(given.join(content_name()).exists());
    // A relative one is no cache by its specification; this one is ours and counts from the current directory.
    let mut command = world.command("exe");
    command
        .current_dir(world.at("home"))
        .env("UNHECK_EXE_CACHE", "rel");
    let run = Run::of(&mut command).good();
    assert!(run.argv0().starts_with('/') && world.at("home/rel").join(content_name()).exists());
    assert!(!world.cache().exists());
}

fn cache_of_others_is_refused() {
    let world = World::exe();
    let open = world.at("open");
    fs_err::create_dir(&open).unwrap();
    fs_err::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    let refused = |path: &std::path::Path, words: &[&str]| {
        Run::of(world.command("exe").env("UNHECK_EXE_CACHE", path)).bad(125, words);
    };
    refused(
        &open,
        &["others may write there", "hint: set UNHECK_EXE_CACHE"],
    );
    fs_err::os::unix::fs::symlink(world.at("home"), world.at("link")).unwrap();
    refused(&world.at("link"), &["no directory of its own"]);
    refused(&world.at("a:b"), &["`:`"]);
    refused(&world.at("exe"), &["no directory"]);
}

/// Where executables go without a home; other tests must not use it.
fn temporary_place() -> std::path::PathBuf {
    let user = fs_err::metadata("/proc/self").unwrap().uid();
    std::path::PathBuf::from(format!("/var/tmp/unheck-exe-{user}"))
}

/// An executable that no other test has, in the temporary place; removed at the end.
struct Homeless {
    world: World,
    name: String,
}

impl Homeless {
    fn new(mark: &str) -> Self {
        let world = World::tree();
        fs_err::write(world.at("tree/mark"), mark).unwrap();
        let mut bytes = Vec::new();
        let tree = world.at("tree");
        let written = kit::read_tree(&tree)
            .write(kit::stub(), &kit::Directory(tree), kit::OPTIONS, &mut bytes)
            .unwrap();
        world.put_exe("exe", &bytes);
        let name = written.content.hex()[..32].to_owned();
        Self { world, name }
    }

    fn tree(&self) -> std::path::PathBuf {
        temporary_place().join(&self.name).join("tree")
    }
}

impl Drop for Homeless {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(temporary_place().join(&self.name));
        let _ = fs_err::remove_file(temporary_place().join(format!("{}.lock", self.name)));
        // Only if nobody else is in there.
        let _ = fs_err::remove_dir(temporary_place());
    }
}

fn without_usable_home_a_temporary_place_serves() {
    let homeless = Homeless::new("without home");
    let world = &homeless.world;
    Run::of(world.command("exe").env_remove("HOME")).good();
    assert_eq!(
        fs_err::metadata(temporary_place()).unwrap().mode() & 0o777,
        0o700
    );
    fs_err::remove_dir_all(homeless.tree().parent().unwrap()).unwrap();
    // Root writes everywhere, so for root the home is another's; for others it is read-only.
    let home = world.at("home");
    fs_err::create_dir(&home).unwrap();
    if std::os::unix::fs::chown(&home, Some(1), None).is_err() {
        fs_err::set_permissions(&home, PermissionsExt::from_mode(0o500)).unwrap();
    }
    let run = world.run("exe", &[]).good();
    assert!(
        run.argv0().starts_with(homeless.tree().to_str().unwrap()),
        "{run:?}"
    );
    assert!(names_in(&home).is_empty());
}

fn swept_temporary_place_is_unpacked_again() {
    let homeless = Homeless::new("swept");
    let world = &homeless.world;
    let start = || Run::of(world.command("exe").env_remove("HOME")).good();
    let noise = homeless.tree().join("data/noise");
    let mark = homeless.tree().parent().unwrap().join("complete");
    let age = |hours: u64| {
        let then =
            std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + hours * 3600);
        for path in [&mark, &noise] {
            let file = fs_err::File::open(path).unwrap();
            let times = std::fs::FileTimes::new()
                .set_accessed(then)
                .set_modified(then);
            file.file().set_times(times).unwrap();
        }
    };
    start();
    // Looked at not long ago: nothing can be swept yet, and nothing is looked at.
    let before = fs_err::metadata(&mark).unwrap().ino();
    start();
    assert_eq!(fs_err::metadata(&mark).unwrap().ino(), before);
    // Old but whole: what is used is not swept.
    age(0);
    start();
    let used = fs_err::metadata(&noise).unwrap();
    assert!(used.atime() > 1_100_000_000, "use was not noted");
    assert_eq!(used.mtime(), 1_000_000_000, "content did not change");
    assert!(fs_err::metadata(&mark).unwrap().mtime() > 1_100_000_000);
    age(1);
    fs_err::remove_file(&noise).unwrap();
    start();
    assert!(noise.exists());
}

fn noexec_cache_is_refused_by_name() {
    let world = World::exe();
    let script =
        "mount -t tmpfs -o noexec none \"$HOME\" && UNHECK_EXE_CACHE=\"$HOME/cache\" \"$0\"";
    let mut command = Process::new("unshare");
    command
        .args(["-Urm", "/bin/sh", "-c", script])
        .arg(world.at("exe"));
    Run::of(command.env("HOME", world.at("home"))).bad(125, &["home/cache", "noexec"]);
}

/// No libc, no shell, no /proc, no home: only the executable and a /tmp.
fn empty_root_is_enough() {
    let world = World::exe();
    fs_err::create_dir_all(world.at("root/tmp")).unwrap();
    fs_err::copy(world.at("exe"), world.at("root/exe")).unwrap();
    let mut command = Process::new("unshare");
    command
        .args(["-Ur", "-R"])
        .arg(world.at("root"))
        .arg("/exe")
        .env_clear();
    let run = Run::of(command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")).good();
    assert!(run.argv0().starts_with("/tmp/unheck-exe-0/"), "{run:?}");
    let mark = world
        .at("root/tmp/unheck-exe-0")
        .join(content_name())
        .join("complete");
    assert_eq!(
        fs_err::read_to_string(mark).unwrap(),
        "settled",
        "no boot can be told, so it was synced"
    );
}
