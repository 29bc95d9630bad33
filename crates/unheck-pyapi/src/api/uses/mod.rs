//! Which lines of a program break: the program is evaluated against both trees, and what was fine
//! under the old one and fails under the new one is told. Start at [`breaks`]; [`deprecated`]
//! tells what one tree announces.
//!
//! Limits, to be told to users: instances that pass through untyped code, names that are computed,
//! monkey patching and plugins are not followed.

mod advice;
mod check;
mod code;
mod expression;
mod frame;
mod guard;
mod statement;

pub use code::Code;

use serde::{Deserialize, Serialize};

use self::check::{Checks, Outcome, Target as Checked};
use self::statement::walk;
use super::resolve::Resolver;
use super::tree::Tree;
use super::value::ANYTHING;

/// How sure a use is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// It worked and will raise.
    Proven,
    /// It will raise unless code that cannot be read provides the name, or another type flows in.
    Possible,
    /// A known change of behaviour of what is used; no proof that this program is touched.
    Behaviour,
}

/// A line of the user's code that an upgrade touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Use {
    /// The user's file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The API that is used, dotted, as a user writes it.
    pub api: String,
    /// How sure it is.
    pub tier: Tier,
    /// What happens there, in one line.
    pub what: String,
    /// What to write instead, where the library says so.
    pub advice: Option<String>,
}

/// The uses that break between two versions of a library.
pub fn breaks(code: &Code, old: &Tree, new: &Tree) -> Vec<Use> {
    let (old_world, new_world) = (old.with(&code.tree(old)), new.with(&code.tree(new)));
    let (old_resolver, new_resolver) = (Resolver::new(&old_world), Resolver::new(&new_world));
    let mut uses = Vec::new();
    let mut adviser = advice::Adviser::new(old, new);
    for (path, file) in &code.files {
        let before = walk(&old_resolver, file, None);
        let after = walk(&new_resolver, file, Some(&before));
        for (key, old_check) in &before.checks {
            let Some(new_check) = after.checks.get(key) else {
                continue;
            };
            let Outcome::Fine { open } = old_check.outcome else {
                continue;
            };
            let tier = match &new_check.outcome {
                Outcome::Fails => Tier::Proven,
                Outcome::MayFail => Tier::Possible,
                Outcome::Open(why) if *why == open && open != ANYTHING => match old_check.is_called
                {
                    true => Tier::Proven,
                    false => Tier::Possible,
                },
                _ => continue,
            };
            let advice = adviser.advice(&old_check.target, new_check.text.as_deref());
            uses.push(Use {
                file: path.clone(),
                line: old_check.line,
                api: adviser.api(&old_check.target),
                tier,
                what: new_check
                    .what
                    .clone()
                    .unwrap_or_else(|| "it is gone".to_owned()),
                advice,
            });
        }
    }
    uses.sort();
    // A name that is used twice on a line, or imported and looked up there, is told once.
    uses.dedup_by(|a, b| (&a.file, a.line, &a.api) == (&b.file, b.line, &b.api));
    uses
}

/// The uses of what one version of a library announces to go away.
pub fn deprecated(code: &Code, tree: &Tree) -> Vec<Use> {
    let world = tree.with(&code.tree(tree));
    let resolver = Resolver::new(&world);
    let adviser = advice::Adviser::new(tree, tree);
    let mut uses = Vec::new();
    for (path, file) in &code.files {
        let Checks { checks, .. } = walk(&resolver, file, None);
        for check in checks.values() {
            if !matches!(check.outcome, Outcome::Fine { .. }) {
                continue;
            }
            let Some(text) = adviser.announced(&check.target) else {
                continue;
            };
            uses.push(Use {
                file: path.clone(),
                line: check.line,
                api: adviser.api(&check.target),
                tier: Tier::Proven,
                what: "its end is announced".to_owned(),
                advice: Some(text).filter(|text| !text.is_empty()),
            });
        }
    }
    uses.sort();
    uses.dedup_by(|a, b| (&a.file, a.line, &a.api) == (&b.file, b.line, &b.api));
    uses
}

/// Every API of a library that the code was seen to use, as `(file, line, api)`, sorted.
pub fn touched(code: &Code, tree: &Tree) -> Vec<(String, u32, String)> {
    let world = tree.with(&code.tree(tree));
    let resolver = Resolver::new(&world);
    let adviser = advice::Adviser::new(tree, tree);
    let mut found = Vec::new();
    for (path, file) in &code.files {
        for check in walk(&resolver, file, None).checks.values() {
            if matches!(check.outcome, Outcome::Fine { .. })
                && !matches!(check.target, Checked::Nothing)
            {
                found.push((path.clone(), check.line, adviser.api(&check.target)));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
