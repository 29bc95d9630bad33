//! Refuses texts that nest brackets too deeply, before a recursive parser sees them.
//!
//! The marker parser behind this crate calls itself for each `(`: 20,000 of them overflow its stack,
//! which no error handling survives. TOML and JSON nesting is limited by their parsers.

use crate::MAX_NESTING;

/// Whether a requirement in a METADATA text nests deeper than the limit.
///
/// Only the `Requires-Dist` headers count: a description may have any brackets.
pub(crate) fn metadata_too_deep(text: &[u8]) -> bool {
    let mut depth = None;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match line.first() {
            // The body begins.
            Some(b'\n' | b'\r') => return false,
            // A header goes on.
            Some(b' ' | b'\t') => {}
            _ => {
                let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
                let counts = name.trim_ascii().eq_ignore_ascii_case(b"requires-dist");
                depth = counts.then(Depth::default);
            }
        }
        if let Some(depth) = &mut depth
            && line.iter().any(|&byte| depth.sees(byte))
        {
            return true;
        }
    }
    false
}

/// Whether a line-based text (requirements file, marker) nests deeper than the limit.
pub(crate) fn lines_too_deep(text: &[u8]) -> bool {
    let mut depth = Depth::default();
    let mut last = 0;
    for &byte in text {
        // A backslash continues the line; a line that begins with a blank is taken as continued too.
        if last == b'\n' && byte != b' ' && byte != b'\t' {
            depth = Depth::default();
        }
        if byte == b'\n' && last == b'\\' {
            continue;
        }
        if depth.sees(byte) {
            return true;
        }
        last = byte;
    }
    false
}

/// Whether a string in a TOML text nests deeper than the limit.
pub(crate) fn toml_too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'#' => {
                at += bytes[at..]
                    .iter()
                    .position(|&b| b == b'\n')
                    .unwrap_or(bytes.len() - at)
            }
            b'"' | b'\'' => {
                let (end, deep) = toml_string(bytes, at);
                if deep {
                    return true;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    false
}

/// Reads the TOML string that begins at `start`: its end, and whether it nests too deeply.
fn toml_string(bytes: &[u8], start: usize) -> (usize, bool) {
    let quote = bytes[start];
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    let mut depth = Depth::default();
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && quote == b'"' {
            at += 2;
            continue;
        }
        if byte == quote {
            if !triple {
                return (at + 1, false);
            }
            if bytes[at..].starts_with(&[quote; 3]) {
                return (at + 3, false);
            }
        }
        if byte == b'\n' && !triple {
            // A syntax error; the parser names it.
            return (at, false);
        }
        if depth.sees(byte) {
            return (at, true);
        }
        at += 1;
    }
    (bytes.len(), false)
}

/// How many brackets are open.
#[derive(Default)]
struct Depth(usize);

impl Depth {
    /// Takes a byte; true when the limit is passed.
    fn sees(&mut self, byte: u8) -> bool {
        match byte {
            b'(' | b'[' | b'{' => self.0 += 1,
            b')' | b']' | b'}' => self.0 = self.0.saturating_sub(1),
            _ => {}
        }
        self.0 > MAX_NESTING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}os_name == 'x'{}", "(".repeat(depth), ")".repeat(depth))
    }

    #[test]
    fn the_limit_is_exact_and_counts_per_line() {
        assert!(!lines_too_deep(nested(100).as_bytes()));
        assert!(lines_too_deep(nested(101).as_bytes()));
        assert!(!lines_too_deep("(((\n".repeat(200).as_bytes()));
        assert!(lines_too_deep("(((\\\n".repeat(200).as_bytes()));
        assert!(lines_too_deep("(((\n ".repeat(200).as_bytes()));
    }

    #[test]
    fn only_requirements_of_metadata_are_counted() {
        let deep = nested(101);
        for (text, expected) in [
            (format!("Requires-Dist: a; {deep}\n"), true),
            (format!("requires-dist : a;\n {deep}\n"), true),
            (format!("Name: a\r\nREQUIRES-DIST: a; {deep}\r\n\r\n"), true),
            (
                format!("Description: {deep}\n {deep}\nRequires-Dist: a\n"),
                false,
            ),
            (format!("Name: a\n\nRequires-Dist: a; {deep}\n"), false),
        ] {
            assert_eq!(metadata_too_deep(text.as_bytes()), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[(\\[\"'#\\\\ \n\ra-z:é]{0,200}") {
            let _ = toml_too_deep(&text);
            let _ = lines_too_deep(text.as_bytes());
            let _ = metadata_too_deep(text.as_bytes());
        }
    }

    #[test]
    fn toml_strings_of_all_four_kinds_are_looked_into() {
        let deep = nested(101).replace('\'', "");
        for quote in ["\"", "'", "\"\"\"", "'''"] {
            assert!(
                toml_too_deep(&format!("a = {quote}{deep}{quote}")),
                "{quote}"
            );
            assert!(
                !toml_too_deep(&format!("a = {quote}b{quote} # {deep}")),
                "{quote}"
            );
        }
        assert!(!toml_too_deep("a = \"\\\"(((\"\n".repeat(200).as_str()));
        assert!(!toml_too_deep("a = \""));
    }
}
