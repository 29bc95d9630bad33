//! What the step between two published versions breaks.

use crate::kit::{directory, project, text, unheck};

#[test]
#[ignore = "live: index"]
fn a_name_that_flask_dropped_is_found_in_the_code() {
    let directory = directory();
    let code = project(
        directory.path(),
        &[(
            "web.py",
            "import flask\nfrom flask.json import JSONEncoder\n\napp = flask.Flask(__name__)\napp.json_encoder = JSONEncoder\n",
        )],
    );
    let words = ["review", "flask", "2.2.5", "2.3.3", "--code", text(&code)];
    let told = unheck(&[&words[..], &["--json"]].concat()).ended(1).json();
    let uses = told["uses"].as_array().unwrap();
    let found = uses
        .iter()
        .find(|one| one["api"] == "flask.json.JSONEncoder");
    let found = found.unwrap_or_else(|| panic!("{uses:?}"));
    assert_eq!(found["tier"], "proven");
    assert_eq!(found["line"], 2);
    assert!(found["file"].as_str().unwrap().ends_with("/web.py"));
    assert!(found["advice"].as_str().unwrap().contains("app.json"));
    unheck(&[&words[..], &["--offline"]].concat()).ended(1);
}
