//! Sizes of what was built: sums that agree, what trimming and updates would do, the page.

use std::collections::BTreeMap;

use unheck_engine::size::{FileKind, Measured, PlatformSize, measure};
use unheck_testkit::{WheelBuilder, World};

use crate::support::*;

/// A wheel with something of every kind that the level `safe` leaves out.
fn ballast() -> WheelBuilder {
    WheelBuilder::new("ballast", "1.0")
        .file("ballast/__init__.py", "VALUE = 1\n")
        .file("ballast/types.pyi", "VALUE: int\n")
        .file("ballast/fast.pyx", "cdef int x\n")
        .file("ballast/include/fast.h", "int x;\n")
        .file("ballast/tests/__init__.py", "")
        .file("ballast/tests/test_value.py", "import ballast\n")
        .file("ballast/tests/data.json", "{}\n")
}

fn fixture() -> Fixture {
    Fixture::world(World::basic().wheel(&ballast())).pyproject(&["native", "ballast"], "")
}

fn measured(run: &Run) -> Measured {
    measure(&run.output, true).unwrap()
}

fn only(measured: &Measured, other: Option<&Measured>) -> PlatformSize {
    let mut platforms = measured.report(other).platforms;
    assert_eq!(platforms.len(), 1);
    platforms.remove(0)
}

#[test]
fn origins_kinds_and_layers_add_up() {
    let fixture = fixture();
    let built = fixture.build().built;
    let size = only(&measured(&fixture.run), None);
    let layers = &built.platforms[0].layers;
    assert_eq!(
        size.compressed,
        layers.iter().map(|layer| layer.layer.size).sum::<u64>()
    );
    let mut unpacked: BTreeMap<&str, u64> = BTreeMap::new();
    for (origin, bytes) in layers.iter().flat_map(|layer| &layer.sizes) {
        *unpacked.entry(origin).or_default() += bytes;
    }
    // Empty files are no entry of the builder's sums where their origin has nothing else.
    let shown: BTreeMap<&str, u64> = size
        .origins
        .iter()
        .map(|one| (one.origin.as_str(), one.bytes))
        .collect();
    for (origin, bytes) in &unpacked {
        // What unheck generates for a package counts as the package's.
        if origin.starts_with("distribution ") || *origin == "app" {
            assert_eq!(shown.get(origin), Some(bytes), "{origin}");
        }
    }
    let bytes = |list: &[(u64, u64, u64)]| {
        list.iter().fold((0, 0, 0), |sum, one| {
            (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
        })
    };
    let origins: Vec<_> = size
        .origins
        .iter()
        .map(|one| (one.bytes, one.compressed, one.files))
        .collect();
    let kinds: Vec<_> = size
        .kinds
        .iter()
        .map(|one| (one.bytes, one.compressed, one.files))
        .collect();
    assert_eq!(bytes(&origins), bytes(&kinds));
    assert_eq!(
        bytes(&origins),
        (unpacked.values().sum(), size.compressed, size.files),
        "every byte of the blobs is somebody's"
    );
    for kind in [
        FileKind::ExtensionModule,
        FileKind::SharedLibrary,
        FileKind::PythonSource,
        FileKind::Metadata,
        FileKind::Licence,
        FileKind::Link,
    ] {
        assert!(size.kinds.iter().any(|one| one.kind == kind), "{kind}");
    }
}

#[test]
fn what_a_trim_level_would_leave_out_is_what_it_leaves_out() {
    let fixture = fixture();
    let safe = fixture.build().built;
    let none = fixture.with(|run| {
        run.trim = "none".to_owned();
        run.output = fixture.path("none.oci.tar");
    });
    fixture.built(&none);
    let level = |run: &Run| {
        let size = only(&measured(run), None);
        size.trim
            .into_iter()
            .find(|view| view.level == "safe")
            .unwrap()
    };
    let view = level(&none);
    assert_eq!(view.unknown, None);
    let would: BTreeMap<String, (u64, u64)> = view
        .parts
        .iter()
        .map(|part| (part.reason.clone(), (part.files, part.bytes)))
        .collect();
    assert_eq!(would, safe.platforms[0].trimmed);
    let costs: Vec<String> = view
        .parts
        .iter()
        .flat_map(|part| part.cost.clone())
        .collect();
    for cost in [
        "its tests cannot be run inside",
        "a type checker that runs inside sees no types",
        "nothing can be compiled or linked against it inside",
        "cannot be imported: `turtle`",
    ] {
        assert!(costs.iter().any(|one| one == cost), "{cost}: {costs:?}");
    }
    let after = level(&fixture.run);
    assert_eq!((after.files, after.bytes, after.parts.len()), (0, 0, 0));
}

#[test]
fn an_update_of_the_app_sends_the_app_alone() {
    let fixture = fixture();
    fixture.build();
    let before = measured(&fixture.run);
    fixture.write("main.py", "print('other')\n");
    fixture.write("more.py", "print('more')\n");
    let after = fixture.with(|run| run.output = fixture.path("after.oci.tar"));
    fixture.built(&after);
    let now = measured(&after);
    let size = only(&now, Some(&before));
    let update = size.update.clone().unwrap();
    assert!(update.has_platform);
    let sent: Vec<&str> = update
        .layers
        .iter()
        .filter(|layer| layer.transferred > 0)
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(sent, ["app"]);
    let app = size
        .layers
        .iter()
        .find(|layer| layer.name == "app")
        .unwrap();
    assert_eq!(update.transferred, app.compressed);
    assert_eq!(update.transferred + update.reused, size.compressed);
    assert_eq!(update.origins.len(), 1, "{:?}", update.origins);
    let change = &update.origins[0];
    assert_eq!(change.origin, "app");
    assert_eq!((change.added.files, change.added.bytes), (1, 14));
    assert_eq!(
        (
            change.changed.files,
            change.changed.before,
            change.changed.after
        ),
        (1, 14, 15)
    );
    assert_eq!((change.removed.files, change.difference), (0, 15));
    // The same with itself: nothing.
    let same = only(&now, Some(&now)).update.unwrap();
    assert_eq!((same.transferred, same.origins.len()), (0, 0));
    // The other way round, the new file is gone.
    let back = only(&before, Some(&now)).update.unwrap();
    assert_eq!(
        (back.origins[0].removed.files, back.origins[0].difference),
        (1, -15)
    );
}

#[test]
fn every_platform_of_an_image_is_measured() {
    let fixture = fixture();
    let both = fixture
        .with(|run| run.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()]);
    fixture.built(&both);
    let one = fixture.with(|run| run.output = fixture.path("one.oci.tar"));
    fixture.built(&one);
    let both = measured(&both);
    let report = both.report(Some(&measured(&one)));
    let names: Vec<&str> = report.platforms.iter().map(|one| &*one.platform).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    let updates: Vec<_> = report
        .platforms
        .iter()
        .map(|one| one.update.clone().unwrap())
        .collect();
    assert_eq!(
        (updates[0].has_platform, updates[1].has_platform),
        (true, false)
    );
    assert_eq!(updates[1].transferred, report.platforms[1].compressed);
}

/// The JSON inside the page.
fn data(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn the_page_is_one_file_and_no_name_leaves_its_place() {
    const HOSTILE: &str = "<b></script><script>alert(1)<";
    let fixture = fixture()
        .file(&format!("{HOSTILE}/script>.py"), "x = 1\n")
        .file("a'\"&amp;{{data}}.txt", "x\n");
    fixture.build();
    let one = measured(&fixture.run);
    let page = one.page(None);
    assert_eq!(
        page,
        measured(&fixture.run).page(None),
        "the same bytes each time"
    );
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(
        !page.contains("http:") && !page.contains("https:"),
        "a request elsewhere"
    );
    let json = data(&page);
    assert!(json.contains("a'\\\"\\u0026amp;{{data}}.txt"), "{json}");
    assert!(
        json.contains("app/\\u003cb\\u003e\\u003c/script\\u003e\\u003cscript\\u003ealert(1)\\u003c/script\\u003e.py"),
        "{json}"
    );
    for text in [
        "required by native 1.0",
        "required by app (project)",
        "needed by",
    ] {
        assert!(json.contains(text), "{text}");
    }
    // With another artifact the page says what an update sends.
    let update = one.page(Some(&one));
    assert!(data(&update).contains("\"transferred\":0"));
}
