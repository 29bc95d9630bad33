//! Debian formats as data: control, versions, relations, .deb, Release/Packages/Contents, signatures.
