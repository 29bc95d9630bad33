//! The install plan, and what a wheel's file list says.

use std::collections::BTreeSet;
use std::io::Cursor;

use unheck_base::{Digest, TreePath};
use unheck_wheel::{Fact, PlanOptions, Planned, Source, Wheel, plan, record};

use crate::support::*;

fn wheel(files: &[File]) -> Wheel {
    open(&zip(&wheel_files(files), &Around::default())).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

fn points(text: &str) -> File {
    file(&format!("{DIST_INFO}/entry_points.txt"), text)
}

fn data(path: &str, content: &str) -> File {
    file(&format!("foo_bar-1.0.data/{path}"), content)
}

fn dump(plan: &[Planned]) -> String {
    let mut out = String::new();
    for planned in plan {
        let source = match &planned.source {
            Source::Member(index) => format!("member {index}"),
            Source::Inline(bytes) => format!("inline {}", bytes.len()),
        };
        let path = &planned.path;
        out.push_str(&format!(
            "{:04o} {} {source} {path}\n",
            planned.mode, planned.size
        ));
    }
    out
}

fn inline<'p>(plan: &'p [Planned], end: &str) -> &'p str {
    let found = plan
        .iter()
        .find(|planned| planned.path.as_str().ends_with(end));
    match &found.unwrap().source {
        Source::Inline(bytes) => std::str::from_utf8(bytes).unwrap(),
        Source::Member(_) => panic!("{end} is a member"),
    }
}

fn rich() -> Wheel {
    let mut tool = data("scripts/tool", "\x7fELF");
    tool.mode = 0o100_644;
    let mut executable = file("foo/run.sh", "#!/bin/sh\n");
    executable.mode = 0o100_777;
    wheel(&[
        file("foo/", ""),
        file("foo/__init__.py", ""),
        executable,
        data("scripts/run", "#!python\nprint()\n"),
        tool,
        data("data/share/x.txt", "x"),
        data("headers/foo.h", "h"),
        data("platlib/plat.py", "p"),
        file(&format!("{DIST_INFO}/INSTALLER"), "pip\n"),
        points("[console_scripts]\nfoo = foo.cli:App.main\n[gui_scripts]\ngfoo = foo:gui\n"),
    ])
}

#[test]
fn members_go_where_the_scheme_says() {
    let options = PlanOptions {
        requested: true,
        direct_url: Some("{}".into()),
    };
    let plan = plan(&rich(), &scheme(), &options).unwrap();
    insta::assert_snapshot!(dump(&plan), @r#"
0755 111 inline 111 usr/local/bin/foo
0755 102 inline 102 usr/local/bin/gfoo
0755 30 inline 30 usr/local/bin/run
0755 4 member 4 usr/local/bin/tool
0644 1 member 6 usr/local/include/python3.13/foo-bar/foo.h
0644 0 member 1 usr/local/lib/python3.13/dist-packages/foo/__init__.py
0755 10 member 2 usr/local/lib/python3.13/dist-packages/foo/run.sh
0644 7 inline 7 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/INSTALLER
0644 55 member 10 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/METADATA
0644 1203 inline 1203 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/RECORD
0644 0 inline 0 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/REQUESTED
0644 75 member 11 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/WHEEL
0644 2 inline 2 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/direct_url.json
0644 70 member 9 usr/local/lib/python3.13/dist-packages/foo_bar-1.0.dist-info/entry_points.txt
0644 1 member 7 usr/local/lib/python3.13/dist-packages/plat.py
0644 1 member 5 usr/local/share/x.txt
"#);
    assert_eq!(inline(&plan, "bin/run"), "#!/usr/bin/python3.13\nprint()\n");
    assert_eq!(inline(&plan, "/INSTALLER"), "unheck\n");
    insta::assert_snapshot!(inline(&plan, "bin/foo"), @r#"
#!/usr/bin/python3.13
import sys

from foo.cli import App

if __name__ == "__main__":
    sys.exit(App.main())
"#);
    insta::assert_snapshot!(inline(&plan, "/RECORD"), @r#"
../../../bin/foo,sha256=kfVWPifd4PXeknydd-YrIBmUtQgWEoO4FsVjXIiCDbk,111
../../../bin/gfoo,sha256=Epk_7KESTakk5ZO325Wz1lV1zWFRVlQTW-HehKVn0fo,102
../../../bin/run,sha256=zxzOp8QWccjQppsb8_c4y3ur6wsOEJ_JlZTOIBRJCO8,30
../../../bin/tool,sha256=O9u0_oOXzSuEJDCznM_wGoZjx1GUXvXpoJ4mf7ix01k,4
../../../include/python3.13/foo-bar/foo.h,sha256=qqlAJmTxpB9A67xSyZk-tmrrNmYClY_fqig7ceZNsSM,1
../../../share/x.txt,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1
foo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
foo/run.sh,sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10
foo_bar-1.0.dist-info/INSTALLER,sha256=N2JPkI3jEHwQzfEQE_H_ySoAcJW8oY8U97tLFFWi4Yw,7
foo_bar-1.0.dist-info/METADATA,sha256=a8CJdn94Dv2Iiu8ImtgZ16rVEChPm5_U3siOa7teJUI,55
foo_bar-1.0.dist-info/RECORD,,
foo_bar-1.0.dist-info/REQUESTED,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
foo_bar-1.0.dist-info/WHEEL,sha256=GOJWfGKy_s7ZRMtmrMyJFvIHxzo0gLZVhGWWyTqB6uo,75
foo_bar-1.0.dist-info/direct_url.json,sha256=RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o,2
foo_bar-1.0.dist-info/entry_points.txt,sha256=SK9dTJIq7mfMKQRvfYALmKBG1Ju6AgTFV4MJrl1VrdI,70
plat.py,sha256=FI3pxaekTRnlbNmuGlVL9nhHr7DFj24S-imsfd_KmUA,1
"#);
}

#[test]
fn record_lists_exactly_what_ships() {
    let plan = plan(&rich(), &scheme(), &PlanOptions::default()).unwrap();
    let anchor = TreePath::new("usr/local/lib/python3.13/dist-packages/x").unwrap();
    let record = inline(&plan, "/RECORD");
    let rows = record::parse(record.replace("../", "").as_bytes()).unwrap();
    let listed: BTreeSet<_> = record
        .lines()
        .zip(rows)
        .map(|(line, row)| {
            let path = anchor.resolve_link(line.split(',').next().unwrap());
            (path.unwrap(), row.digest, row.size)
        })
        .collect();
    let shipped: BTreeSet<_> = plan
        .iter()
        .map(|planned| match planned.path.file_name() {
            "RECORD" => (planned.path.clone(), None, None),
            _ => (
                planned.path.clone(),
                Some(planned.digest),
                Some(planned.size),
            ),
        })
        .collect();
    assert_eq!(listed, shipped);
    assert!(plan.iter().all(|planned| match &planned.source {
        Source::Inline(bytes) => planned.digest == Digest::of(bytes),
        Source::Member(index) => Some(planned.digest) == rich().digest(*index),
    }));
}

#[test]
fn plans_that_overwrite_are_refused() {
    let script = |name: &str| points(&format!("[console_scripts]\n{name} = a:b\n"));
    let cases: Vec<(&str, Vec<File>, &str)> = vec![
        (
            "python3",
            vec![script("python3")],
            "the interpreter's place at `usr/local/bin/python3`",
        ),
        (
            "python",
            vec![data("scripts/python", "x")],
            "the interpreter's place",
        ),
        (
            "python3.13t",
            vec![script("python3.13t")],
            "the interpreter's place",
        ),
        (
            "data",
            vec![data("data/bin/python3.13", "x")],
            "the interpreter's place at `usr/local/bin/python3.13`",
        ),
        (
            "stdlib",
            vec![data("data/lib/python3.13/os.py", "x")],
            "the protected `usr/local/lib/python3.13/os.py`",
        ),
        (
            "twice",
            vec![data("scripts/a", "x"), script("a")],
            "both go to `usr/local/bin/a`",
        ),
        (
            "root and data",
            vec![file("a.py", ""), data("purelib/a.py", "")],
            "both go to",
        ),
        (
            "console and gui",
            vec![points(
                "[console_scripts]\na = a:b\n[gui_scripts]\na = a:b\n",
            )],
            "both go to",
        ),
        (
            "file under file",
            vec![data("data/bin/a/b", "x"), script("a")],
            "goes to `usr/local/bin/a`, where the member",
        ),
    ];
    for (case, files, expected) in cases {
        let error = plan(&wheel(&files), &scheme(), &PlanOptions::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{case}: {error}");
    }
    for name in ["python-config", "pythonic", "ipython3"] {
        let wheel = wheel(&[script(name)]);
        assert!(
            plan(&wheel, &scheme(), &PlanOptions::default()).is_ok(),
            "{name}"
        );
    }
    let usr = unheck_wheel::Scheme {
        data: TreePath::new("usr").unwrap(),
        ..scheme()
    };
    let over = wheel(&[data("data/bin/python3.13", "x")]);
    assert!(plan(&over, &usr, &PlanOptions::default()).is_err());
}

#[test]
fn interpreters_that_cannot_stand_in_a_script_are_refused() {
    for python in [
        "python3",
        "/a b/python3",
        "/a\nb",
        &format!("/{}", "a".repeat(125)),
    ] {
        let scheme = unheck_wheel::Scheme {
            python: python.into(),
            ..scheme()
        };
        assert!(
            plan(&wheel(&[]), &scheme, &PlanOptions::default()).is_err(),
            "{python}"
        );
    }
}

#[test]
fn a_large_python_script_meets_its_limit_and_a_large_binary_does_not() {
    let large = "x".repeat(2 << 20);
    wheel(&[data("scripts/tool", &large)]);
    let script = data("scripts/run", &format!("#!python\n{large}"));
    let error = open(&zip(&wheel_files(&[script]), &Around::default())).unwrap_err();
    assert!(
        chain(&error).contains("limit `script` of 1048576"),
        "{}",
        chain(&error)
    );
}

#[test]
fn start_up_code_and_shadows_are_named() {
    let wheel = wheel(&[
        file("x.pth", "import os\n"),
        file("foo/y.pth", "not at the top\n"),
        file("usercustomize/__init__.py", ""),
        file("json.py", ""),
        file("foo/__pycache__/a.cpython-313.pyc", "x"),
        data("platlib/sitecustomize.py", ""),
    ]);
    let stdlib = BTreeSet::from(["json".to_owned(), "os".to_owned()]);
    let path = |text: &str| TreePath::new(text).unwrap();
    assert_eq!(
        wheel.facts(&stdlib),
        [
            Fact::StartUp(path("foo_bar-1.0.data/platlib/sitecustomize.py")),
            Fact::StartUp(path("usercustomize/__init__.py")),
            Fact::StartUp(path("x.pth")),
            Fact::ShadowsStdlib("json".into()),
            Fact::Bytecode(path("foo/__pycache__/a.cpython-313.pyc")),
        ]
    );
}

#[test]
fn what_a_sink_leaves_is_checked_and_its_own_error_is_kept() {
    let bytes = zip(
        &wheel_files(&[file("foo/a.py", "x".repeat(1000))]),
        &Around::default(),
    );
    let wheel = open(&bytes).unwrap();
    let mut seen = Vec::new();
    let unread = wheel.unpack(&mut Cursor::new(&bytes), &mut |index, member, _| {
        seen.push((index, member.path.to_string()));
        Ok(())
    });
    assert!(unread.is_ok());
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0], (0, "foo/a.py".to_owned()));
    let failed = wheel.unpack(&mut Cursor::new(&bytes), &mut |_, _, _| {
        Err(std::io::ErrorKind::StorageFull.into())
    });
    let text = chain(&failed.unwrap_err());
    assert!(
        text.starts_with("cannot store the member `foo/a.py`: "),
        "{text}"
    );
}

#[test]
fn another_archive_under_the_same_name_is_noticed() {
    let bytes = zip(
        &wheel_files(&[file("foo/a.py", "x = 1")]),
        &Around::default(),
    );
    let other = zip(
        &wheel_files(&[file("foo/a.py", "x = 2")]),
        &Around::default(),
    );
    let wheel = open(&bytes).unwrap();
    let unpacked = wheel.unpack(&mut Cursor::new(&other), &mut |_, _, _| Ok(()));
    assert!(unpacked.is_err());
}
