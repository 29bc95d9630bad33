//! A stand-in for Debian 13: real package names, relations and file places, small fake contents.
//!
//! Enough for a Python 3.13 with its libraries to be locked and assembled; nothing of it computes
//! anything. Its loader prints nothing and exits with 0, so every program "runs". Layout as in
//! Debian 13 (libc6 2.41, python3.13 3.13.5). Read [`packages`] first.

use crate::deb::DebBuilder;
use crate::elf::{ElfBuilder, Machine};
use crate::tarball::gzip;

/// Version of the python3.13 packages.
pub const PYTHON: &str = "3.13.5-2";
/// Version of the libraries of OpenSSL in the main suite; security has [`OPENSSL_FIXED`].
pub const OPENSSL: &str = "3.5.1-1";
/// Version of the libraries of OpenSSL in the security suite.
pub const OPENSSL_FIXED: &str = "3.5.1-1+deb13u1";
/// Version of tzdata in the main suite; updates has [`TZDATA_NEW`].
pub const TZDATA: &str = "2025b-4";
/// Version of tzdata in the updates suite.
pub const TZDATA_NEW: &str = "2025b-4+deb13u1";

const GLIBC: &str = "2.41-12";

/// The symbol versions of libc.so.6 on amd64; other architectures begin later.
const GLIBC_VERSIONS: [&str; 40] = [
    "2.2.5", "2.2.6", "2.3", "2.3.2", "2.3.3", "2.3.4", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9",
    "2.10", "2.11", "2.12", "2.13", "2.14", "2.15", "2.16", "2.17", "2.18", "2.22", "2.23", "2.24",
    "2.25", "2.26", "2.27", "2.28", "2.29", "2.30", "2.31", "2.32", "2.33", "2.34", "2.35", "2.36",
    "2.38", "2.39", "2.40", "2.41",
];

/// Packages with one library; the first line names the columns.
const LIBRARIES: &str = include_str!("data/libraries.txt");

/// Extension modules of the standard library: name, in the minimal package, needed, glibc.
const EXTENSIONS: &[(&str, bool, &[&str], &str)] = &[
    ("_ssl", true, &["libssl.so.3", "libcrypto.so.3"], "2.14"),
    ("_hashlib", true, &["libcrypto.so.3"], "2.4"),
    ("_asyncio", false, &[], ""),
    ("_bz2", false, &["libbz2.so.1.0"], "2.14"),
    ("_contextvars", false, &[], ""),
    ("_ctypes", false, &["libffi.so.8"], "2.34"),
    (
        "_curses",
        false,
        &["libncursesw.so.6", "libtinfo.so.6"],
        "2.38",
    ),
    ("_dbm", false, &["libdb-5.3.so"], "2.2.5"),
    ("_decimal", false, &["libm.so.6"], "2.38"),
    ("_lzma", false, &["liblzma.so.5"], "2.14"),
    ("_sqlite3", false, &["libsqlite3.so.0"], "2.14"),
    ("_uuid", false, &["libuuid.so.1"], "2.4"),
    ("_zoneinfo", false, &[], "2.14"),
    ("mmap", false, &[], "2.14"),
    ("readline", false, &["libreadline.so.8"], "2.15"),
];

/// Modules of libpython3.13-minimal.
const MINIMAL_MODULES: &str = "__future__ _collections_abc _sitebuiltins _weakrefset abc argparse \
    ast base64 codecs collections/__init__ collections/abc contextlib copy copyreg csv dataclasses \
    datetime email/__init__ email/message encodings/__init__ encodings/aliases encodings/ascii \
    encodings/latin_1 encodings/utf_8 enum functools genericpath hashlib heapq \
    importlib/__init__ importlib/metadata/__init__ importlib/resources/__init__ importlib/util \
    inspect io keyword linecache locale logging/__init__ operator os posixpath random re/__init__ \
    reprlib runpy selectors signal site socket ssl stat string struct subprocess tempfile \
    threading token tokenize traceback types typing warnings weakref zipfile/__init__";

/// Modules of libpython3.13-stdlib.
const STDLIB_MODULES: &str = "asyncio/__init__ asyncio/base_events asyncio/events bz2 cProfile \
    concurrent/__init__ concurrent/futures/__init__ ctypes/__init__ ctypes/util \
    curses/__init__ decimal fractions getpass html/__init__ http/__init__ http/client http/server \
    idlelib/__init__ json/__init__ json/decoder json/encoder json/scanner lzma mimetypes \
    multiprocessing/__init__ pdb pydoc pydoc_data/__init__ pydoc_data/topics queue readline_stub \
    shelve smtplib sqlite3/__init__ sqlite3/dbapi2 test/__init__ test/support/__init__ \
    test/test_ast/__init__ tomllib/__init__ turtle turtledemo/__init__ unittest/__init__ \
    urllib/parse urllib/request uuid venv/__init__ xml/__init__ xml/etc/__init__ zoneinfo/__init__";

/// All packages of the main suite for one processor (not those of `all`: see [`common`]).
pub fn packages(machine: Machine) -> Vec<DebBuilder> {
    let mut list = vec![
        base_files(machine),
        libc6(machine),
        libc_bin(machine),
        documented("gcc-14-base", "14.2.0-19", machine).source("gcc-14"),
        dash(machine),
    ];
    list.extend(
        LIBRARIES
            .lines()
            .skip(1)
            .map(|row| simple_library(machine, row)),
    );
    list.extend(openssl(machine, OPENSSL));
    list.extend(python(machine));
    list.extend(python_defaults(machine));
    list
}

/// The packages of architecture `all` in the main suite.
pub fn common() -> Vec<DebBuilder> {
    let all = |name: &str, version: &str, section: &str| {
        let deb = DebBuilder::new(name, version, "all").field("Section", section);
        deb.field("Multi-Arch", "foreign")
            .file(&format!("/usr/share/doc/{name}/copyright"), COPYRIGHT)
    };
    vec![
        tzdata(TZDATA),
        all("ca-certificates", "20250419", "misc")
            .depends("openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0")
            .file("/usr/share/ca-certificates/mozilla/Test_CA_1.crt", CA_1)
            .file("/usr/share/ca-certificates/mozilla/Test_CA_2.crt", CA_2)
            .dir("/etc/ssl/certs")
            .executable("/usr/sbin/update-ca-certificates", "#!/bin/sh\n")
            .script("postinst", "#!/bin/sh\nupdate-ca-certificates\n"),
        all("netbase", "6.5", "admin")
            .conffile("/etc/services", "http\t\t80/tcp\nhttps\t\t443/tcp\n")
            .conffile("/etc/protocols", "tcp\t6\tTCP\nudp\t17\tUDP\n")
            .conffile("/etc/rpc", "portmapper\t100000\n")
            .conffile("/etc/ethertypes", "IPv4\t0800\n"),
        all("media-types", "13.0.0", "net").conffile("/etc/mime.types", "text/html\thtml htm\n"),
        all("debconf", "1.5.91", "admin")
            .provides("debconf-2.0")
            .executable("/usr/bin/debconf", "x"),
        all("libx11-data", "2:1.8.12-1", "x11")
            .source("libx11")
            .file("/usr/share/X11/locale/locale.dir", "C/XLC_LOCALE: C\n"),
    ]
}

/// OpenSSL's packages at a version.
pub fn openssl(machine: Machine, version: &str) -> Vec<DebBuilder> {
    let libraries = library_dir(machine);
    let crypto = library(
        machine,
        "libcrypto.so.3",
        &["libz.so.1", "libzstd.so.1"],
        "2.38",
    )
    .export_versioned("SSLeay", "OPENSSL_3.0.0")
    .define_version("OPENSSL_3.5.0");
    let ssl = library(machine, "libssl.so.3", &["libcrypto.so.3"], "2.34")
        .need_version("libcrypto.so.3", "OPENSSL_3.0.0")
        .export_versioned("SSL_new", "OPENSSL_3.0.0");
    let legacy = ElfBuilder::new(machine)
        .need_version("libcrypto.so.3", "OPENSSL_3.0.0")
        .export("OSSL_provider_init");
    let program = program(machine, &["libssl.so.3", "libcrypto.so.3"], "2.34");
    let ours = |name: &str| documented(name, version, machine).source("openssl");
    vec![
        ours("libssl3t64")
            .field("Multi-Arch", "same")
            .depends("libc6 (>= 2.38), libzstd1 (>= 1.5.5), zlib1g (>= 1:1.1.4), openssl-provider-legacy")
            .provides(&format!("libssl3 (= {version})"))
            .file(&format!("{libraries}/libcrypto.so.3"), crypto.padding(4000).build())
            .file(&format!("{libraries}/libssl.so.3"), ssl.padding(1000).build())
            .file(&format!("{libraries}/engines-3/padlock.so"), legacy.clone().build()),
        ours("openssl-provider-legacy")
            .depends("libc6 (>= 2.14), libssl3t64 (>= 3.0.3)")
            .file(&format!("{libraries}/ossl-modules/legacy.so"), legacy.build()),
        ours("openssl")
            .depends("libc6 (>= 2.34), libssl3t64 (>= 3.5.0)")
            .executable("/usr/bin/openssl", program)
            .conffile("/etc/ssl/openssl.cnf", "openssl_conf = openssl_init\n")
            .symlink("/usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
            .symlink("/usr/lib/ssl/certs", "/etc/ssl/certs")
            .symlink("/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf")
            .symlink("/usr/lib/ssl/private", "/etc/ssl/private")
            .dir("/etc/ssl/private"),
    ]
}

/// tzdata at a version: three zones, a link, and the tables.
pub fn tzdata(version: &str) -> DebBuilder {
    let root = "/usr/share/zoneinfo";
    DebBuilder::new("tzdata", version, "all")
        .field("Section", "localization")
        .field("Multi-Arch", "foreign")
        .depends("debconf (>= 0.5) | debconf-2.0")
        .provides("tzdata-trixie")
        .file("/usr/share/doc/tzdata/copyright", COPYRIGHT)
        .file(&format!("{root}/Etc/UTC"), tzif(0, "UTC", "UTC0"))
        .file(
            &format!("{root}/Europe/Paris"),
            tzif(3600, "CET", "CET-1CEST,M3.5.0,M10.5.0/3"),
        )
        .file(
            &format!("{root}/America/New_York"),
            tzif(-18_000, "EST", "EST5EDT,M3.2.0,M11.1.0"),
        )
        .symlink(&format!("{root}/UTC"), "Etc/UTC")
        .file(
            &format!("{root}/tzdata.zi"),
            format!("# version {}\n", &version[..5]),
        )
        .file(
            &format!("{root}/zone.tab"),
            "FR\t+4852+00220\tEurope/Paris\n",
        )
        .file(&format!("{root}/leap-seconds.list"), "#$ 1\n")
}

/// Debian's name of a processor.
pub fn architecture(machine: Machine) -> &'static str {
    match machine {
        Machine::X86_64 => "amd64",
        Machine::Aarch64 => "arm64",
    }
}

/// `GLIBC_x`, or what stands for it where the architecture's first version is later.
pub fn glibc(machine: Machine, version: &str) -> String {
    let rank = |wanted: &str| {
        GLIBC_VERSIONS
            .iter()
            .position(|known| *known == wanted)
            .unwrap()
    };
    let first = if machine == Machine::X86_64 {
        "2.2.5"
    } else {
        "2.17"
    };
    let version = if rank(version) < rank(first) {
        first
    } else {
        version
    };
    format!("GLIBC_{version}")
}

const COPYRIGHT: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n";
const CA_1: &str = include_str!("data/ca1.crt");
const CA_2: &str = include_str!("data/ca2.crt");

fn library_dir(machine: Machine) -> String {
    format!("/usr/lib/{}", machine.triplet())
}

/// A package with the documentation that every package has.
fn documented(name: &str, version: &str, machine: Machine) -> DebBuilder {
    let changelog = gzip(format!("{name} ({version}) unstable; urgency=medium\n").as_bytes());
    DebBuilder::new(name, version, architecture(machine))
        .file(
            &format!("/usr/share/doc/{name}/changelog.Debian.gz"),
            changelog,
        )
        .file(&format!("/usr/share/doc/{name}/copyright"), COPYRIGHT)
}

/// A library that needs others and, where `version` is not empty, libc.so.6 of that version.
fn library(machine: Machine, soname: &str, needed: &[&str], version: &str) -> ElfBuilder {
    let builder = ElfBuilder::new(machine).soname(soname);
    let builder = needed
        .iter()
        .fold(builder, |builder, name| builder.needed(name));
    match version {
        "" => builder,
        _ => builder
            .import_versioned("memcpy", "libc.so.6", &glibc(machine, version))
            .rodata(format!("{soname}\0")),
    }
}

fn program(machine: Machine, needed: &[&str], version: &str) -> Vec<u8> {
    let builder = ElfBuilder::new(machine).interp(machine.loader());
    let builder = needed
        .iter()
        .fold(builder, |builder, name| builder.needed(name));
    builder
        .import_versioned("__libc_start_main", "libc.so.6", &glibc(machine, version))
        .build()
}

fn simple_library(machine: Machine, row: &str) -> DebBuilder {
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    let [
        package,
        source,
        version,
        file,
        soname,
        needed,
        glibc,
        depends,
        defines,
    ] = columns[..]
    else {
        panic!("a row has nine columns: {row}");
    };
    let needed: Vec<&str> = needed.split(' ').filter(|name| !name.is_empty()).collect();
    let defines = defines.split(' ').filter(|name| !name.is_empty());
    let directory = library_dir(machine);
    let builder =
        library(machine, soname, &needed, glibc).export(&format!("{}_init", &soname[3..6]));
    let builder = defines.fold(builder, |builder, name| builder.define_version(name));
    let deb = documented(package, version, machine)
        .source(source)
        .field("Multi-Arch", "same")
        .depends(depends)
        .file(&format!("{directory}/{file}"), builder.build());
    let deb = match package {
        "libbz2-1.0" => deb.symlink(&format!("{directory}/libbz2.so.1"), file),
        _ => deb,
    };
    match file == soname {
        true => deb,
        false => deb.symlink(&format!("{directory}/{soname}"), file),
    }
}

fn base_files(machine: Machine) -> DebBuilder {
    let release = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\n\
        VERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nVERSION_CODENAME=trixie\n\
        DEBIAN_VERSION_FULL=13.1\nID=debian\n";
    let deb = documented("base-files", "13.8+deb13u1", machine)
        .field("Essential", "yes")
        .field("Section", "admin")
        .provides("base, usr-is-merged")
        .file("/etc/debian_version", "13.1\n")
        .symlink("/etc/os-release", "../usr/lib/os-release")
        .file("/usr/lib/os-release", release)
        .file("/etc/host.conf", "multi on\n")
        .file("/usr/share/common-licenses/GPL-3", "the text\n")
        .file("/usr/share/base-files/profile", "PATH=/usr/bin\n")
        .dir("/tmp");
    let links = [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")];
    let deb = links
        .iter()
        .fold(deb, |deb, (link, to)| deb.symlink(&format!("/{link}"), to));
    match machine {
        Machine::X86_64 => deb.symlink("/lib64", "usr/lib64"),
        Machine::Aarch64 => deb,
    }
}

fn libc6(machine: Machine) -> DebBuilder {
    let directory = library_dir(machine);
    let loader_name = machine.loader().rsplit('/').next().unwrap();
    let loader = ElfBuilder::new(machine)
        .soname(loader_name)
        .define_version("GLIBC_PRIVATE");
    let loader = loader
        .export_versioned("__tls_get_addr", &glibc(machine, "2.3"))
        .program("", 0);
    let first = glibc(machine, "2.2.5");
    let from = GLIBC_VERSIONS
        .iter()
        .position(|one| format!("GLIBC_{one}") == first)
        .unwrap();
    let libc = ElfBuilder::new(machine)
        .soname("libc.so.6")
        .interp(machine.loader())
        .need_version(loader_name, "GLIBC_PRIVATE")
        .export_versioned("memcpy", &glibc(machine, "2.14"))
        .export_versioned("dlopen", "GLIBC_2.34")
        .rodata("libgcc_s.so.1\0libnss_%s.so%s\0/etc/nsswitch.conf\0");
    let versions = GLIBC_VERSIONS[from..]
        .iter()
        .map(|one| format!("GLIBC_{one}"));
    let known = [glibc(machine, "2.14"), "GLIBC_2.34".to_owned()];
    let libc = versions
        .chain(["GLIBC_PRIVATE".to_owned()])
        .filter(|one| !known.contains(one))
        .fold(libc, |libc, one| libc.define_version(&one));
    let deb = documented("libc6", GLIBC, machine)
        .source("glibc")
        .field("Multi-Arch", "same")
        .depends("libgcc-s1")
        .executable(&format!("{directory}/{loader_name}"), loader.build())
        .executable(
            &format!("{directory}/libc.so.6"),
            libc.padding(8000).build(),
        )
        .conffile(
            &format!("/etc/ld.so.conf.d/{}.conf", machine.triplet()),
            format!(
                "# Multiarch support\n/lib/{0}\n/usr/lib/{0}\n",
                machine.triplet()
            ),
        );
    let deb = match machine {
        Machine::X86_64 => deb.symlink(
            "/usr/lib64/ld-linux-x86-64.so.2",
            "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ),
        Machine::Aarch64 => deb.symlink(
            "/usr/lib/ld-linux-aarch64.so.1",
            "aarch64-linux-gnu/ld-linux-aarch64.so.1",
        ),
    };
    let others = [
        "m.so.6",
        "mvec.so.1",
        "dl.so.2",
        "pthread.so.0",
        "rt.so.1",
        "util.so.1",
        "anl.so.1",
        "resolv.so.2",
        "nss_files.so.2",
        "nss_dns.so.2",
        "nss_compat.so.2",
    ];
    others.iter().fold(deb, |deb, name| {
        let name = format!("lib{name}");
        let builder = library(machine, &name, &[], "2.34").define_version(&first);
        let versions = ["2.29", "2.38"].map(|one| glibc(machine, one));
        let builder = versions
            .iter()
            .fold(builder, |builder, one| builder.define_version(one));
        deb.file(&format!("{directory}/{name}"), builder.build())
    })
}

fn libc_bin(machine: Machine) -> DebBuilder {
    let deb = documented("libc-bin", GLIBC, machine)
        .source("glibc")
        .field("Essential", "yes")
        .depends("libc6 (>> 2.41), libc6 (<< 2.42)")
        .conffile("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
        .conffile(
            "/etc/ld.so.conf.d/libc.conf",
            "# libc default configuration\n/usr/local/lib\n",
        )
        .conffile("/etc/gai.conf", "# label\n")
        .file(
            "/usr/share/libc-bin/nsswitch.conf",
            "passwd: files\nhosts: files dns\n",
        )
        .executable("/usr/sbin/ldconfig", program(machine, &[], "2.34"))
        .executable("/usr/bin/getent", program(machine, &[], "2.34"));
    let categories = [
        "LC_CTYPE",
        "LC_COLLATE",
        "LC_TIME",
        "LC_MESSAGES/SYS_LC_MESSAGES",
    ];
    categories.iter().fold(deb, |deb, name| {
        deb.file(
            &format!("/usr/lib/locale/C.utf8/{name}"),
            format!("{name}\n"),
        )
    })
}

fn dash(machine: Machine) -> DebBuilder {
    documented("dash", "0.5.12-12", machine)
        .field("Essential", "yes")
        .field("Section", "shells")
        .pre_depends("libc6 (>= 2.38)")
        .executable("/usr/bin/dash", program(machine, &[], "2.38"))
        .symlink("/usr/bin/sh", "dash")
}

fn python(machine: Machine) -> Vec<DebBuilder> {
    let ours = |name: &str| {
        documented(name, PYTHON, machine)
            .source("python3.13")
            .field("Section", "python")
    };
    let interpreter = program(
        machine,
        &["libm.so.6", "libz.so.1", "libexpat.so.1"],
        "2.38",
    );
    let root = "/usr/lib/python3.13";
    let modules = |deb: DebBuilder, list: &str| {
        list.split_whitespace().fold(deb, |deb, module| {
            let text = format!("\"\"\"Stand-in for the module {module}.\"\"\"\n");
            deb.file(&format!("{root}/{module}.py"), text)
        })
    };
    let extensions = |deb: DebBuilder, minimal: bool| {
        let mine = EXTENSIONS
            .iter()
            .filter(|(_, place, _, _)| *place == minimal);
        mine.fold(deb, |deb, (name, _, needed, version)| {
            let file = format!(
                "{root}/lib-dynload/{name}.cpython-313-{}.so",
                machine.triplet()
            );
            deb.file(&file, extension(machine, name, needed, version))
        })
    };
    let minimal = ours("libpython3.13-minimal")
        .field("Multi-Arch", "same")
        .depends("libc6 (>= 2.14), libssl3t64 (>= 3.4.0)")
        .conffile(
            "/etc/python3.13/sitecustomize.py",
            "# Empty sitecustomize.py\n",
        )
        .file(
            &format!("{root}/_sysconfigdata__linux_{}.py", machine.triplet()),
            "build_time_vars = {}\n",
        );
    let stdlib = ours("libpython3.13-stdlib")
        .field("Multi-Arch", "same")
        .depends(&format!("libpython3.13-minimal (= {PYTHON}), media-types | mime-support, netbase, tzdata"))
        .depends("libbz2-1.0, libc6 (>= 2.38), libdb5.3t64, libffi8 (>= 3.4), liblzma5, libncursesw6 (>= 6.1)")
        .depends("libreadline8t64 (>= 7.0~beta), libsqlite3-0 (>= 3.36.0), libtinfo6 (>= 6), libuuid1")
        .file(&format!("{root}/EXTERNALLY-MANAGED"), "[externally-managed]\nError=no\n")
        .file(&format!("{root}/LICENSE.txt"), "PSF\n");
    vec![
        ours("python3.13-minimal")
            .pre_depends("libc6 (>= 2.38)")
            .depends(&format!(
                "libpython3.13-minimal (= {PYTHON}), libexpat1 (>= 2.6.0), zlib1g (>= 1:1.2.0)"
            ))
            .executable("/usr/bin/python3.13", interpreter)
            .file("/usr/share/binfmts/python3.13", "package python3.13\n")
            .script("postinst", "#!/bin/sh\nexit 0\n"),
        extensions(modules(minimal, MINIMAL_MODULES), true),
        extensions(modules(stdlib, STDLIB_MODULES), false),
        ours("python3.13")
            .depends(&format!(
                "python3.13-minimal (= {PYTHON}), libpython3.13-stdlib (= {PYTHON})"
            ))
            .depends("media-types | mime-support, tzdata")
            .executable("/usr/bin/pydoc3.13", "#!/usr/bin/python3.13\n")
            .symlink("/usr/bin/pdb3.13", "../lib/python3.13/pdb.py"),
    ]
}

/// An extension module of the standard library.
fn extension(machine: Machine, name: &str, needed: &[&str], version: &str) -> Vec<u8> {
    let builder = ElfBuilder::new(machine).export(&format!("PyInit_{name}"));
    let builder = needed
        .iter()
        .fold(builder, |builder, library| builder.needed(library));
    let builder = builder.import("PyModule_Create2");
    match (name, version) {
        (_, "") => builder.build(),
        ("_ssl", _) => builder
            .import_versioned("SSL_new", "libssl.so.3", "OPENSSL_3.0.0")
            .import_versioned("memcpy", "libc.so.6", &glibc(machine, version))
            .build(),
        ("_ctypes", _) => builder
            .import_versioned("dlopen", "libc.so.6", "GLIBC_2.34")
            .build(),
        _ => builder
            .import_versioned("memcpy", "libc.so.6", &glibc(machine, version))
            .build(),
    }
}

fn python_defaults(machine: Machine) -> Vec<DebBuilder> {
    let version = "3.13.5-1";
    let ours = |name: &str| {
        documented(name, version, machine)
            .source("python3-defaults")
            .field("Section", "python")
    };
    vec![
        ours("python3-minimal")
            .pre_depends("python3.13-minimal (>= 3.13.5-1~)")
            .symlink("/usr/bin/python3", "python3.13")
            .executable("/usr/bin/py3compile", "#!/usr/bin/python3\n")
            .file(
                "/usr/share/python3/debian_defaults",
                "[DEFAULT]\ndefault-version = python3.13\n",
            ),
        ours("libpython3-stdlib").depends("libpython3.13-stdlib (>= 3.13.5-1~)"),
        ours("python3")
            .pre_depends(&format!("python3-minimal (= {version})"))
            .depends(&format!(
                "python3.13 (>= 3.13.5-1~), libpython3-stdlib (= {version})"
            ))
            .provides("python3-supported-max (= 3.13), python3-supported-min (= 3.13)")
            .symlink("/usr/bin/pdb3", "pdb3.13")
            .symlink("/usr/bin/pydoc3", "pydoc3.13"),
    ]
}

/// A time zone file, version 2, without transitions (RFC 8536): offset in seconds, abbreviation,
/// and the rule for ever after.
pub fn tzif(offset: i32, abbreviation: &str, rule: &str) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.resize(20, 0);
    let counts = [0, 0, 0, 0, 1, abbreviation.len() as u32 + 1];
    block.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    block.extend(offset.to_be_bytes());
    block.extend([0, 0]);
    block.extend_from_slice(abbreviation.as_bytes());
    block.push(0);
    [block.as_slice(), &block, b"\n", rule.as_bytes(), b"\n"].concat()
}
