//! Attestations: who says what about an artifact.
//!
//! In-toto statements v1 with SLSA provenance v1, and DSSE envelopes around them; and the attestations of files on
//! an index, which Sigstore vouches for. Pure: takes values and keys as bytes, reads no file and asks nobody; the
//! one look at a clock is that of Sigstore's crates, for log entries of the future. The mathematics are those of `aws-lc-rs`, which TLS
//! brings along. Read [`statement::Provenance`] first, then [`dsse::SigningKey::sign`].

pub mod dsse;
pub mod pypi;
pub mod statement;
