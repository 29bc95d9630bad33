//! What a build leaves out at the level `imports`, and what makes it look again.

use unheck_testkit::{WheelBuilder, World};

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
fn left_out_modules_go_although_they_are_imported() {
    let fixture = Fixture::new()
        .pyproject(
            &["demo==1.0"],
            "[tool.unheck]\nleave-out = ['demo.cli', 'nothing']\n",
        )
        .file("main.py", "def f():\n    import demo.cli\n");
    let run = fixture.with(|run| run.trim = "imports".to_owned());
    let outcome = fixture.built(&run);
    assert_eq!(installed(&run), ["demo/__init__.py"]);
    let unknown = "finding: leave-out-unknown nothing".to_owned();
    assert!(outcome.heard.contains(&unknown), "{:?}", outcome.heard);
    // At the other levels it does not count.
    fixture.build();
    assert!(installed(&fixture.run).contains(&"demo/cli.py".to_owned()));
}

#[test]
fn what_is_kept_cannot_be_left_out() {
    let both = "[tool.unheck]\nkeep = ['demo.cli']\nleave-out = ['demo']\n";
    let fixture = Fixture::new()
        .pyproject(&["demo==1.0"], both)
        .file("main.py", "");
    let run = fixture.with(|run| run.trim = "imports".to_owned());
    let refused = fixture.refused(&run);
    assert!(
        refused.contains("cannot keep `demo.cli` and leave out `demo`"),
        "{refused}"
    );
}

#[test]
fn metadata_ships_without_its_description_and_with_a_true_record() {
    let wheel = WheelBuilder::new("told", "1.0")
        .file("told/__init__.py", "")
        .description("# told\n\nA long story.\n");
    let fixture = Fixture::world(World::basic().wheel(&wheel))
        .pyproject(&["told==1.0"], "")
        .file("main.py", "import told\n");
    let sizes = |run: &Run| {
        fixture.built(run);
        let layers = run.layers("linux/amd64");
        let dump = &layers["distributions"];
        let row = |end: &str| {
            let found = dump.lines().find(|line| line.ends_with(end));
            found.unwrap_or_else(|| panic!("{dump}")).to_owned()
        };
        (row("dist-info/METADATA"), row("dist-info/RECORD"))
    };
    let safe = sizes(&fixture.run);
    let imports = sizes(&fixture.with(|run| run.trim = "imports".to_owned()));
    let size = |row: &str| -> u64 { row.split(' ').nth(2).unwrap().parse().unwrap() };
    assert_eq!(
        size(&safe.0) - size(&imports.0),
        "\n# told\n\nA long story.\n".len() as u64
    );
    assert_ne!(safe.1, imports.1);
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
