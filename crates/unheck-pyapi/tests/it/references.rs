use unheck_pyapi::{Place, References, parse, references};

fn of(source: &str) -> References {
    let parsed = parse(source.as_bytes()).unwrap();
    let place = Place {
        module: "p.m",
        package: "p",
        python: Some((3, 13)),
    };
    references(&parsed, &place)
}

/// `When module:name` of every reference.
fn modules(source: &str) -> Vec<String> {
    let found = of(source).modules;
    let line = |name: Option<&String>| name.map_or(String::new(), |name| format!(":{name}"));
    found
        .iter()
        .map(|one| format!("{:?} {}{}", one.when, one.module, line(one.name.as_ref())))
        .collect()
}

fn prefixes(source: &str) -> Vec<String> {
    let found = of(source).computed;
    found
        .iter()
        .map(|one| format!("{:?} {}", one.when, one.prefix))
        .collect()
}

#[test]
fn when_an_import_runs_is_told() {
    assert_eq!(modules("import a\n"), ["Import a"]);
    assert_eq!(modules("def f():\n    import a\n"), ["Call a"]);
    assert_eq!(
        modules("def f():\n    try:\n        import a\n    except ImportError:\n        pass\n"),
        ["Call a"]
    );
    assert_eq!(
        modules("if __name__ == '__main__':\n    import a\n"),
        ["Main a"]
    );
    assert_eq!(
        modules("def __getattr__(name):\n    from . import a\n"),
        ["Attribute p:a"]
    );
    assert_eq!(
        modules("class A:\n    def __getattr__(self, name):\n        import a\n"),
        ["Call a"]
    );
}

#[test]
fn branches_for_type_checkers_and_other_versions_are_not_followed() {
    let nothing = [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n",
        "if False:\n    import a\n",
        "import sys\nif sys.version_info < (3, 9):\n    import a\n",
        "import sys\nif sys.version_info[0] == 2:\n    import a\n",
        "import sys\nif sys.version_info[:2] >= (3, 14):\n    import a\n",
        "import sys\nPY2 = sys.version_info.major == 2\nif PY2:\n    import a\n",
        "import sys\nif sys.platform == 'win32':\n    import a\n",
    ];
    for source in nothing {
        assert!(
            !modules(source).iter().any(|one| one.ends_with(" a")),
            "{source}"
        );
    }
    let something = [
        "import sys\nif sys.version_info >= (3, 9):\n    import a\n",
        "import sys\nif sys.version_info < (3, 9):\n    pass\nelse:\n    import a\n",
        // The patch version is not known.
        "import sys\nif sys.version_info >= (3, 13, 5):\n    import a\n",
        "import sys\nif sys.version_info >= VERSION:\n    import a\n",
    ];
    for source in something {
        assert!(
            modules(source).iter().any(|one| one.ends_with(" a")),
            "{source}"
        );
    }
}

#[test]
fn a_handler_knows_what_it_is_instead_of() {
    let found = of("try:\n    from _a import x\nexcept ImportError:\n    from b import x\n");
    let b = found.modules.iter().find(|one| one.module == "b").unwrap();
    assert_eq!(b.instead_of, [("_a".to_owned(), Some("x".to_owned()))]);
    // Something else in the `try` may fail as well.
    let found = of("try:\n    import a\n    a.f()\nexcept Exception:\n    import b\n");
    assert!(found.modules.iter().all(|one| one.instead_of.is_empty()));
}

#[test]
fn literal_calls_are_references() {
    let forms = [
        "import importlib\nimportlib.import_module('x.y')\n",
        "from importlib import import_module as load\nload('x.y')\n",
        "__import__('x.y')\n",
        "import importlib\nNAME = 'x.y'\nimportlib.import_module(NAME)\n",
        "import importlib\nfor name in ('x.y', 'z'):\n    importlib.import_module(name)\n",
        "import importlib\nTABLE = {'k': 'x.y'}\ndef f(k):\n    return importlib.import_module(TABLE[k])\n",
        "import importlib\nimportlib.import_module(f'{\"x\"}.y')\n",
        "from importlib.resources import files\nfiles('x.y')\n",
        "import pkgutil\npkgutil.get_data('x.y', 'file')\n",
    ];
    for form in forms {
        assert!(
            modules(form).iter().any(|one| one.ends_with(" x.y")),
            "{form}: {:?}",
            modules(form)
        );
        assert!(prefixes(form).is_empty(), "{form}");
    }
    assert!(
        modules("import importlib\nimportlib.import_module('.y', __package__)\n")
            .contains(&"Import p.y".to_owned())
    );
    assert_eq!(
        of("import runpy\nrunpy.run_module('x.y')\n").started.len(),
        1
    );
    assert_eq!(
        of("import sys, subprocess\nsubprocess.run([sys.executable, '-m', 'x'])\n")
            .started
            .len(),
        1
    );
}

#[test]
fn computed_names_say_how_they_begin() {
    let cases = [
        ("import_module(name)", ""),
        ("import_module('a.b.' + name)", "a.b."),
        ("import_module(f'a.{name}.c')", "a."),
        ("import_module('a.%s' % name)", "a."),
        ("import_module('a.{}'.format(name))", "a."),
        ("import_module('.'.join(['a', name]))", "a."),
        ("import_module(__name__ + '.' + name)", "p.m."),
        ("import_module(f'{__package__}.{name}')", "p."),
        ("import_module('.' + name, __package__)", "p."),
        ("__import__(name)", ""),
    ];
    for (call, prefix) in cases {
        let source = format!("from importlib import import_module\ndef f(name):\n    {call}\n");
        assert_eq!(prefixes(&source), [format!("Call {prefix}")], "{call}");
    }
    assert_eq!(
        prefixes("import pkgutil\nfor one in pkgutil.iter_modules(__path__):\n    pass\n"),
        ["Import p."]
    );
    assert_eq!(
        prefixes(
            "import importlib\ndef __getattr__(name):\n    return importlib.import_module(f'p.{name}')\n"
        ),
        ["Attribute p."]
    );
}

#[test]
fn lazy_loaders_name_their_submodules() {
    let source = "import lazy_loader as lazy\n__getattr__, __dir__, _ = lazy.attach(__name__, ['one'], {'two': ['f']})\n";
    let found = modules(source);
    for name in ["p.one", "p.two"] {
        assert!(found.iter().any(|one| one.ends_with(name)), "{found:?}");
    }
    let stub =
        "import lazy_loader as lazy\n__getattr__, *_ = lazy.attach_stub(__name__, __file__)\n";
    assert!(of(stub).lazy_stub);
}

#[test]
fn texts_attributes_exports_and_paths_are_kept() {
    let found = of(
        "'''a.documentation'''\n__all__ = ['x'] + ['y']\n__all__ += ['z']\nuse(a.b.c, 'm.n:o', '/etc/x', 'two words')\n",
    );
    assert!(found.texts.contains("m.n:o"));
    assert!(!found.texts.contains("a.documentation") && !found.texts.contains("two words"));
    assert_eq!(found.paths.iter().collect::<Vec<_>>(), ["/etc/x"]);
    assert_eq!(found.exports.iter().collect::<Vec<_>>(), ["x", "y", "z"]);
    assert!(found.attributes.contains("b") && found.attributes.contains("c"));
}

#[test]
fn computed_codecs_and_groups_are_told_from_literal_ones() {
    for computed in [
        "b.decode(charset)",
        "open(p, encoding=charset)",
        "codecs.lookup(charset)",
        "codecs.encode(x, charset)",
    ] {
        assert!(
            of(&format!("{computed}\n")).computed_codec.is_some(),
            "{computed}"
        );
    }
    for literal in [
        "b.decode('utf-8')",
        "open(p, encoding='utf-8')",
        "b.decode()",
        "open(p, encoding=None)",
    ] {
        assert!(
            of(&format!("{literal}\n")).computed_codec.is_none(),
            "{literal}"
        );
    }
    assert!(of("entry_points(group=name)\n").computed_group.is_some());
    assert!(of("entry_points(group='g')\n").computed_group.is_none());
}
