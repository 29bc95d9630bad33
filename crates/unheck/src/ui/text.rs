//! Text for people: foreign strings made harmless, sizes, times, tables.

use std::fmt::Write as _;

/// One line of foreign text with control characters, and those that turn the writing direction,
/// escaped: a terminal must not obey a file name.
pub(crate) fn clean(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\t' => text.push_str("    "),
            c if c.is_control() && u32::from(c) < 0x100 => {
                let _ = write!(text, "\\x{:02x}", u32::from(c));
            }
            '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{2028}'
            | '\u{2029}' => {
                let _ = write!(text, "\\u{{{:04x}}}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// `12.3 MB`: powers of ten, as registries and disks count.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 file`, `2 files`.
pub(crate) fn count(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// `340 ms`, `2.1 s`.
pub(crate) fn millis(millis: u128) -> String {
    if millis < 1000 {
        format!("{millis} ms")
    } else {
        format!("{}.{} s", millis / 1000, millis % 1000 / 100)
    }
}

/// Rows of (number, name) with the numbers right-aligned, indented by two.
pub(crate) fn table(rows: &[(String, String)]) -> String {
    let width = rows
        .iter()
        .map(|(number, _)| number.chars().count())
        .max()
        .unwrap_or_default();
    let lines: Vec<String> = rows
        .iter()
        .map(|(number, name)| format!("  {number:>width$}  {name}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(
            clean("a\u{1b}[2Jb\rc\u{9b}d\u{7f}"),
            "a\\x1b[2Jb\\x0dc\\x9bd\\x7f"
        );
        assert_eq!(clean("x\u{202e}y\tz é"), "x\\u{202e}y    z é");
    }

    #[test]
    fn sizes_and_times_are_short() {
        let shown: Vec<String> = [0, 999, 1000, 999_949, 999_950, 12_345_678]
            .map(bytes)
            .into();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "12.3 MB"]
        );
        assert_eq!(
            (millis(7), millis(2199)),
            ("7 ms".to_owned(), "2.1 s".to_owned())
        );
        assert_eq!(
            table(&[
                ("1 B".to_owned(), "a".to_owned()),
                ("10 kB".to_owned(), "b".to_owned())
            ]),
            "    1 B  a\n  10 kB  b"
        );
    }
}
