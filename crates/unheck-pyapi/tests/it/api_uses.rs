use std::collections::BTreeMap;

use unheck_pyapi::api::{Code, Target, Tier, breaks, deprecated};

use crate::api_diff::tree;

const OLD: &str = "\
== lib/__init__.py
import warnings
from ._impl import Frame, read, Client, session
def gone(a): pass
def gone_reader(x) -> Frame: return Frame()
def shrunk(a, b=1): pass
def old_way():
    warnings.warn('use new_way', DeprecationWarning)
def forward(x, **kwargs): return _inner(x, **kwargs)
def _inner(x, limit=1, mode=None): return x
class Base:
    def hook(self): pass
    def helper(self): return 1
    def __init__(self, a=None): self.stored = a
== lib/_impl.py
from contextlib import contextmanager
from typing import Iterator, List, Optional
class Frame:
    def append(self, other) -> 'Frame': return self
    def keep(self): return Frame()
    def rows(self) -> List['Frame']: return []
    def __getitem__(self, key): return self
    def drop(self, label, axis=0): return Frame()
class Client:
    def __enter__(self): return self
    def __exit__(self, *a): pass
    def get(self, url, proxies=None) -> Optional[Frame]: pass
    def fetch(self): return Frame()
def read(path) -> Frame: return Frame()
@contextmanager
def session() -> Iterator[Client]:
    yield Client()
== lib/sub.py
def f(): pass
";

const NEW: &str = "\
== lib/__init__.py
from ._impl import Frame, read, Client, session
def shrunk(a, *, b=1): pass
def forward(x, **kwargs): return _inner(x, **kwargs)
def _inner(x, limit=1): return x
class Base:
    def __init__(self, a=None): pass
== lib/_impl.py
from contextlib import contextmanager
from typing import Iterator, List, Optional
class Frame:
    def keep(self): return Frame()
    def rows(self) -> List['Frame']: return []
    def __getitem__(self, key): return self
    def drop(self, label, *, axis=0): return Frame()
class Client:
    def __enter__(self): return self
    def __exit__(self, *a): pass
    def get(self, url) -> Optional[Frame]: pass
    async def fetch(self): return Frame()
def read(path) -> Frame: return Frame()
@contextmanager
def session() -> Iterator[Client]:
    yield Client()
";

fn code(text: &str) -> Code {
    let files = BTreeMap::from([("app.py".to_owned(), text.to_owned())]);
    Code::read(&files, Target { python: (3, 11) })
}

/// The uses that break, as `line api`, with a `?` for possible ones.
fn check(text: &str, expected: &[&str]) {
    let uses = breaks(&code(text), &tree(OLD), &tree(NEW));
    let lines: Vec<String> = uses
        .iter()
        .map(|found| {
            let mark = if found.tier == Tier::Proven { "" } else { "?" };
            format!("{} {}{mark}", found.line, found.api)
        })
        .collect();
    assert_eq!(lines, expected, "{text}");
}

#[test]
fn imports_names_and_modules() {
    check(
        "from lib import gone, read\nimport lib.sub\nimport lib\nlib.gone(1)\n",
        &["1 lib.gone", "2 lib.sub", "4 lib.gone"],
    );
    check("from lib import *\ngone(1)\n", &["2 lib.gone"]);
    check("import lib as x\nx.gone\n", &["2 lib.gone"]);
}

#[test]
fn calls_are_bound() {
    check(
        "import lib\nlib.shrunk(1, 2)\nlib.shrunk(1, b=2)\nlib.shrunk(*args)\n",
        &["2 lib.shrunk"],
    );
    check(
        "import lib\nlib.forward(1, limit=2)\nlib.forward(1, mode=2)\n",
        &["3 lib.forward"],
    );
}

#[test]
fn what_is_gone_gives_what_it_gave() {
    check(
        "import lib\nframe = lib.read('x')\nframe = frame.append(1)\nframe = frame.append(2)\nframe.keep()\n",
        &["3 lib.Frame.append", "4 lib.Frame.append"],
    );
    check(
        "import lib\nframe = lib.gone_reader('x')\nframe.append(1)\n",
        &["2 lib.gone_reader", "3 lib.Frame.append"],
    );
    // Another value, or nothing known of the old one, is followed as it is.
    check(
        "import lib\nframe = lib.read('x')\nframe = frame.append(1)\nframe = 3\nframe.append(2)\n",
        &["3 lib.Frame.append"],
    );
}

#[test]
fn what_is_gone_gives_what_it_gave_where_any_name_may_be_answered() {
    let class = "== lib/__init__.py\nclass Open:\n    def __init__(self): self.parts = {}\n    def __getattr__(self, name): return self.parts[name]\n";
    let old = format!(
        "{class}    def append(self, x) -> 'Open': return self\n    def pairs(self): pass\n"
    );
    let text = "import lib\nframe = lib.Open()\nframe = frame.append(1)\nframe.pairs()\n";
    let uses = breaks(&code(text), &tree(&old), &tree(class));
    let lines: Vec<(u32, Tier)> = uses.iter().map(|found| (found.line, found.tier)).collect();
    assert_eq!(lines, [(3, Tier::Proven), (4, Tier::Proven)]);
}

#[test]
fn instances_are_followed() {
    let append = &["3 lib.Frame.append"];
    check(
        "import lib\nframe = lib.read('x')\nframe.append(1)\n",
        append,
    );
    check(
        "import lib\nframe = lib.Frame().keep()['a'].keep()\nframe.append(1)\n",
        append,
    );
    check(
        "from lib import Frame\ndef f(frame: Frame):\n    return frame.append(1)\n",
        append,
    );
    check(
        "from lib import Frame\ndef f(frame: 'Frame | None'):\n    frame.append(1)\n",
        append,
    );
    check(
        "import lib\nfor frame in lib.read('x').rows():\n    frame.append(1)\n",
        append,
    );
    check(
        "import lib\nframes = [lib.read(x) for x in y]\nframes[0].append(1)\n",
        append,
    );
    check(
        "import lib\ndef make(): return lib.read('x')\nmake().append(1)\n",
        append,
    );
    check(
        "import lib\nif isinstance(z, lib.Frame):\n    z.append(1)\n",
        append,
    );
    check(
        "import lib\nlib.read('x').drop(1, 2)\n",
        &["2 lib.Frame.drop"],
    );
}

#[test]
fn context_managers_attributes_and_classes_are_followed() {
    check(
        "import lib\nwith lib.Client() as c:\n    c.get('u', proxies={})\n",
        &["3 lib.Client.get"],
    );
    check(
        "import lib\nwith lib.session() as c:\n    c.get('u').append(1)\n",
        &["3 lib.Frame.append"],
    );
    check(
        "import lib\nclass T:\n    def __init__(self):\n        self.frame = lib.read('x')\n    def go(self):\n        self.frame.append(1)\n",
        &["6 lib.Frame.append"],
    );
    check(
        "import lib\nclass Mine(lib.Base):\n    def hook(self): pass\n    def go(self):\n        self.helper()\n        super().hook()\n        print(self.stored)\n",
        &["5 lib.Base.helper", "6 lib.Base.hook", "7 lib.Base.stored"],
    );
}

#[test]
fn a_call_that_became_async_is_seen_where_its_result_is_used() {
    let uses = breaks(
        &code("import lib\nlib.Client().fetch().keep()\n"),
        &tree(OLD),
        &tree(NEW),
    );
    assert_eq!(uses.len(), 1, "{uses:?}");
    assert_eq!(uses[0].line, 2);
}

#[test]
fn code_that_is_ready_is_left_alone() {
    for text in [
        "try:\n    from lib import gone\nexcept ImportError:\n    gone = None\n",
        "import lib\ntry:\n    lib.gone(1)\nexcept (AttributeError, KeyError):\n    pass\n",
        "import lib\nif hasattr(lib, 'gone'):\n    lib.gone(1)\nelse:\n    pass\n",
        "import lib\nhasattr(lib, 'gone') and lib.gone(1)\n",
        "import lib\nif lib.__version__ < '2':\n    lib.gone(1)\n",
        "import lib\nOLD = lib.__version__ < '2'\nif OLD:\n    lib.gone(1)\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib import gone\n",
        "import lib\nif False:\n    lib.gone(1)\n",
        "import lib\ngetattr(lib, 'gone', None)\n",
        "import lib, contextlib\nwith contextlib.suppress(AttributeError):\n    lib.gone(1)\n",
        "import lib, pytest\nwith pytest.raises(TypeError):\n    lib.shrunk(1, 2)\n",
    ] {
        check(text, &[]);
    }
}

#[test]
fn submodules_that_the_package_takes_from_itself_are_followed() {
    let old = tree(
        "== lib/__init__.py\nfrom . import sub\nfrom lib import other\n== lib/sub.py\ndef f(): pass\n== lib/other.py\ndef g(): pass\n",
    );
    let new = tree(
        "== lib/__init__.py\nfrom . import sub\nfrom lib import other\n== lib/sub.py\n== lib/other.py\n",
    );
    let uses = breaks(
        &code("from lib import sub, other\nsub.f()\nother.g()\n"),
        &old,
        &new,
    );
    let apis: Vec<&str> = uses.iter().map(|one| one.api.as_str()).collect();
    assert_eq!(apis, ["lib.sub.f", "lib.other.g"]);
}

#[test]
fn what_is_not_known_or_was_wrong_before_is_left_alone() {
    for text in [
        "import lib\ndef f(frame):\n    frame.append(1)\n",
        "import lib\nframe = lib.read('x')\nframe = [1]\nframe.append(1)\n",
        "import lib\nlib.never_there\nlib.read('x').never_there()\n",
        "import lib\nlib.shrunk()\n",
        "import lib\nx = []\nif y:\n    x = other()\nx.append(lib.read('x'))\n",
        "import lib\nlib.Frame.append = lambda s, o: s\n",
        "import lib\nframe = lib.read('x').keep()\nframe.keep()\n",
        "def gone(a): pass\ngone(1)\n",
    ] {
        check(text, &[]);
    }
}

#[test]
fn announced_ends_are_told_before_any_upgrade() {
    let text = "import lib\nlib.old_way()\nlib.read('x')\n";
    let uses = deprecated(&code(text), &tree(OLD));
    let [one] = uses.as_slice() else {
        panic!("{uses:?}");
    };
    assert_eq!((one.line, one.api.as_str()), (2, "lib.old_way"));
    assert_eq!(one.advice.as_deref(), Some("use new_way"));
}

#[test]
fn advice_comes_from_what_the_library_says() {
    let old = tree(
        "== lib/__init__.py\n@deprecated('use b')\ndef a(): pass\n== lib/x.py\nclass Thing: pass\n",
    );
    let new = tree("== lib/__init__.py\n== lib/x.py\n== lib/y.py\nclass Thing: pass\n");
    let uses = breaks(
        &code("import lib\nlib.a()\nfrom lib.x import Thing\n"),
        &old,
        &new,
    );
    let advice: Vec<Option<&str>> = uses.iter().map(|one| one.advice.as_deref()).collect();
    assert_eq!(advice, [Some("use b"), Some("use lib.y.Thing")]);
}

/// Attributes that each hang on eight others, and a chain that is longer than what is followed.
fn entangled(attributes: usize) -> String {
    let mut text = String::from("import lib\nclass Knot:\n    def __init__(self):\n");
    for letter in "abcdefgh".chars() {
        text.push_str(&format!("        self.{letter}0 = lib.read('x')\n"));
    }
    for at in 1..attributes {
        for letter in "abcdefgh".chars() {
            let all = "abcdefgh".chars();
            let all: Vec<String> = all.map(|one| format!("self.{one}{}", at - 1)).collect();
            text.push_str(&format!(
                "        self.{letter}{at} = {}\n",
                all.join(" or ")
            ));
        }
    }
    text.push_str("Knot().a9.append(1)\n");
    text.push_str(&format!("Knot().a{}.append(1)\n", attributes - 1));
    text
}

#[test]
fn attributes_that_hang_together_are_each_read_once() {
    let text = entangled(60);
    let last = text.lines().count();
    let uses = breaks(&code(&text), &tree(OLD), &tree(NEW));
    let lines: Vec<(u32, &str)> = uses
        .iter()
        .map(|one| (one.line, one.api.as_str()))
        .collect();
    // Behind the longest chain nothing is claimed.
    assert_eq!(lines[0], (last as u32 - 1, "lib.Frame.append"));
    assert!(lines.len() <= 2, "{lines:?}");
}

#[test]
fn modules_that_all_take_each_others_names_come_to_an_end() {
    let many = 40;
    let mut files = BTreeMap::new();
    for at in 0..many {
        let mut text = String::new();
        for other in (0..many).filter(|other| *other != at) {
            text.push_str(&format!("from app.m{other} import *\n"));
        }
        text.push_str(&format!("from lib import gone as gone{at}\nnowhere\n"));
        files.insert(format!("app/m{at}.py"), text);
    }
    files.insert("app/__init__.py".to_owned(), String::new());
    files.insert(
        "main.py".to_owned(),
        "from app.m0 import gone7\n".to_owned(),
    );
    let code = Code::read(&files, Target { python: (3, 11) });
    let uses = breaks(&code, &tree(OLD), &tree(NEW));
    assert_eq!(uses.len(), many);
    assert!(uses.iter().all(|one| one.api == "lib.gone"));
}
