//! Attestations of an instance of Sigstore that is made here.

mod pypi;
