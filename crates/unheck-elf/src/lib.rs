//! ELF as data: needed, soname, rpath, symbol versions, dlopen names, strip, ld.so.cache.
