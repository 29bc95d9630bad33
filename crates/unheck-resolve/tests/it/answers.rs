//! What an index answers once in a run is not asked again, and what did not come whole is.

use std::collections::BTreeMap;
use std::time::Duration;

use unheck_resolve::{Answers, Arch, IndexClient, IndexPage, Libc, Target};
use unheck_testkit::{About, Fault, FileOptions, Index, WheelBuilder};

use crate::world::{World, run};

fn wheel(name: &str) -> WheelBuilder {
    WheelBuilder::new(name, "1.0")
}

/// `a` requires `b`; what only the page itself says is said of `a`.
fn index() -> Index {
    let offered = FileOptions {
        provenance: Some(b"{}".to_vec()),
        yanked: Some("bad".into()),
        ..FileOptions::default()
    };
    let about = About {
        status: Some(("archived".into(), "done".into())),
        ..About::default()
    };
    Index::new()
        .add(&wheel("a").requires("b"))
        .add_with(&WheelBuilder::new("a", "0.9"), offered)
        .add(&wheel("b"))
        .about("a", about)
}

fn world(index: Index) -> World {
    World::new(index).ask(&["a"])
}

/// The page as a client sees it that knows those answers.
fn page(world: &World, answers: &Answers) -> IndexPage {
    // A cache of its own: what it is told it is told by the answers alone.
    let cache = tempfile::tempdir().unwrap();
    run(async {
        let client = IndexClient::new(&world.inputs, cache.path(), answers).await;
        client.unwrap().page("a").await.unwrap().unwrap()
    })
}

/// How often each file was asked for.
fn asked(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in world.index.server.requests() {
        *counts.entry(request.path).or_default() += 1;
    }
    counts
}

fn once(world: &World) -> bool {
    let asked = asked(world);
    let metadata = |path: &&String| path.ends_with(".metadata");
    assert_eq!(asked.keys().filter(metadata).count(), 2, "{asked:?}");
    asked.values().all(|count| *count == 1)
}

#[test]
fn what_the_resolver_read_is_read_again_without_a_request() {
    for index in [index(), index().html_only()] {
        let world = world(index);
        world.resolve().unwrap();
        let told = page(&world, &world.options.answers);
        assert!(once(&world), "{:?}", asked(&world));
        assert_eq!(told, page(&world, &Answers::default()));
        assert!(!once(&world), "another run asks for itself");
    }
}

#[test]
fn platforms_side_by_side_ask_once() {
    let world = world(index());
    let slow = Fault::Slow(200, Duration::from_millis(20));
    world.index.server.fault("*", slow);
    std::thread::scope(|scope| {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let (inputs, mut options) = (&world.inputs, world.options.clone());
            // The resolver's own cache has no part in it.
            options.cache = world.path(&format!("{arch:?}"));
            scope.spawn(move || {
                let target = Target::new("3.13.5", Libc::Glibc(2, 41), arch).unwrap();
                run(unheck_resolve::resolve(inputs, &target, &options)).unwrap();
            });
        }
    });
    assert!(once(&world), "{:?}", asked(&world));
}

#[test]
fn what_did_not_come_whole_is_asked_again() {
    for fault in [Fault::Truncate(300), Fault::Status(503), Fault::Close] {
        let world = world(index());
        let place = "/simple/a/";
        world.index.server.fault_times(place, 1, fault.clone());
        world.resolve().unwrap();
        let told = page(&world, &world.options.answers);
        assert_eq!(told.files.len(), 2, "{fault:?}");
        assert_eq!(asked(&world)[place], 2, "{fault:?}");
    }
}

#[test]
fn no_such_page_is_an_answer_too() {
    let world = World::new(index()).ask(&["gone"]);
    for _ in 0..2 {
        world.resolve().unwrap_err();
    }
    assert_eq!(asked(&world)["/simple/gone/"], 1);
}

#[test]
fn a_long_project_json_is_not_begun_where_the_server_knows_no_ranges() {
    let about = |length| About {
        summary: "x".repeat(length),
        owners: vec!["ann".into()],
        ..About::default()
    };
    let files = (0..300).map(|minor| WheelBuilder::new("b", &format!("1.{minor}")));
    let index = files
        .fold(Index::new(), |index, file| index.add(&file))
        .add(&wheel("a"))
        .about("a", about(10))
        .about("b", about(600 << 10));
    let world = World::new(index);
    let paths = ["a", "b"].map(|name| format!("/pypi/{name}/json"));
    for path in &paths {
        world.index.server.fault(path, Fault::NoRange);
    }
    let cache = world.path("cache");
    run(async {
        let answers = Answers::default();
        let client = IndexClient::new(&world.inputs, &cache, &answers).await;
        let client = client.unwrap();
        let mut told = Vec::new();
        for name in ["a", "b"] {
            let page = client.page(name).await.unwrap().unwrap();
            told.push(client.project_tail(name, &page, 100).await);
        }
        assert!(told[0].as_ref().is_ok_and(Option::is_some), "{told:?}");
        assert!(told[1].is_err(), "{told:?}");
    });
    let methods = |path: &str| {
        let requests = world.index.server.requests_for(path).into_iter();
        requests.map(|request| request.method).collect::<Vec<_>>()
    };
    assert_eq!(methods(&paths[0]), ["GET"]);
    assert_eq!(methods(&paths[1]), ["HEAD"]);
}
