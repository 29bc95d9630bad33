//! Names that are like one that is not there. Start at [`near`].

use std::collections::BTreeSet;

use unheck_base::TreePath;

use crate::inside::Inside;

/// Longest name that is compared with others for likeness.
const MAX_NAME: usize = 200;

/// Up to five names of things inside that are like `name`, the nearest first.
pub(super) fn near(platforms: &[Inside], name: &str) -> Vec<String> {
    let wanted: String = name
        .rsplit('/')
        .next()
        .unwrap_or(name)
        .to_lowercase()
        .chars()
        .take(MAX_NAME)
        .collect();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for inside in platforms {
        names.extend(inside.files.keys().map(TreePath::file_name));
        let left_out = inside.left_out.iter().flat_map(|list| &list.entries);
        names.extend(left_out.map(|one| one.path.file_name()));
        let Some(lock) = &inside.lock else { continue };
        names.extend(lock.packages.iter().map(|package| package.name.as_str()));
        names.extend(
            lock.plan
                .targets
                .iter()
                .flat_map(|target| &target.debs)
                .map(|deb| deb.name.as_str()),
        );
    }
    // Library names are alike in most of their letters, so few may differ.
    let limit = 1 + wanted.chars().count() / 6;
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|one| one.len() <= MAX_NAME)
        .filter_map(|one| {
            let lower = one.to_lowercase();
            let distance = distance(&wanted, &lower);
            let inside = wanted.len() >= 3 && lower.contains(&wanted);
            (distance <= limit || inside).then(|| {
                (
                    if inside {
                        distance.min(limit)
                    } else {
                        distance
                    },
                    one,
                )
            })
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(5)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Levenshtein's edit distance in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let cost = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::super::tests::inside;
    use super::*;

    #[test]
    fn near_names_are_the_alike_ones() {
        assert_eq!(
            near(&[inside()], "libgl.so.1"),
            ["libGL.so.1", "libGL.so.1.7.0"]
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(near(&[inside()], "qqqqqq").is_empty());
    }
}
