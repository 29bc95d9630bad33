//! The shapes are those of real loaders (named at each test); the sources are written anew.

use unheck_pyapi::{How, NativeName, native_names, parse};

/// One line for each name: line, how, name, and `?` when the source goes on without it.
fn check(source: &str, expected: &[&str]) {
    let parsed = parse(source.as_bytes()).unwrap();
    assert_eq!(parsed.errors, [], "the fixture is good Python");
    let lines: Vec<String> = native_names(&parsed)
        .iter()
        .map(|name| {
            let optional = if name.optional { " ?" } else { "" };
            format!("{} {:?} {}{optional}", name.line, name.how, name.name)
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn direct_calls_in_every_spelling() {
    let source = "\
import ctypes, ctypes.util
from ctypes import CDLL as load, cdll, PyDLL
from ctypes.util import find_library as _find
ctypes.CDLL('libc.so.6')
load('liba.so.1', mode=1)
PyDLL(name='libp.so')
cdll.LoadLibrary('libb.so.2')
ctypes.windll.LoadLibrary('x.so')
ctypes.util.find_library('magic')
_find('usb-1.0')
ffi.dlopen('libcairo.so.2')
CDLL(None)
CDLL('kernel32')
WinDLL('libw.so')
find_library('bin\\\\x.dll')
";
    let expected = [
        "4 Cdll libc.so.6",
        "5 Cdll liba.so.1",
        "6 Cdll libp.so",
        "7 LoadLibrary libb.so.2",
        "9 FindLibrary magic",
        "10 FindLibrary usb-1.0",
        "11 CffiDlopen libcairo.so.2",
    ];
    check(source, &expected);
}

#[test]
fn a_generator_of_candidates_with_platform_branches() {
    // python-magic, magic/loader.py
    let source = "\
import ctypes, sys
from ctypes.util import find_library
def candidates():
    yield find_library('demo')
    if sys.platform == 'darwin':
        for where in ['/opt/lib', '/usr/local/lib']:
            yield os.path.join(where, 'libdemo.dylib')
    elif sys.platform in ('win32', 'cygwin'):
        for stem in ['libdemo', 'demo1']:
            yield './%s.dll' % (stem,)
            yield find_library(stem)
    elif sys.platform == 'linux':
        yield 'libdemo.so.1'
def load():
    for name in candidates():
        if name is None:
            continue
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise ImportError('no demo')
";
    check(source, &["4 FindLibrary demo", "19 Cdll libdemo.so.1 ?"]);
}

#[test]
fn a_wrapper_with_any_number_of_names() {
    // weasyprint, text/ffi.py
    let source = "\
def _dlopen(ffi, *names, allow_fail=False):
    for name in names:
        with suppress(OSError):
            return ffi.dlopen(name, 2)
    if allow_fail:
        return
    return ffi.dlopen(names[0], 2)
pango = _dlopen(ffi, 'libpango-1.0-0', 'pango-1.0', 'libpango-1.0.so.0', 'libpango-1.0.dylib')
more = _dlopen(
    ffi, 'libmore.so.0', allow_fail=True)
";
    let expected = [
        "8 CffiDlopen libpango-1.0-0",
        "8 CffiDlopen pango-1.0",
        "8 CffiDlopen libpango-1.0.so.0",
        "9 CffiDlopen libmore.so.0",
    ];
    check(source, &expected);
}

#[test]
fn a_wrapper_with_two_lists_and_its_use_in_another_file() {
    // cairocffi, __init__.py and pixbuf.py
    let source = "\
from ctypes.util import find_library
def dlopen(ffi, stems, files):
    for stem in stems:
        found = find_library(stem)
        if found:
            files = (found, *files)
    for file in files:
        try:
            return ffi.dlopen(file)
        except OSError as error:
            errors.append(error)
    raise OSError('none')
lib = dlopen(ffi, ('demo-2', 'demo'), ('libdemo.so.2', 'libdemo.2.dylib', 'libdemo-2.dll'))
";
    let expected = [
        "13 FindLibrary demo-2",
        "13 FindLibrary demo",
        "13 CffiDlopen libdemo.so.2",
    ];
    check(source, &expected);
    let other = "\
from . import dlopen
from .ffi import ffi
try:
    lib = dlopen(ffi, ('pix-2.0',), ('libpix-2.0.so.0', 'libpix.dll'))
except OSError:
    lib = None
";
    check(
        other,
        &["4 Wrapper pix-2.0 ?", "4 Wrapper libpix-2.0.so.0 ?"],
    );
}

#[test]
fn a_name_chosen_by_platform_and_machine() {
    // soundfile
    let source = "\
import sys as _sys
from ctypes.util import find_library as _find_library
try:
    if _sys.platform == 'darwin':
        packaged = 'libsnd.dylib'
    elif _sys.platform == 'linux':
        packaged = 'libsnd_' + machine() + '.so'
    else:
        raise OSError('none')
    snd = ffi.dlopen(os.path.join(here, packaged))
except (OSError, ImportError):
    try:
        name = _find_library('snd')
        snd = ffi.dlopen(name)
    except OSError:
        if _sys.platform == 'win32':
            explicit = 'libsnd.dll'
        elif _sys.platform == 'linux':
            explicit = 'libsnd.so'
        snd = ffi.dlopen(explicit)
";
    check(source, &["13 FindLibrary snd ?", "20 CffiDlopen libsnd.so"]);
}

#[test]
fn a_loader_in_a_variable_and_a_list_by_platform() {
    // libusb1, usb1/_libusb1.py
    let source = "\
import ctypes, platform
from ctypes import CDLL
def load():
    system = platform.system()
    if system == 'Windows':
        loader = ctypes.WinDLL
        names = ['usb.dll']
        stem = None
    else:
        loader = CDLL
        if system == 'Darwin':
            names = ['libusb.dylib']
            stem = None
        else:
            names = [os.path.join(here, 'libusb-1.0.so.0'), 'libusb-1.0.so.0', 'libusb-1.0.so']
            stem = ('usb' if 'FreeBSD' in system else 'usb-1.0')
    for name in names:
        try:
            return loader(name, use_errno=True)
        except OSError:
            pass
    found = ctypes.util.find_library(stem)
    return loader(found)
";
    let expected = [
        "19 Cdll libusb-1.0.so.0 ?",
        "19 Cdll libusb-1.0.so ?",
        "22 FindLibrary usb-1.0",
    ];
    check(source, &expected);
}

#[test]
fn names_in_one_text_in_a_loop_that_rebinds_in_a_dict_and_in_an_attribute() {
    // pyfluidsynth; sounddevice; common in small bindings
    let source = "\
names = 'fluid fluid-3 libfluid'
for name in names.split():
    lib = find_library(name)
for _name in ('audio', 'lib/libaudio.dylib'):
    _name = _find(_name)
TABLE = {'linux': 'libt.so.1', 'darwin': 'libt.so.9', 'win32': 'libt.so.8'}
ctypes.CDLL(TABLE[sys.platform])
ctypes.CDLL(TABLE.get(sys.platform, 'libt.so.0'))
class Loader:
    default = 'libd.so.4'
    def __init__(self):
        self.path = os.environ.get('DEMO', 'libe.so.5')
    def load(self):
        ctypes.CDLL(self.default)
        ctypes.CDLL(self.path)
more = []
more.append('libm1.so.1')
more += ['libm2.so.2']
[ctypes.CDLL(each) for each in more]
from ctypes.util import find_library as _find
STEM = 'joined'
ctypes.CDLL(f'lib{STEM}.so.3')
ctypes.CDLL('lib' + STEM + '.so')
ctypes.CDLL(f'lib{unknown}.so.3')
";
    let expected = [
        "3 FindLibrary fluid",
        "3 FindLibrary fluid-3",
        "3 FindLibrary libfluid",
        "5 FindLibrary audio",
        "7 Cdll libt.so.1",
        "8 Cdll libt.so.0",
        "8 Cdll libt.so.1",
        "14 Cdll libd.so.4",
        "15 Cdll libe.so.5",
        "19 Cdll libm1.so.1",
        "19 Cdll libm2.so.2",
        "22 Cdll libjoined.so.3",
        "23 Cdll libjoined.so",
    ];
    check(source, &expected);
}

#[test]
fn methods_and_wrappers_around_wrappers_are_followed() {
    let source = "\
class Bindings:
    def __init__(self, extra='libextra.so.1'):
        self.open(extra)
        self.open('libself.so.1')
    def open(self, name):
        return _try(name)
    @staticmethod
    def other(name):
        return _try([name])
def _try(names):
    return ctypes.cdll.LoadLibrary(names)
Bindings.other('libstatic.so.1')
";
    let expected = [
        "3 LoadLibrary libextra.so.1",
        "4 LoadLibrary libself.so.1",
        "12 LoadLibrary libstatic.so.1",
    ];
    check(source, &expected);
}

#[test]
fn what_follows_a_return_on_linux_is_not_seen() {
    let source = "\
def path():
    if sys.platform.startswith('linux'):
        return 'liblinux.so.1'
    return 'libelse.so.1'
CDLL(path())
if os.name == 'nt':
    CDLL('libwin.so')
x = CDLL('libwin.so' if IS_WINDOWS else 'libunix.so')
";
    check(source, &["5 Cdll liblinux.so.1", "8 Cdll libunix.so"]);
}

#[test]
fn functions_of_other_files_that_say_they_load_are_guessed() {
    // pyusb; pyudev; PyOpenGL
    let source = "\
import usb.libloader
from pkg.utils import load_ctypes_library
usb.libloader.load_locate_library(('usb-1.0', 'usb'), 'cygusb-1.0.dll', 'Libusb 1', check=('x',))
load_ctypes_library('udev', SIGNATURES)
loader.loadLibrary(ctypes.CDLL, 'gbm')
pkg.load_something('no')
";
    let expected = [
        "3 Wrapper usb-1.0",
        "3 Wrapper usb",
        "4 Wrapper udev",
        "5 Wrapper gbm",
    ];
    check(source, &expected);
}

#[test]
fn a_name_is_served_as_its_opener_would_find_it() {
    let name = |name: &str, how| NativeName {
        line: 1,
        group: 0,
        name: name.to_owned(),
        how,
        optional: false,
        in_function: false,
    };
    for (wanted, how, soname, served) in [
        ("magic", How::FindLibrary, "libmagic.so.1", true),
        ("magic", How::FindLibrary, "libmagic.so", true),
        ("magic", How::FindLibrary, "libmagick.so.1", false),
        ("libmagic.so.1", How::Cdll, "libmagic.so.1", true),
        ("libmagic.so", How::Cdll, "libmagic.so.1", false),
        ("pango-1.0", How::CffiDlopen, "libpango-1.0.so.0", true),
        ("libpango-1.0.so.0", How::Wrapper, "libpango-1.0.so.0", true),
        ("/usr/lib/libx.so.1", How::LoadLibrary, "libx.so.1", true),
    ] {
        assert_eq!(
            name(wanted, how).is_served_by(soname),
            served,
            "{wanted} {soname}"
        );
    }
}
