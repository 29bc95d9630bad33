//! Time of comparing two versions, on libraries that are made here: `cargo bench -p unheck-pyapi`.
//!
//! Three sizes, of which the largest has as many definitions as pandas. A version is read (parsed
//! and lowered, in parallel) and compared; the user's code is one file that uses each class once.

#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use unheck_pyapi::api::{Code, DiffOptions, Target, Tree, breaks, diff};

const TARGET: Target = Target { python: (3, 11) };
const RUNS: usize = 7;

/// A library of so many modules; the second version lacks one method in ten.
fn library(modules: usize, is_second: bool) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut init = String::new();
    for module in 0..modules {
        let mut text = String::from("import warnings\nfrom typing import Optional\n");
        for class in 0..6 {
            let _ = writeln!(text, "class C{module}x{class}:");
            let _ = writeln!(
                text,
                "    def __init__(self, a, b=1, *, c=None): self.a = a"
            );
            for method in 0..12 {
                if is_second && method == 11 && class % 2 == 0 {
                    continue;
                }
                let _ = writeln!(
                    text,
                    "    def m{method}(self, x, y=None, **kwargs) -> 'C{module}x{class}':"
                );
                let _ = writeln!(
                    text,
                    "        if x is None:\n            warnings.warn('x', FutureWarning)"
                );
                let _ = writeln!(
                    text,
                    "        for value in y or []:\n            x = x + value.z(y)[0]"
                );
                let _ = writeln!(text, "        return C{module}x{class}(x, b=y)");
            }
        }
        let _ = writeln!(init, "from .m{module} import *");
        files.insert(format!("lib/m{module}.py"), text);
    }
    files.insert("lib/__init__.py".to_owned(), init);
    files
}

fn program(modules: usize) -> BTreeMap<String, String> {
    let mut text = String::from("import lib\n");
    for module in 0..modules {
        let _ = writeln!(
            text,
            "v{module} = lib.C{module}x0(1).m0(2)\nv{module}.m11(3)"
        );
    }
    BTreeMap::from([("app.py".to_owned(), text)])
}

/// A program as large as the library: a package of modules that take each other's names, with
/// classes whose attributes hang on one another and, now and then, on the library.
fn large_program(modules: usize) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for module in 0..modules {
        let mut text = String::from("import lib\n");
        for other in [module + 1, module + 7, module * 3 + 1] {
            let _ = writeln!(text, "from app.p{} import *", other % modules);
        }
        for class in 0..6 {
            let base = (module * 5 + class + 1) % modules;
            let _ = writeln!(text, "class P{module}x{class}:\n    def __init__(self):");
            let _ = writeln!(text, "        self.a0 = lib.C{base}x0(1)");
            for at in 1..20 {
                let below = at - 1;
                let _ = writeln!(
                    text,
                    "        self.a{at} = self.a{below}.m0(1) or self.step{below}() or P{base}x{class}().a{below}"
                );
                let _ = writeln!(
                    text,
                    "    def step{at}(self): return self.a{below} if self.a0 else self.step{below}()"
                );
            }
            let _ = writeln!(text, "    def step0(self): return self.a19");
            let _ = writeln!(text, "    def run(self): return self.step3().m11(3)");
        }
        files.insert(format!("app/p{module}.py"), text);
    }
    files.insert("app/__init__.py".to_owned(), String::new());
    files
}

fn median(run: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn main() {
    println!(
        "| modules | lines | read one version | compare | uses of one program | uses of a program as large |"
    );
    println!("|---|---|---|---|---|---|");
    for modules in [10, 100, 400] {
        let (old, new) = (library(modules, false), library(modules, true));
        let lines: usize = old.values().map(|text| text.lines().count()).sum();
        let reading = median(|| {
            std::hint::black_box(Tree::read(&old, TARGET));
        });
        let (old, new) = (Tree::read(&old, TARGET), Tree::read(&new, TARGET));
        let comparing = median(|| {
            std::hint::black_box(diff(&old, &new, DiffOptions::default()));
        });
        let code = Code::read(&program(modules), TARGET);
        let using = median(|| {
            std::hint::black_box(breaks(&code, &old, &new));
        });
        let code = Code::read(&large_program(modules), TARGET);
        let large = median(|| {
            std::hint::black_box(breaks(&code, &old, &new));
        });
        println!(
            "| {modules} | {lines} | {reading:.1?} | {comparing:.1?} | {using:.1?} | {large:.1?} |"
        );
    }
}
