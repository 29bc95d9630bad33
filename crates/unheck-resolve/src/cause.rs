//! Library errors as text: no colours, no credentials, the whole chain of causes.

use crate::error::Cause;

impl Cause {
    /// The error and its causes, one per line, each line once.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut lines: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let text = clean(&error.to_string());
            if !lines.iter().any(|line| line.contains(&text)) {
                lines.push(text);
            }
            next = error.source();
        }
        Self(lines.join("\n"))
    }

    /// The same for an `anyhow` error.
    pub(crate) fn of_any(error: &anyhow::Error) -> Self {
        Self::of(error.as_ref())
    }

    /// A cause in our own words.
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self(clean(text.as_ref()))
    }

    /// Whether the text contains another one.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

/// Removes terminal escapes (ECMA-48 control sequences) and masks credentials.
pub(crate) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if chars.next() == Some('[') {
            // A sequence ends at its first byte from `@` to `~`.
            let _ = chars.find(|c| ('@'..='~').contains(c));
        }
    }
    mask(&plain)
}

/// Replaces the user information of every URL in `text` by `****`.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || "/?#`'\"<>)".contains(c))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        if let Some((_, host)) = authority.rsplit_once('@') {
            masked.push_str("****@");
            masked.push_str(host);
        } else {
            masked.push_str(authority);
        }
        rest = tail;
    }
    masked.push_str(rest);
    masked
}

/// A URL without user information and without fragment.
pub(crate) fn bare_url(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[:/@ `\u{1b}\\[ma-zé]{0,100}") {
            let escapes = clean(&text).matches('\u{1b}').count();
            proptest::prop_assert_eq!(escapes, 0);
        }
    }

    #[test]
    fn credentials_and_colours_are_removed_from_any_text() {
        for (text, expected) in [
            ("plain", "plain"),
            (
                "at https://u:p@h/x and https://t@g",
                "at https://****@h/x and https://****@g",
            ),
            ("`https://u:p@q@h`", "`https://****@h`"),
            ("https://h/a@b", "https://h/a@b"),
            ("\u{1b}[1;32mgreen\u{1b}[39m \u{1b}[", "green "),
        ] {
            assert_eq!(clean(text), expected);
        }
    }
}
