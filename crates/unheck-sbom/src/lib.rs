//! Bills of materials: what is in an artifact, as CycloneDX 1.6 or SPDX 2.3.
//!
//! Pure: takes a neutral description ([`model::Bom`]) and gives bytes, the same for the same
//! description. Knows licences, package URLs, the marks of well-known native libraries, and reads the
//! bills that wheels bring along (PEP 770). Reads no file, asks no network, has no clock.
//!
//! Read [`model::Bom`] first, then [`cyclonedx::document`], [`spdx_json::document`] and [`openvex::document`].

pub mod cyclonedx;
pub mod licence;
pub mod merge;
pub mod model;
pub mod openvex;
pub mod purl;
pub mod spdx_json;
pub mod vendored;
pub mod vulnerability;
