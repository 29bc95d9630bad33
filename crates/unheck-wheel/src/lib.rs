//! Wheels as data: strict zip, RECORD, METADATA, WHEEL, entry points.
