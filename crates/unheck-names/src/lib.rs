//! Which distribution a name means, from evidence; and what a step between two versions is.
//!
//! Pure: the caller gives what an index says, nothing here asks a network, a disk or a clock, and no
//! code of any distribution is run.

pub mod answer;
mod distance;
pub mod facts;
pub mod guess;
pub mod hand;
pub mod identify;
pub mod label;
pub mod scheme;
pub mod stdlib;
pub mod step;
pub mod table;
pub mod verdict;
pub mod version;
