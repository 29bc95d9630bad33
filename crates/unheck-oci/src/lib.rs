//! OCI images: layers, config, layout and archive, validation.
