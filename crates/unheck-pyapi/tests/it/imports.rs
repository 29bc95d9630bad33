use unheck_pyapi::{imports, parse};

/// One line for each import: line, context, module and name.
fn check(source: &str, package: &str, expected: &[&str]) {
    let parsed = parse(source.as_bytes()).unwrap();
    let lines: Vec<String> = imports(&parsed, package)
        .iter()
        .map(|import| {
            let name = import
                .name
                .as_ref()
                .map_or(String::new(), |name| format!(":{name}"));
            let dynamic = if import.dynamic { " dynamic" } else { "" };
            format!(
                "{} {:?} {}{name}{dynamic}",
                import.line, import.context, import.module
            )
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn plain_imports_have_line_module_and_name() {
    let source = "import a.b, c as d\nfrom e import f, g as h\nfrom i import *\n";
    let expected = [
        "1 Module a.b",
        "1 Module c",
        "2 Module e:f",
        "2 Module e:g",
        "3 Module i:*",
    ];
    check(source, "", &expected);
}

#[test]
fn relative_imports_count_from_the_package() {
    let source = "from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e import f\nfrom ... import g\n";
    let expected = [
        "1 Module p.q:a",
        "2 Module p.q.b:c",
        "3 Module p:d",
        "4 Module p.e:f",
        "5 Module ...:g",
    ];
    check(source, "p.q", &expected);
    check(
        "from . import a\nfrom .m import b\n",
        "",
        &["1 Module .:a", "2 Module .m:b"],
    );
}

#[test]
fn the_context_tells_how_much_an_import_is_needed() {
    let source = "\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import types_only
else:
    import at_runtime
try:
    import fast
except ImportError:
    import slow
else:
    import glue
finally:
    import always
try:
    import plain
except ValueError:
    import other
def f():
    import late
    try:
        import later
    except (KeyError, ModuleNotFoundError):
        pass
if sys.version_info < (3, 11):
    import tomli
with contextlib.suppress(ImportError):
    import maybe
class C:
    import inside
try:
    import bare
except:
    pass
";
    let expected = [
        "1 Module typing:TYPE_CHECKING",
        "3 TypeChecking types_only",
        "5 Module at_runtime",
        "7 Optional fast",
        "9 Optional slow",
        "11 Optional glue",
        "13 Module always",
        "15 Module plain",
        "17 Conditional other",
        "19 Function late",
        "21 Optional later",
        "25 Conditional tomli",
        "27 Optional maybe",
        "29 Module inside",
        "31 Optional bare",
    ];
    check(source, "", &expected);
}

#[test]
fn branches_for_other_platforms_are_told_apart() {
    let source = "\
import sys, os, platform
if sys.platform == 'win32':
    import winreg
elif sys.platform == 'darwin':
    import mac
else:
    import unix
WINDOWS = os.name == 'nt'
if WINDOWS:
    import msvcrt
if not WINDOWS:
    import fcntl
system = platform.system()
if system.lower() in ('windows', 'java'):
    import clr
if sys.platform.startswith('linux'):
    import epoll
else:
    import kqueue
if unknown:
    import a
elif os.name == 'posix':
    import b
else:
    import c
if is_macos():
    import d
if 'win' in sys.platform or sys.platform == 'cygwin':
    import e
if sys.platform != 'win32' and x:
    import f
";
    let expected = [
        "1 Module sys",
        "1 Module os",
        "1 Module platform",
        "3 OtherPlatform winreg",
        "5 OtherPlatform mac",
        "7 Module unix",
        "10 OtherPlatform msvcrt",
        "12 Module fcntl",
        "15 OtherPlatform clr",
        "17 Module epoll",
        "19 OtherPlatform kqueue",
        "21 Conditional a",
        "23 Conditional b",
        "25 OtherPlatform c",
        "27 OtherPlatform d",
        "29 OtherPlatform e",
        "31 Conditional f",
    ];
    check(source, "", &expected);
}

#[test]
fn calls_with_a_literal_are_imports_too() {
    let source = "\
import importlib
x = importlib.import_module('a.b')
y = __import__('c')
def f():
    return import_module('.d', __package__)
z = importlib.import_module('..e', package='p.q')
importlib.import_module(name)
importlib.import_module('not a name')
";
    let expected = [
        "1 Module importlib",
        "2 Module a.b dynamic",
        "3 Module c dynamic",
        "5 Function m.d dynamic",
        "6 Module p.e dynamic",
    ];
    check(source, "m", &expected);
}

#[test]
fn lazy_imports_are_marked() {
    check(
        "lazy import a\nlazy from b import c\n",
        "",
        &["1 Lazy a", "2 Lazy b:c"],
    );
}
