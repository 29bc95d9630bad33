//! Which distribution a name means: the engine's half of `unheck identify`.
//!
//! What answers are made of is `unheck-names`; here is what it is told: the project's own locked wheels
//! ([`locked`]), the index ([`index`]) and a code base ([`code`]). [`census`] says of every locked
//! distribution what it is, [`attested`] who published its wheels. Nothing that is looked at is ever run. Start at [`identify`].

pub mod attested;
pub mod census;
pub mod code;
pub mod index;
pub mod locked;

pub use unheck_names::answer::{Answer, Candidate, Verdict};
pub use unheck_names::guess::{Knowledge, Locked};
pub use unheck_names::label::{Context, Label};

use unheck_names::facts::Index;
use unheck_names::guess::offline;
use unheck_names::identify::online;
use unheck_names::table::Table;

/// What the answers rest on.
pub struct Basis<'a> {
    /// The Python that the code will run on.
    pub python: (u8, u8),
    /// The project's own lock.
    pub locked: &'a Locked,
    /// The index; `None`: offline.
    pub index: Option<&'a dyn Index>,
    /// Ask it even where the offline answer is certain.
    pub check: bool,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// Answers each label, in order.
pub fn identify(labels: &[Label], basis: &Basis<'_>) -> Vec<Answer> {
    let knowledge = Knowledge {
        table: Table::shipped(),
        hand: true,
        python: basis.python,
        locked: basis.locked,
    };
    let one = |label: &Label| {
        let answer = offline(label, &knowledge);
        match basis.index {
            Some(index) if basis.check || answer.verdict != Verdict::Certain => {
                online(label, &knowledge, answer, index, basis.now)
            }
            _ => answer,
        }
    };
    labels.iter().map(one).collect()
}
