//! Which file of a version is compared: the one that shows the most of its API. Start at [`candidates`].

use unheck_resolve::IndexFile;
use unheck_wheel::WheelName;

use super::Target;

/// The endings of the sdists that [`crate::sdist::source`] unpacks.
const SDISTS: [&str; 7] = [
    ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar", ".zip",
];

/// The files that can be compared, best first: a wheel for every platform, one for this platform, one for any Linux,
/// the sdist, a wheel for another system, one for Python 2 alone. Files that are yanked come last.
pub(super) fn candidates<'f>(files: &[&'f IndexFile], target: Target) -> Vec<&'f IndexFile> {
    let mut ranked: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let (class, distance) = rank(&file.filename, target)?;
            Some((file.yanked.is_some(), class, distance, *file))
        })
        .collect();
    ranked.sort_by(|left, right| {
        (left.0, left.1, left.2, &left.3.filename).cmp(&(
            right.0,
            right.1,
            right.2,
            &right.3.filename,
        ))
    });
    ranked.into_iter().map(|(.., file)| file).collect()
}

/// Whether a file is a wheel.
pub(super) fn is_wheel(filename: &str) -> bool {
    filename.ends_with(".whl")
}

/// Lower is better: what kind of file, and how far its Python is from the target's.
fn rank(filename: &str, target: Target) -> Option<(u8, u32)> {
    if !is_wheel(filename) {
        let is_read = SDISTS.iter().any(|ending| filename.ends_with(ending));
        return is_read.then_some((3, 0));
    }
    let name: WheelName = filename.parse().ok()?;
    let minors: Vec<u32> = name.python_tags().filter_map(minor).collect();
    let Some(distance) = minors
        .iter()
        .map(|minor| minor.abs_diff(u32::from(target.python.1)))
        .min()
    else {
        let is_three = name.python_tags().any(|tag| tag == "py3");
        let class = if is_three { system(&name, target) } else { 5 };
        return Some((class, 0));
    };
    Some((system(&name, target), distance))
}

fn system(name: &WheelName, target: Target) -> u8 {
    let machine = target.platform.machine();
    let tags = || name.platform_tags();
    if tags().any(|tag| tag == "any") {
        0
    } else if tags().any(|tag| tag.contains("linux") && tag.ends_with(machine)) {
        1
    } else if tags().any(|tag| tag.contains("linux")) {
        2
    } else {
        4
    }
}

/// `cp313`, `py310` → 13, 10.
fn minor(tag: &str) -> Option<u32> {
    let digits = tag.strip_prefix("cp").or(tag.strip_prefix("py"))?;
    digits.strip_prefix('3')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn best(names: &[&str]) -> Vec<String> {
        let files: Vec<IndexFile> = names
            .iter()
            .map(|name| IndexFile {
                filename: name.trim_end_matches(" yanked").to_owned(),
                version: "1".into(),
                url: String::new(),
                size: None,
                upload_time: None,
                yanked: name.ends_with(" yanked").then(String::new),
                requires_python: None,
                sha256: None,
                metadata: None,
                provenance: None,
            })
            .collect();
        let files: Vec<&IndexFile> = files.iter().collect();
        let target = Target {
            python: (3, 12),
            platform: Platform::LinuxArm64,
        };
        let names = candidates(&files, target).into_iter();
        names.map(|file| file.filename.clone()).collect()
    }

    #[test]
    fn the_file_that_shows_most_is_first() {
        let ranked = best(&[
            "a-1-py2-none-any.whl",
            "a-1-cp312-cp312-win_amd64.whl",
            "a-1.tar.gz",
            "a-1.tar.bz2",
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1-cp39-cp39-manylinux_2_17_aarch64.whl",
            "a-1-cp311-cp311-musllinux_1_1_aarch64.whl",
            "a-1-py3-none-any.whl",
            "nonsense.whl",
        ]);
        assert_eq!(
            ranked,
            [
                "a-1-py3-none-any.whl",
                "a-1-cp311-cp311-musllinux_1_1_aarch64.whl",
                "a-1-cp39-cp39-manylinux_2_17_aarch64.whl",
                "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
                "a-1.tar.gz",
                "a-1-cp312-cp312-win_amd64.whl",
                "a-1-py2-none-any.whl",
            ]
        );
    }

    #[test]
    fn what_is_yanked_is_last_and_what_is_unreadable_is_none() {
        let ranked = best(&["a-1-py3-none-any.whl yanked", "a-1.zip"]);
        assert_eq!(ranked, ["a-1.zip", "a-1-py3-none-any.whl"]);
        assert!(best(&["a-1.tar.bz2", "a-1.egg", "a-1.exe"]).is_empty());
    }
}
