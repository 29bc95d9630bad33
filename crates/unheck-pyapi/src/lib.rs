//! Python source as data: imports, native library names, public API.
