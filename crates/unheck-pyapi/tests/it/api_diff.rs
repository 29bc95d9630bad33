use std::collections::{BTreeMap, BTreeSet};

use unheck_pyapi::api::{DiffOptions, Target, Tree, diff, rules};

/// Files of a version: `== path` before the text of each.
pub(crate) fn tree(text: &str) -> Tree {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut path = String::new();
    for line in text.lines() {
        match line.strip_prefix("== ") {
            Some(name) => {
                path = name.to_owned();
                files.entry(path.clone()).or_default();
            }
            None => {
                let file = files.entry(path.clone()).or_default();
                file.push_str(line);
                file.push('\n');
            }
        }
    }
    Tree::read(&files, Target { python: (3, 11) })
}

/// A pair of versions with the complete list of expected changes, as `rule api`.
struct Pair {
    name: &'static str,
    old: &'static str,
    new: &'static str,
    expected: &'static [&'static str],
}

const PAIRS: &[Pair] = &[
    Pair {
        name: "what is private or imported from outside is not API",
        old: "== p/__init__.py\nimport os\nfrom json import dumps\ndef _f(): pass\nT = TypeVar('T')\nfor i in (1, 2):\n    pass\n",
        new: "== p/__init__.py\n",
        expected: &[],
    },
    Pair {
        name: "a name of __all__ counts and others beside it do not",
        old: "== p/__init__.py\n__all__ = ['f']\n__all__ += ['g']\n__all__.extend(('h',))\ndef f(): pass\ndef g(): pass\ndef h(): pass\ndef helper(): pass\n",
        new: "== p/__init__.py\n__all__ = ['f']\ndef f(): pass\n",
        expected: &["name-removed p.g", "name-removed p.h"],
    },
    Pair {
        name: "a definition is told once, by its shortest path",
        old: "== p/__init__.py\nfrom ._impl import f\nfrom .sub import *\n== p/_impl.py\ndef f(): pass\n== p/sub.py\nfrom ._impl import f as f\ndef g(): pass\n",
        new: "== p/__init__.py\n== p/_impl.py\n== p/sub.py\n",
        expected: &["name-removed p.f", "name-removed p.g"],
    },
    Pair {
        name: "a second name of a definition is missed like the first",
        old: "== p/__init__.py\n== p/a.py\n__all__ = ['Thing', 'Other']\nclass Thing: pass\nOther = Thing\n== p/b.py\n__all__ = ['Alias']\nfrom .c import Real as Alias\n== p/c.py\nclass Real: pass\n",
        new: "== p/__init__.py\n== p/a.py\n__all__ = []\n== p/b.py\n__all__ = []\n== p/c.py\nclass Real: pass\n",
        expected: &[
            "name-moved p.b.Alias",
            "name-removed p.a.Other",
            "name-removed p.a.Thing",
        ],
    },
    Pair {
        name: "a class decorator that only marks hides nothing, one that adds members does",
        old: "== p/__init__.py\nclass A:\n    def m(self): pass\nclass B:\n    def m(self): pass\n",
        new: "== p/__init__.py\nfrom ._d import mark, fill\n@mark\nclass A: pass\n@fill\nclass B: pass\n== p/_d.py\nseen = set()\ndef mark(cls):\n    seen.add(cls)\n    cls.__doc__ = 'x'\n    return cls\ndef fill(cls):\n    setattr(cls, 'm', None)\n    return cls\n",
        expected: &["member-removed p.A.m"],
    },
    Pair {
        name: "a base that ABCMeta makes is known",
        old: "== p/__init__.py\nclass A:\n    def m(self): pass\n",
        new: "== p/__init__.py\nimport abc\nBase = abc.ABCMeta('Base', (object,), {})\nclass A(Base): pass\n",
        expected: &["member-removed p.A.m"],
    },
    Pair {
        name: "keyword arguments that are picked and else refused are the signature",
        old: "== p/__init__.py\ndef f(a, **kwargs):\n    b = kwargs.pop('b', None)\n    if 'c' in kwargs:\n        del kwargs['c']\n    if kwargs:\n        raise TypeError(kwargs)\ndef g(**kwargs):\n    b = kwargs.pop('b', None)\n    return kwargs\n",
        new: "== p/__init__.py\ndef f(a, **kwargs):\n    b = kwargs.pop('b', None)\n    if kwargs:\n        raise TypeError(kwargs)\ndef g(**kwargs):\n    return kwargs\n",
        expected: &["call-raises p.f"],
    },
    Pair {
        name: "lazy loaders that list paths, or fill globals from a table",
        old: "== p/__init__.py\n__all__, __getattr__, __dir__ = relative_import(__name__, ['.sub'], ['._a.A', '._a.B'])\n== p/_a.py\nclass A: pass\nclass B: pass\n== p/sub.py\n== p/q.py\nlazy_import(globals(), aliases={'A': '._a', 'B': '._a'})\n== p/r.py\nclass C: pass\n",
        new: "== p/__init__.py\n__all__, __getattr__, __dir__ = relative_import(__name__, ['.sub'], ['._a.A'])\n== p/_a.py\nclass A: pass\n== p/sub.py\n== p/q.py\nlazy_import(globals(), aliases={'A': '._a'})\n== p/r.py\nlazy_import(globals(), deprecated_aliases={'C': '._a'})\n",
        expected: &["name-removed p.B"],
    },
    Pair {
        name: "the parts of a version are no constants that anybody relies on",
        old: "== p/__init__.py\n== p/version.py\nMICRO = 0\ntag = '1.0'\n",
        new: "== p/__init__.py\n== p/version.py\nMICRO = 1\ntag = '1.0.1'\n",
        expected: &[],
    },
    Pair {
        name: "what a wheel took along beside its package is nobody's API",
        old: "== p/__init__.py\n== docs/conf.py\nproject = 'p'\n",
        new: "== p/__init__.py\n",
        expected: &[],
    },
    Pair {
        name: "a move inside that keeps the public path is nothing",
        old: "== p/__init__.py\nfrom .core import f\n== p/core.py\ndef f(a): pass\n",
        new: "== p/__init__.py\nfrom ._core import f\nfrom . import core\n== p/_core.py\ndef f(a): pass\n== p/core.py\nfrom ._core import f as f\n",
        expected: &[],
    },
    Pair {
        name: "a module that is gone is told once",
        old: "== p/__init__.py\n== p/old/__init__.py\n== p/old/a.py\ndef f(): pass\n",
        new: "== p/__init__.py\n",
        expected: &["module-removed p.old"],
    },
    Pair {
        name: "another path of the same definition is a move",
        old: "== p/__init__.py\n== p/a.py\nclass Thing: pass\n",
        new: "== p/__init__.py\n== p/a.py\n== p/b.py\nclass Thing: pass\n",
        expected: &["name-moved p.a.Thing"],
    },
    Pair {
        name: "calls are bound, not compared by a table",
        old: "== p/__init__.py\ndef a(x, y): pass\ndef b(*args): pass\ndef c(x, y=1): pass\ndef d(x): pass\ndef e(x, /): pass\ndef f(x, y, /): pass\n",
        new: "== p/__init__.py\ndef a(x, y, z): pass\ndef b(u=0, v=0): pass\ndef c(x, *, y=1): pass\ndef d(x, y=2): pass\ndef e(z): pass\ndef f(y, x, /): pass\n",
        expected: &[
            "argument-reaches-other p.f",
            "call-raises p.a",
            "call-raises p.b",
            "call-raises p.c",
        ],
    },
    Pair {
        name: "members are found along the order and told for the class that has them",
        old: "== p/__init__.py\nclass Base:\n    def gone(self): pass\n    def kept(self): pass\nclass A(Base):\n    x = 1\n    def __init__(self): self.y = 1\nclass B(Base): pass\n",
        new: "== p/__init__.py\nclass Mixin:\n    def kept(self): pass\nclass Base(Mixin): pass\nclass A(Base):\n    def __init__(self): pass\nclass B(Base): pass\n",
        expected: &[
            "attribute-removed p.A.y",
            "member-removed p.A.x",
            "member-removed p.Base.gone",
        ],
    },
    Pair {
        name: "a base that is gone takes its members along",
        old: "== p/__init__.py\nclass Base:\n    def m(self): pass\nclass A(Base): pass\nclass E(ValueError): pass\n",
        new: "== p/__init__.py\nclass Base:\n    def m(self): pass\nclass A: pass\nclass E(Exception): pass\n",
        expected: &[
            "base-removed p.A",
            "base-removed p.E",
            "member-removed p.A.m",
        ],
    },
    Pair {
        name: "a class that answers for any name still loses those it had",
        old: "== p/__init__.py\nclass A:\n    def __getattr__(self, name): return self.d[name]\n    def m(self): pass\n",
        new: "== p/__init__.py\nclass A:\n    def __getattr__(self, name): return self.other[name]\n",
        expected: &["member-removed p.A.m"],
    },
    Pair {
        name: "a class that begins to answer for any name is left alone",
        old: "== p/__init__.py\nclass A:\n    def m(self): pass\n",
        new: "== p/__init__.py\nclass A:\n    def __getattr__(self, name): return self.other[name]\n",
        expected: &[],
    },
    Pair {
        name: "fields are parameters of the constructor",
        old: "== p/__init__.py\nfrom dataclasses import dataclass, field\nfrom typing import NamedTuple\nfrom collections import namedtuple\nimport attr\n@dataclass\nclass D:\n    a: int\n    b: int = 0\n    c: list = field(default_factory=list)\n    d: int = field(init=False)\nclass N(NamedTuple):\n    a: int\n    b: int = 0\nF = namedtuple('F', 'a b')\n@attr.s\nclass T:\n    _x = attr.ib()\n    y = attr.ib(default=1)\n",
        new: "== p/__init__.py\nfrom dataclasses import dataclass, field\nfrom typing import NamedTuple\nfrom collections import namedtuple\nimport attr\n@dataclass(kw_only=True)\nclass D:\n    a: int\n    b: int = 0\n    c: list = field(default_factory=list)\n    d: int = field(init=False)\nclass N(NamedTuple):\n    a: int\n    b: int\nF = namedtuple('F', 'a b c')\n@attr.s\nclass T:\n    _x = attr.ib()\n    y = attr.ib()\n",
        expected: &[
            "call-raises p.D",
            "call-raises p.F",
            "call-raises p.N",
            "call-raises p.T",
        ],
    },
    Pair {
        name: "__getattr__ of a module: tables answer, branches that raise do not",
        old: "== p/__init__.py\nfrom ._a import f, g, h\n== p/_a.py\ndef f(): pass\ndef g(): pass\ndef h(): pass\n",
        new: "== p/__init__.py\n_moved = {'f': 'p._a'}\n_gone = {'g': 'use k'}\ndef __getattr__(name):\n    if name in _gone:\n        raise AttributeError(_gone[name])\n    if name in _moved:\n        import importlib\n        return getattr(importlib.import_module(_moved[name]), name)\n    raise AttributeError(name)\n== p/_a.py\ndef f(): pass\ndef h(): pass\n",
        expected: &["name-removed p.g", "name-removed p.h"],
    },
    Pair {
        name: "__getattr__ that cannot be read makes names opaque",
        old: "== p/__init__.py\ndef f(): pass\n",
        new: "== p/__init__.py\ndef __getattr__(name):\n    return compute(name.upper())\n",
        expected: &["became-opaque p.f"],
    },
    Pair {
        name: "lazy loaders and names made in loops are names",
        old: "== p/__init__.py\nimport lazy_loader as lazy\n__getattr__, __dir__, __all__ = lazy.attach(__name__, submod_attrs={'a': ['f', 'g']})\n== p/a.py\ndef f(): pass\ndef g(): pass\n== p/names.py\nfor n in ('one', 'two'):\n    globals()[n] = n\n",
        new: "== p/__init__.py\nimport lazy_loader as lazy\n__getattr__, __dir__, __all__ = lazy.attach(__name__, submod_attrs={'a': ['f']})\n== p/a.py\ndef f(): pass\n== p/names.py\nfor n in ('one',):\n    globals()[n] = n\n",
        expected: &["name-removed p.g", "name-removed p.names.two"],
    },
    Pair {
        name: "what a name is",
        old: "== p/__init__.py\nclass A:\n    @property\n    def size(self): return 1\n    def length(self): return 1\nclass B: pass\ndef c(): pass\n",
        new: "== p/__init__.py\nclass A:\n    def size(self): return 1\n    @property\n    def length(self): return 1\ndef B(): pass\nclass c: pass\n",
        expected: &[
            "function-became-class p.c",
            "kind-changed p.A.length",
            "kind-changed p.A.size",
            "kind-changed p.B",
        ],
    },
    Pair {
        name: "async",
        old: "== p/__init__.py\ndef f(): return 1\nasync def g() -> int: return 1\n",
        new: "== p/__init__.py\nasync def f(): return 1\ndef g() -> int: return 1\n",
        expected: &["became-async p.f", "no-longer-async p.g"],
    },
    Pair {
        name: "constants, defaults, and functions that only raise",
        old: "== p/__init__.py\nLIMIT = 1\n__version__ = '1'\ndef f(a=1): return a\ndef g(): return 1\n",
        new: "== p/__init__.py\nLIMIT = 2\n__version__ = '2'\ndef f(a=2): return a\ndef g(): raise RuntimeError('use f')\n",
        expected: &[
            "constant-value p.LIMIT",
            "default-value p.f",
            "only-raises p.g",
        ],
    },
    Pair {
        name: "deprecations: call, decorator, docstring; not of one argument",
        old: "== p/__init__.py\ndef a(): pass\ndef b(): pass\ndef c(): pass\ndef d(x=None): pass\nclass E: pass\n",
        new: "== p/__init__.py\nimport warnings\ndef a():\n    warnings.warn('use b', DeprecationWarning)\n@deprecated('use d')\ndef b(): pass\ndef c():\n    '''Old.\n\n    .. deprecated:: 2\n       Use d.\n    '''\ndef d(x=None):\n    if x is not None:\n        warnings.warn('x goes', DeprecationWarning)\nclass E:\n    def __init__(self):\n        warnings.warn('use F', DeprecationWarning)\n",
        expected: &[
            "deprecation p.E",
            "deprecation p.a",
            "deprecation p.b",
            "deprecation p.c",
        ],
    },
    Pair {
        name: "branches are taken for the target and both where they cannot be told",
        old: "== p/__init__.py\nimport sys\nif sys.version_info >= (3, 8):\n    def f(a): pass\nelse:\n    def f(): pass\nif sys.platform == 'win32':\n    def w(): pass\ntry:\n    from ._fast import g\nexcept ImportError:\n    from ._slow import g\n== p/_slow.py\ndef g(a): pass\n",
        new: "== p/__init__.py\nimport sys\ndef f(a): pass\ntry:\n    from ._fast import g\nexcept ImportError:\n    from ._slow import g\n== p/_slow.py\ndef g(a): pass\n",
        expected: &[],
    },
    Pair {
        name: "stubs speak for extension modules, and without them nothing is said",
        old: "== p/__init__.py\nfrom .fast import run\n== p/fast.cpython-311-x86_64-linux-gnu.so\n\n== p/fast.pyi\ndef run(a: int) -> int: ...\ndef stop() -> None: ...\n== p/raw.abi3.so\n\n",
        new: "== p/__init__.py\nfrom .fast import run\n== p/fast.cpython-311-x86_64-linux-gnu.so\n\n== p/fast.pyi\ndef run(a: int, b: int) -> int: ...\n== p/raw.abi3.so\n\n",
        expected: &["call-raises p.run", "name-removed p.fast.stop"],
    },
    Pair {
        name: "tests, and several top-level modules",
        old: "== p/__init__.py\n== p/tests/test_a.py\ndef test(): pass\n== p/tests/__init__.py\ndef helper(): pass\n== q.py\ndef f(): pass\n== ns/inner/__init__.py\ndef g(): pass\n== p-1.dist-info/METADATA\nName: p\n",
        new: "== p/__init__.py\n== q.py\n== ns/inner/__init__.py\n== p-2.dist-info/METADATA\nName: p\n",
        expected: &["name-removed ns.inner.g", "name-removed q.f"],
    },
    Pair {
        name: "old syntax does not stop the rest",
        old: "== p/__init__.py\ndef f(a): pass\n== p/old.py\nprint 'x'\ndef g(a): pass\n",
        new: "== p/__init__.py\ndef f(): pass\n== p/old.py\nprint('x')\ndef g(a, b): pass\n",
        expected: &["call-raises p.f", "call-raises p.old.g"],
    },
    Pair {
        name: "an inherited constructor is told where it is",
        old: "== p/__init__.py\nclass Base:\n    def __init__(self, a): pass\nclass A(Base): pass\nclass E(Exception): pass\n",
        new: "== p/__init__.py\nclass Base:\n    def __init__(self, a, b): pass\nclass A(Base): pass\nclass E(Exception):\n    def __init__(self, message=None, code=None): pass\n",
        expected: &["call-raises p.Base"],
    },
    Pair {
        name: "decorators that pass everything on do not hide a signature",
        old: "== p/__init__.py\nimport functools\ndef deco(fn):\n    @functools.wraps(fn)\n    def inner(*a, **k): return fn(*a, **k)\n    return inner\n@deco\ndef f(a): pass\n@other.thing\ndef g(a): pass\n",
        new: "== p/__init__.py\nimport functools\ndef deco(fn):\n    @functools.wraps(fn)\n    def inner(*a, **k): return fn(*a, **k)\n    return inner\n@deco\ndef f(a, b): pass\n@another.thing2\ndef g(a, b): pass\n",
        expected: &["call-raises p.f"],
    },
    Pair {
        name: "enum members and functional enums",
        old: "== p/__init__.py\nfrom enum import Enum\nclass C(Enum):\n    RED = 1\n    BLUE = 2\nD = Enum('D', 'A B')\n",
        new: "== p/__init__.py\nfrom enum import Enum\nclass C(Enum):\n    RED = 1\nD = Enum('D', 'A')\n",
        expected: &["member-removed p.C.BLUE", "member-removed p.D.B"],
    },
];

const OPTIONS: DiffOptions = DiffOptions { defaults: true };

fn found(old: &Tree, new: &Tree) -> Vec<String> {
    let mut lines: Vec<String> = diff(old, new, OPTIONS)
        .changes
        .iter()
        .map(|change| format!("{} {}", change.rule, change.api))
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_pair_gives_exactly_its_changes() {
    let all = PAIRS
        .iter()
        .map(|pair| (pair, found(&tree(pair.old), &tree(pair.new))));
    let wrong = all.filter(|(pair, found)| found != pair.expected);
    let wrong: Vec<String> = wrong
        .map(|(pair, found)| format!("{}: {found:?}, not {:?}", pair.name, pair.expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_version_does_not_differ_from_itself() {
    for pair in PAIRS {
        for text in [pair.old, pair.new] {
            assert_eq!(found(&tree(text), &tree(text)), [""; 0], "{}", pair.name);
        }
    }
}

#[test]
fn every_rule_fires_on_some_pair() {
    let fired: BTreeSet<&str> = PAIRS
        .iter()
        .flat_map(|pair| pair.expected)
        .filter_map(|line| line.split(' ').next())
        .collect();
    let all: BTreeSet<&str> = rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(fired, all);
}

#[test]
fn a_change_has_places_witness_and_advice() {
    let old = tree("== p/__init__.py\n\ndef f(a): pass\n@deprecated('use f')\ndef g(): pass\n");
    let new = tree("== p/__init__.py\ndef f(a, b): pass\n");
    let changes = diff(&old, &new, DiffOptions::default()).changes;
    let [call, gone] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(call.old.as_ref().unwrap().to_string(), "p/__init__.py:2");
    assert_eq!(call.new.as_ref().unwrap().to_string(), "p/__init__.py:1");
    assert_eq!(call.witness.as_deref(), Some("p.f(_)"));
    assert_eq!(call.defined, "p.f");
    assert!(call.breaking);
    assert_eq!(gone.advice.as_deref(), Some("use f"));
    assert_eq!(gone.new, None);
}

#[test]
fn hostile_sources_end() {
    let circle = "== p/__init__.py\nfrom .a import *\nclass A(B): pass\nclass B(A): pass\nx = y\ny = x\ndef f(): return f()\n== p/a.py\nfrom . import *\n__all__ = b.__all__\nfrom . import b\n== p/b.py\nfrom .a import __all__\nfrom .a import nothing as nothing\n";
    assert_eq!(found(&tree(circle), &tree(circle)), [""; 0]);
    let deep = format!(
        "== p/__init__.py\nx = {}1{}\nclass A:\n    y = {}\n",
        "(".repeat(3000),
        ")".repeat(3000),
        "a.".repeat(4000) + "b"
    );
    assert_eq!(found(&tree(&deep), &tree(&deep)), [""; 0]);
    let wide = format!(
        "== p/__init__.py\ndef f({}): pass\n",
        (0..5000)
            .map(|at| format!("a{at}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    assert_eq!(found(&tree(&wide), &tree(&wide)), [""; 0]);
}
