//! The help, as a reference of the command line: a change of it is a change of this snapshot.

use crate::kit::{Kit, PROJECT};

#[test]
fn help_is_as_documented() {
    let kit = Kit::new(PROJECT);
    let verbs: [&[&str]; 23] = [
        &[],
        &["build"],
        &["lock"],
        &["run"],
        &["verify"],
        &["check"],
        &["why"],
        &["size"],
        &["identify"],
        &["sbom"],
        &["push"],
        &["pull"],
        &["deploy"],
        &["release"],
        &["rollback"],
        &["status"],
        &["prune"],
        &["review"],
        &["cache"],
        &["cache", "dir"],
        &["cache", "size"],
        &["cache", "prune"],
        &["completions"],
    ];
    let mut text = String::new();
    for words in verbs {
        let ran = kit.plain(&[words, &["--help"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
        text.push_str(&format!(
            "$ unheck {} --help\n{}\n",
            words.join(" "),
            ran.stdout
        ));
    }
    insta::assert_snapshot!("help", text);
}
