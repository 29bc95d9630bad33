//! How far two names are apart. Start at [`distance`].

/// The optimal string alignment distance (Damerau-Levenshtein with adjacent transpositions, no substring
/// edited twice), or `None` when it is more than `most`.
pub(crate) fn distance(left: &str, right: &str, most: usize) -> Option<usize> {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > most {
        return None;
    }
    let width = right.len() + 1;
    let mut before = vec![0; width];
    let mut above: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for i in 1..=left.len() {
        row[0] = i;
        for j in 1..width {
            let cost = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + cost);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row[j] = best;
        }
        if row.iter().min().is_some_and(|least| *least > most) {
            return None;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    Some(above[width - 1]).filter(|found| *found <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_and_transpositions_count_one() {
        for (left, right, expected) in [
            ("requests", "reqeusts", Some(1)),
            ("numpy", "nunpy", Some(1)),
            ("numpy", "numpyy", Some(1)),
            ("django", "djang", Some(1)),
            ("abc", "abc", Some(0)),
            ("abcdef", "badcef", Some(2)),
            ("abc", "xyz", None),
            ("", "ab", Some(2)),
        ] {
            assert_eq!(distance(left, right, 2), expected, "{left} {right}");
        }
    }

    proptest! {
        #[test]
        fn it_is_symmetric_and_bounded(left in "[a-d]{0,8}", right in "[a-d]{0,8}") {
            let (one, other) = (distance(&left, &right, 9), distance(&right, &left, 9));
            prop_assert_eq!(one, other);
            prop_assert!(one.is_some_and(|found| found <= left.len().max(right.len())));
            prop_assert_eq!(one == Some(0), left == right);
            prop_assert_eq!(distance(&left, &right, 1), one.filter(|found| *found <= 1));
        }
    }
}
