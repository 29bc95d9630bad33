//! Contents indexes (Debian repository format, "Contents indices") and the decompressors of all
//! indexes.
//!
//! Streams lines of `path  section/package,section/package`; keeps nothing. Start at [`contents`].

use std::io::{self, Read};
use std::ops::ControlFlow;

/// The longest line accepted, in bytes; a path has at most 4095, the rest are package names.
pub const MAX_LINE: usize = 1 << 20;

/// The packages of one line.
#[derive(Debug, Clone)]
pub struct PackageList<'a>(Option<&'a str>);

impl<'a> Iterator for PackageList<'a> {
    type Item = &'a str;

    /// The next package name, without the section before it.
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0?;
        let (first, rest) = match rest.split_once(',') {
            Some((first, rest)) => (first, Some(rest)),
            None => (rest, None),
        };
        self.0 = rest;
        Some(first.rsplit('/').next().unwrap_or(first))
    }
}

/// What came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines given to the caller.
    pub lines: u64,
    /// Lines left out because they are not UTF-8: no [`unheck_base::TreePath`] can be such a path.
    pub not_utf8: u64,
}

/// Why a Contents index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The reader gave up.
    #[error("cannot read the Contents index after line {line}")]
    Read {
        /// The last line read, from 1.
        line: u64,
        /// The reader's own error.
        #[source]
        source: io::Error,
    },
    /// A line is longer than [`MAX_LINE`].
    #[error("line {line} of the Contents index is longer than the limit `MAX_LINE`")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
    /// A line has only one column.
    #[error("line {line} of the Contents index has no package")]
    Syntax {
        /// The line, from 1.
        line: u64,
    },
}

/// Reads a Contents index, uncompressed, and gives the path (no leading slash) and the packages of
/// each line to `each`, in the order of the file, until it breaks. Paths are as the index has
/// them: make a `TreePath` of those that matter.
///
/// # Errors
/// [`ContentsError`]; the lines before it were given.
pub fn contents(
    mut reader: impl Read,
    mut each: impl FnMut(&str, PackageList<'_>) -> ControlFlow<()>,
) -> Result<Summary, ContentsError> {
    let mut summary = Summary::default();
    let mut line = 0;
    let mut buffer = vec![0; 2 * MAX_LINE];
    let mut filled = 0;
    loop {
        let read = match reader.read(&mut buffer[filled..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ContentsError::Read { line, source }),
        };
        let last = read == 0;
        filled += read;
        let whole = match last {
            true => filled,
            false => memchr::memrchr(b'\n', &buffer[..filled]).map_or(0, |at| at + 1),
        };
        let mut rest = &buffer[..whole];
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            line += 1;
            match one_line(&rest[..end]) {
                Line::Good(path, packages) => {
                    summary.lines += 1;
                    if each(path, packages).is_break() {
                        return Ok(summary);
                    }
                }
                Line::NotUtf8 => summary.not_utf8 += 1,
                Line::Empty => {}
                Line::Bad => return Err(ContentsError::Syntax { line }),
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        if last {
            return Ok(summary);
        }
        if filled > MAX_LINE {
            return Err(ContentsError::TooLong { line: line + 1 });
        }
    }
}

enum Line<'a> {
    Good(&'a str, PackageList<'a>),
    NotUtf8,
    Empty,
    Bad,
}

/// The last blank parts the columns: paths may have blanks, lists of packages have none.
fn one_line(line: &[u8]) -> Line<'_> {
    if line.is_empty() {
        return Line::Empty;
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return Line::NotUtf8;
    };
    let Some(blank) = memchr::memrchr2(b' ', b'\t', line) else {
        return Line::Bad;
    };
    let path = text[..blank].trim_end_matches([' ', '\t']);
    let packages = &text[blank + 1..];
    match path.is_empty() || packages.is_empty() {
        true => Line::Bad,
        false => Line::Good(path, PackageList(Some(packages))),
    }
}

/// No decompressor for an index of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot decompress `{0}` (known extensions: .gz, .xz, .zst, none)")]
pub struct UnknownCompression(String);

/// A decompressing reader, chosen by the extension of `name`: `.xz`, `.gz`, `.zst`, or none.
/// Memory is limited (xz 100 MiB, zstd 64 MiB), the size that comes out is not: compare it with the
/// one of the Release file.
///
/// # Errors
/// [`UnknownCompression`] for the extensions of other compressors.
pub fn decompress<'a>(
    name: &str,
    reader: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, UnknownCompression> {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        None => Ok(Box::new(reader)),
        Some("gz") => Ok(Box::new(flate2::read::MultiGzDecoder::new(reader))),
        Some("xz") => Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(
            io::BufReader::with_capacity(64 * 1024, reader),
            true,
            100 * 1024,
        ))),
        Some("zst") => {
            let decoder = zstd::stream::read::Decoder::new(reader).and_then(|mut decoder| {
                decoder.window_log_max(26)?;
                Ok(decoder)
            });
            match decoder {
                Ok(decoder) => Ok(Box::new(decoder)),
                Err(_) => Err(UnknownCompression(crate::quote::quote(file))),
            }
        }
        Some(_) => Err(UnknownCompression(crate::quote::quote(file))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    /// Gives few bytes at a time, so that lines cross every border.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(3);
            Read::read(&mut self.0, &mut buffer[..most])
        }
    }

    fn read(text: &[u8]) -> Result<(Vec<String>, Summary), ContentsError> {
        let mut found = Vec::new();
        let summary = contents(Slow(text), |path, packages| {
            let packages: Vec<&str> = packages.collect();
            found.push(format!("{path} <- {}", packages.join(" ")));
            ControlFlow::Continue(())
        })?;
        Ok((found, summary))
    }

    #[test]
    fn lines_are_paths_and_packages_without_sections() {
        let text = b"bin/busybox\t\t utils/busybox,contrib/utils/busybox-static\n\nusr/a b.txt  doc/x\n\xff y/z\nlast libs/l";
        let (found, summary) = read(text).expect("contents");
        assert_eq!(
            found,
            [
                "bin/busybox <- busybox busybox-static",
                "usr/a b.txt <- x",
                "last <- l"
            ]
        );
        assert_eq!(
            summary,
            Summary {
                lines: 3,
                not_utf8: 1
            }
        );
    }

    #[test]
    fn a_line_without_packages_and_an_endless_line_are_errors() {
        assert_eq!(
            read(b"a b\nalone\n").expect_err("alone").to_string(),
            "line 2 of the Contents index has no package"
        );
        read(b"trailing \n").expect_err("nothing after the blank");
        let endless = io::repeat(b'x').take(1 << 30);
        let error = contents(endless, |_, _| ControlFlow::Continue(())).expect_err("endless");
        assert!(error.to_string().contains("MAX_LINE"));
    }

    #[test]
    fn every_known_compression_is_undone() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"text").expect("memory");
        let options = lzma_rust2::XzOptions::default();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).expect("memory");
        xz.write_all(b"text").expect("memory");
        let cases = [
            ("main/Packages", b"text".to_vec()),
            ("x.d/Contents-amd64.gz", gzip.finish().expect("memory")),
            ("Packages.xz", xz.finish().expect("memory")),
            (
                "Packages.zst",
                zstd::encode_all(&b"text"[..], 3).expect("memory"),
            ),
        ];
        for (name, packed) in cases {
            let mut text = String::new();
            let mut reader = decompress(name, &packed[..]).expect(name);
            reader.read_to_string(&mut text).expect(name);
            assert_eq!(text, "text", "{name}");
        }
        assert!(decompress("Packages.bz2", io::empty()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes);
            for name in ["a.gz", "a.xz", "a.zst"] {
                let mut reader = decompress(name, &bytes[..]).expect("known");
                let _ = io::copy(&mut reader, &mut io::sink());
            }
        }
    }
}
