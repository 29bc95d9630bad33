//! Progress on a terminal: one line, with all downloads in one bar. Start at [`Progress`].
//!
//! Where stderr is no terminal, or with `-q`, nothing moves; notes are said all the same.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unheck_engine::event::{Event, Reporter, Stage};

use super::{Ui, bytes, clean, err, millis};

/// Shows events of the engine.
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    verbose: bool,
    state: Mutex<State>,
}

/// What was heard so far.
#[derive(Default)]
struct State {
    /// Stages that run, the innermost last.
    stages: Vec<(Stage, String)>,
    /// Bytes here and bytes in all, by label.
    downloads: BTreeMap<String, (u64, Option<u64>)>,
    /// Wall time of finished stages.
    times: BTreeMap<Stage, u128>,
    /// Notes that were said.
    notes: Vec<String>,
    /// What is being compiled, and since when.
    compiling: BTreeMap<String, Instant>,
}

impl Progress {
    pub(super) fn new(ui: &Ui) -> Self {
        let (quiet, verbose) = (ui.quiet, ui.verbose);
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self {
            bar,
            quiet,
            verbose,
            state: Mutex::default(),
        }
    }

    /// Takes the line away; nothing is shown after it.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// `lock 2.1 s, fetch 340 ms`: the time of each stage so far.
    pub(crate) fn times(&self) -> String {
        let state = self.state();
        let times: Vec<String> = state
            .times
            .iter()
            .map(|(stage, time)| format!("{} {}", stage.verb(), millis(*time)))
            .collect();
        times.join(", ")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panicking thread left is still good enough to show.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| err(text));
        }
    }

    fn show(&self, state: &State) {
        if self.bar.is_hidden() {
            return;
        }
        let Some((stage, detail)) = state.stages.last() else {
            return;
        };
        let mut text = format!("{} {}", stage.verb(), clean(detail));
        let open = state
            .downloads
            .values()
            .filter(|(done, total)| Some(*done) != *total)
            .count();
        if open > 0 {
            let done: u64 = state.downloads.values().map(|(done, _)| done).sum();
            let total: u64 = state
                .downloads
                .values()
                .map(|(done, total)| total.unwrap_or(*done))
                .sum();
            let all = state.downloads.len();
            let filled = (done.min(total) * 20).checked_div(total).unwrap_or(0) as usize;
            let bar = format!("{}{}", "#".repeat(filled), "-".repeat(20 - filled));
            text = format!(
                "{text} [{bar}] {}/{all} files, {} of {}",
                all - open,
                bytes(done),
                bytes(total)
            );
        }
        if !state.compiling.is_empty() {
            let one = |(label, since): (&String, &Instant)| {
                format!("{} {} s", clean(label), since.elapsed().as_secs())
            };
            let all: Vec<String> = state.compiling.iter().map(one).collect();
            text = format!("compiling {}", all.join(", "));
        }
        self.bar.set_message(text);
    }
}

impl Reporter for Progress {
    fn event(&self, event: Event<'_>) {
        let mut state = self.state();
        match event {
            Event::Started { stage, detail } => {
                state.stages.push((stage, detail.to_owned()));
                self.bar.enable_steady_tick(Duration::from_millis(120));
            }
            Event::Finished { stage, millis } => {
                if let Some(at) = state
                    .stages
                    .iter()
                    .rposition(|(running, _)| *running == stage)
                {
                    state.stages.remove(at);
                }
                *state.times.entry(stage).or_default() += millis;
                if state.stages.is_empty() {
                    self.bar.disable_steady_tick();
                    self.bar.set_message("");
                }
            }
            Event::Download { label, done, total } => {
                state.downloads.insert(label.to_owned(), (done, total));
            }
            Event::Retry { label, why } if self.verbose => {
                self.say(&format!("again: {}: {}", clean(label), clean(why)));
            }
            Event::Compiling { label, with } => {
                state.compiling.insert(label.to_owned(), Instant::now());
                let label = clean(label);
                match with {
                    [] => self.say(&format!("compiling {label}")),
                    with => self.say(&format!(
                        "compiling {label} again with {}",
                        clean(&with.join(", "))
                    )),
                }
            }
            Event::Compiled { label } => drop(state.compiling.remove(label)),
            Event::Output { label, line } if self.verbose => {
                self.say(&format!("{} | {}", clean(label), clean(line)));
            }
            Event::Note(text) if !state.notes.iter().any(|said| said == text) => {
                state.notes.push(text.to_owned());
                let lines: Vec<String> = text.lines().map(clean).collect();
                self.say(&lines.join("\n  "));
            }
            // Findings are part of the answer.
            _ => {}
        }
        self.show(&state);
    }
}
