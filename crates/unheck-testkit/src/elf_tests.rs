use object::read::elf::{Dyn as _, ElfFile64};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};

use super::*;

fn demo(machine: Machine) -> ElfBuilder {
    ElfBuilder::new(machine)
        .soname("libdemo.so.1")
        .needed("libz.so.1")
        .runpath("$ORIGIN/../demo.libs")
        .import_versioned("memcpy", "libc.so.6", "GLIBC_2.14")
        .need_version("libc.so.6", "GLIBC_2.34")
        .need_version("libm.so.6", "GLIBC_2.29")
        .define_version("DEMO_1.0")
        .export("PyInit_demo")
        .export_versioned("demo_run", "DEMO_1.1")
        .import("dlopen")
        .rodata("libother.so.3\0")
        .note_dlopen(r#"[{"soname":["libx.so.1"],"priority":"suggested"}]"#)
}

#[test]
fn a_second_library_reads_back_what_was_asked_for() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let bytes = demo(machine).build();
        let file = ElfFile64::<Endianness>::parse(bytes.as_slice()).unwrap();
        let exports = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition());
        let exports: Vec<&str> = exports.filter_map(|symbol| symbol.name().ok()).collect();
        assert_eq!(exports, ["PyInit_demo", "demo_run"]);
        let imports = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_undefined());
        let imports: Vec<&str> = imports.filter_map(|symbol| symbol.name().ok()).collect();
        assert_eq!(imports, ["memcpy", "dlopen"]);
        let rodata = file.section_by_name(".rodata").unwrap();
        assert_eq!(rodata.data().unwrap(), b"libother.so.3\0");
        assert!(file.section_by_name(".note.dlopen").is_some());
    }
}

#[test]
fn dynamic_entries_name_libraries_and_paths() {
    let bytes = demo(Machine::X86_64).build();
    let file = ElfFile64::<Endianness>::parse(bytes.as_slice()).unwrap();
    let table = file.elf_section_table();
    let endian = file.endian();
    let (entries, link) = table.dynamic(endian, bytes.as_slice()).unwrap().unwrap();
    let strings = table.strings(endian, bytes.as_slice(), link).unwrap();
    let text = |entry: &object::elf::Dyn64<Endianness>| {
        let text = strings.get(entry.d_val(endian) as u32).unwrap();
        String::from_utf8_lossy(text).into_owned()
    };
    let named = |tag: i64| {
        let wanted = entries.iter().filter(|entry| entry.d_tag(endian).0 == tag);
        wanted.map(text).collect::<Vec<_>>()
    };
    assert_eq!(named(1), ["libz.so.1", "libc.so.6", "libm.so.6"]);
    assert_eq!(named(14), ["libdemo.so.1"]);
    assert_eq!(named(29), ["$ORIGIN/../demo.libs"]);
}

#[test]
fn without_sections_is_shorter_and_still_an_object() {
    let with = demo(Machine::X86_64).build();
    let without = demo(Machine::X86_64).without_sections().build();
    assert!(without.len() < with.len());
    assert!(ElfFile64::<Endianness>::parse(without.as_slice()).is_ok());
    assert_eq!(
        demo(Machine::X86_64).padding(5000).build().len() / 5000,
        with.len() / 5000 + 1
    );
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_program_prints_and_exits_even_through_a_fake_loader() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let loader = dir.path().join("ld.so");
    let program = dir.path().join("program");
    let fake = ElfBuilder::new(Machine::X86_64)
        .program("hello\n", 7)
        .build();
    let path = loader.to_str().unwrap();
    let named = ElfBuilder::new(Machine::X86_64)
        .interp(path)
        .needed("libc.so.6")
        .build();
    for (path, bytes) in [(&loader, &fake), (&program, &named)] {
        fs_err::write(path, bytes).unwrap();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for path in [&loader, &program] {
        let output = std::process::Command::new(path).output().unwrap();
        assert_eq!(
            (output.stdout.as_slice(), output.status.code()),
            (&b"hello\n"[..], Some(7))
        );
    }
}
