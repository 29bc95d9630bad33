//! What the project itself wants kept and left out.

use std::collections::BTreeSet;

use super::tests::{Kit, path};
use super::{ASKED, left_out_with};

#[test]
fn keep_keeps_a_module_with_all_below() {
    let mut kit = Kit::app("")
        .site("p/__init__.py", "")
        .site("p/sub/__init__.py", "")
        .site("p/sub/deep.py", "")
        .site("p/other.py", "");
    kit.keep = ["p.sub".to_owned(), "none".to_owned()].into();
    assert_eq!(kit.gone(), ["p/other.py"]);
    let findings = kit.narrowed().1.findings;
    assert_eq!(
        (&*findings[0].rule, &*findings[0].subject),
        ("keep-unknown", "none")
    );
}

#[test]
fn leave_out_leaves_out_what_is_imported_with_all_that_only_it_needs() {
    let mut kit = Kit::app("import p\n")
        .site("p/__init__.py", "import big, p.sub\n")
        .site("p/sub/__init__.py", "")
        .site("p/sub/deep.py", "")
        .site("p/sub/data.txt", "")
        .site("big.py", "import only_for_big\n")
        .site("only_for_big.py", "");
    assert_eq!(kit.gone(), ["p/sub/deep.py"]);
    kit.leave_out = ["big".to_owned(), "p.sub".to_owned(), "main".to_owned()].into();
    let (tree, narrowed) = kit.narrowed();
    let gone = narrowed.removed.iter();
    let gone: Vec<_> = gone.map(|one| (one.path.file_name(), one.reason)).collect();
    let unreached = "a module that no import path from the entry reaches";
    assert_eq!(
        gone,
        [
            ("big.py", ASKED),
            ("only_for_big.py", unreached),
            ("__init__.py", ASKED),
            (
                "data.txt",
                "data of a package that no import path from the entry reaches"
            ),
            ("deep.py", ASKED),
        ]
    );
    // The app's own files always ship.
    assert!(tree.get(&path("app/main.py")).is_some());
    let findings = narrowed.findings.iter();
    let findings: Vec<_> = findings.map(|one| (&*one.rule, &*one.subject)).collect();
    assert_eq!(findings, [("leave-out-unknown", "main")]);
}

#[test]
fn a_name_is_left_out_with_what_it_is_below() {
    let names: BTreeSet<String> = ["a.b".to_owned(), "c".to_owned()].into();
    let of = |name: &str| left_out_with(&names, name);
    assert_eq!(of("a.b"), Some("a.b"));
    assert_eq!(of("a.b.c.d"), Some("a.b"));
    assert_eq!(of("c.x"), Some("c"));
    for other in ["a", "a.bc", "b", "cc", ""] {
        assert_eq!(of(other), None, "{other}");
    }
}
