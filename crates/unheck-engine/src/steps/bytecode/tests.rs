use super::*;
use crate::lock::Interpreter;

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect(text)
}

fn layout() -> Layout {
    Layout::of(&Interpreter::debian("3.13.5", "2.41"))
}

const SITE: &str = "usr/local/lib/python3.13/dist-packages";

#[test]
fn only_what_an_import_finds_is_a_module() {
    let is = |text: &str| is_module(&path(text), &layout());
    assert!(is("usr/lib/python3.13/json/__init__.py"));
    assert!(is(&format!("{SITE}/a/b.py")));
    assert!(!is(&format!("{SITE}/a/template-{{x}}.py")));
    assert!(!is(
        "usr/lib/python3.13/config-3.13-x86_64-linux-gnu/python-config.py"
    ));
    assert!(!is(&format!("{SITE}/a/b.pyi")));
    assert!(!is("usr/share/gdb/auto-load/x.py"));
    assert!(!is("app/main.py"));
}

#[test]
fn bytecode_stands_where_python_looks() {
    let source = path("a/b.py");
    assert_eq!(
        beside(&source, "3.13"),
        path("a/__pycache__/b.cpython-313.pyc")
    );
    assert_eq!(beside_nothing(&source), path("a/b.pyc"));
    assert_eq!(bytecode_of(&source), Some(path("a/b.pyc")));
    assert_eq!(bytecode_of(&path("a/b.so")), None);
}

#[test]
fn sources_go_only_where_bytecode_stands_in_their_place() {
    let mut tree = Tree::new();
    let origin = Origin::Distribution("d".to_owned());
    let names = ["good", "bad", "kept"].map(|name| format!("{SITE}/d/{name}.py"));
    for name in &names {
        let node = Node::file(origin.clone(), Content::inline("x"));
        tree.insert(path(name), node).expect("insert");
    }
    let modules = modules(&tree, &layout());
    assert_eq!(modules.len(), 3);
    let places = BTreeMap::from([
        (path(&names[0]), beside_nothing(&path(&names[0]))),
        (path(&names[2]), beside(&path(&names[2]), "3.13")),
    ]);
    let keep = BTreeMap::from([(path(&names[2]), "it is read".to_owned())]);
    let removed = drop_sources(&mut tree, &modules, &places, &keep);
    let gone: Vec<&str> = removed.iter().map(|one| one.path.file_name()).collect();
    assert_eq!(gone, ["good.py"]);
    assert!(tree.get(&path(&names[1])).is_some() && tree.get(&path(&names[2])).is_some());
}

#[test]
fn words_are_read_and_shown_the_same() {
    let modes = [
        Bytecode::Auto,
        Bytecode::None,
        Bytecode::Start,
        Bytecode::Beside,
        Bytecode::Only,
    ];
    for mode in modes {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert!("both".parse::<Bytecode>().is_err());
}

#[test]
fn what_a_long_start_imports_is_compiled_unasked() {
    let of = |len: u64| {
        let module = |number: u64| Module {
            path: path(&format!("{SITE}/d/m{number}.py")),
            content: Content::Blob {
                digest: Digest::of(b""),
                len: len / 4,
            },
            origin: Origin::App,
        };
        (0..4).map(module).collect::<Vec<_>>()
    };
    let (short, long) = (of(WORTH - 4), of(WORTH));
    let auto = |level, modules: &[Module]| chosen((Bytecode::Auto, level), modules);
    for level in [TrimLevel::None, TrimLevel::Safe] {
        assert_eq!(auto(level, &short), Bytecode::Start);
    }
    for level in [TrimLevel::Imports, TrimLevel::Traced] {
        assert_eq!(auto(level, &short), Bytecode::None);
        assert_eq!(auto(level, &long), Bytecode::Start);
    }
    for mode in [Bytecode::None, Bytecode::Start, Bytecode::Beside] {
        let of = |modules: &[Module]| chosen((mode, TrimLevel::Imports), modules);
        assert_eq!((of(&short), of(&long)), (mode, mode));
    }
}

#[test]
fn what_the_interpreter_has_in_itself_needs_no_file() {
    let at = |version: &str, place: &str| {
        is_frozen(
            &path(place),
            &Layout::of(&Interpreter::debian(version, "2.41")),
        )
    };
    assert!(at("3.13.5", "usr/lib/python3.13/os.py"));
    assert!(at("3.11.2", "usr/lib/python3.11/importlib/util.py"));
    assert!(!at("3.9.2", "usr/lib/python3.9/os.py"));
    assert!(!at("3.13.5", "usr/lib/python3.13/json/decoder.py"));
    assert!(!at("3.13.5", &format!("{SITE}/os.py")));
}
