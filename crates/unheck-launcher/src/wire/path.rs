//! Which paths and links may stand in a tree.

use core::cmp::Ordering;

/// Longest path in bytes: Linux' `PATH_MAX`, less its NUL.
const LONGEST: usize = 4095;

/// Whether a text is a relative, normalised path: no empty, `.` or `..` component, no NUL.
pub(crate) fn is_tree_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && !text.contains('\0')
        && text
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
}

/// The order of paths in a tree: by parts, so that a directory comes right before what is in it.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

/// Whether the text of a link at `link` is relative and never climbs above the root.
pub(crate) fn stays_inside(link: &str, target: &str) -> bool {
    if target.is_empty()
        || target.len() > LONGEST
        || target.starts_with('/')
        || target.contains('\0')
    {
        return false;
    }
    let mut depth = link.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_normalised_paths_are_tree_paths() {
        for good in ["a", "usr/bin/python3.13", "ä/b c"] {
            assert!(is_tree_path(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "", "/a", "a/", "a//b", ".", "a/..", "../a", "a/./b", "a\0b", &long,
        ] {
            assert!(!is_tree_path(bad), "{bad}");
        }
    }

    #[test]
    fn links_may_climb_to_the_root_and_not_above() {
        for good in ["x", "../x", "../../x", "./x", "../../usr/lib/.."] {
            assert!(stays_inside("usr/bin/a", good), "{good}");
        }
        for bad in [
            "",
            "/x",
            "../../../x",
            "../../../usr/bin/b",
            "a/../../../../x",
            "a\0",
        ] {
            assert!(!stays_inside("usr/bin/a", bad), "{bad}");
        }
    }
}
