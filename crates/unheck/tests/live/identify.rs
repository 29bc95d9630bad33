//! Which distribution a name means, on the real index; and what a lock says of real distributions.

use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use crate::kit::{directory, project, text, unheck};

/// One label's answer, asked of the index.
fn ask(label: &str) -> Value {
    let ran = unheck(&["identify", "--json", "--", label]);
    ran.json()[0].clone()
}

fn first(answer: &Value) -> &str {
    answer["candidates"][0]["distribution"]
        .as_str()
        .unwrap_or("-")
}

/// The kinds of warnings of a name that looks right and is not.
fn refused(answer: &Value, name: &str) -> Vec<String> {
    let list = answer["not"].as_array().unwrap().iter();
    let mut of = list.filter(|its| its["distribution"] == name);
    let warnings = of.next().map(|its| its["warnings"].as_array().unwrap());
    let kinds = warnings.into_iter().flatten().map(|its| &its["kind"]);
    kinds
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[ignore = "live: index"]
fn bs4_is_answered_as_promised() {
    let ran = unheck(&["identify", "BS4"]).ok();
    assert_eq!(
        ran.stdout,
        "BS4 → beautifulsoup4 (import bs4) · certain\n  `bs4` on the index is a shim: no modules, one requirement (beautifulsoup4), same owners\n"
    );
    let answer = ask("BS4");
    assert_eq!(answer["label"], "BS4");
    assert_eq!(answer["verdict"], "certain");
    let candidate = &answer["candidates"][0];
    assert_eq!(candidate["distribution"], "beautifulsoup4");
    assert_eq!(candidate["provides"][0], "bs4");
    assert!(candidate["evidence"].as_array().unwrap().len() >= 2);
    assert_eq!(candidate["warnings"], Value::Array(Vec::new()));
    // The index says it itself when it is asked.
    let checked = unheck(&["identify", "BS4", "--check", "--json"])
        .ok()
        .json();
    let warning = &checked[0]["not"][0];
    assert_eq!(warning["distribution"], "bs4");
    assert_eq!(
        warning["warnings"][0]["text"],
        "a shim: no modules, one requirement (beautifulsoup4), same owners"
    );
}

#[test]
#[ignore = "live: index"]
fn labels_of_every_shape_are_answered() {
    for (label, verdict, name) in [
        ("cv2", "ambiguous", "opencv-python"),
        ("google.cloud.storage", "certain", "google-cloud-storage"),
        ("scikit learn", "certain", "scikit-learn"),
        ("Python OpenCV", "ambiguous", "opencv-python"),
        (
            "requests[socks]>=2; python_version > '3.8'",
            "certain",
            "requests",
        ),
        ("import yaml", "certain", "pyyaml"),
        ("jwt", "certain", "pyjwt"),
        ("sklearn", "certain", "scikit-learn"),
        ("reqeusts", "likely", "requests"),
    ] {
        let answer = ask(label);
        assert_eq!(
            (answer["verdict"].as_str(), first(&answer)),
            (Some(verdict), name),
            "{label}"
        );
    }
    let all = unheck(&["identify", "BS4", "cv2", "os.path", "--json"])
        .ok()
        .json();
    let labels: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|its| its["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["BS4", "cv2", "os.path"]);
}

#[test]
#[ignore = "live: index"]
fn shims_placeholders_and_misspellings_are_never_certain() {
    for label in [
        "dotenv==0.9.9",
        "bs4==0.0.2",
        "fitz==0.0.1.dev2",
        "sklearn==0.0",
        "tensorflow-gpu==2.12.0",
    ] {
        let answer = ask(label);
        let name = label.split('=').next().unwrap();
        let is_certain = answer["verdict"] == "certain" && first(&answer) == name;
        assert!(!is_certain, "{label}: {answer}");
    }
    let checked = |label: &str| unheck(&["identify", label, "--check", "--json"]).json()[0].clone();
    assert!(refused(&checked("dotenv"), "dotenv").contains(&"shim".to_owned()));
    assert!(refused(&checked("fitz"), "fitz").contains(&"placeholder".to_owned()));
    let wrong = ask("reqeusts==1.0");
    assert_eq!(wrong["verdict"], "unknown");
    assert!(!refused(&wrong, "reqeusts").is_empty(), "{wrong}");
    unheck(&["identify", "qqzzxxy_nothing"]).ended(1);
}

#[test]
#[ignore = "live: index"]
fn imports_of_code_are_held_against_requirements() {
    let directory = directory();
    let code = project(
        directory.path(),
        &[
            (
                "pyproject.toml",
                "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"beautifulsoup4\", \"rich\"]\n",
            ),
            (
                "main.py",
                "import bs4, yaml\nfrom google.cloud import storage\nimport tomllib\n",
            ),
        ],
    );
    let words = [
        "identify",
        "--from-code",
        text(&code),
        "--project",
        text(&code),
        "--json",
    ];
    let told = unheck(&words).ended(1).json();
    let undeclared = told["undeclared"].as_array().unwrap().iter();
    let names: Vec<&str> = undeclared
        .map(|its| its["distribution"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["google-cloud-storage", "pyyaml"]);
    assert_eq!(told["unused"], serde_json::json!(["rich"]));
}

#[test]
#[ignore = "live: index, mirror"]
fn a_lock_says_what_its_distributions_are() {
    let directory = directory();
    let shop = project(
        directory.path(),
        &[
            (
                "pyproject.toml",
                "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"bs4\"]\n",
            ),
            ("main.py", "import bs4\n"),
        ],
    );
    let words = ["lock", text(&shop), "-v", "--platform", "linux/amd64"];
    let told = unheck(&words).ok().stderr;
    assert!(
        told.contains("beautifulsoup4 ") && told.contains("Screen-scraping library"),
        "{told}"
    );
    assert!(
        told.contains(" · owned by ") && told.contains(" · since 20"),
        "{told}"
    );
    assert!(
        told.contains("a shim: no modules, one requirement (beautifulsoup4)"),
        "{told}"
    );
    fs_err::write(
        shop.join("unheck.toml"),
        "[allow]\n\"bs4:shim\" = \"known\"\n",
    )
    .unwrap();
    let silent = unheck(&words).ok().stderr;
    assert!(!silent.contains("a shim:"), "{silent}");
}

#[derive(Deserialize)]
struct Labels {
    label: Vec<Row>,
    nonsense: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    #[serde(default)]
    want: Vec<String>,
    #[serde(default)]
    stdlib: bool,
}

/// The goals of issue 5 on labels that nobody tuned on, each label in a process of its own.
#[test]
#[ignore = "live: index"]
fn labels_that_nobody_tuned_on_are_answered_with_the_network() {
    let labels: Labels =
        toml::from_str(include_str!("../../../unheck-names/tests/unseen.toml")).unwrap();
    let (mut wrong, mut times) = (Vec::new(), Vec::new());
    for row in &labels.label {
        let start = Instant::now();
        let answer = ask(&row.text);
        times.push(start.elapsed());
        let name = first(&answer);
        let is_right = row.want.iter().any(|want| want == name)
            || (row.stdlib && answer.get("stdlib").is_some());
        if !is_right {
            wrong.push(format!("{} → {name} {}", row.text, answer["verdict"]));
        }
        let warnings = answer["candidates"][0]["warnings"].as_array();
        let kinds = warnings
            .into_iter()
            .flatten()
            .map(|its| its["kind"].as_str().unwrap());
        let is_nothing = kinds
            .clone()
            .any(|kind| ["shim", "placeholder"].contains(&kind));
        assert!(!is_nothing || answer["verdict"] != "certain", "{answer}");
    }
    times.sort();
    let known: Vec<&String> = labels
        .nonsense
        .iter()
        .filter(|text| ask(text)["verdict"] != "unknown")
        .collect();
    println!(
        "{} of {} wrong: {}",
        wrong.len(),
        labels.label.len(),
        wrong.join("; ")
    );
    println!("nonsense that is not unknown: {known:?}");
    println!(
        "median {:?}, most {:?}",
        times[times.len() / 2],
        times.last()
    );
    assert!(wrong.len() * 20 <= labels.label.len(), "{wrong:?}");
    assert!(known.len() * 20 <= labels.nonsense.len(), "{known:?}");
}
