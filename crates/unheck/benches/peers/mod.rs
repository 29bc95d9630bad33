//! One-file programs of other tools beside ours, made of the same example in one run: size, time
//! to make it again after an edit, and start.
//!
//! The peers run in a virtual environment that the benchmark makes with `UNHECK_BENCH_PYTHON`
//! (else `python3`) and pip. What cannot be had is named, and its rows are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Bench, Figure, mb, measure};

/// Starts of which the median counts.
const STARTS: usize = 7;

/// Uvicorn's own command, as an entry that PyInstaller can follow.
const SERVE: &str = "import uvicorn\n\nimport web\n\nuvicorn.main()\n";

/// What a peer makes.
struct Made {
    name: &'static str,
    file: PathBuf,
    /// The interpreter that starts it, where it brings none.
    python: Option<PathBuf>,
    again: Figure,
    note: String,
}

impl Bench {
    /// All rows of an example.
    pub(super) fn peers(&self) {
        for (name, trim) in [("unheck exe", "safe"), ("unheck exe, imports", "imports")] {
            let made = self.ours(name, trim);
            self.row(&made, &self.place("exe-cache"), "UNHECK_EXE_CACHE");
        }
        let Some(tools) = self.environment() else {
            return;
        };
        let made = [self.pyinstaller(&tools), self.pex(&tools)];
        for made in made.into_iter().flatten() {
            self.row(&made, &self.place("pex-root"), "PEX_ROOT");
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.output
            .with_file_name(format!("{}-{name}", self.example))
    }

    fn ours(&self, name: &'static str, trim: &str) -> Made {
        let file = self.place(&format!("unheck-{trim}"));
        let build = || {
            let mut command = Command::new(super::UNHECK);
            command.arg("build").arg(&self.project).arg("-o").arg(&file);
            command.args(["-q", "--format", "exe", "--trim", trim]);
            command.arg("--cache-dir").arg(&self.cache);
            measure(command.stdout(Stdio::null()))
        };
        build();
        self.edit(trim);
        Made {
            name,
            again: build(),
            file,
            python: None,
            note: "zstd 19, with interpreter and libc".to_owned(),
        }
    }

    /// A line more in the app.
    fn edit(&self, text: &str) {
        let app = self.app();
        let old = fs::read_to_string(&app).expect("app");
        fs::write(&app, format!("{old}# {text}\n")).expect("app");
    }

    /// A virtual environment with the peers and what the example requires.
    fn environment(&self) -> Option<PathBuf> {
        let place = self.place("venv");
        let python = std::env::var_os("UNHECK_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
        let mut make = Command::new(&python);
        make.args(["-m", "venv"]).arg(&place);
        let mut install = Command::new(place.join("bin/pip"));
        install.args(["-q", "install", "pyinstaller", "pex"]);
        install.args(self.requirements());
        for command in [&mut make, &mut install] {
            let ended = command.stdout(Stdio::null()).status();
            if !ended.is_ok_and(|status| status.success()) {
                println!("peers of {} are left out: {command:?} failed", self.example);
                return None;
            }
        }
        Some(place.join("bin"))
    }

    fn requirements(&self) -> Vec<String> {
        let text = fs::read_to_string(self.project.join("pyproject.toml")).expect("project");
        let table: toml::Table = toml::from_str(&text).expect("project");
        let list = table["project"].get("dependencies");
        let list = list.and_then(toml::Value::as_array).into_iter().flatten();
        list.filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    }

    fn pyinstaller(&self, tools: &Path) -> Option<Made> {
        let entry = if self.example == "web" {
            let entry = self.project.join("serve.py");
            fs::write(&entry, SERVE).expect("entry");
            entry
        } else {
            self.app()
        };
        let out = self.place("pyinstaller");
        let build = || {
            let mut command = Command::new(tools.join("pyinstaller"));
            command.args([
                "--onefile",
                "--noconfirm",
                "--log-level",
                "ERROR",
                "--name",
                "app",
            ]);
            command.arg("--distpath").arg(out.join("dist"));
            command.arg("--workpath").arg(out.join("work"));
            command.arg("--specpath").arg(&out).arg(&entry);
            self.peer(command)
        };
        build()?;
        self.edit("pyinstaller");
        Some(Made {
            name: "PyInstaller, one file",
            again: build()?,
            file: out.join("dist/app"),
            python: None,
            note: "without libc; unpacks at every start".to_owned(),
        })
    }

    fn pex(&self, tools: &Path) -> Option<Made> {
        let file = self.place("app.pex");
        let build = || {
            let mut command = Command::new(tools.join("pex"));
            command.args(self.requirements());
            command.arg("-D").arg(&self.project).arg("-o").arg(&file);
            match self.example {
                "web" => command.args(["-c", "uvicorn"]),
                _ => command.args(["-m", "main"]),
            };
            command.env("PEX_ROOT", self.place("pex-build"));
            self.peer(command)
        };
        build()?;
        self.edit("pex");
        Some(Made {
            name: "pex",
            again: build()?,
            file,
            python: Some(tools.join("python")),
            note: "without an interpreter: the host's".to_owned(),
        })
    }

    fn peer(&self, mut command: Command) -> Option<Figure> {
        let tool = command.get_program().to_string_lossy().into_owned();
        if !Path::new(&tool).is_file() {
            println!(
                "a peer of {} is left out: there is no `{tool}`",
                self.example
            );
            return None;
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Some(measure(&mut command))
    }

    fn row(&self, made: &Made, cache: &Path, variable: &str) {
        let start = || {
            let mut command = Command::new(made.python.as_ref().unwrap_or(&made.file));
            command.args(made.python.iter().map(|_| &made.file));
            match self.example {
                "web" => command.args(["web:app", "--help"]),
                _ => command.arg("--help"),
            };
            command.env(variable, cache).stdout(Stdio::null());
            measure(&mut command)
        };
        fs::remove_dir_all(cache).ok();
        let first = start();
        let mut later: Vec<Figure> = (0..STARTS).map(|_| start()).collect();
        later.sort_by_key(|figure| figure.wall);
        let later = later[STARTS / 2];
        let size = fs::metadata(&made.file).expect("artifact").len();
        println!(
            "| {} | {} | {:.2} | {:.2} ({:.2}) | {:.2} ({:.2}) | {:.2} ({:.2}) | {} |",
            self.example,
            made.name,
            mb(size),
            made.again.wall.as_secs_f64(),
            made.again.cpu.as_secs_f64(),
            first.wall.as_secs_f64(),
            first.cpu.as_secs_f64(),
            later.wall.as_secs_f64(),
            later.cpu.as_secs_f64(),
            made.note
        );
    }
}
