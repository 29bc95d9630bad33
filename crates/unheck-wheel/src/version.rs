//! Just enough of the version specifiers specification (PEP 440) to say whether two spellings
//! are one version. It orders nothing: that is the resolver's work.

/// Whether two spellings name one version by PEP 440 ("Normalization", "Public version
/// identifiers"). Spellings outside PEP 440 are equal only when they are after `-` → `_` and
/// lower case, which is how old tools wrote them into a file name.
pub fn same_version(left: &str, right: &str) -> bool {
    match (canonical(left), canonical(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => fold(left) == fold(right),
        _ => false,
    }
}

fn fold(text: &str) -> String {
    text.to_ascii_lowercase().replace('-', "_")
}

/// The normal form with the release's trailing zeros left out; `None` outside PEP 440.
fn canonical(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let (public, local) = match text.split_once('+') {
        Some((public, local)) => (public, Some(local)),
        None => (text, None),
    };
    let mut rest = public;
    let mut out = String::new();
    if let Some((epoch, after)) = rest.split_once('!') {
        let epoch = number(epoch)?;
        if epoch != "0" {
            out.push_str(epoch);
            out.push('!');
        }
        rest = after;
    }
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let release = rest[..end].strip_suffix('.').unwrap_or(&rest[..end]);
    let mut parts = Vec::new();
    for part in release.split('.') {
        parts.push(number(part)?);
    }
    while parts.len() > 1 && parts.last() == Some(&"0") {
        parts.pop();
    }
    out.push_str(&parts.join("."));
    rest = &rest[release.len()..];
    suffixes(&mut rest, &mut out);
    if !rest.is_empty() {
        return None;
    }
    if let Some(local) = local {
        out.push('+');
        for (at, part) in local.split(['.', '-', '_']).enumerate() {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return None;
            }
            if at > 0 {
                out.push('.');
            }
            out.push_str(number(part).unwrap_or(part));
        }
    }
    Some(out)
}

/// Takes the pre, post and dev suffixes off `rest`, in the order of the grammar.
fn suffixes(rest: &mut &str, out: &mut String) {
    const PRE: &[(&str, &str)] = &[
        ("alpha", "a"),
        ("beta", "b"),
        ("preview", "rc"),
        ("pre", "rc"),
        ("rc", "rc"),
        ("a", "a"),
        ("b", "b"),
        ("c", "rc"),
    ];
    const POST: &[(&str, &str)] = &[("post", ".post"), ("rev", ".post"), ("r", ".post")];
    const DEV: &[(&str, &str)] = &[("dev", ".dev")];
    for words in [PRE, POST, DEV] {
        let body = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
        let word = words.iter().find_map(|(word, normal)| {
            let after = body.strip_prefix(word)?;
            Some((after, *normal))
        });
        let (digits, normal) = match word {
            Some((after, normal)) => {
                let stripped = after.strip_prefix(['.', '-', '_']);
                let digits = stripped.filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
                (digits.unwrap_or(after), normal)
            }
            // The implicit post release `1.0-1`.
            None if words == POST
                && rest.starts_with('-')
                && body.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                (body, ".post")
            }
            None => continue,
        };
        let end = digits.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(normal);
        out.push_str(number(&digits[..end]).unwrap_or("0"));
        *rest = &digits[end..];
    }
}

/// Decimal digits without leading zeros.
fn number(text: &str) -> Option<&str> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let short = text.trim_start_matches('0');
    Some(if short.is_empty() { "0" } else { short })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_version_are_the_same() {
        for (left, right) in [
            ("1.0", "1.0.0"),
            ("1.0", "v1.0"),
            ("1.0a1", "1.0-alpha.1"),
            ("1.0rc1", "1.0.c1"),
            ("1.0rc0", "1.0pre"),
            ("1.0.post1", "1.0-1"),
            ("1.0.post1", "1.0-r1"),
            ("1.0.post0", "1.0post"),
            ("1.0.dev3", "1.0dev03"),
            ("1.0a1.post2.dev3", "1.0alpha1-post2_dev3"),
            ("1!2.0", "1!2"),
            ("0!2.0", "2"),
            ("1.0+abc.1", "1.0+ABC-01"),
            ("2024.07.01", "2024.7.1"),
            ("2.9.0.post0", "2.9.0.post0"),
            ("weird-1", "weird_1"),
        ] {
            assert!(same_version(left, right), "{left} {right}");
            assert!(same_version(right, left), "{right} {left}");
        }
    }

    #[test]
    fn different_versions_are_not_the_same() {
        for (left, right) in [
            ("1.0", "1.0.1"),
            ("1.0", "1.0a1"),
            ("1.0", "1.0.dev0"),
            ("1.0", "1.0.post0"),
            ("1.0", "1!1.0"),
            ("1.0", "1.0+local"),
            ("1.0a1", "1.0b1"),
            ("1.0", "10"),
            ("1.0", "weird"),
            ("1.0", ""),
            ("1.0dev1", "1.0post1"),
        ] {
            assert!(!same_version(left, right), "{left} {right}");
            assert!(!same_version(right, left), "{right} {left}");
        }
    }
}
