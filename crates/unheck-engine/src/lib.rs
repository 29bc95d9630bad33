//! The pipeline: inputs, lock, tree, steps, writers, verify.
