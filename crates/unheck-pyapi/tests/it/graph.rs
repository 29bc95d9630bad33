use std::collections::{BTreeMap, BTreeSet};

use unheck_pyapi::{
    Follow, Graph, GraphRules, Ignore, Known, Owner, Place, Shape, parse, references,
};

/// Modules by name, each with its source; a name with a dot before others is a package.
struct World<'a> {
    files: BTreeMap<&'a str, (Owner, &'a str)>,
    rules: GraphRules,
    follow: Follow,
}

impl<'a> World<'a> {
    fn new(files: &[(&'a str, Owner, &'a str)]) -> Self {
        let files = files
            .iter()
            .map(|(name, owner, text)| (*name, (*owner, *text)));
        Self {
            files: files.collect(),
            rules: GraphRules::default(),
            follow: Follow::All,
        }
    }

    fn is_package(&self, name: &str) -> bool {
        let below = format!("{name}.");
        self.files.keys().any(|other| other.starts_with(&below))
    }

    fn graph(&self, roots: &[&str]) -> Graph<'_> {
        let shape = |name: &str| {
            if self.is_package(name) {
                Shape::Package
            } else {
                Shape::Module
            }
        };
        let known = self.files.iter().map(|(name, (owner, _))| {
            let (owner, shape) = (*owner, shape(name));
            ((*name).to_owned(), Known { owner, shape })
        });
        let mut graph = Graph::new(known.collect(), &self.rules, self.follow);
        for root in roots {
            graph.root(root, "test");
        }
        loop {
            let batch = graph.next_batch();
            if batch.is_empty() {
                return graph;
            }
            for module in batch {
                let (owner, text) = self.files[module.as_str()];
                let package = match module.rsplit_once('.') {
                    _ if self.is_package(&module) => module.as_str(),
                    Some((above, _)) => above,
                    None => "",
                };
                let parsed = parse(text.as_bytes()).unwrap();
                let place = Place {
                    module: &module,
                    package,
                    python: Some((3, 13)),
                };
                graph.take(&module, owner, &references(&parsed, &place));
            }
        }
    }

    fn reached(&self, roots: &[&str]) -> Vec<String> {
        self.graph(roots).reached.into_keys().collect()
    }
}

const D: Owner = Owner::Distribution;
const S: Owner = Owner::Stdlib;
const A: Owner = Owner::App;

#[test]
fn imports_reach_the_packages_above_and_names_that_are_modules() {
    let world = World::new(&[
        ("main", A, "import p.q.r\nfrom t import u, v\n"),
        ("p", D, ""),
        ("p.q", D, "from . import s\n"),
        ("p.q.r", D, ""),
        ("p.q.s", D, ""),
        ("p.other", D, ""),
        ("t", D, "v = 1\n"),
        ("t.u", D, ""),
        ("t.w", D, ""),
    ]);
    assert_eq!(
        world.reached(&["main"]),
        ["main", "p", "p.q", "p.q.r", "p.q.s", "t", "t.u"]
    );
}

#[test]
fn a_star_takes_the_submodules_of_all() {
    let world = World::new(&[
        ("main", A, "from p import *\n"),
        ("p", D, "__all__ = ['a']\n"),
        ("p.a", D, ""),
        ("p.b", D, ""),
    ]);
    assert_eq!(world.reached(&["main"]), ["main", "p", "p.a"]);
}

#[test]
fn functions_are_followed_unless_only_importing_counts() {
    let mut world = World::new(&[
        ("main", A, "import a\ndef f():\n    import b\n"),
        ("a", D, ""),
        ("b", D, ""),
    ]);
    assert_eq!(world.reached(&["main"]), ["a", "b", "main"]);
    world.follow = Follow::ImportTime;
    assert_eq!(world.reached(&["main"]), ["a", "main"]);
}

#[test]
fn a_fallback_is_followed_only_when_it_can_run() {
    let python = "try:\n    from _c import x\nexcept ImportError:\n    from _py import x\n";
    let mut world = World::new(&[("m", S, python), ("_py", S, "")]);
    assert_eq!(world.reached(&["m"]), ["_py", "m"]);
    world.rules.built_in = BTreeSet::from(["_c".to_owned()]);
    assert_eq!(world.reached(&["m"]), ["m"]);
    // Elsewhere the module may lack the name.
    let mut world = World::new(&[("m", D, python), ("_py", D, "")]);
    world.rules.built_in = BTreeSet::from(["_c".to_owned()]);
    assert_eq!(world.reached(&["m"]), ["_py", "m"]);
}

#[test]
fn lazy_submodules_wait_for_an_attribute_of_their_name() {
    let lazy = "import importlib\ndef __getattr__(name):\n    return importlib.import_module(f'p.{name}')\n";
    let mut files = vec![
        ("main", A, "import p\n"),
        ("p", D, lazy),
        ("p.one", D, ""),
        ("p.two", D, ""),
        ("p.one.inner", D, ""),
    ];
    assert_eq!(World::new(&files).reached(&["main"]), ["main", "p"]);
    files[0].2 = "import p\np.one.f()\n";
    assert_eq!(
        World::new(&files).reached(&["main"]),
        ["main", "p", "p.one"]
    );

    let named = "def __getattr__(name):\n    if name == 'Pool':\n        from .pool import Pool\n        return Pool\n";
    let mut files = vec![
        ("main", A, "import p\n"),
        ("p", D, named),
        ("p.pool", D, ""),
    ];
    assert_eq!(World::new(&files).reached(&["main"]), ["main", "p"]);
    files[0].2 = "from p import Pool\n";
    assert_eq!(
        World::new(&files).reached(&["main"]),
        ["main", "p", "p.pool"]
    );
}

#[test]
fn computed_names_keep_what_they_can_be() {
    let load = "import importlib\ndef f(name):\n    return importlib.import_module(name)\n";
    let world = World::new(&[
        ("main", A, "import p.load\n"),
        ("p", D, ""),
        ("p.load", D, load),
        ("p.other", D, ""),
        ("q", D, ""),
    ]);
    let graph = world.graph(&["main"]);
    assert_eq!(
        graph.reached.keys().collect::<Vec<_>>(),
        ["main", "p", "p.load", "p.other"]
    );
    assert_eq!(graph.computed.len(), 1);
    // With a beginning, what begins so; a caller of the standard library's names it itself.
    let load =
        "import importlib\ndef f(name):\n    return importlib.import_module('p.b.' + name)\n";
    let world = World::new(&[
        ("main", A, "import p.load\n"),
        ("p", D, ""),
        ("p.load", D, load),
        ("p.a", D, ""),
        ("p.b", D, ""),
        ("p.b.c", D, ""),
    ]);
    assert_eq!(
        world.reached(&["main"]),
        ["main", "p", "p.b", "p.b.c", "p.load"]
    );
    let world = World::new(&[
        ("s", S, "def f(name):\n    __import__(name)\n"),
        ("s.t", S, ""),
    ]);
    assert_eq!(world.reached(&["s"]), ["s"]);
}

#[test]
fn texts_name_modules_outside_the_standard_library() {
    let files = |text: &'static str, owner| {
        vec![
            ("m", owner, text),
            ("p", D, ""),
            ("p.q", D, ""),
            ("web", D, ""),
        ]
    };
    let reached = |text: &'static str, owner| World::new(&files(text, owner)).reached(&["m"]);
    assert_eq!(reached("x = 'p.q'\n", D), ["m", "p", "p.q"]);
    assert_eq!(reached("x = 'p.q.Class'\n", D), ["m", "p", "p.q"]);
    assert_eq!(reached("x = 'p.q:f'\n", D), ["m", "p", "p.q"]);
    assert_eq!(reached("x = 'p.q'\n", S), ["m"]);
    assert_eq!(reached("'''p.q'''\n", D), ["m"]);
    let world = World::new(&[
        ("p", D, "T = {'f': '.q'}\n"),
        ("p.q", D, ""),
        ("p.r", D, ""),
    ]);
    assert_eq!(world.reached(&["p"]), ["p", "p.q"]);
    // A word alone is a module in settings of the app, nowhere else.
    assert_eq!(reached("APPS = ['web']\n", A), ["m", "web"]);
    assert_eq!(reached("APPS = ['web']\n", D), ["m"]);
}

#[test]
fn what_runs_as_a_program_follows_its_own_branch() {
    let main = "if __name__ == '__main__':\n    import cli\n";
    let mut files = vec![("app", A, "import m\n"), ("m", D, main), ("cli", D, "")];
    assert_eq!(World::new(&files).reached(&["app"]), ["app", "m"]);
    files[0].2 = "COMMAND = ['python', '-m', 'm']\n";
    assert_eq!(World::new(&files).reached(&["app"]), ["app", "cli", "m"]);
}

#[test]
fn rules_take_edges_away_and_add_some() {
    let files = [
        ("main", A, "import s\n"),
        ("s", S, "import t\ndef f():\n    import u\n"),
        ("t", S, ""),
        ("u", S, ""),
        ("c", S, ""),
    ];
    let ignore = |unless: &[&str]| Ignore {
        from: "s".to_owned(),
        imports: ["u".to_owned()].into(),
        unless: unless.iter().map(|name| (*name).to_owned()).collect(),
        ..Ignore::default()
    };
    let mut world = World::new(&files);
    world.rules.ignore.push(ignore(&[]));
    let from_c = vec![
        ("c".to_owned(), None),
        ("u".to_owned(), Some("deep".to_owned())),
    ];
    world.rules.from_c.insert("t".to_owned(), from_c);
    assert_eq!(world.reached(&["main"]), ["c", "main", "s", "t"]);
    world.files.insert("main", (A, "import s\ns.deep()\n"));
    assert_eq!(world.reached(&["main"]), ["c", "main", "s", "t", "u"]);

    let mut world = World::new(&files);
    world.rules.ignore.push(ignore(&["now"]));
    assert_eq!(world.reached(&["main"]), ["main", "s", "t"]);
    world.files.insert("main", (A, "import s\ns.now()\n"));
    assert_eq!(world.reached(&["main"]), ["main", "s", "t", "u"]);
}

#[test]
fn a_rule_says_what_a_computed_name_can_be() {
    let mut world = World::new(&[
        ("d", D, "def f(name):\n    __import__(name)\n"),
        ("d.one", D, ""),
        ("d.two", D, ""),
        ("e.three", D, ""),
    ]);
    assert_eq!(world.reached(&["d"]), ["d", "d.one", "d.two"]);
    let means = vec!["d.one".to_owned(), "e.*".to_owned()];
    world.rules.computed.insert("d".to_owned(), means);
    let graph = world.graph(&["d"]);
    assert_eq!(
        graph.reached.keys().collect::<Vec<_>>(),
        ["d", "d.one", "e.three"]
    );
    assert!(graph.computed.is_empty());
}
