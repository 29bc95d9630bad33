//! Which room may name which: the table in `ARCHITECTURE.md` and the manifests say the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Tree, Violation, violation};

/// Where the table is.
const PAGE: &str = "ARCHITECTURE.md";
/// The heading above it.
const HEADING: &str = "## Arrows";
/// The only room that names the resolver's crates, and what their names begin with.
const WALL: (&str, &str) = ("unheck-resolve", "uv-");
/// The room for tests, which every room may name there and none anywhere else.
const TESTKIT: &str = "unheck-testkit";

type Arrows = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    let Some(page) = tree.text(PAGE) else {
        found.push(violation(
            PAGE,
            0,
            "is missing: it says which room may name which",
        ));
        return;
    };
    let allowed = table(page);
    let mut seen = BTreeSet::new();
    for (path, text) in tree.iter().filter(|(path, _)| is_room(path)) {
        let Ok(manifest) = text.parse::<toml::Table>() else {
            found.push(violation(path, 0, "is not TOML"));
            continue;
        };
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str);
        let name = name.unwrap_or_default();
        seen.insert(name.to_owned());
        let Some(may) = allowed.get(name) else {
            found.push(violation(
                PAGE,
                0,
                format!("has no row for `{name}` in the table below `{HEADING}`"),
            ));
            continue;
        };
        room(path, name, &manifest, may, found);
    }
    for name in allowed.keys().filter(|name| !seen.contains(*name)) {
        found.push(violation(
            PAGE,
            0,
            format!("has a row for `{name}`, which is no room"),
        ));
    }
}

fn is_room(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts[..],
        ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"]
    )
}

fn room(
    path: &str,
    name: &str,
    manifest: &toml::Table,
    may: &BTreeSet<String>,
    found: &mut Vec<Violation>,
) {
    let (mut used, mut test_only) = (BTreeSet::new(), BTreeSet::new());
    collect(manifest, &mut used, &mut test_only);
    if name != WALL.0 {
        for outside in used
            .union(&test_only)
            .filter(|dependency| dependency.starts_with(WALL.1))
        {
            found.push(violation(
                path,
                0,
                format!("names `{outside}`: only `{}` may", WALL.0),
            ));
        }
    }
    let ours = |names: &BTreeSet<String>| -> BTreeSet<String> {
        names
            .iter()
            .filter(|name| *name == "unheck" || name.starts_with("unheck-"))
            .cloned()
            .collect()
    };
    let (used, test_only) = (ours(&used), ours(&test_only));
    for other in used.difference(may) {
        found.push(violation(
            path,
            0,
            format!("names `{other}`: {PAGE} has no arrow from `{name}` to it"),
        ));
    }
    for other in may.difference(&used) {
        found.push(violation(
            PAGE,
            0,
            format!("has an arrow from `{name}` to `{other}` that `{path}` does not use"),
        ));
    }
    for other in test_only
        .difference(may)
        .filter(|other| *other != TESTKIT && *other != name)
    {
        let what = format!(
            "names `{other}` for tests: only `{TESTKIT}` and the arrows of {PAGE} may be named there"
        );
        found.push(violation(path, 0, what));
    }
}

/// Names of dependencies, whatever they are called in the code; those of tests apart.
fn collect(table: &toml::Table, used: &mut BTreeSet<String>, test_only: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else {
            continue;
        };
        match key.as_str() {
            "dependencies" | "build-dependencies" => used.extend(names(inner)),
            "dev-dependencies" => test_only.extend(names(inner)),
            "target" => {
                for platform in inner.values().filter_map(toml::Value::as_table) {
                    collect(platform, used, test_only);
                }
            }
            _ => {}
        }
    }
}

fn names(table: &toml::Table) -> impl Iterator<Item = String> {
    table.iter().map(|(key, value)| {
        let package = value.get("package").and_then(toml::Value::as_str);
        package.unwrap_or(key).to_owned()
    })
}

/// Rows such as ``| `from` | `to`, `other` |`` below the heading, up to the next one.
fn table(page: &str) -> Arrows {
    let section = page
        .lines()
        .skip_while(|line| *line != HEADING)
        .skip(1)
        .take_while(|line| !line.starts_with("## "));
    let rows = section.filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1);
        let (from, to) = (cells.next()?, cells.next()?);
        let quoted = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        Some((
            quoted(from).into_iter().next()?,
            quoted(to).into_iter().collect(),
        ))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    const TABLE: &str = "# A\n\n## Arrows\n\n| from | to |\n|---|---|\n| `unheck` | `unheck-a` |\n\
                         | `unheck-a` | |\n| `unheck-resolve` | `unheck-a` |\n\n## Next\n\n| `no` | `row` |\n";

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    fn with(unheck: &str, a: &str) -> Vec<String> {
        let unheck = manifest("unheck", unheck);
        let a = manifest("unheck-a", a);
        let wall = "[dependencies]\nunheck-a.workspace = true\nuv-client.workspace = true\n";
        let wall = manifest("unheck-resolve", wall);
        let files = [
            (PAGE, TABLE),
            ("crates/unheck/Cargo.toml", unheck.as_str()),
            ("crates/unheck-a/Cargo.toml", a.as_str()),
            ("crates/unheck-resolve/Cargo.toml", wall.as_str()),
            (
                "Cargo.toml",
                "[workspace.dependencies]\nuv-client = \"1\"\n",
            ),
        ];
        found(check, &files)
    }

    const GOOD: &str = "[dependencies]\nunheck-a.workspace = true\nserde = \"1\"\n";

    #[test]
    fn manifests_that_say_what_the_table_says_are_fine() {
        assert!(
            with(
                GOOD,
                "[dev-dependencies]\nunheck-testkit.workspace = true\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn an_arrow_that_the_table_does_not_have_is_found() {
        let expected = [
            "crates/unheck-a/Cargo.toml: names `unheck-resolve`: ARCHITECTURE.md has no arrow from `unheck-a` to it",
        ];
        assert_eq!(
            with(GOOD, "[dependencies]\nunheck-resolve.workspace = true\n"),
            expected
        );
        let renamed = "[target.'cfg(unix)'.dependencies]\nx = { path = \"x\", package = \"unheck-resolve\" }\n";
        assert_eq!(with(GOOD, renamed), expected);
        let tests = with(
            GOOD,
            "[dev-dependencies]\nunheck-resolve.workspace = true\n",
        );
        assert_eq!(tests.len(), 1, "{tests:?}");
        let shipped = with(GOOD, "[dependencies]\nunheck-testkit.workspace = true\n");
        assert_eq!(shipped.len(), 1, "{shipped:?}");
    }

    #[test]
    fn an_arrow_that_nobody_uses_and_a_room_without_a_row_are_found() {
        let expected = [
            "ARCHITECTURE.md: has an arrow from `unheck` to `unheck-a` that `crates/unheck/Cargo.toml` does not use",
        ];
        assert_eq!(with("", ""), expected);
        let files = [
            (PAGE, "## Arrows\n| `unheck-gone` | |\n"),
            ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
        ];
        let expected = [
            "ARCHITECTURE.md: has a row for `unheck-gone`, which is no room",
            "ARCHITECTURE.md: has no row for `xtask` in the table below `## Arrows`",
        ];
        assert_eq!(found(check, &files), expected);
        assert_eq!(found(check, &[]).len(), 1);
    }

    #[test]
    fn the_resolvers_crates_are_named_by_one_room_only() {
        let expected = ["crates/unheck-a/Cargo.toml: names `uv-pep440`: only `unheck-resolve` may"];
        assert_eq!(with(GOOD, "[dependencies]\nuv-pep440 = \"1\"\n"), expected);
        assert_eq!(
            with(
                GOOD,
                "[dev-dependencies]\nversions = { package = \"uv-pep440\", version = \"1\" }\n"
            ),
            expected
        );
    }
}
