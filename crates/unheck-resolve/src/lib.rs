//! The wall around the resolver and index client: pins in, pins and metadata out.
