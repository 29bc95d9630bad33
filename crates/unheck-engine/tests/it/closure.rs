//! From ELF objects and Python source to Debian's files, and what is said when there are none.

use unheck_engine::lock::Lock;
use unheck_testkit::scenario::extension_wheel;
use unheck_testkit::{DebBuilder, ElfBuilder, Machine, World};

use crate::support::*;

/// `package: file <- reason` of the packages that are not the interpreter's own.
fn os_files(run: &Run) -> String {
    let lock = Lock::from_text(&run.lock_text(), "lock".as_ref()).unwrap();
    let debs = lock.plan.targets[0].debs.iter().filter(|deb| !deb.base);
    let lines = debs.flat_map(|deb| {
        let whole = deb
            .files
            .is_empty()
            .then(|| format!("{}: whole <- {}", deb.name, deb.reason));
        let files = deb
            .files
            .iter()
            .map(|(path, reason)| format!("{}: {path} <- {reason}", deb.name));
        files.chain(whole).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_needed_library_brings_its_files_and_theirs() {
    let fixture = Fixture::new().requirements("needs-gl\n");
    let outcome = fixture.build();
    insta::assert_snapshot!(os_files(&fixture.run), @r"
libgl1: usr/lib/x86_64-linux-gnu/libGL.so.1 <- libGL.so.1 <- usr/local/lib/python3.13/dist-packages/needs_gl/_core.cpython-313-x86_64-linux-gnu.so
libgl1: usr/lib/x86_64-linux-gnu/libGL.so.1.7.0 <- target of usr/lib/x86_64-linux-gnu/libGL.so.1
libglvnd0: usr/lib/x86_64-linux-gnu/libGLdispatch.so.0 <- libGLdispatch.so.0 <- usr/lib/x86_64-linux-gnu/libGL.so.1.7.0
libglvnd0: usr/lib/x86_64-linux-gnu/libGLdispatch.so.0.0.0 <- target of usr/lib/x86_64-linux-gnu/libGLdispatch.so.0
libglx0: usr/lib/x86_64-linux-gnu/libGLX.so.0 <- libGLX.so.0 <- usr/lib/x86_64-linux-gnu/libGL.so.1.7.0
libglx0: usr/lib/x86_64-linux-gnu/libGLX.so.0.0.0 <- target of usr/lib/x86_64-linux-gnu/libGLX.so.0
libx11-6: usr/lib/x86_64-linux-gnu/libX11.so.6 <- libX11.so.6 <- usr/lib/x86_64-linux-gnu/libGLX.so.0.0.0
libx11-6: usr/lib/x86_64-linux-gnu/libX11.so.6.4.0 <- target of usr/lib/x86_64-linux-gnu/libX11.so.6
libx11-data: whole <- data of libx11-6 (Depends)
libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1 <- libxcb.so.1 <- usr/lib/x86_64-linux-gnu/libX11.so.6.4.0
libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1.1.0 <- target of usr/lib/x86_64-linux-gnu/libxcb.so.1
");
    insta::assert_snapshot!(fixture.run.layers("linux/amd64")["OS libraries"], @r"
    d 0755 - - etc/
    f 0644 2426 13e3810e etc/ld.so.cache
    d 0755 - - usr/
    d 0755 - - usr/lib/
    d 0755 - - usr/lib/x86_64-linux-gnu/
    l 0777 - - usr/lib/x86_64-linux-gnu/libGL.so.1 -> libGL.so.1.7.0
    f 0644 1480 d94ac3f0 usr/lib/x86_64-linux-gnu/libGL.so.1.7.0
    l 0777 - - usr/lib/x86_64-linux-gnu/libGLX.so.0 -> libGLX.so.0.0.0
    f 0644 1480 6383bb95 usr/lib/x86_64-linux-gnu/libGLX.so.0.0.0
    l 0777 - - usr/lib/x86_64-linux-gnu/libGLdispatch.so.0 -> libGLdispatch.so.0.0.0
    f 0644 1440 76207ae1 usr/lib/x86_64-linux-gnu/libGLdispatch.so.0.0.0
    l 0777 - - usr/lib/x86_64-linux-gnu/libX11.so.6 -> libX11.so.6.4.0
    f 0644 1448 2c2daeae usr/lib/x86_64-linux-gnu/libX11.so.6.4.0
    l 0777 - - usr/lib/x86_64-linux-gnu/libxcb.so.1 -> libxcb.so.1.1.0
    f 0644 1416 74ef4e14 usr/lib/x86_64-linux-gnu/libxcb.so.1.1.0
    d 0755 - - usr/sbin/
    f 0755 2454 e763b303 usr/sbin/ldconfig
    d 0755 - - usr/share/
    d 0755 - - usr/share/X11/
    d 0755 - - usr/share/X11/locale/
    f 0644 16 ac7310d9 usr/share/X11/locale/locale.dir
    d 0755 - - usr/share/doc/
    d 0755 - - usr/share/doc/libgl1/
    f 0644 75 0a78cd0c usr/share/doc/libgl1/copyright
    d 0755 - - usr/share/doc/libglvnd0/
    f 0644 75 0a78cd0c usr/share/doc/libglvnd0/copyright
    d 0755 - - usr/share/doc/libglx0/
    f 0644 75 0a78cd0c usr/share/doc/libglx0/copyright
    d 0755 - - usr/share/doc/libx11-6/
    f 0644 75 0a78cd0c usr/share/doc/libx11-6/copyright
    d 0755 - - usr/share/doc/libx11-data/
    f 0644 75 0a78cd0c usr/share/doc/libx11-data/copyright
    d 0755 - - usr/share/doc/libxcb1/
    f 0644 75 0a78cd0c usr/share/doc/libxcb1/copyright
    d 0755 - - var/
    d 0755 - - var/lib/
    d 0755 - - var/lib/dpkg/
    d 0755 - - var/lib/dpkg/status.d/
    f 0644 295 8bfb482c var/lib/dpkg/status.d/libgl1
    f 0644 139 6cf5ae82 var/lib/dpkg/status.d/libgl1.md5sums
    f 0644 248 499345e1 var/lib/dpkg/status.d/libglvnd0
    f 0644 150 402c9104 var/lib/dpkg/status.d/libglvnd0.md5sums
    f 0644 298 67324d14 var/lib/dpkg/status.d/libglx0
    f 0644 141 e9f1ef53 var/lib/dpkg/status.d/libglx0.md5sums
    f 0644 269 9dab64a8 var/lib/dpkg/status.d/libx11-6
    f 0644 142 1067d1f0 var/lib/dpkg/status.d/libx11-6.md5sums
    f 0644 213 2715c7ae var/lib/dpkg/status.d/libx11-data
    f 0644 136 b0171b7c var/lib/dpkg/status.d/libx11-data.md5sums
    f 0644 235 d698dd50 var/lib/dpkg/status.d/libxcb1
    f 0644 141 23fd48a1 var/lib/dpkg/status.d/libxcb1.md5sums
    ");
    // Another project of the suite shares the interpreter's layer.
    let other = Fixture::of(unheck_testkit::Scenario::basic()).requirements("opener\n");
    assert_eq!(
        other.build().built.platforms[0].layers[0].layer.digest,
        outcome.built.platforms[0].layers[0].layer.digest
    );
}

#[test]
fn a_library_that_source_opens_by_name_ships() {
    let fixture = Fixture::new().requirements("opener\n");
    fixture.build();
    insta::assert_snapshot!(os_files(&fixture.run), @r"
libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1 <- libxcb.so.1 <- usr/local/lib/python3.13/dist-packages/opener/library.py:3
libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1.1.0 <- target of usr/lib/x86_64-linux-gnu/libxcb.so.1
");
}

#[test]
fn the_app_s_own_source_counts_and_its_new_needs_renew_the_lock() {
    let fixture = Fixture::new().requirements("");
    fixture.build();
    assert_eq!(os_files(&fixture.run), "");
    fixture.write("main.py", "import ctypes\nctypes.CDLL('libxcb.so.1')\n");
    let locked = fixture.with(|run| run.mode = "locked".to_owned());
    insta::assert_snapshot!(fixture.refused(&locked), @r"
Input
the lock `[dir]/project/pylock.unheck.toml` is stale: the app's own files open other libraries
hint: run `unheck lock`, or leave `--locked` and `--frozen` out
");
    assert!(fixture.build().built.locked);
    insta::assert_snapshot!(os_files(&fixture.run), @r"
    libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1 <- libxcb.so.1 <- app/main.py:2
    libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1.1.0 <- target of usr/lib/x86_64-linux-gnu/libxcb.so.1
    ");
}

#[test]
fn a_library_that_nothing_has_is_told_with_who_needs_it() {
    let fixture = Fixture::new().requirements("nowhere\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    - distribution nowhere has `usr/local/lib/python3.13/dist-packages/nowhere/_core.cpython-313-x86_64-linux-gnu.so`, which needs `libnowhere.so.9`: no package of the suite provides it
    a need that no package serves
    hint: bring it in a wheel, or leave the distribution out
    ");
    fixture.assert_nothing_written();
}

#[test]
fn a_library_in_a_directory_of_its_own_is_found_by_the_loader_s_cache() {
    let object = ElfBuilder::new(Machine::X86_64)
        .soname("libplug.so.1")
        .build();
    let deb = DebBuilder::new("plugins", "1-1", "amd64")
        .file("/usr/lib/x86_64-linux-gnu/plugins/libplug.so.1", object);
    let wheel = extension_wheel(Machine::X86_64, "plugged", |elf| elf.needed("libplug.so.1"));
    let older = extension_wheel(Machine::X86_64, "older", |elf| elf.needed("libplug.so.0"));
    let fixture = Fixture::world(World::basic().deb(&deb).wheel(&wheel).wheel(&older))
        .requirements("plugged\n");
    fixture.build();
    insta::assert_snapshot!(os_files(&fixture.run), @"plugins: usr/lib/x86_64-linux-gnu/plugins/libplug.so.1 <- libplug.so.1 <- usr/local/lib/python3.13/dist-packages/plugged/_core.cpython-313-x86_64-linux-gnu.so");
    // A like name is no help, but a hint.
    fixture.write("requirements.txt", "older\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r#"
    Input
    cannot lock
    - distribution older has `usr/local/lib/python3.13/dist-packages/older/_core.cpython-313-x86_64-linux-gnu.so`, which needs `libplug.so.0`: no package of the suite provides it
    a need that no package serves
    hint: one of these may serve it: add `debs = ["plugins"]` to `[tool.unheck]`
    "#);
}

#[test]
fn a_symbol_version_that_is_too_new_is_told_with_the_library_s_package() {
    let fixture = Fixture::new().requirements("future\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    - distribution future has `usr/local/lib/python3.13/dist-packages/future/_core.cpython-313-x86_64-linux-gnu.so`, which needs GLIBC_2.99 of `libc.so.6`: the suite's `libc6` does not have it
    a need that no package serves
    hint: choose a newer suite with `--suite`, or an older version of the distribution
    ");
    fixture.assert_nothing_written();
}

#[test]
fn a_package_added_by_hand_ships_whole_with_what_it_needs() {
    let fixture = Fixture::new().pyproject(&[], "[tool.unheck]\ndebs = ['libgl1']\n");
    fixture.build();
    insta::assert_snapshot!(os_files(&fixture.run), @r"
    libgl1: whole <- added by hand
    libglvnd0: usr/lib/x86_64-linux-gnu/libGLdispatch.so.0 <- libGLdispatch.so.0 <- usr/lib/x86_64-linux-gnu/libGL.so.1.7.0
    libglvnd0: usr/lib/x86_64-linux-gnu/libGLdispatch.so.0.0.0 <- target of usr/lib/x86_64-linux-gnu/libGLdispatch.so.0
    libglx0: usr/lib/x86_64-linux-gnu/libGLX.so.0 <- libGLX.so.0 <- usr/lib/x86_64-linux-gnu/libGL.so.1.7.0
    libglx0: usr/lib/x86_64-linux-gnu/libGLX.so.0.0.0 <- target of usr/lib/x86_64-linux-gnu/libGLX.so.0
    libx11-6: usr/lib/x86_64-linux-gnu/libX11.so.6 <- libX11.so.6 <- usr/lib/x86_64-linux-gnu/libGLX.so.0.0.0
    libx11-6: usr/lib/x86_64-linux-gnu/libX11.so.6.4.0 <- target of usr/lib/x86_64-linux-gnu/libX11.so.6
    libx11-data: whole <- data of libx11-6 (Depends)
    libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1 <- libxcb.so.1 <- usr/lib/x86_64-linux-gnu/libX11.so.6.4.0
    libxcb1: usr/lib/x86_64-linux-gnu/libxcb.so.1.1.0 <- target of usr/lib/x86_64-linux-gnu/libxcb.so.1
    ");
    let shipped = fixture.run.shipped("linux/amd64");
    assert!(shipped.contains_key("usr/share/doc/libgl1/copyright"));
    assert!(!shipped.contains_key("usr/share/doc/libgl1/changelog.Debian.gz"));
    fixture.write(
        "pyproject.toml",
        "[project]\nname = 'app'\nversion = '1'\n[tool.unheck]\ndebs = ['libgl9']\n",
    );
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    - the suite has no package `libgl9`
    a need that no package serves
    hint: take it out of `debs` in `[tool.unheck]`, or choose another suite with `--suite`
    ");
}

#[test]
fn an_object_of_another_machine_needs_nothing() {
    let wheel = extension_wheel(Machine::X86_64, "mixed", |elf| elf).executable(
        "mixed/arm.so",
        ElfBuilder::new(Machine::Aarch64)
            .needed("libnowhere.so.9")
            .build(),
    );
    let fixture = Fixture::world(World::basic().wheel(&wheel)).requirements("mixed\n");
    fixture.build();
    assert_eq!(os_files(&fixture.run), "");
}
