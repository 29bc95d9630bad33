//! Foreign text for error messages: short, and without control characters.

/// At most 120 characters of `text`, control characters escaped, so that a hostile name can
/// neither flood the terminal nor send it escape codes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == 120 {
            out.push('…');
            break;
        }
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// As [`quote`], from bytes that need not be UTF-8.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(500)];
    quote(&String::from_utf8_lossy(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_and_floods_do_not_reach_a_message() {
        assert_eq!(quote("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(quote(&"x".repeat(4000)).chars().count(), 121);
        assert_eq!(quote_bytes(b"\xff\0"), "\u{fffd}\\u{0}");
    }
}
