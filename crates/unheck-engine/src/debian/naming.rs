//! Which package has a library, by the rule that library packages are named by: Debian Policy
//! 8.1 (`libNAMESOVERSION`, with a hyphen where the name ends in a digit).
//!
//! A guess that costs one small package instead of the whole Contents index; whoever asks looks
//! into the package before believing it.

/// Names that a package of the library may have, the likeliest first.
pub(super) fn package_names(file_name: &str) -> Vec<String> {
    let Some((stem, version)) = split(file_name) else {
        return Vec::new();
    };
    let stem = stem.to_ascii_lowercase().replace('_', "-");
    let name = match (
        version.is_empty(),
        stem.ends_with(|c: char| c.is_ascii_digit()),
    ) {
        (true, _) => stem,
        (false, true) => format!("{stem}-{version}"),
        (false, false) => format!("{stem}{version}"),
    };
    // The name of a library with its own version in it, such as `libglib-2.0`, often lost a hyphen.
    let joined = joined(&name);
    // Packages whose 32-bit ABI got 64-bit times were renamed in 2024, on all architectures.
    let mut names = Vec::new();
    for name in [Some(name), joined].into_iter().flatten() {
        names.extend([format!("{name}t64"), name]);
    }
    names
}

/// `libglib2.0-0` of `libglib-2.0-0`: the first hyphen between a letter and a digit taken out.
fn joined(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let at = (1..bytes.len().saturating_sub(1)).find(|&at| {
        bytes[at] == b'-' && bytes[at - 1].is_ascii_lowercase() && bytes[at + 1].is_ascii_digit()
    })?;
    Some(format!("{}{}", &name[..at], &name[at + 1..]))
}

/// `("libssl", "3")` of `libssl.so.3`, `("libdb5.3", "")` of `libdb-5.3.so`.
fn split(file_name: &str) -> Option<(String, String)> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if !file_name.starts_with("lib") || !file_name.chars().all(valid) {
        return None;
    }
    if let Some((stem, version)) = file_name.split_once(".so.") {
        return Some((stem.to_owned(), version.to_owned()));
    }
    let (stem, version) = file_name.strip_suffix(".so")?.rsplit_once('-')?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| (format!("{stem}{version}"), String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_after_their_library() {
        let cases = [
            ("libGL.so.1", "libgl1"),
            ("libstdc++.so.6", "libstdc++6"),
            ("libglib-2.0.so.0", "libglib2.0-0t64"),
            ("libX11.so.6", "libx11-6"),
            ("libpango-1.0.so.0", "libpango-1.0-0"),
            ("libgcc_s.so.1", "libgcc-s1"),
            ("libdb-5.3.so", "libdb5.3"),
        ];
        for (library, package) in cases {
            let names = package_names(library);
            assert!(
                names.iter().any(|name| name == package),
                "{library}: {names:?}"
            );
        }
        assert_eq!(package_names("libmagic.so.1")[0], "libmagic1t64");
        for none in ["x.so.1", "libx.so", "libx.so.*", "lib/../x.so.1", ""] {
            assert!(package_names(none).is_empty(), "{none}");
        }
    }
}
