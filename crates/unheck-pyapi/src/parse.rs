//! From bytes to a syntax tree, for any bytes: sizes and nesting are bounded before the parser
//! sees them. Start at [`parse`].

use ruff_python_ast::{ModModule, PySourceType, Stmt};

use crate::depth;

/// The largest source that is read, in bytes.
pub const MAX_SOURCE: usize = 16 * 1024 * 1024;
/// The deepest tree that is built. CPython itself stops at 200 open brackets and 100 indents;
/// long sums written by generators are what comes near.
pub const MAX_DEPTH: usize = 10_000;
/// How many syntax errors are kept.
const MAX_ERRORS: usize = 20;
/// The stack that one level of the tree may need in the parser, in a visitor or in `drop`. An
/// estimate on the safe side for a build without optimisation; only touched pages cost memory.
const STACK_PER_LEVEL: usize = 8 * 1024;
/// Trees up to this depth do with the stack that every thread has.
const SHALLOW: usize = 60;

/// A parsed source file. Where the syntax is wrong the tree holds what could be understood.
#[derive(Debug)]
pub struct Parsed {
    module: ModModule,
    text: String,
    line_starts: Vec<u32>,
    depth: usize,
    /// What is wrong with the syntax, by place; empty for a good file. Python 2 files and
    /// templates have some. At most 20.
    pub errors: Vec<SyntaxError>,
}

/// One thing wrong with the syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: u32,
    /// The parser's message.
    pub message: String,
}

/// Why bytes were not parsed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Over [`MAX_SOURCE`].
    #[error("source of {size} bytes is over the limit `source size` ({MAX_SOURCE})")]
    TooLarge {
        /// The size in bytes.
        size: usize,
    },
    /// Over [`MAX_DEPTH`].
    #[error("source is nested over the limit `syntax depth` ({MAX_DEPTH})")]
    TooDeep,
    /// The declared encoding (PEP 263) is not one of UTF-8, ASCII and Latin-1.
    #[error("source declares the encoding `{name}`, which is not supported")]
    Encoding {
        /// The declared name.
        name: String,
    },
    /// The bytes are not in the declared encoding, or not in UTF-8 when none is.
    #[error("source is not in its encoding `{encoding}` at byte {at}")]
    NotInEncoding {
        /// The encoding.
        encoding: &'static str,
        /// The first wrong byte.
        at: usize,
    },
}

/// Parses one source file. A byte order mark and an encoding line (PEP 263) are obeyed.
///
/// # Errors
/// Only for sources that are not read at all; wrong syntax is in [`Parsed::errors`].
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    if bytes.len() > MAX_SOURCE {
        return Err(ParseError::TooLarge { size: bytes.len() });
    }
    let text = decode(bytes)?;
    let line_starts = line_starts(&text);
    let line = |offset: u32| line_of(&line_starts, offset);
    let depth = depth::bound(&text, MAX_DEPTH).ok_or(ParseError::TooDeep)?;
    let (module, errors) = on_stack(depth, || {
        let parsed = ruff_python_parser::parse_unchecked_source(&text, PySourceType::Python);
        let errors = parsed
            .errors()
            .iter()
            .take(MAX_ERRORS)
            .map(|error| SyntaxError {
                line: line(error.location.start().to_u32()),
                message: error.error.to_string(),
            })
            .collect();
        (parsed.into_syntax(), errors)
    });
    Ok(Parsed {
        module,
        text,
        line_starts,
        depth,
        errors,
    })
}

impl Parsed {
    /// The statements of the module.
    pub(crate) fn body(&self) -> &[Stmt] {
        &self.module.body
    }

    /// The source between two offsets.
    pub(crate) fn source(&self, from: u32, to: u32) -> &str {
        self.text
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }

    /// The line of an offset, counted from 1.
    pub(crate) fn line(&self, offset: u32) -> u32 {
        line_of(&self.line_starts, offset)
    }

    /// Runs a visitor with enough stack for this tree.
    pub(crate) fn visit<T>(&self, visitor: impl FnOnce() -> T) -> T {
        on_stack(self.depth, visitor)
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        let body = std::mem::take(&mut self.module.body);
        on_stack(self.depth, || drop(body));
    }
}

fn on_stack<T>(depth: usize, body: impl FnOnce() -> T) -> T {
    if depth <= SHALLOW {
        return body();
    }
    let need = depth * STACK_PER_LEVEL;
    stacker::maybe_grow(need, need + 256 * 1024, body)
}

fn line_starts(text: &str) -> Vec<u32> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    // MAX_SOURCE keeps offsets far below 32 bits.
    std::iter::once(0)
        .chain(ends.map(|(at, _)| at as u32 + 1))
        .collect()
}

fn line_of(line_starts: &[u32], offset: u32) -> u32 {
    line_starts.partition_point(|&start| start <= offset) as u32
}

fn decode(bytes: &[u8]) -> Result<String, ParseError> {
    let (bytes, mark) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let declared = declared_encoding(bytes);
    let name = declared.as_deref().unwrap_or("utf-8").to_ascii_lowercase();
    let name = name.replace('_', "-");
    match name.as_str() {
        "utf-8" | "utf8" | "u8" | "utf-8-sig" => utf8(bytes, "utf-8"),
        _ if mark => utf8(bytes, "utf-8"),
        "ascii" | "us-ascii" | "646" => match bytes.iter().position(|byte| !byte.is_ascii()) {
            Some(at) => Err(ParseError::NotInEncoding {
                encoding: "ascii",
                at,
            }),
            None => utf8(bytes, "ascii"),
        },
        // Supersets of ASCII with one byte for each character. Only names and literals in ASCII
        // matter here, so that the small differences between them do not.
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "l1" | "8859" | "cp1252"
        | "windows-1252" | "iso-8859-15" | "iso8859-15" | "latin-9" | "iso-8859-2" | "latin-2"
        | "cp1250" | "cp1251" | "windows-1251" | "koi8-r" | "cp866" | "mac-roman" => {
            Ok(bytes.iter().map(|&byte| char::from(byte)).collect())
        }
        _ => Err(ParseError::Encoding {
            name: name.chars().take(40).collect(),
        }),
    }
}

fn utf8(bytes: &[u8], encoding: &'static str) -> Result<String, ParseError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(ParseError::NotInEncoding {
            encoding,
            at: error.valid_up_to(),
        }),
    }
}

/// PEP 263: `coding[:=]\s*NAME` in a comment that is one of the first two lines, the second one
/// only when the first has nothing but a comment.
fn declared_encoding(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|&byte| byte == b'\n').take(2) {
        let start = line.iter().position(|byte| !b" \t\x0c\r".contains(byte));
        let Some(start) = start else { continue };
        if line[start] != b'#' {
            return None;
        }
        let window = &line[start..line.len().min(start + 500)];
        if let Some(name) = coding(window) {
            return Some(name);
        }
    }
    None
}

fn coding(comment: &[u8]) -> Option<String> {
    let at = comment
        .windows(7)
        .position(|part| part.starts_with(b"coding") && b":=".contains(&part[6]))?;
    let rest = comment[at + 7..].iter().copied();
    let name: String = rest
        .skip_while(|byte| b" \t".contains(byte))
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        .map(char::from)
        .collect();
    (!name.is_empty()).then_some(name)
}
