//! Documents: paths that they name exist, and the README's test command is what CI runs.

use super::{Tree, Violation, violation};

/// A back-quoted word with `/` and one of these ends means a file of this workspace; a file inside
/// an image is written with the leading `/`.
const ENDS: &[&str] = &[".rs", ".md", ".toml", ".py", ".json", ".sh"];

/// Where the README says how to test.
const TEST_HEADING: &str = "## Test";

/// What CI runs.
const CI: &str = ".ci/run";

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".md")) {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (number, line) in prose(text) {
            for word in quoted(line).filter(|word| means_a_path(tree, word) && !tree.has(word)) {
                found.push(violation(
                    path,
                    number,
                    format!("names `{word}`, which does not exist"),
                ));
            }
            for target in links(line).filter(|target| !tree.has(&resolve(directory, target))) {
                found.push(violation(
                    path,
                    number,
                    format!("links to `{target}`, which does not exist"),
                ));
            }
        }
    }
    test_command(tree, found);
}

/// Lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Targets of `[text](target)` that are neither addresses nor places in the same page.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

fn means_a_path(tree: &Tree, word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if word.starts_with(['/', '-'])
        || word.contains("::")
        || word.contains("//")
        || !word.chars().all(plain)
    {
        return false;
    }
    match word.split_once('/') {
        Some((first, _)) => tree.has(first) || ENDS.iter().any(|end| word.ends_with(end)),
        None => word.ends_with(".md"),
    }
}

fn resolve(directory: &str, target: &str) -> String {
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The block below the README's heading is one line, and a line of CI begins so.
fn test_command(tree: &Tree, found: &mut Vec<Violation>) {
    let (Some(readme), Some(ci)) = (tree.text("README.md"), tree.text(CI)) else {
        return;
    };
    let block = readme
        .lines()
        .skip_while(|line| *line != TEST_HEADING)
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"));
    let commands: Vec<&str> = block.collect();
    let [command] = commands[..] else {
        found.push(violation(
            "README.md",
            0,
            format!("the block below `{TEST_HEADING}` must be one command"),
        ));
        return;
    };
    if !ci
        .lines()
        .any(|line| !line.trim().starts_with('#') && line.contains(command))
    {
        found.push(violation(
            CI,
            0,
            format!("does not run the README's test command `{command}`"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let text = "See `crates/a/src/lib.rs`, `crates/a/` and `crates/b/src/lib.rs`.\n\
                    Not paths: `/usr/lib/x.py`, `a::b`, `--flag`, `some/words here.md`, `http://h/x.md`, `any/thing`.\n\
                    ```text\n`crates/none.rs`\n```\n\
                    Gone: `tools/x.sh`, `GONE.md`, `crates/a/src/lib.rs:12`.\n";
        let files = [("docs/page.md", text), ("crates/a/src/lib.rs", "")];
        let at = |line: usize, word: &str| {
            format!("docs/page.md:{line}: names `{word}`, which does not exist")
        };
        let expected = [
            at(1, "crates/b/src/lib.rs"),
            at(6, "GONE.md"),
            at(6, "crates/a/src/lib.rs:12"),
            at(6, "tools/x.sh"),
        ];
        assert_eq!(found(check, &files), expected);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text =
            "[a](../README.md#top) [b](page.md) [c](https://h.invalid/x) [d](#here) [e](gone.md)\n";
        let files = [("docs/page.md", text), ("README.md", "")];
        assert_eq!(
            found(check, &files),
            ["docs/page.md:1: links to `gone.md`, which does not exist"]
        );
    }

    #[test]
    fn the_test_command_of_the_readme_is_what_ci_runs() {
        let readme =
            |block: &str| format!("# x\n\n## Test\n\nAll of them:\n\n```sh\n{block}\n```\n");
        let run = |block: &str, ci: &str| found(check, &[("README.md", &readme(block)), (CI, ci)]);
        assert!(
            run(
                "cargo test --workspace",
                "step tests cargo test --workspace --locked\n"
            )
            .is_empty()
        );
        let other = run(
            "cargo test --workspace",
            "# cargo test --workspace\ncargo test -p x\n",
        );
        assert_eq!(
            other,
            [".ci/run: does not run the README's test command `cargo test --workspace`"]
        );
        let two = run("cargo test\ncargo run", "cargo test");
        assert_eq!(
            two,
            ["README.md: the block below `## Test` must be one command"]
        );
    }
}
