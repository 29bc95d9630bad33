//! Writes or serves the kit's worlds, to look at them with other programs.
//!
//! `worlds DIRECTORY` writes wheels, debs, objects, the keyring and the mirror;
//! `worlds serve` serves a mirror, an index and a registry until standard input ends.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for looking at test data"
)]

use std::path::Path;

use unheck_testkit::{
    DebBuilder, DebCompression, DebLie, ElfBuilder, Lie, Machine, Registry, RegistryOptions,
    Scenario, SdistBuilder, WheelBuilder, World, keys, registry::Auth,
};

fn main() {
    let target = std::env::args().nth(1).unwrap();
    match target.as_str() {
        "serve" => serve(),
        directory => write_all(Path::new(directory)),
    }
}

fn serve() {
    let start = std::time::Instant::now();
    let scenario = Scenario::basic();
    let registry = Registry::start(RegistryOptions::default());
    println!("debian {}", scenario.debian_url());
    println!("security {}", scenario.security_url());
    println!("index {}", scenario.index_url());
    println!("registry {}", registry.address());
    let auth = Auth::Token("user".into(), "pass".into());
    let options = RegistryOptions {
        auth,
        absolute_locations: true,
        mount: false,
        ..RegistryOptions::default()
    };
    let guarded = Registry::start(options);
    println!("guarded {}", guarded.address());
    println!("ready in {:?}", start.elapsed());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    for request in registry.server.requests() {
        println!("{} {}", request.method, request.target);
    }
}

fn write_all(root: &Path) {
    let put = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    };
    let wheel = WheelBuilder::demo();
    put(&format!("wheels/{}", wheel.filename()), &wheel.build());
    for (name, lie) in Lie::catalogue() {
        put(
            &format!("wheels/{name}/{}", wheel.filename()),
            &wheel.clone().lie(lie).build(),
        );
    }
    let sdist = SdistBuilder::new("demo", "1.0").file("demo.py", "x = 1\n");
    put(&sdist.filename(), &sdist.build());
    for (name, compression) in [
        ("none", DebCompression::None),
        ("gz", DebCompression::Gzip),
        ("xz", DebCompression::Xz),
        ("zst", DebCompression::Zstd),
    ] {
        put(
            &format!("debs/{name}.deb"),
            &DebBuilder::demo().compression(compression).build(),
        );
    }
    for (name, lie) in DebLie::catalogue() {
        put(
            &format!("debs/lies/{name}.deb"),
            &DebBuilder::demo().lie(lie).build(),
        );
    }
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let name = machine.triplet();
        let library = ElfBuilder::new(machine)
            .soname("libdemo.so.1")
            .runpath("$ORIGIN/../demo.libs")
            .import_versioned("memcpy", "libc.so.6", "GLIBC_2.17")
            .need_version("libc.so.6", "GLIBC_2.34")
            .need_version("libm.so.6", "GLIBC_2.29")
            .export("PyInit_demo")
            .export_versioned("demo_run", "DEMO_1.1")
            .rodata("libother.so.3\0")
            .note_dlopen(r#"[{"soname":["libx.so.1"],"priority":"suggested"}]"#);
        put(&format!("elf/{name}.so"), &library.clone().build());
        put(
            &format!("elf/{name}-nosections.so"),
            &library.without_sections().build(),
        );
        let program = ElfBuilder::new(machine).program("hello\n", 7);
        put(&format!("elf/{name}-program"), &program.build());
    }
    put("keyring.gpg", &keys::test_keyring());
    put("other.gpg", keys::TestKey::other().certificate());
    put("good.asc", keys::TestKey::good().armored().as_bytes());
    for (name, key) in [
        ("good", keys::TestKey::good()),
        ("subkey", keys::TestKey::subkey()),
        ("expired", keys::TestKey::expired()),
        ("revoked", keys::TestKey::revoked()),
        ("other", keys::TestKey::other()),
    ] {
        let text = key.clearsign("Origin: Debian\n- dash\nlast line\n", 1_768_032_000);
        put(&format!("signed/{name}"), text.as_bytes());
    }
    let both = [keys::TestKey::other(), keys::TestKey::good()];
    put(
        "signed/two",
        keys::clearsign_by(&both, "Origin: Debian\n", 1_768_032_000).as_bytes(),
    );
    for (path, bytes) in World::basic().mirror().files {
        put(&format!("mirror{path}"), &bytes);
    }
}
