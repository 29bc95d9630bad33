//! RECORD: the list of a distribution's files with their digests and sizes.
//!
//! Source: "Recording installed projects" and binary distribution format specifications (PEP 376,
//! PEP 427). Knows only sha256. Start at [`parse`].

use std::fmt::Write as _;

use unheck_base::{Digest, TreePath, TreePathError};

use crate::limits::shown;

/// A row of RECORD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The file, below the directory that holds `.dist-info`.
    pub path: TreePath,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// Why a row of RECORD was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of `RECORD` is refused: {problem}")]
pub struct RecordError {
    /// The line's number, from 1.
    pub line: usize,
    /// The rule that it breaks.
    pub problem: RecordProblem,
}

/// The rule that a row of RECORD breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The file is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not three fields, or a quote that does not close.
    #[error("it has not the form `path,digest,size`")]
    Form,
    /// The path points outside or is not normal.
    #[error("`{path}` cannot be a file of this wheel: {cause}")]
    Path {
        /// The path, escaped.
        path: String,
        /// The rule for paths.
        cause: TreePathError,
    },
    /// Another digest than sha256, or none that can be read.
    #[error("`{0}` is not a sha256 digest (`sha256=` and base64)")]
    Digest(String),
    /// The size is no number.
    #[error("`{0}` is not a size")]
    Size(String),
}

/// Reads RECORD.
///
/// # Errors
/// The first row that breaks a rule.
pub fn parse(content: &[u8]) -> Result<Vec<RecordRow>, RecordError> {
    let mut rows = Vec::new();
    for (index, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let row = parse_row(line).map_err(|problem| RecordError {
            line: index + 1,
            problem,
        });
        rows.push(row?);
    }
    Ok(rows)
}

fn parse_row(line: &[u8]) -> Result<RecordRow, RecordProblem> {
    let line = std::str::from_utf8(line).map_err(|_| RecordProblem::NotUtf8)?;
    let [path, digest, size] = split_row(line).ok_or(RecordProblem::Form)?;
    let path = TreePath::new(&path).map_err(|cause| RecordProblem::Path {
        path: shown(&path),
        cause,
    })?;
    let digest = match digest.as_str() {
        "" => None,
        text => Some(
            text.strip_prefix("sha256=")
                .and_then(from_base64)
                .ok_or_else(|| RecordProblem::Digest(shown(text)))?,
        ),
    };
    let size = match size.as_str() {
        "" => None,
        text if text.bytes().all(|b| b.is_ascii_digit()) => {
            let parsed = text.parse();
            Some(parsed.map_err(|_| RecordProblem::Size(shown(text)))?)
        }
        text => return Err(RecordProblem::Size(shown(text))),
    };
    Ok(RecordRow { path, digest, size })
}

/// The three fields of a row in the dialect of the `csv` module's default.
fn split_row(line: &str) -> Option<[String; 3]> {
    let mut fields = [String::new(), String::new(), String::new()];
    let mut rest = line;
    for (index, field) in fields.iter_mut().enumerate() {
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (text, after) = quoted.split_once('"')?;
                field.push_str(text);
                match after.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        quoted = after;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        if index < 2 {
            rest = rest.strip_prefix(',')?;
        }
    }
    rest.is_empty().then_some(fields)
}

/// A row as this room writes it; `path` is relative and may climb with `..`.
pub(crate) fn write_row(out: &mut String, path: &str, content: Option<(Digest, u64)>) {
    if path.contains([',', '"']) {
        let _ = write!(out, "\"{}\"", path.replace('"', "\"\""));
    } else {
        out.push_str(path);
    }
    match content {
        Some((digest, size)) => {
            let _ = writeln!(out, ",sha256={},{size}", to_base64(&digest));
        }
        None => out.push_str(",,\n"),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A digest in the words of a RECORD row: `sha256=` and URL-safe base64.
pub fn digest_text(digest: &Digest) -> String {
    format!("sha256={}", to_base64(digest))
}

/// URL-safe base64 without padding (RFC 4648, section 5), which RECORD uses.
fn to_base64(digest: &Digest) -> String {
    let mut out = String::with_capacity(43);
    for chunk in digest.as_bytes().chunks(3) {
        let group = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let value = group(0) << 16 | group(1) << 8 | group(2);
        for at in 0..=chunk.len() {
            let index = value >> (18 - 6 * at) & 63;
            out.push(char::from(ALPHABET[index as usize]));
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Digest> {
    // Very old tools left the padding there.
    let text = text.strip_suffix('=').unwrap_or(text).as_bytes();
    if text.len() != 43 {
        return None;
    }
    let mut bytes = [0; 32];
    for (out, chunk) in bytes.chunks_mut(3).zip(text.chunks(4)) {
        let mut value = 0;
        for at in 0..4 {
            let sextet = match chunk.get(at) {
                Some(byte) => ALPHABET.iter().position(|known| known == byte)?,
                None => 0,
            };
            value = value << 6 | sextet;
        }
        for (at, byte) in out.iter_mut().enumerate() {
            *byte = (value >> (16 - 8 * at) & 255) as u8;
        }
    }
    Some(Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_read_as_the_csv_module_would() {
        let digest = to_base64(&Digest::of(b""));
        assert_eq!(digest, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
        let text =
            format!("a.py,sha256={digest},0\r\n\"b, \"\"c\"\".py\",sha256={digest}=,\nR,,\n");
        let rows = parse(text.as_bytes()).unwrap();
        assert_eq!(rows[0].digest, Some(Digest::of(b"")));
        assert_eq!(rows[0].size, Some(0));
        assert_eq!(rows[1].path.as_str(), "b, \"c\".py");
        assert_eq!(rows[1].digest, Some(Digest::of(b"")));
        assert_eq!((rows[2].digest, rows[2].size), (None, None));
    }

    #[test]
    fn bad_rows_are_refused_with_line_and_reason() {
        for (row, expected) in [
            ("a", "form"),
            ("a,b,c,d", "form"),
            ("\"a,b,c", "form"),
            ("\"a\"b,,", "form"),
            ("../a,,", "climbs out"),
            ("/a,,", "absolute"),
            (",,", "empty"),
            ("a,md5=abc,1", "`md5=abc` is not a sha256 digest"),
            ("a,sha256=abc,1", "not a sha256 digest"),
            ("a,,-1", "`-1` is not a size"),
            ("a,,+1", "not a size"),
            ("a,,99999999999999999999", "not a size"),
        ] {
            let error = parse(format!("ok,,\n{row}\n").as_bytes()).unwrap_err();
            assert_eq!(error.line, 2, "{row}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(parse(b"\xff,,").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(content in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&content);
        }

        #[test]
        fn what_is_written_is_read_again(path in "[a-z,\"/ ]{1,12}", bytes in any::<[u8; 32]>()) {
            let digest = Digest::from_bytes(bytes);
            let mut text = String::new();
            write_row(&mut text, &path, Some((digest, 7)));
            if TreePath::new(&path).is_ok() {
                let rows = parse(text.as_bytes()).unwrap();
                prop_assert_eq!(rows[0].path.as_str(), path);
                prop_assert_eq!(rows[0].digest, Some(digest));
            }
        }
    }
}
