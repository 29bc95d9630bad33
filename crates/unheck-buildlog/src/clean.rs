//! Foreign text made fit to be matched and shown: no escapes, no controls, one kind of quote.

/// Longest line that is looked at, in bytes; what is longer is a command line.
const MAX_LINE: usize = 8192;

/// Longest evidence, in characters.
const MAX_EVIDENCE: usize = 200;

/// Longest line of a cause, in characters.
const MAX_SHOWN: usize = 240;

/// A line without terminal escapes, control and direction characters; blanks at its end are gone.
pub(crate) fn line(raw: &str) -> String {
    let mut end = raw.len().min(MAX_LINE);
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    // Progress bars write over themselves: what stays on the screen comes after the last return.
    let raw = raw[..end].trim_end_matches('\r');
    let raw = raw.rsplit('\r').next().unwrap_or(raw);
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => text.push(' '),
            c if c.is_control() || is_invisible(c) => {}
            c => text.push(c),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// ECMA-48: `ESC [` parameters and a final byte, `ESC ]` up to BEL or `ESC \`, else one character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('@'..='~').contains(c));
        }
        Some(']') => {
            let ends = |c: &char| matches!(c, '\u{7}' | '\u{1b}');
            if chars.find(ends) == Some('\u{1b}') {
                chars.next();
            }
        }
        _ => {}
    }
}

/// Characters that change how others are shown, and show nothing themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What rules are matched against: no frame or indentation before it, straight quotes, ASCII.
pub(crate) fn matchable(line: &str) -> String {
    line.trim_start_matches([' ', '│', '|'])
        .chars()
        .map(|c| match c {
            '‘' | '’' | '`' | '´' => '\'',
            '“' | '”' => '"',
            c if c.is_ascii() => c,
            // No name that counts has others, and ASCII patterns are ten times as fast.
            _ => '?',
        })
        .collect()
}

/// `line 12: text`, at most 200 characters.
pub(crate) fn evidence(number: usize, line: &str) -> String {
    cut(&format!("line {number}: {}", line.trim()), MAX_EVIDENCE)
}

/// A line as part of a cause.
pub(crate) fn shown(line: &str) -> String {
    cut(line, MAX_SHOWN)
}

/// At most `most` characters, with a mark where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_controls_do_not_survive() {
        assert_eq!(
            line("\u{1b}[01m\u{1b}[Kx.c:1:\u{1b}[m bad\u{7}\u{202e}  "),
            "x.c:1: bad"
        );
        assert_eq!(line("\u{1b}]0;title\u{7}a\u{1b}]8;;x\u{1b}\\b"), "ab");
        assert_eq!(line("10%\r20%\rdone\r"), "done");
        assert_eq!(line("\u{1b}"), "");
        assert_eq!(line("\u{1b}[31"), "");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let long = "é".repeat(MAX_LINE);
        assert_eq!(line(&long).chars().count(), MAX_LINE / 2);
        assert_eq!(evidence(3, &long).chars().count(), MAX_EVIDENCE);
        assert!(evidence(3, &long).ends_with('…'));
    }

    #[test]
    fn frames_and_curly_quotes_are_taken_off() {
        assert_eq!(
            matchable("      │ /usr/bin/env: ‘perl’"),
            "/usr/bin/env: 'perl'"
        );
    }
}
