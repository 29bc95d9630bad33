//! What a start imports.

use std::collections::BTreeSet;

use super::started;
use super::tests::Kit;

/// Names of the files that a start imports.
fn names(kit: &Kit) -> BTreeSet<String> {
    let (_, found) = kit.with(|tree, store, request| started(tree, store, request));
    let found = found.expect("started");
    found
        .iter()
        .map(|path| path.file_name().to_owned())
        .collect()
}

#[test]
fn a_start_imports_what_runs_when_modules_do_and_one_step_further() {
    let app = "import used\n\ndef main():\n    import late\n    import rare\n\nif False:\n    import never\n";
    let kit = Kit::app(app)
        .site("used/__init__.py", "from . import part\nimport standard\n")
        .site(
            "used/part.py",
            "try:\n    import optional\nexcept ImportError:\n    pass\nx = 'named.at_once:x'\n",
        )
        .site("used/other.py", "")
        .site("optional.py", "")
        .site(
            "late.py",
            "import with_late\n\ndef call():\n    import too_late\n\nx = 'named.later:x'\n",
        )
        .site("with_late.py", "")
        .site("too_late.py", "")
        .site("named/__init__.py", "")
        .site("named/later.py", "")
        .site("named/at_once.py", "")
        .site("alone.py", "")
        .stdlib("standard.py", "def call():\n    import later\n")
        .stdlib("rare.py", "")
        .stdlib("later.py", "");
    let found = names(&kit);
    for name in [
        "part.py",
        "__init__.py",
        "optional.py",
        "standard.py",
        "late.py",
        "with_late.py",
        "at_once.py",
    ] {
        assert!(found.contains(name), "{name}: {found:?}");
    }
    for name in ["other.py", "alone.py", "too_late.py", "rare.py"] {
        assert!(!found.contains(name), "{name}: {found:?}");
    }
}

#[test]
fn the_app_decides_what_a_start_imports() {
    let with = |app: &str| {
        let kit = Kit::app(app).site("a.py", "").site("b.py", "");
        names(&kit)
    };
    assert!(with("import a").contains("a.py") && !with("import a").contains("b.py"));
    let both = with("import a, b");
    assert!(both.contains("a.py") && both.contains("b.py"));
}
