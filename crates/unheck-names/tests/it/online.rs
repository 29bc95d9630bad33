//! The answers that an index changes, against an index in memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use unheck_names::answer::{Answer, Verdict};
use unheck_names::facts::{File, Index, IndexError, Page, Project, Wheel};
use unheck_names::guess::{Knowledge, Locked, offline};
use unheck_names::identify::{MOST_REQUESTS, online};
use unheck_names::label::{Context, Label};
use unheck_names::table::{Rows, Sources, Table, encode};

const NOW: i64 = 1_790_000_000;

#[derive(Default)]
struct Shelf {
    page: Page,
    project: Option<Project>,
    wheel: Option<Wheel>,
}

#[derive(Default)]
struct Memory {
    shelves: BTreeMap<String, Shelf>,
    is_down: bool,
    asked: Cell<u32>,
}

impl Memory {
    /// A distribution: versions, date of the first upload, modules of its wheel, owner.
    fn with(
        mut self,
        name: &str,
        (versions, since): (usize, &str),
        modules: &[&str],
        owner: &str,
    ) -> Self {
        let file = |at: usize| File {
            filename: format!("{name}-{at}.0-py3-none-any.whl"),
            version: format!("{at}.0"),
            size: Some(50_000),
            uploaded: Some(format!("{since}T00:00:00Z")),
            ..File::default()
        };
        let files: Vec<File> = (1..=versions).map(file).collect();
        let wheel = Wheel {
            filename: file(versions).filename,
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            requires_dist: Some(Vec::new()),
            size: 50_000,
            ..Wheel::default()
        };
        let project = Project {
            name: name.into(),
            summary: Some(format!("all about {name}")),
            owners: Some(BTreeSet::from([owner.to_owned()])),
            ..Project::default()
        };
        let page = Page {
            name: name.into(),
            files,
            status: None,
        };
        self.shelves.insert(
            name.into(),
            Shelf {
                page,
                project: Some(project),
                wheel: Some(wheel),
            },
        );
        self
    }

    /// The last distribution's wheel is a shim of `of`.
    fn shim(mut self, name: &str, of: &str) -> Self {
        let shelf = self.shelves.get_mut(name).expect("it is there");
        let wheel = shelf.wheel.as_mut().expect("it is there");
        wheel.modules.clear();
        wheel.size = 1_200;
        wheel.requires_dist = Some(vec![of.to_owned()]);
        self
    }

    fn count(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    fn down(&self, what: &str) -> Result<(), IndexError> {
        match self.is_down {
            true => Err(IndexError {
                what: what.into(),
                source: "no route".into(),
            }),
            false => Ok(()),
        }
    }
}

impl Index for Memory {
    fn pages(&self, names: &[String]) -> Vec<Result<Option<Page>, IndexError>> {
        let one = |name: &String| {
            self.count();
            self.down(name)?;
            Ok(self.shelves.get(name).map(|shelf| shelf.page.clone()))
        };
        names.iter().map(one).collect()
    }

    fn projects(&self, names: &[String]) -> Vec<Result<Option<Project>, IndexError>> {
        let one = |name: &String| {
            self.count();
            self.down(name)?;
            Ok(self
                .shelves
                .get(name)
                .and_then(|shelf| shelf.project.clone()))
        };
        names.iter().map(one).collect()
    }

    fn wheel(&self, file: &File, most: u32) -> Result<Wheel, IndexError> {
        assert!(most > 0, "nothing is left to ask with");
        self.count();
        self.down(&file.filename)?;
        let shelf = self
            .shelves
            .values()
            .find(|shelf| shelf.page.files.contains(file));
        Ok(shelf
            .and_then(|shelf| shelf.wheel.clone())
            .expect("it is there"))
    }

    fn requests(&self) -> u32 {
        self.asked.get()
    }
}

/// A table with a much used `requests`, and modules whose distributions have other names.
fn table() -> Table {
    let mut rows = Rows::default();
    for (name, dependents) in [
        ("requests", 900),
        ("real-tool", 9),
        ("debian-only", 0),
        ("lonely", 0),
    ] {
        rows.distributions.insert(name.into(), (dependents, false));
    }
    for (module, name) in [
        ("requests", "requests"),
        ("tool", "real-tool"),
        ("sysbind", "debian-only"),
        ("lonely", "lonely"),
    ] {
        rows.modules
            .insert(module.into(), BTreeSet::from([name.to_owned()]));
    }
    let sources = Sources {
        suite: "sid".into(),
        date: "2026-01-01".into(),
        ..Sources::default()
    };
    Table::parse(encode(&sources, &rows)).expect("it is there")
}

fn ask(text: &str, context: Context, index: &Memory) -> Answer {
    let (table, locked) = (table(), Locked::new());
    let knowledge = Knowledge {
        table: &table,
        hand: false,
        python: (3, 13),
        locked: &locked,
    };
    let label = Label::parse(text, context);
    let answer = online(&label, &knowledge, offline(&label, &knowledge), index, NOW);
    assert!(
        index.requests() <= MOST_REQUESTS,
        "{} requests",
        index.requests()
    );
    answer
}

/// Verdict, candidates with warnings, and what is refused.
fn told(answer: &Answer) -> String {
    let mut out = format!("{:?}", answer.verdict);
    for candidate in &answer.candidates {
        let kinds: Vec<&str> = candidate.evidence.iter().map(|its| its.kind()).collect();
        let warnings: Vec<&str> = candidate.warnings.iter().map(|its| its.kind()).collect();
        out.push_str(&format!(
            " {}({})[{}]",
            candidate.distribution,
            kinds.join(" "),
            warnings.join(" ")
        ));
    }
    for refused in &answer.not {
        let kinds: Vec<&str> = refused.warnings.iter().map(|its| its.kind()).collect();
        out.push_str(&format!(
            " not:{}[{}]",
            refused.distribution,
            kinds.join(" ")
        ));
    }
    out
}

#[test]
fn the_labels_own_name_is_told_when_it_is_a_shim() {
    let index = || {
        Memory::default()
            .with("real-tool", (20, "2015-01-01"), &["tool"], "ann")
            .with("tool", (2, "2016-01-01"), &[], "ann")
            .shim("tool", "real-tool")
    };
    let answer = ask("tool", Context::Import, &index());
    assert_eq!(
        told(&answer),
        "Certain real-tool(debian owners)[] not:tool[shim]"
    );
    let text = answer.not[0].warnings[0].to_string();
    assert_eq!(
        text,
        "a shim: no modules, one requirement (real-tool), same owners"
    );
    assert_eq!(
        answer.candidates[0].summary.as_deref(),
        Some("all about real-tool")
    );
    // Nobody knows `shimmed` but the index: the shim leads on.
    let index = index()
        .with("shimmed", (2, "2016-01-01"), &[], "ann")
        .shim("shimmed", "real-tool");
    assert_eq!(
        told(&ask("shimmed", Context::Text, &index)),
        "Likely real-tool(redirect)[] not:shimmed[shim]"
    );
}

#[test]
fn another_project_of_the_name_is_refused() {
    let index = Memory::default()
        .with("real-tool", (20, "2015-01-01"), &["tool"], "ann")
        .with("tool", (30, "2012-01-01"), &["hammer"], "bob");
    let answer = ask("tool", Context::Import, &index);
    assert_eq!(
        told(&answer),
        "Certain real-tool(debian)[] not:tool[wrong-project other-owners]"
    );
    let clash = Memory::default()
        .with("real-tool", (20, "2015-01-01"), &["tool"], "ann")
        .with("tool", (30, "2012-01-01"), &["tool"], "bob");
    assert_eq!(
        told(&ask("tool", Context::Import, &clash)),
        "Certain real-tool(debian)[] not:tool[several-providers other-owners]"
    );
}

#[test]
fn names_of_debian_that_the_index_lacks_are_no_answer() {
    assert_eq!(
        told(&ask("sysbind", Context::Import, &Memory::default())),
        "Unknown not:debian-only[not-on-index]"
    );
}

#[test]
fn a_misspelling_that_somebody_registered_is_a_look_alike() {
    let index = Memory::default()
        .with("requests", (150, "2011-02-14"), &["requests"], "psf")
        .with("reqeusts", (1, "2026-06-01"), &["reqeusts"], "eve");
    let answer = ask("reqeusts", Context::Text, &index);
    assert_eq!(
        told(&answer),
        "Likely requests(near)[] not:reqeusts[look-alike other-owners]"
    );
    let requirement = ask(
        "reqeusts==1.0",
        Context::Text,
        &Memory {
            asked: Cell::new(0),
            ..index
        },
    );
    assert_eq!(told(&requirement), "Unknown not:reqeusts[look-alike]");
}

#[test]
fn a_name_that_only_the_index_knows_must_have_the_module() {
    let young = Memory::default().with("fresh", (4, "2024-01-01"), &["fresh"], "ann");
    assert_eq!(
        told(&ask("fresh.sub", Context::Import, &young)),
        "Likely fresh(wheel name)[]"
    );
    let old = Memory::default().with("fresh", (12, "2020-01-01"), &["fresh"], "ann");
    assert_eq!(
        told(&ask("fresh", Context::Import, &old)),
        "Certain fresh(wheel name)[]"
    );
    let other = Memory::default().with("fresh", (9, "2020-01-01"), &["stale"], "ann");
    assert_eq!(told(&ask("fresh", Context::Import, &other)), "Unknown");
    let dotted = Memory::default().with(
        "big-cloud-store",
        (19, "2020-01-01"),
        &["big.cloud.store"],
        "ann",
    );
    assert_eq!(
        told(&ask("big.cloud.store", Context::Import, &dotted)),
        "Certain big-cloud-store(wheel name)[]"
    );
    let affix = Memory::default().with("python-fresh", (19, "2020-01-01"), &["fresh"], "ann");
    assert_eq!(
        told(&ask("fresh", Context::Import, &affix)),
        "Likely python-fresh(wheel name)[]"
    );
}

#[test]
fn placeholders_and_nothing_are_unknown() {
    let mut index = Memory::default().with("fitz", (1, "2017-01-01"), &[], "x");
    index
        .shelves
        .get_mut("fitz")
        .expect("it is there")
        .wheel
        .as_mut()
        .expect("it is there")
        .size = 900;
    assert_eq!(
        told(&ask("fitz", Context::Import, &index)),
        "Unknown not:fitz[placeholder]"
    );
    assert_eq!(
        told(&ask("nothing at all", Context::Text, &Memory::default())),
        "Unknown"
    );
}

#[test]
fn a_plain_mirror_and_a_dead_one_are_enough() {
    let mut mirror = Memory::default().with("lonely", (20, "2015-01-01"), &["lonely"], "ann");
    mirror
        .shelves
        .get_mut("lonely")
        .expect("it is there")
        .project = None;
    assert_eq!(
        told(&ask("lonely", Context::Import, &mirror)),
        "Certain lonely(debian wheel)[]"
    );
    let dead = Memory {
        is_down: true,
        ..Memory::default()
    };
    let answer = ask("lonely", Context::Import, &dead);
    assert_eq!(
        (answer.verdict, answer.candidates.len()),
        (Verdict::Likely, 1)
    );
    assert!(answer.notes[0].contains("no route"), "{:?}", answer.notes);
}
