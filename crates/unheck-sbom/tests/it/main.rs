//! Whole documents: what they look like, and that they are what the formats' own schemas want.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod documents;
