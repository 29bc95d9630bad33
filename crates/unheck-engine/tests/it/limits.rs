//! Budgets: what is over its limits is not written, and what grew is named.

use unheck_engine::build::BuildError;
use unheck_engine::limits::{LimitsError, SIZES_FILE};

use crate::support::*;

#[test]
fn a_build_over_its_budget_is_not_written_and_says_what_grew() {
    let limits = "[tool.unheck.limits]\nsize = \"40 MB\"\ncomponents = 40\nlayers = 4\n";
    let fixture = Fixture::new().pyproject(&["hello-lib"], limits);
    fixture.build();
    let kept = fs_err::read_to_string(fixture.run.project.join(SIZES_FILE)).unwrap();
    assert!(kept.contains("\"distribution hello-lib\""), "{kept}");
    let count = kept
        .lines()
        .filter(|line| line.contains("deb ") || line.contains("distribution "))
        .count();
    let shipped = fixture.run.shipped("linux/amd64");
    assert!(
        !shipped.keys().any(|path| path.contains(SIZES_FILE)),
        "it is no file of the app"
    );

    let tight = format!("[tool.unheck.limits]\nsize = \"1 kB\"\ncomponents = {count}\n");
    let text =
        format!("[project]\nname = 'app'\nversion = '1.0'\ndependencies = ['native']\n{tight}");
    fixture.write("pyproject.toml", text);
    let other = fixture.with(|run| run.output = fixture.path("other.oci.tar"));
    let report = fixture.refused(&other);
    assert!(report.starts_with("Limit\n"), "{report}");
    assert!(!other.output.exists(), "nothing is written");
    let failure = other.build().unwrap_err();
    let Failure::Build(BuildError::Limits(error)) = failure else {
        panic!("{failure:?}")
    };
    let LimitsError::Exceeded(list) = *error else {
        panic!("{error:?}")
    };
    assert_eq!(list.len(), 2, "{list:?}");
    assert!(list.iter().all(|one| one.compared));
    assert!(
        list[0]
            .evidence
            .iter()
            .any(|line| line.starts_with("distribution native: +") && line.ends_with(", new")),
        "{list:?}"
    );
    assert!(
        list[1]
            .evidence
            .contains(&"distribution native: new".to_owned()),
        "{list:?}"
    );
    assert_eq!(
        fs_err::read_to_string(fixture.run.project.join(SIZES_FILE)).unwrap(),
        kept,
        "a build over its budget is no measure"
    );
}
