//! What a failed build of C, C++, Rust, Fortran or Python says that it lacked.
//!
//! Pure: reads texts and lists, asks no disk and no network, and knows no Linux distribution: a
//! [`Lack`] names what the build asked for, never a package that has it. Start at [`read_log`] for
//! the output of a build and at [`read_probes`] for what a sandbox saw it look for in vain. What
//! the messages of each tool look like is data in `rules/`.

mod cause;
mod clean;
mod lack;
mod log;
mod probes;
mod rules;

pub use cause::Cause;
pub use lack::{Found, Lack, Language, Strength};
pub use log::{Reading, read_log};
pub use probes::{Probe, ProbeKind, read_probes};

/// One list of several: the strongest evidence first, each lack once.
pub fn merge(lists: impl IntoIterator<Item = Vec<Found>>) -> Vec<Found> {
    let mut all = lack::Collector::default();
    for found in lists.into_iter().flatten() {
        all.add(found);
    }
    all.sorted()
}
