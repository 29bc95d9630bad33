//! Reads the output of a build, line by line.

use serde::Serialize;

use crate::cause::{Cause, Finder};
use crate::clean;
use crate::lack::{Collector, Found, Lack, Strength};
use crate::rules::{RULES, Rank};

/// Lines for which a rule with `after` stays open: the list that follows a heading.
const LIST: usize = 16;

/// What a log says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The first real cause, where the log has one.
    pub cause: Option<Cause>,
    /// What was missing, the surest first, each once.
    pub lacks: Vec<Found>,
}

/// Reads the output of a failed build, standard output and standard error together in the order in
/// which they came. Time is linear in its length; memory is bounded by what is found.
///
/// A log of a build that succeeded gives lacks too: that `configure` did not find something is no
/// failure by itself. The caller knows whether the build failed.
pub fn read_log(text: &str) -> Reading {
    let mut reader = Reader::default();
    for (index, raw) in text.split('\n').enumerate() {
        reader.line(index + 1, raw);
    }
    Reading {
        cause: reader.causes.finish(),
        lacks: reader.lacks.sorted(),
    }
}

#[derive(Default)]
struct Reader {
    causes: Finder,
    lacks: Collector,
    before: String,
    /// In a `CMake Warning`, whose text looks like an error's.
    in_warning: bool,
    /// Rules that a heading opened, and the last line for which they hold.
    opened: Vec<(usize, usize)>,
    /// What the last check of `configure` looked for in vain.
    checked: Option<Lack>,
}

impl Reader {
    fn line(&mut self, number: usize, raw: &str) {
        let shown = clean::line(raw);
        let line = clean::matchable(&shown);
        self.warning(&line, shown.starts_with(' '));
        let wrapped = (!self.before.is_empty()).then(|| format!("{} {line}", self.before));
        let in_list = line.is_empty() || line.starts_with("- ");
        self.opened.retain(|(_, last)| in_list && *last >= number);
        let is_check = line.starts_with("checking ");
        if is_check {
            self.checked = None;
        }
        let opened = &self.opened;
        let found = RULES.lacks(&line, wrapped.as_deref(), |rule| {
            opened.iter().any(|(open, _)| *open == rule)
        });
        let mut rank = RULES.rank(&line);
        for (lack, strength) in found {
            let strength = if self.in_warning {
                strength.min(Strength::Mentioned)
            } else {
                strength
            };
            rank = rank.max(rank_of(strength));
            if is_check {
                self.checked = Some(lack.clone());
            }
            self.lacks.add(Found {
                lack,
                evidence: clean::evidence(number, &shown),
                strength,
            });
        }
        if line.contains("configure: error: ")
            && let Some(lack) = self.checked.take()
        {
            self.lacks.raise(&lack, Strength::Stated);
        }
        if self.in_warning {
            rank = None;
        }
        self.opened
            .extend(RULES.opened(&line).map(|rule| (rule, number + LIST)));
        self.causes.line(number, &shown, &line, rank);
        self.before = line;
    }

    /// CMake's messages go on in indented lines, with empty ones between.
    fn warning(&mut self, line: &str, is_indented: bool) {
        if line.starts_with("CMake Warning") {
            self.in_warning = true;
        } else if !line.is_empty() && (!is_indented || line.starts_with("CMake Error")) {
            self.in_warning = false;
        }
    }
}

fn rank_of(strength: Strength) -> Option<Rank> {
    match strength {
        Strength::Fatal => Some(Rank::Error),
        Strength::Stated => Some(Rank::Complaint),
        Strength::Hinted | Strength::Mentioned | Strength::Probed => None,
    }
}
