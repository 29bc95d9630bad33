//! Attestations: who says what about an artifact.
//!
//! In-toto statements v1 with SLSA provenance v1, and DSSE envelopes around them. Pure: takes values and keys as
//! bytes, reads no file and no clock, asks nobody. The mathematics are those of `aws-lc-rs`, which TLS
//! brings along. Read [`statement::Provenance`] first, then [`dsse::SigningKey::sign`].

pub mod dsse;
pub mod statement;
