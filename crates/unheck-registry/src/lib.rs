//! OCI registries: references, logins, push, pull, and what is said about an image.
//!
//! Speaks the distribution-spec 1.1 as a client of one repository. Reads no environment, no home
//! directory and no clock; runs nothing but the credential helpers that a login file names. The login goes to
//! the host that was named and to nobody else, nothing goes over plain HTTP unless the caller says so,
//! and every byte that comes is checked by digest and size.
//!
//! Read [`client::Client`] first, then [`push::push`] and [`pull::image`].

pub mod auth;
pub mod blob;
pub mod client;
pub mod credentials;
pub mod error;
mod http;
pub mod pull;
pub mod push;
pub mod reference;
pub mod referrers;
mod retry;
mod tags;
mod upload;

pub use auth::Access;
pub use blob::{Blob, Content, Document};
pub use client::{Client, Progress, Purpose, Tell};
pub use credentials::Credentials;
pub use error::{Cause, RegistryError};
pub use http::Options;
pub use reference::{Reference, Repository};
pub use tags::Removal;
pub use upload::Sending;
