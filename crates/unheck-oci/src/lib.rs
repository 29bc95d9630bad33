//! OCI images: layers, config, layout and archive, validation.
//!
//! Writes and reads what OCI image-spec 1.1 describes, and the archive of `docker save`.
//! Refuses to talk to a network and knows nothing of what is inside a layer.
//! Read [`layout::write_archive`] first, then [`layer::LayerWriter`] and [`open::open`].

pub mod image;
pub mod layer;
pub mod layer_reader;
pub mod layout;
pub mod open;
mod partial;
pub mod plan;
mod tar_reader;
pub mod tar_writer;
pub mod validate;
