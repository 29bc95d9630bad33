//! Time of an answer without a network: `cargo bench -p unheck-names`.
//!
//! A call of the program answers few labels, so what is shown is a first answer, with the tables opened for it,
//! beside the answers after it. Labels are those of the tests.

#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Deserialize;
use unheck_names::guess::{Knowledge, Locked, offline};
use unheck_names::label::{Context, Label};
use unheck_names::table::Table;

const RUNS: usize = 200;

#[derive(Deserialize)]
struct Labels {
    label: Vec<Row>,
    nonsense: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (
        times[times.len() / 2],
        times.last().copied().unwrap_or_default(),
    )
}

fn show(what: &str, times: Vec<Duration>) {
    let (median, most) = median(times);
    println!("{what:<44} median {median:>10.1?}  most {most:>10.1?}");
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn main() {
    let labels: Labels = toml::from_str(include_str!("../tests/unseen.toml")).expect("labels");
    let all = labels
        .label
        .iter()
        .map(|row| &row.text)
        .chain(&labels.nonsense);
    let all: Vec<Label> = all.map(|text| Label::parse(text, Context::Text)).collect();
    let opened = timed(Table::shipped);
    let hand = timed(unheck_names::hand::rows);
    println!("opening the table {opened:.1?}, the hand-written rows {hand:.1?}, both once a call");
    let bytes = include_bytes!("../data/names.zst");
    show(
        "reading the table and checking every line",
        (0..20).map(|_| timed(|| Table::decode(bytes))).collect(),
    );
    let locked = Locked::new();
    let knowledge = Knowledge {
        table: Table::shipped(),
        hand: true,
        python: (3, 13),
        locked: &locked,
    };
    let mut each = Vec::new();
    for run in 0..RUNS {
        let label = &all[run % all.len()];
        each.push(timed(|| offline(label, &knowledge)));
    }
    show("an answer, tables opened before", each);
}
