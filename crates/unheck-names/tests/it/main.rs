//! What holds over the whole labelled set, and what an index changes.

mod measure;
mod online;
