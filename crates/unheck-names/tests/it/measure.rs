//! How many labels get the right answer offline, and how many nonsense labels none.
//!
//! `tests/labels.toml`: rows at even places were tuned on, those at odd places say how well it does on labels
//! not seen. `tests/unseen.toml` was written down whole before anything was run on it.

use std::collections::BTreeSet;

use serde::Deserialize;
use unheck_names::answer::{Answer, Verdict};
use unheck_names::guess::{Knowledge, Locked, offline};
use unheck_names::label::{Context, Label};
use unheck_names::table::Table;

#[derive(Deserialize)]
struct Labels {
    label: Vec<Row>,
    nonsense: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    #[serde(default)]
    want: BTreeSet<String>,
    #[serde(default)]
    stdlib: bool,
}

impl Row {
    fn is_right(&self, answer: &Answer) -> bool {
        let first = answer
            .candidates
            .first()
            .map(|candidate| candidate.distribution.as_str());
        let named = first.is_some_and(|name| self.want.contains(name));
        named || (self.stdlib && answer.stdlib.is_some())
    }
}

fn labels() -> Labels {
    toml::from_str(include_str!("../labels.toml")).expect("the labelled set is TOML")
}

fn unseen() -> Labels {
    toml::from_str(include_str!("../unseen.toml")).expect("the labelled set is TOML")
}

fn ask(text: &str, hand: bool) -> Answer {
    let locked = Locked::new();
    let knowledge = Knowledge {
        table: Table::shipped(),
        hand,
        python: (3, 13),
        locked: &locked,
    };
    offline(&Label::parse(text, Context::Text), &knowledge)
}

/// Right answers, all labels, and the wrong ones as text.
fn right(rows: &[&Row], hand: bool) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    for row in rows {
        let answer = ask(&row.text, hand);
        if !row.is_right(&answer) {
            let first = answer
                .candidates
                .first()
                .map_or("-", |candidate| &candidate.distribution);
            wrong.push(format!("{} → {first} {:?}", row.text, answer.verdict));
        }
    }
    (rows.len() - wrong.len(), wrong)
}

#[test]
fn most_labels_are_right_offline_without_the_hand_table() {
    let labels = labels();
    assert!(labels.label.len() >= 120 && labels.nonsense.len() >= 60);
    for (half, start) in [("tuned on", 0), ("not seen", 1)] {
        let rows: Vec<&Row> = labels.label.iter().skip(start).step_by(2).collect();
        for hand in [false, true] {
            let (count, wrong) = right(&rows, hand);
            let percent = count * 100 / rows.len();
            println!(
                "{half}, hand table {hand}: {count} of {} = {percent} %",
                rows.len()
            );
            if start == 0 {
                println!("  {}", wrong.join("\n  "));
            }
            assert!(
                percent >= if hand { 90 } else { 83 },
                "{half} {hand}: {percent} %"
            );
        }
    }
}

#[test]
fn most_labels_that_nobody_tuned_on_are_right_without_the_hand_table() {
    let labels = unseen();
    assert!(labels.label.len() >= 120 && labels.nonsense.len() >= 60);
    let rows: Vec<&Row> = labels.label.iter().collect();
    for hand in [false, true] {
        let (count, wrong) = right(&rows, hand);
        println!("hand table {hand}: {count} of {}", rows.len());
        println!("  {}", wrong.join("\n  "));
        assert!(count * 100 >= rows.len() * 83, "{hand}: {count}");
    }
}

#[test]
fn certain_answers_are_right() {
    for row in labels().label.into_iter().chain(unseen().label) {
        let answer = ask(&row.text, true);
        assert!(
            answer.verdict != Verdict::Certain || row.is_right(&answer),
            "{}: {answer:?}",
            row.text
        );
    }
}

#[test]
fn nonsense_is_unknown() {
    for nonsense in [labels().nonsense, unseen().nonsense] {
        let answers = nonsense.iter().map(|text| ask(text, true));
        let known = answers.filter(|answer| answer.verdict != Verdict::Unknown);
        let known: Vec<String> = known
            .map(|answer| format!("{:?}: {:?}", answer.label, answer.candidates))
            .collect();
        let (count, all) = (known.len(), nonsense.len());
        println!("{count} of {all} are not unknown: {}", known.join("\n"));
        assert!(count * 20 <= all, "{known:?}");
    }
}
