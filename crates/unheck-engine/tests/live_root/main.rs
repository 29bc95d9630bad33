//! Build roots out of the real Debian archive, and compilers run in them. Run with
//! `cargo test -p unheck-engine --test live_root -- --ignored`.
//!
//! Needs the network (the mirror of this machine's apt) and user namespaces; the test of another
//! machine's programs also an emulator (`qemu-user-static`). This binary is the sandbox's helper too.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells what it measured"
)]

mod kit;
mod rust;

use std::collections::BTreeSet;
use std::path::Path;

use kit::{Place, run};
use libtest_mimic::{Arguments, Trial};
use unheck_engine::lock::Provider;
use unheck_engine::platform::Platform;
use unheck_engine::sdist::root::{BINFMT, RootSet, build_root, can_run};

/// Every suite, and what its Python is called.
const SUITES: [(&str, &str); 3] = [
    ("trixie", "3.13"),
    ("bookworm", "3.11"),
    ("bullseye", "3.9"),
];

fn main() {
    unheck_sandbox::helper_main_if_asked();
    let mut trials = Vec::new();
    for (suite, python) in SUITES {
        let trial = Trial::test(format!("compiles_on_{suite}"), move || {
            compiles(suite, python);
            Ok(())
        });
        trials.push(trial.with_kind("live: Debian").with_ignored_flag(true));
        let trial = Trial::test(format!("config_scripts_run_on_{suite}"), move || {
            config_scripts(suite);
            Ok(())
        });
        trials.push(trial.with_kind("live: Debian").with_ignored_flag(true));
    }
    let trial = Trial::test("a_root_without_debians_python_has_a_compiler", || {
        without_python();
        Ok(())
    });
    trials.push(trial.with_kind("live: Debian").with_ignored_flag(true));
    let trial = Trial::test("cargo_builds_with_vendored_crates_and_no_network", || {
        rust::builds();
        Ok(())
    });
    trials.push(
        trial
            .with_kind("live: Debian, crates.io")
            .with_ignored_flag(true),
    );
    let trial = Trial::test("arm64_compiles_where_it_can_run", || {
        foreign();
        Ok(())
    });
    trials.push(
        trial
            .with_kind("live: Debian, qemu")
            .with_ignored_flag(true),
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

const COMPILE: &str = r#"
set -e
cat > hello.c <<'C'
#include <stdio.h>
#include <math.h>
int main(int n, char **v) { printf("c %.0f\n", sqrt(n * 49.0)); return 0; }
C
cc -O2 hello.c -o hello -lm && ./hello
cat > hello.cc <<'C'
#include <iostream>
#include <vector>
int main() { std::vector<int> v{1, 2}; std::cout << "c++ " << v.size() << std::endl; }
C
c++ hello.cc -o hellopp && ./hellopp
"#;

const EXTENSION: &str = r#"
cat > answer.c <<'C'
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", 0, -1, methods};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
C
cc -shared -fPIC $(python3-config --includes) answer.c -o answer$(python3-config --extension-suffix)
python3 -c 'import answer, sys; print("python", "%d.%d" % sys.version_info[:2], answer.answer())'
python3 -c 'import sysconfig, os; h = sysconfig.get_config_h_filename(); assert os.path.exists(h), h'
python3 -c 'import locale; locale.setlocale(locale.LC_ALL, "C.UTF-8")'
"#;

const TOOLS: &str = r#"
pkg-config --version > /dev/null && echo pkg-config
make --version > /dev/null && echo make
perl -e 'print "perl\n"'
cat > configure <<'S'
#! /bin/sh
as_me=`expr "X$0" : 'X.*/\(.*\)' \| "X$0"`
host=`(hostname || uname -n) 2>/dev/null | sed 1q`
test -n "$host" || exit 1
tmp=`mktemp -d ./confXXXXXX` || exit 2
echo 'int main(void) { return 0; }' > "$tmp/conftest.c"
(eval "${CC-cc} -o $tmp/conftest $tmp/conftest.c") 5>&1 2>&1 || exit 3
"$tmp/conftest" || exit 4
echo 'a b c' | awk '{ print $2 }' | tr b x | grep -q x || exit 5
for tool in awk bzip2 cmp diff find gzip install ld ar ranlib nm objdump patch strip tar which xargs xz; do
  command -v $tool > /dev/null || { echo "no $tool"; exit 6; }
done
sed -e "s/@host@/ok/" > config.status <<END
configure @host@
END
cat config.status; rm -rf "$tmp"
S
chmod +x configure && ./configure
find / -xdev -perm /6000 2>/dev/null | wc -l
"#;

fn compiles(suite: &str, python: &str) {
    let place = Place::new(suite);
    let host = Platform::host().unwrap();
    let interpreter = place.interpreter(host, Provider::Debian);
    let (set, root) = place.measured(host, &interpreter, &[]);
    let script = format!("{COMPILE}{EXTENSION}{TOOLS}");
    let expected =
        format!("c 7\nc++ 2\npython {python} 42\npkg-config\nmake\nperl\nconfigure ok\n0\n");
    assert_eq!(run(&place, &root, &script), expected, "{suite}");
    assert_eq!(set.digest(), root.digest);
}

fn config_scripts(suite: &str) {
    let place = Place::new(suite);
    let host = Platform::host().unwrap();
    let interpreter = place.interpreter(host, Provider::Debian);
    let more = [
        "libpq-dev",
        "libxml2-dev",
        "libcurl4-openssl-dev",
        "libmariadb-dev-compat",
    ];
    let (_, root) = place.measured(host, &interpreter, &more);
    let script = "set -e\npg_config --includedir\npkg-config --cflags libxml-2.0\nxml2-config --cflags\n\
                  curl-config --libs\nmysql_config --cflags\npkg-config --exists libpq libcurl mariadb && echo found\n";
    let said = run(&place, &root, script);
    assert!(
        said.starts_with("/usr/include/postgresql\n-I/usr/include/libxml2"),
        "{said}"
    );
    assert!(
        said.contains("-lcurl") && said.contains("-I/usr/include/mariadb"),
        "{said}"
    );
    assert!(said.ends_with("found\n"), "{said}");
    let program = "set -e\nprintf '#include <libpq-fe.h>\\n#include <libxml/parser.h>\\nint main(void) { return !PQlibVersion(); }\\n' > t.c\n\
                   cc t.c -I$(pg_config --includedir) $(pkg-config --cflags --libs libxml-2.0) -lpq -o t && ./t && echo linked\n";
    assert_eq!(run(&place, &root, program), "linked\n", "{suite}");
}

fn without_python() {
    let place = Place::new("trixie");
    let host = Platform::host().unwrap();
    let interpreter = place.interpreter(host, Provider::Standalone);
    let (set, root) = place.measured(host, &interpreter, &[]);
    assert!(set.debs.iter().all(|deb| !deb.name.contains("python")));
    assert_eq!(run(&place, &root, COMPILE), "c 7\nc++ 2\n");
}

fn foreign() {
    let host = Platform::host().unwrap();
    let other = Platform::ALL.into_iter().find(|one| *one != host).unwrap();
    let place = Place::new("trixie");
    let interpreter = place.interpreter(other, Provider::Debian);
    let (_, root) = place.measured(other, &interpreter, &[]);
    if let Err(error) = can_run(other, Path::new(BINFMT)) {
        panic!("{error}; the root was made");
    }
    let script = format!("{COMPILE}{EXTENSION}uname -m\n");
    let expected = format!("c 7\nc++ 2\npython 3.13 42\n{}\n", other.machine());
    assert_eq!(run(&place, &root, &script), expected);
}

/// Packages by name.
fn names(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// How long it takes to find a root that is there.
fn again(place: &Place, set: &RootSet) -> std::time::Duration {
    let start = std::time::Instant::now();
    build_root(&place.session, set).unwrap();
    start.elapsed()
}
