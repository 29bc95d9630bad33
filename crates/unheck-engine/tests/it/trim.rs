//! What a build leaves out at the level `imports`, and what makes it look again.

use crate::support::*;

/// Paths of the distributions' layer, without what every installed distribution has.
fn installed(run: &Run) -> Vec<String> {
    let layers = run.layers("linux/amd64");
    let dump = layers.get("distributions").cloned().unwrap_or_default();
    let files = dump.lines().filter(|line| !line.starts_with('d'));
    let paths = files.filter_map(|line| line.split("dist-packages/").nth(1));
    paths
        .filter(|path| !path.contains(".dist-info/"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn only_what_the_app_imports_of_a_distribution_is_left() {
    let fixture = Fixture::new()
        .pyproject(&["demo==1.0"], "")
        .file("main.py", "import demo\n");
    let imports = fixture.with(|run| run.trim = "imports".to_owned());
    fixture.built(&imports);
    assert_eq!(installed(&imports), ["demo/__init__.py"]);
    let base = &imports.layers("linux/amd64")["interpreter"];
    for name in [
        "_unheck_trimmed.py",
        "_unheck_trimmed.pth",
        "_unheck_trimmed.txt",
    ] {
        assert!(base.contains(&format!("dist-packages/{name}")), "{base}");
    }
    // Untrimmed, the same project has more, and nobody speaks of what is not there.
    fixture.build();
    assert!(installed(&fixture.run).contains(&"demo/cli.py".to_owned()));
    let safe = &fixture.run.layers("linux/amd64")["interpreter"];
    assert!(!safe.contains("_unheck_trimmed"), "{safe}");
}

#[test]
fn an_edit_that_imports_more_brings_it_and_other_edits_change_no_layer_below() {
    let fixture = Fixture::new()
        .pyproject(&["demo==1.0"], "")
        .file("main.py", "import demo\n");
    let run = fixture.with(|run| run.trim = "imports".to_owned());
    let below = |run: &Run| {
        let outcome = fixture.built(run);
        let layers = outcome.built.platforms[0].layers.iter();
        let digests = layers.map(|layer| layer.layer.digest);
        digests.collect::<Vec<_>>().split_last().unwrap().1.to_vec()
    };
    let first = below(&run);
    fixture.write("main.py", "import demo\n\nprint(1)\n");
    assert_eq!(below(&run), first);
    fixture.write("main.py", "import demo.cli\n");
    assert_ne!(below(&run), first);
    assert_eq!(installed(&run), ["demo/__init__.py", "demo/cli.py"]);
}

#[test]
fn kept_modules_stay_and_unknown_ones_are_told() {
    let keep = "[tool.unheck]\nkeep = ['demo.cli', 'nothing']\n";
    let fixture = Fixture::new()
        .pyproject(&["demo==1.0"], keep)
        .file("main.py", "");
    let run = fixture.with(|run| run.trim = "imports".to_owned());
    let outcome = fixture.built(&run);
    assert_eq!(installed(&run), ["demo/__init__.py", "demo/cli.py"]);
    assert!(
        outcome
            .heard
            .contains(&"finding: keep-unknown nothing".to_owned()),
        "{:?}",
        outcome.heard
    );
}

#[test]
fn traced_wants_a_profile_and_obeys_it() {
    let fixture = Fixture::new()
        .pyproject(&["demo==1.0"], "")
        .file("main.py", "def f():\n    import demo.cli\n");
    let run = fixture.with(|run| run.trim = "traced".to_owned());
    let refused = fixture.refused(&run);
    assert!(refused.contains("no run was recorded"), "{refused}");
    assert!(refused.contains("--trace"), "{refused}");
    let site = "usr/local/lib/python3.13/dist-packages";
    fixture.write("unheck.trace", format!("{site}/demo/__init__.py\n"));
    fixture.built(&run);
    assert_eq!(installed(&run), ["demo/__init__.py"]);
    fixture.write(
        "unheck.trace",
        format!("{site}/demo/__init__.py\n{site}/demo/cli.py\n"),
    );
    fixture.built(&run);
    assert_eq!(installed(&run), ["demo/__init__.py", "demo/cli.py"]);
}
