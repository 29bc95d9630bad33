//! Directories and executables against what anybody has: `cp -al` of the same tree, and the same
//! interpreter started by hand in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Bench, Figure, UNHECK, mb, measure};

/// Runs of which the median counts.
const ROUNDS: usize = 11;

impl Bench {
    /// Every figure of relocatable artifacts, from a warm store.
    pub(super) fn forms(&self) {
        let output = self.output.with_extension("").with_extension("dir");
        self.print("`--format dir`, first", self.form("dir", &output), "");
        let fresh = self.output.with_extension("").with_extension("again");
        let warm = median_after(
            || drop(fs::remove_dir_all(&fresh)),
            || self.form("dir", &fresh),
        );
        let copy = self.output.with_extension("").with_extension("copy");
        let links = median_after(
            || drop(fs::remove_dir_all(&copy)),
            || measure(Command::new("cp").arg("-al").arg(&output).arg(&copy)),
        );
        let note = format!(
            "`cp -al` of the same tree takes {:.3} s: {:.2} ×",
            links.wall.as_secs_f64(),
            warm.wall.as_secs_f64() / links.wall.as_secs_f64()
        );
        self.print("`--format dir` from a warm store", warm, &note);
        let tar = self.output.with_extension("").with_extension("tar.zst");
        let figure = self.form("tar", &tar);
        self.print("`--format tar`", figure, &size_of(&tar));
        self.executable(&output);
    }

    fn executable(&self, tree: &Path) {
        let exe = self.output.with_extension("").with_extension("exe");
        let figure = self.form("exe", &exe);
        self.print("`--format exe`", figure, &size_of(&exe));
        let cache = self.output.with_extension("").with_extension("exe-cache");
        let start = || {
            let mut command = Command::new(&exe);
            command.arg("--help").env("UNHECK_EXE_CACHE", &cache);
            measure(command.stdout(Stdio::null()).stderr(Stdio::null()))
        };
        let first = median_after(|| drop(fs::remove_dir_all(&cache)), start);
        self.print("executable, first start (`--help`)", first, "");
        let later = median(start);
        let words = by_hand(tree, self.example);
        let plain = median(|| {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg("--help");
            command
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("LANG", "C.UTF-8");
            measure(command.stdout(Stdio::null()).stderr(Stdio::null()))
        });
        let note = format!(
            "the interpreter by its loader, no launcher: {:.3} s: {:.2} ×",
            plain.wall.as_secs_f64(),
            later.wall.as_secs_f64() / plain.wall.as_secs_f64()
        );
        self.print("executable, later start (`--help`)", later, &note);
    }

    fn form(&self, format: &str, output: &Path) -> Figure {
        let mut command = Command::new(UNHECK);
        command
            .arg("build")
            .arg(&self.project)
            .args(["-q", "--format", format]);
        command
            .arg("-o")
            .arg(output)
            .arg("--cache-dir")
            .arg(&self.cache);
        measure(command.stdout(Stdio::null()))
    }
}

fn size_of(path: &Path) -> String {
    let size = fs::metadata(path).expect("artifact").len();
    format!("{:.2} MB", mb(size))
}

fn median(run: impl Fn() -> Figure) -> Figure {
    median_after(|| (), run)
}

fn median_after(prepare: impl Fn(), run: impl Fn() -> Figure) -> Figure {
    let mut figures: Vec<Figure> = (0..ROUNDS)
        .map(|_| {
            prepare();
            run()
        })
        .collect();
    figures.sort_by_key(|figure| figure.wall);
    figures[ROUNDS / 2]
}

/// The tree's loader, its libraries and its interpreter, with the words of the example's entry.
fn by_hand(tree: &Path, example: &str) -> Vec<PathBuf> {
    let library = tree.join("usr/lib/x86_64-linux-gnu");
    let mut words = vec![
        library.join("ld-linux-x86-64.so.2"),
        "--library-path".into(),
        library,
        "--argv0".into(),
        tree.join("usr/bin/python3.13"),
        tree.join("usr/bin/python3.13.bin"),
        "-s".into(),
    ];
    if example == "web" {
        words.push(tree.join("usr/local/libexec/unheck/uvicorn"));
        words.push("web:app".into());
    } else {
        words.push(tree.join("app/main.py"));
    }
    words
}
