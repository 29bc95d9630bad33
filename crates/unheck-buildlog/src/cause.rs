//! The lines of a log that say why the build failed.

use serde::Serialize;

use crate::clean;
use crate::rules::Rank;

/// Lines before the cause that may belong to it: where a header was included from, the frame of a
/// traceback.
const BEFORE: usize = 2;

/// Lines of a cause altogether.
const MOST: usize = 10;

/// Why a build failed, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The number of the line that says it, from 1.
    pub line: usize,
    /// That line and those around it that belong to it, at most ten, fit to be shown.
    pub lines: Vec<String>,
}

/// Looks for the first line of the highest rank while the lines go by.
#[derive(Default)]
pub(crate) struct Finder {
    before: Vec<String>,
    best: Option<(Rank, Cause)>,
    /// The best one still takes lines.
    open: bool,
}

impl Finder {
    /// One line: its number, as it is shown, as it is matched, and its rank.
    pub(crate) fn line(&mut self, number: usize, shown: &str, matched: &str, rank: Option<Rank>) {
        let rank = rank.unwrap_or(Rank::None);
        let is_better = self.best.as_ref().is_none_or(|(best, _)| rank > *best);
        if rank > Rank::None && is_better {
            let mut lines: Vec<String> = self.before.drain(..).collect();
            lines.push(clean::shown(shown));
            self.best = Some((
                rank,
                Cause {
                    line: number,
                    lines,
                },
            ));
            self.open = true;
        } else if self.open
            && let Some((_, cause)) = &mut self.best
        {
            let ended = rank == Rank::Consequence || is_end(matched);
            if ended || cause.lines.len() >= MOST {
                self.open = false;
            } else {
                cause.lines.push(clean::shown(shown));
            }
        }
        self.remember(shown, matched);
    }

    fn remember(&mut self, shown: &str, matched: &str) {
        if !belongs_before(matched, self.before.last().map(String::as_str)) {
            self.before.clear();
            return;
        }
        if self.before.len() == BEFORE {
            self.before.remove(0);
        }
        self.before.push(clean::shown(shown));
    }

    pub(crate) fn finish(self) -> Option<Cause> {
        let (_, mut cause) = self.best?;
        while cause
            .lines
            .last()
            .is_some_and(|line| line.trim().is_empty())
        {
            cause.lines.pop();
        }
        let indent = |line: &&String| line.len() - line.trim_start_matches([' ', '│']).len();
        let filled = cause.lines.iter().filter(|line| !line.trim().is_empty());
        // Frames are of three bytes a character: what is cut is looked at again.
        let cut = filled.map(|line| indent(&line)).min().unwrap_or(0);
        for line in &mut cause.lines {
            if let Some(rest) = line.get(cut..) {
                *line = rest.to_owned();
            }
        }
        Some(cause)
    }
}

/// Lines that lead to an error: gcc's include chain, the last frame of a traceback with its source.
fn belongs_before(line: &str, before: Option<&str>) -> bool {
    let is_frame = |line: &str| line.trim_start().starts_with("File \"");
    line.starts_with("In file included from ")
        || line.starts_with("from ") && line.ends_with([',', ':'])
        || line.contains(": In function '")
        || line.starts_with("checking for ")
        || is_frame(line)
        || before.is_some_and(is_frame) && !line.is_empty()
}

/// Lines with which something else begins.
fn is_end(line: &str) -> bool {
    [
        "compilation terminated",
        "Traceback (most recent call last)",
        "During handling of the above exception",
        "The above exception was the direct cause",
        "[end of output]",
        "Call Stack (most recent call first)",
        "-- Configuring",
        "note: This error originates",
        "Generating Code",
        "See also ",
        "A full log can be found",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}
