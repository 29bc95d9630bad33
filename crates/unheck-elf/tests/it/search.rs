use unheck_base::TreePath;
use unheck_elf::search::{Placed, candidates};
use unheck_elf::{Machine, Object, default_dirs, loader_path};

use crate::support::{Spec, build};

fn object(rpath: Option<&str>, runpath: Option<&str>) -> Object {
    Object::parse(&build(&Spec {
        rpath,
        runpath,
        ..Spec::default()
    }))
    .unwrap()
}

/// One line for each candidate; the chain is given as (path, rpath, runpath).
fn check(needed: &str, chain: &[(&str, Option<&str>, Option<&str>)], system: &[&str]) -> String {
    let path = |text: &str| TreePath::new(text).unwrap();
    let placed: Vec<(TreePath, Object)> = chain
        .iter()
        .map(|(at, rpath, runpath)| (path(at), object(*rpath, *runpath)))
        .collect();
    let chain: Vec<Placed<'_>> = placed
        .iter()
        .map(|(at, object)| Placed { at, object })
        .collect();
    let system: Vec<TreePath> = system.iter().map(|text| path(text)).collect();
    let lines: Vec<String> = candidates(needed, &chain, &system)
        .iter()
        .map(|found| format!("{:?} {}", found.rule, found.path))
        .collect();
    lines.join("\n")
}

const SITE: &str = "app/site";

#[test]
fn runpath_with_origin_comes_before_the_system() {
    let at = format!("{SITE}/numpy/_core/x.so");
    let chain = [(
        at.as_str(),
        None,
        Some("$ORIGIN/../../numpy.libs:${ORIGIN}"),
    )];
    assert_eq!(
        check("libblas.so", &chain, &["usr/lib"]),
        "Runpath app/site/numpy.libs/libblas.so\nRunpath app/site/numpy/_core/libblas.so\n\
         System usr/lib/libblas.so"
    );
}

#[test]
fn rpath_is_inherited_and_runpath_is_not() {
    let program = ("usr/bin/p", Some("/opt/p"), None);
    let other = ("usr/bin/p", None, Some("/opt/p"));
    let library = ("usr/lib/a.so", Some("$ORIGIN/a"), None);
    assert_eq!(
        check("b.so", &[library, program], &[]),
        "Rpath usr/lib/a/b.so\nRpath opt/p/b.so"
    );
    assert_eq!(
        check("b.so", &[library, other], &[]),
        "Rpath usr/lib/a/b.so"
    );
}

#[test]
fn rpath_counts_for_nothing_beside_runpath() {
    let both = ("usr/lib/a.so", Some("/r"), Some("/run"));
    let program = ("usr/bin/p", Some("/opt/p"), None);
    assert_eq!(check("b.so", &[both, program], &[]), "Runpath run/b.so");
    assert_eq!(check("b.so", &[("a.so", None, None), both], &[]), "");
}

#[test]
fn search_paths_that_lead_out_or_nowhere_are_left_out() {
    let wrong = "$ORIGIN/../../../x:relative:$UNKNOWN/x:/../y:${ORIGIN:/:$ORIGIN/$LIB:/$PLATFORM";
    assert_eq!(
        check("b.so", &[("usr/lib/a.so", None, Some(wrong))], &[]),
        "Runpath usr/lib/lib/x86_64-linux-gnu/b.so\nRunpath x86_64/b.so"
    );
}

#[test]
fn a_needed_path_is_not_searched_for() {
    let chain = [("usr/lib/a.so", None, Some("/x"))];
    assert_eq!(check("/opt/b.so", &chain, &["usr/lib"]), "Path opt/b.so");
    assert_eq!(
        check("$ORIGIN/c/b.so", &chain, &["usr/lib"]),
        "Path usr/lib/c/b.so"
    );
    assert_eq!(check("c/b.so", &chain, &["usr/lib"]), "");
    assert_eq!(check("b.so", &[], &["usr/lib"]), "");
}

#[test]
fn an_object_can_refuse_the_system_directories() {
    let object = Object::parse(&build(&Spec {
        flags_1: 0x800,
        ..Spec::default()
    }))
    .unwrap();
    let at = TreePath::new("a.so").unwrap();
    let chain = [Placed {
        at: &at,
        object: &object,
    }];
    assert_eq!(candidates("b.so", &chain, std::slice::from_ref(&at)), []);
}

#[test]
fn the_directories_of_a_machine_are_those_of_debian() {
    let dirs: Vec<String> = default_dirs(Machine::Aarch64)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        dirs[..2],
        ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"]
    );
    assert_eq!(default_dirs(Machine::Other(8)), []);
    assert_eq!(
        loader_path(Machine::X86_64),
        Some("lib64/ld-linux-x86-64.so.2")
    );
}
