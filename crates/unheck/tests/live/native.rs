//! Distributions that come as source are compiled with nothing configured: no Debian package is named anywhere here.

use std::path::Path;

use serde_json::{Value, json};

use crate::kit::{build, directory, example, project, run, text, unheck};

/// One distribution that is compiled, used in the finished image.
struct Case {
    /// The requirement.
    requirement: &'static str,
    /// Normalised name.
    name: &'static str,
    /// Python that uses compiled code and fails when it cannot.
    code: &'static str,
    /// System libraries that the image must have then, by soname.
    libraries: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        requirement: "psycopg2",
        name: "psycopg2",
        code: "import psycopg2; assert psycopg2.__libpq_version__ > 150000",
        libraries: &["libpq.so.5"],
    },
    Case {
        requirement: "mysqlclient",
        name: "mysqlclient",
        code: "import MySQLdb; assert MySQLdb.get_client_info()",
        libraries: &["libmariadb.so.3"],
    },
    Case {
        requirement: "python-ldap",
        name: "python-ldap",
        code: "import ldap.dn; assert ldap.dn.explode_dn('cn=a,dc=b') == ['cn=a', 'dc=b']",
        libraries: &["libldap.so.2", "liblber.so.2"],
    },
    Case {
        requirement: "pycairo",
        name: "pycairo",
        code: "import cairo; cairo.Context(cairo.ImageSurface(cairo.FORMAT_ARGB32, 9, 9)).paint()",
        libraries: &["libcairo.so.2"],
    },
    Case {
        requirement: "pygraphviz",
        name: "pygraphviz",
        code: "import pygraphviz; g = pygraphviz.AGraph(); g.add_edge('a', 'b'); assert len(g.edges()) == 1",
        libraries: &["libcgraph.so.6"],
    },
    Case {
        requirement: "lxml",
        name: "lxml",
        code: "from lxml import etree; assert etree.XML('<a><b/></a>').xpath('count(//b)') == 1.0",
        libraries: &["libxml2.so.2", "libxslt.so.1"],
    },
    Case {
        requirement: "cffi",
        name: "cffi",
        code: "import cffi; f = cffi.FFI(); f.cdef('int abs(int);'); assert f.dlopen(None).abs(-3) == 3",
        libraries: &["libffi.so.8"],
    },
    Case {
        requirement: "pyodbc",
        name: "pyodbc",
        code: "import pyodbc; assert isinstance(pyodbc.drivers(), list)",
        libraries: &["libodbc.so.2"],
    },
    Case {
        requirement: "netifaces",
        name: "netifaces",
        code: "import netifaces; assert 'lo' in netifaces.interfaces()",
        libraries: &[],
    },
    Case {
        requirement: "pycurl",
        name: "pycurl",
        code: "import pycurl; assert 'libcurl' in pycurl.version; pycurl.Curl().close()",
        libraries: &["libcurl-gnutls.so.4"],
    },
    Case {
        requirement: "uwsgi",
        name: "uwsgi",
        code: "import subprocess; subprocess.run(['uwsgi', '--version'], check=True)",
        libraries: &[],
    },
    Case {
        requirement: "pillow",
        name: "pillow",
        code: "import io; from PIL import Image, features; assert features.check('jpg'); Image.new('RGB', (9, 9)).save(io.BytesIO(), 'JPEG')",
        libraries: &["libjpeg.so.62"],
    },
    Case {
        requirement: "h5py",
        name: "h5py",
        code: "import h5py; f = h5py.File('x', 'w', driver='core', backing_store=False); f['a'] = [1, 2]; assert f['a'][1] == 2",
        libraries: &[],
    },
    Case {
        requirement: "rpds-py",
        name: "rpds-py",
        code: "import rpds; assert rpds.HashTrieMap({'a': 1})['a'] == 1",
        libraries: &[],
    },
];

/// Builds a project with one distribution from source and runs it.
#[track_caller]
fn compiles(case: &Case) {
    let directory = directory();
    let toml = format!(
        "[project]\nname = \"uses-{}\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"{}\"]\n\n[tool.uv]\nno-binary-package = [\"{}\"]\n",
        case.name, case.requirement, case.name
    );
    let code = format!("{}\nprint('used')\n", case.code);
    let files = [
        ("pyproject.toml", toml.as_str()),
        ("main.py", code.as_str()),
    ];
    let root = project(&directory.path().join("app"), &files);
    let image = directory.path().join("app.oci.tar");
    build(&root, &image, &["--entry", "python main.py"]);
    let ran = run(&image, &[]).ok();
    assert_eq!(ran.stdout.lines().last(), Some("used"), "{}", ran.stdout);
    for library in case.libraries {
        unheck(&["why", text(&image), library]).ok();
    }
    let lock = fs_err::read_to_string(root.join("pylock.unheck.toml")).unwrap();
    let lock: toml::Table = toml::from_str(&lock).unwrap();
    let plan = &lock["tool"]["unheck"];
    has_nothing_of_the_build(&image, plan);
    let builds = plan["builds"].as_array().unwrap();
    assert!(
        builds
            .iter()
            .any(|build| build["name"].as_str() == Some(case.name)),
        "compiled"
    );
    assert_eq!(recompiled(&root), 0, "a second lock compiles nothing");
}

/// No compiler, header or build package is in an image.
#[track_caller]
fn has_nothing_of_the_build(image: &Path, plan: &toml::Value) {
    for deb in plan["targets"][0]["debs"].as_array().unwrap() {
        let name = deb["name"].as_str().unwrap_or_default();
        assert!(
            !name.ends_with("-dev") && name != "gcc",
            "`{name}` is in the image"
        );
    }
    for name in ["gcc", "cc1", "pkg-config", "pg_config", "stdio.h"] {
        let answer = unheck(&["why", text(image), name, "--json"]);
        if answer.code != Some(1) {
            // What it was compiled with is told, as something that does not ship.
            let answer = answer.ok().json();
            let chains = answer["chains"].as_array().unwrap();
            let ships = chains
                .iter()
                .any(|chain| chain["subject"]["kind"] != "build");
            assert!(!ships, "`{name}` is in the image: {answer}");
        }
    }
}

/// How many distributions another lock of the project compiles.
#[track_caller]
fn recompiled(root: &Path) -> usize {
    fs_err::remove_file(root.join("pylock.unheck.toml")).unwrap();
    let ran = unheck(&["lock", text(root)]).ok();
    ran.stderr
        .lines()
        .filter(|line| line.starts_with("compiling "))
        .count()
}

macro_rules! cases {
    ($($test:ident $index:expr;)*) => {
        $(
            #[test]
            #[ignore = "live: index and Debian archive"]
            fn $test() {
                compiles(&CASES[$index]);
            }
        )*
    };
}

cases! {
    psycopg2_is_compiled 0;
    mysqlclient_is_compiled 1;
    python_ldap_is_compiled 2;
    pycairo_is_compiled 3;
    pygraphviz_is_compiled 4;
    lxml_is_compiled 5;
    cffi_is_compiled 6;
    pyodbc_is_compiled 7;
    netifaces_is_compiled 8;
    pycurl_is_compiled 9;
    uwsgi_is_compiled 10;
    pillow_is_compiled 11;
    h5py_is_compiled 12;
    rpds_py_is_compiled_from_rust 13;
}

#[test]
#[ignore = "live: index and Debian archive"]
fn the_example_of_native_sources_runs() {
    let directory = directory();
    let image = directory.path().join("native-src.oci.tar");
    build(&example("native-src", directory.path()), &image, &[]);
    let facts = run(&image, &["--name", "heck"]).ok().json();
    assert_eq!(facts["name"], "heck");
    assert_eq!(facts["drawn"], json!(true));
    assert_eq!(facts["ldap"], json!(["cn=heck", "dc=example"]));
    let refused = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
    assert!(refused("postgres").contains("refused"), "{facts}");
    assert!(refused("mariadb").contains("connect"), "{facts}");
    assert_ne!(facts["libxml2"], Value::Null);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn the_same_source_gives_the_same_wheel() {
    let directory = directory();
    let files = [
        ("requirements.txt", "psycopg2\n"),
        ("main.py", "import psycopg2\n"),
    ];
    let root = project(&directory.path().join("app"), &files);
    unheck(&["lock", text(&root), "--rebuild-check"]).ok();
}
