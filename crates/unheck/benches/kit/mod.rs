//! Kits: how long it takes to write one, and to build from it with nothing else.

use std::fs;
use std::process::{Command, Stdio};

use crate::{Bench, UNHECK, mb, measure};

impl Bench {
    /// A kit out of a warm cache, and a build from it with an empty one.
    pub(crate) fn kit(&self) {
        let kit = self.output.with_extension("kit");
        let mut command = Command::new(UNHECK);
        command.arg("export").arg(&self.project).arg("-q");
        command.arg("--air-gap").arg(&kit);
        command.arg("--cache-dir").arg(&self.cache);
        let figure = measure(command.stdout(Stdio::null()));
        let size = fs::metadata(&kit).expect("kit").len();
        let program = fs::metadata(UNHECK).expect("program").len();
        let note = format!(
            "a kit of {:.1} MB, {:.1} MB of it unheck itself",
            mb(size),
            mb(program)
        );
        self.print("export, everything in the cache", figure, &note);
        let cache = self.cache.with_extension("gap");
        let mut command = self.command(&cache, &["--offline", "--no-verify"]);
        command.arg("--kit").arg(&kit);
        fs::remove_file(&self.output).ok();
        let figure = measure(&mut command);
        let note = "not verified; nothing in the cache";
        self.print("build from the kit", figure, note);
    }
}
