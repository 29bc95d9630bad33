//! What holds over the whole labelled set.

mod measure;
