//! Native libraries inside wheels that no bill names, by the marks that they carry. Start at [`identify`].
//!
//! A soname or file name tells what a library is; a version string in its constants tells which one. Each
//! answer says what it was concluded from and how sure that is. No mark, no answer: the library is then listed
//! by its name alone.

use std::collections::BTreeSet;

use crate::model::{Evidence, Field, Technique};

/// What is known of an object.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its name in the wheel, without directories.
    pub file_name: &'a str,
    /// Its soname.
    pub soname: Option<&'a str>,
    /// The symbol versions that it offers.
    pub versions: &'a BTreeSet<String>,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What an object was recognised as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The name that advisories use.
    pub name: String,
    /// The version, where a mark tells it.
    pub version: Option<String>,
    /// What it was concluded from.
    pub evidence: Vec<Evidence>,
}

/// A library, and how to know it and its version.
struct Known {
    name: &'static str,
    /// What the file name begins with, without `lib`.
    stems: &'static [&'static str],
    /// What stands before the version in a constant; the first that is found counts.
    marks: &'static [&'static str],
    /// Whether the numbers after `.so.` are the version and not only that of the interface.
    named_by_version: bool,
}

const KNOWN: &[Known] = &[
    known("openssl", &["ssl", "crypto"], &["OpenSSL "], false),
    known(
        "openblas",
        &["openblas", "scipy_openblas"],
        &["OpenBLAS "],
        false,
    ),
    known("zlib", &["z"], &["deflate "], true),
    known("libpng", &["png16", "png"], &["libpng version "], false),
    known(
        "libjpeg-turbo",
        &["jpeg", "turbojpeg"],
        &["libjpeg-turbo version "],
        false,
    ),
    known("libtiff", &["tiff"], &["LIBTIFF, Version "], false),
    known(
        "libwebp",
        &["webp", "webpmux", "webpdemux", "sharpyuv"],
        &[],
        false,
    ),
    known("freetype", &["freetype"], &[], false),
    known("lcms2", &["lcms2"], &[], false),
    known("openjpeg", &["openjp2"], &[], true),
    known("harfbuzz", &["harfbuzz"], &[], false),
    known("libxml2", &["xml2"], &[], true),
    known("libxslt", &["xslt", "exslt"], &[], false),
    known("xz", &["lzma"], &[], true),
    known("bzip2", &["bz2"], &[], true),
    known("zstd", &["zstd"], &[], true),
    known("lz4", &["lz4"], &[], true),
    known(
        "brotli",
        &["brotlicommon", "brotlidec", "brotlienc"],
        &[],
        true,
    ),
    known("expat", &["expat"], &["expat_"], false),
    known("sqlite", &["sqlite3"], &[], false),
    known("curl", &["curl"], &["libcurl/"], false),
    known("postgresql", &["pq"], &["PostgreSQL "], false),
    known(
        "krb5",
        &["krb5", "k5crypto", "krb5support", "gssapi_krb5", "com_err"],
        &["KRB5_BRAND: krb5-"],
        false,
    ),
    known(
        "openldap",
        &["ldap", "lber"],
        &["OpenLDAP: libldap "],
        false,
    ),
    known("cyrus-sasl", &["sasl2"], &[], true),
    known("libssh2", &["ssh2"], &["libssh2_"], false),
    known("nghttp2", &["nghttp2"], &["nghttp2/"], false),
    known("libffi", &["ffi"], &[], false),
    known(
        "hdf5",
        &["hdf5", "hdf5_hl"],
        &["HDF5 library version "],
        false,
    ),
    known("geos", &["geos", "geos_c"], &[], true),
    known("proj", &["proj"], &[], false),
    known("gdal", &["gdal"], &[], false),
    known("gmp", &["gmp"], &[], false),
    known("libzmq", &["zmq"], &[], false),
    known("libsodium", &["sodium"], &[], false),
    known("libuv", &["uv"], &[], false),
    known("libyaml", &["yaml"], &[], false),
    known(
        "gcc",
        &["gfortran", "quadmath", "gomp", "stdc++", "gcc_s"],
        &["GCC: (GNU) "],
        false,
    ),
    known("libxcb", &["xcb"], &[], false),
    known("libx11", &["X11"], &[], false),
    known("libxau", &["Xau"], &[], true),
    known("libde265", &["de265"], &[], false),
    known("libavif", &["avif"], &[], true),
    known("dav1d", &["dav1d"], &[], false),
    known("aom", &["aom"], &[], false),
    known(
        "ffmpeg",
        &["avcodec", "avformat", "avutil", "swscale", "swresample"],
        &["FFmpeg version "],
        false,
    ),
    known("librdkafka", &["rdkafka"], &["librdkafka v"], false),
    known("libmysqlclient", &["mysqlclient", "mariadb"], &[], false),
    known("unixodbc", &["odbc", "odbcinst"], &[], false),
];

const fn known(
    name: &'static str,
    stems: &'static [&'static str],
    marks: &'static [&'static str],
    named_by_version: bool,
) -> Known {
    Known {
        name,
        stems,
        marks,
        named_by_version,
    }
}

/// The longest version that is taken.
const MAX_VERSION: usize = 40;

/// What an object is, if its names are known.
pub fn identify(facts: Facts<'_>) -> Option<Identified> {
    let soname = facts.soname.unwrap_or(facts.file_name);
    let found = [facts.file_name, soname].into_iter().find_map(|name| {
        let (stem, numbers) = split(name)?;
        let known = KNOWN
            .iter()
            .find(|known| known.stems.contains(&stem.as_str()))?;
        Some((known, name, numbers))
    });
    let (known, name, numbers) = found?;
    let technique = match name == facts.file_name {
        true => Technique::FileName,
        false => Technique::Binary,
    };
    let mut evidence = vec![Evidence {
        field: Field::Name,
        technique,
        value: tame(name),
        confidence: 80,
    }];
    let marked = known.marks.iter().find_map(|mark| {
        let version = after(facts.bytes, mark)?;
        Some((format!("{mark}{version}"), version, 90, Technique::Binary))
    });
    let special = || special(known.name, &facts, &numbers);
    let by_name = || {
        let version = numbers
            .clone()
            .filter(|text| known.named_by_version && text.contains('.'))?;
        Some((name.to_owned(), version, 60, Technique::FileName))
    };
    let version = marked.or_else(special).or_else(by_name);
    let version = version.map(|(value, version, confidence, technique)| {
        evidence.push(Evidence {
            field: Field::Version,
            technique,
            value: tame(&value),
            confidence,
        });
        version
    });
    if let Some(last) = facts.versions.iter().next_back() {
        evidence.push(Evidence {
            field: Field::Name,
            technique: Technique::Binary,
            value: format!("symbol version {}", tame(last)),
            confidence: 50,
        });
    }
    Some(Identified {
        name: known.name.to_owned(),
        version,
        evidence,
    })
}

/// The name that a library is listed by when nothing is known of it: without `lib`, hash and numbers.
pub fn plain_name(file_name: &str) -> String {
    match split(file_name) {
        Some((stem, _)) => format!("lib{stem}"),
        None => tame(file_name),
    }
}

/// Libraries that say their version in a way of their own.
fn special(
    name: &str,
    facts: &Facts<'_>,
    numbers: &Option<String>,
) -> Option<(String, String, u8, Technique)> {
    match name {
        // `3.45.1` is alone; the date and hash of the source stand in another constant, and the one that
        // begins with `3.` is the version of the library.
        "sqlite" => {
            let at = find(facts.bytes, b"SQLite format 3")?;
            let around =
                &facts.bytes[at.saturating_sub(1 << 20)..facts.bytes.len().min(at + (1 << 20))];
            let version = around
                .split(|byte| *byte == 0)
                .find(|text| text.len() < 12 && text.starts_with(b"3.") && is_version(text))?;
            let version = String::from_utf8_lossy(version).into_owned();
            Some((version.clone(), version, 70, Technique::Binary))
        }
        // `libpng16.so.16.43.0` is 1.6.43.
        "libpng" => {
            let numbers = numbers.as_deref()?;
            let (minor, rest) = numbers.split_once('.')?;
            let (first, second) = minor.split_at_checked(1)?;
            let patch = rest.split('.').next()?;
            let version = format!("{first}.{second}.{patch}");
            Some((format!(".so.{numbers}"), version, 70, Technique::FileName))
        }
        _ => None,
    }
}

/// `jpeg` and `62.4.0` of `libjpeg-77ae51ab.so.62.4.0`: the hash is auditwheel's.
fn split(name: &str) -> Option<(String, Option<String>)> {
    let rest = name.strip_prefix("lib")?;
    let at = rest.find(".so").or_else(|| {
        // `libopenblas64_p-r0-0cf96a72.3.23.dev.so`
        rest.ends_with(".so").then(|| rest.len() - 3)
    })?;
    let (stem, after) = rest.split_at(at);
    let numbers = after
        .strip_prefix(".so.")
        .filter(|text| is_version(text.as_bytes()));
    let mut stem = stem;
    // `0cf96a72.3.23.dev` and such: what stands before the first dot carries the name.
    if let Some((before, _)) = stem
        .split_once('.')
        .filter(|(before, _)| before.contains('-'))
    {
        stem = before;
    }
    if let Some((before, hash)) = stem.rsplit_once('-')
        && hash.len() == 8
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        stem = before;
    }
    if let Some((before, release)) = stem.rsplit_once("-r")
        && !release.is_empty()
        && release.bytes().all(|byte| byte.is_ascii_digit())
    {
        stem = before;
    }
    let stem = stem
        .trim_end_matches("64_p")
        .trim_end_matches("64_")
        .trim_end_matches('p');
    let stem = if stem.is_empty() {
        rest.split('.').next()?
    } else {
        stem
    };
    Some((tame(stem), numbers.map(str::to_owned)))
}

/// The version behind a mark.
fn after(bytes: &[u8], mark: &str) -> Option<String> {
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], mark.as_bytes()) {
        let start = from + at + mark.len();
        let text = &bytes[start..bytes.len().min(start + MAX_VERSION)];
        let end = text
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'.'));
        let text = &text[..end.unwrap_or(text.len())];
        let text = text.strip_suffix(b".").unwrap_or(text);
        if is_version(text) && text.contains(&b'.') {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        from = start;
    }
    None
}

fn is_version(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit)
        && text.len() <= MAX_VERSION
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

fn tame(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file_name: &str, soname: Option<&str>, bytes: &[u8]) -> String {
        let versions = BTreeSet::new();
        let found = identify(Facts {
            file_name,
            soname,
            versions: &versions,
            bytes,
        });
        found.map_or_else(
            || format!("? {}", plain_name(file_name)),
            |one| {
                format!(
                    "{} {}",
                    one.name,
                    one.version.unwrap_or_else(|| "?".to_owned())
                )
            },
        )
    }

    #[test]
    fn names_as_auditwheel_writes_them_are_read() {
        let cases = [
            ("libjpeg-77ae51ab.so.62.4.0", "libjpeg-turbo ?"),
            ("libpng16-cf07f7d5.so.16.43.0", "libpng 1.6.43"),
            ("libopenblas64_p-r0-0cf96a72.3.23.dev.so", "openblas ?"),
            ("libscipy_openblas64_-ff651d7f.so", "openblas ?"),
            ("libgfortran-040039e1.so.5.0.0", "gcc ?"),
            ("liblzma-13fa198c.so.5.4.5", "xz 5.4.5"),
            ("libz.so.1.3.1", "zlib 1.3.1"),
            ("libz.so.1", "zlib ?"),
            ("libsomething-0123abcd.so.4", "? libsomething"),
            ("plain.so", "? plain.so"),
            ("lib.so", "? lib"),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(name, None, b""), expected, "{name}");
        }
    }

    #[test]
    fn version_strings_are_worth_more_than_names() {
        let bytes = b"\0OpenSSL FIPS\0OpenSSL 3.0.13 30 Jan 2024\0";
        assert_eq!(shown("libssl-0a1b2c3d.so.3", None, bytes), "openssl 3.0.13");
        assert_eq!(
            shown("ssl.bin", Some("libcrypto.so.3"), bytes),
            "openssl 3.0.13"
        );
        assert_eq!(
            shown("libz.so.1.3.1", None, b" deflate 1.2.13 Copyright 1995"),
            "zlib 1.2.13"
        );
        assert_eq!(
            shown("libsqlite3.so.0", None, b"x\x003.45.1\0SQLite format 3\0"),
            "sqlite 3.45.1"
        );
        assert_eq!(
            shown("libexpat.so.1", None, b"expat_2.6.0\0"),
            "expat 2.6.0"
        );
        assert_eq!(shown("libssl.so.3", None, b"OpenSSL \xff\xff"), "openssl ?");
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_the_reader_fail(name in "\\PC{0,40}", tail in "[a-z0-9.-]{0,20}") {
            drop(shown(&name, Some(&format!("lib{tail}.so")), name.as_bytes()));
            drop(shown(&format!("lib{tail}.so.{tail}"), None, b""));
        }
    }
}
