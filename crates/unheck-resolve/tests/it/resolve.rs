//! What is chosen, and what is said when nothing can be.

use futures::FutureExt;
use futures::future::BoxFuture;
use unheck_base::Digest;
use unheck_resolve::{
    Arch, Artifact, BuildFailure, Fault, Libc, Preference, PrereleaseMode, ResolutionMode,
    ResolveError, SourceBuilder, SourceTree, Target,
};
use unheck_testkit::{FileOptions, Index, SdistBuilder, WheelBuilder};

use crate::world::{World, aarch64, chain, pins, x86_64};

fn wheel(name: &str, version: &str) -> WheelBuilder {
    WheelBuilder::new(name, version)
}

#[test]
fn markers_extras_and_transitive_requirements_are_those_of_the_target() {
    let app = wheel("app", "1.0")
        .requires("lib>=1")
        .requires("win; sys_platform == 'win32'")
        .requires("old; python_version < '3.13'")
        .requires("fast; extra == 'speed'")
        .extra("speed");
    let index = Index::new()
        .add(&app)
        .add(&wheel("lib", "1.0"))
        .add(&wheel("lib", "2.0").requires("deep"))
        .add(&wheel("deep", "0.1"))
        .add(&wheel("fast", "3.0"));
    let world = World::new(index).ask(&["App[speed]"]);
    assert_eq!(
        world.pins(),
        "*app[speed] app-1.0-py3-none-any.whl -> fast,lib\n\
         deep deep-0.1-py3-none-any.whl\n\
         fast fast-3.0-py3-none-any.whl\n\
         lib lib-2.0-py3-none-any.whl -> deep"
    );
}

#[test]
fn each_machine_and_libc_gets_its_wheel_and_all_wheels_are_listed() {
    let tags = [
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp313-cp313-macosx_11_0_arm64",
    ];
    let index = tags.iter().fold(Index::new(), |index, tag| {
        index.add(&wheel("num", "1.0").tag(tag))
    });
    let world = World::new(index).ask(&["num"]);
    let musl = Target::new("3.13.5", Libc::Musl(1, 2), Arch::X86_64).unwrap();
    for (target, tag) in [(x86_64(), tags[0]), (aarch64(), tags[1]), (musl, tags[2])] {
        let found = world.resolve_for(&target).unwrap();
        assert_eq!(pins(&found), format!("*num num-1.0-{tag}.whl"));
        let package = found.package("num").unwrap();
        assert_eq!(package.all_wheels.len(), 5);
        let Artifact::Wheel(file) = &package.artifact else {
            panic!()
        };
        assert!(file.sha256.is_some() && file.size.is_some());
        assert_eq!(
            file.upload_time.as_deref(),
            Some("2026-01-01T00:00:00.000Z")
        );
        assert_eq!(
            file.index.as_deref(),
            Some(world.index.simple_url().as_str())
        );
    }
}

#[test]
fn a_conflict_is_explained_and_plain_text() {
    let index = Index::new()
        .add(&wheel("a", "1.0").requires("c==1"))
        .add(&wheel("b", "1.0").requires("c==2"))
        .add(&wheel("c", "1.0"))
        .add(&wheel("c", "2.0"));
    let world = World::new(index).ask(&["a", "b"]);
    let error = world.resolve().unwrap_err();
    let ResolveError::NoSolution { explanation, .. } = &error else {
        panic!("{error:?}")
    };
    for part in ["a", "c==1", "b", "c==2", "unsatisfiable"] {
        assert!(explanation.contains(part), "{explanation}");
    }
    assert!(!explanation.contains('\u{1b}'));
    assert_eq!(error.fault(), Fault::Input);
    assert!(
        error
            .to_string()
            .contains("Python 3.13.5 on glibc 2.41, x86_64")
    );
}

#[test]
fn a_name_that_the_index_does_not_know_is_the_users_mistake() {
    let world = World::new(Index::new()).ask(&["nowhere"]);
    let error = world.resolve().unwrap_err();
    assert!(
        chain(&error).contains("nowhere was not found in the package registry"),
        "{error}"
    );
    assert_eq!(error.fault(), Fault::Input);
}

#[test]
fn without_a_fitting_wheel_the_error_names_the_tags_that_exist() {
    let newest = wheel("num", "2.0").tag("cp313-cp313-manylinux_2_99_x86_64");
    let index = Index::new()
        .add(&newest)
        .add(&wheel("num", "1.0").tag("cp39-cp39-manylinux_2_17_x86_64"));
    let world = World::new(index).ask(&["num"]);
    let error = world.resolve().unwrap_err();
    let ResolveError::NoWheel {
        name,
        version,
        tags,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((name.as_str(), version.as_str()), ("num", "2.0"));
    assert_eq!(*tags, ["cp313-cp313-manylinux_2_99_x86_64"]);
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("newer C library")),
        "{:?}",
        error.hints()
    );
}

#[test]
fn an_sdist_without_a_builder_is_refused_with_a_hint() {
    let index = Index::new().add_sdist(&SdistBuilder::new("src", "1.0"));
    let world = World::new(index).ask(&["src"]);
    let error = world.resolve().unwrap_err();
    assert!(matches!(error, ResolveError::NoWheel { .. }), "{error:?}");
    assert!(
        error.hints().iter().any(|hint| hint.contains("compiled")),
        "{:?}",
        error.hints()
    );
}

/// Writes METADATA, or fails with a log.
struct Builder {
    log: Option<&'static str>,
}

impl SourceBuilder for Builder {
    fn identity(&self) -> Digest {
        Digest::of(b"test builder")
    }

    fn metadata<'b>(
        &'b self,
        tree: SourceTree<'b>,
        out: &'b std::path::Path,
    ) -> BoxFuture<'b, Result<Option<String>, BuildFailure>> {
        async move {
            if let Some(log) = self.log {
                return Err(BuildFailure(log.to_owned()));
            }
            assert!(tree.path.is_dir());
            assert_eq!(tree.target.arch(), Arch::X86_64);
            let directory = out.join("src-1.0.dist-info");
            fs_err::create_dir(&directory).unwrap();
            let text = "Metadata-Version: 2.1\nName: src\nVersion: 1.0\nRequires-Dist: lib\n";
            fs_err::write(directory.join("METADATA"), text).unwrap();
            Ok(Some("src-1.0.dist-info".to_owned()))
        }
        .boxed()
    }

    fn wheel<'b>(
        &'b self,
        _: SourceTree<'b>,
        _: &'b std::path::Path,
    ) -> BoxFuture<'b, Result<String, BuildFailure>> {
        async { Err(BuildFailure("no wheel asked for".to_owned())) }.boxed()
    }
}

fn dynamic_sdist() -> SdistBuilder {
    SdistBuilder::new("src", "1.0").pyproject(
        "[build-system]\nrequires = []\nbuild-backend = 'x'\n\
         [project]\nname = 'src'\ndynamic = ['version', 'dependencies']\n",
    )
}

#[test]
fn an_sdist_with_dynamic_metadata_goes_to_the_builder() {
    let index = Index::new()
        .add_sdist(&dynamic_sdist().metadata_line("Dynamic: Requires-Dist"))
        .add(&wheel("lib", "1.0"));
    let world = World::new(index)
        .ask(&["src"])
        .builder(Builder { log: None });
    assert_eq!(
        world.pins(),
        "lib lib-1.0-py3-none-any.whl\n*src sdist src-1.0.tar.gz -> lib"
    );
}

#[test]
fn a_failed_build_shows_the_builders_log() {
    let index = Index::new().add_sdist(&dynamic_sdist().metadata_line("Dynamic: Requires-Dist"));
    let world = World::new(index).ask(&["src"]).builder(Builder {
        log: Some("gcc: not found"),
    });
    let error = world.resolve().unwrap_err();
    assert!(matches!(error, ResolveError::Build { .. }), "{error:?}");
    assert!(
        chain(&error).ends_with("gcc: not found"),
        "{}",
        chain(&error)
    );
    assert_eq!(error.fault(), Fault::World);
}

#[test]
fn yanked_versions_are_taken_only_when_pinned() {
    let yanked = FileOptions {
        yanked: Some("broken".into()),
        ..FileOptions::default()
    };
    let index = || {
        Index::new()
            .add(&wheel("x", "1.0"))
            .add_with(&wheel("x", "2.0"), yanked.clone())
    };
    assert_eq!(
        World::new(index()).ask(&["x"]).pins(),
        "*x x-1.0-py3-none-any.whl"
    );
    let world = World::new(index()).ask(&["x==2.0"]);
    assert_eq!(world.pins(), "*x x-2.0-py3-none-any.whl");
    let warned = world
        .events
        .all()
        .iter()
        .any(|event| event.contains("yanked"));
    assert!(warned, "{:?}", world.events.all());
}

#[test]
fn exclude_newer_hides_later_files_from_every_place_it_is_set() {
    let at = |time: &str| FileOptions {
        upload_time: Some(time.into()),
        ..FileOptions::default()
    };
    let index = || {
        Index::new()
            .add_with(&wheel("x", "1.0"), at("2025-01-01T00:00:00Z"))
            .add_with(&wheel("x", "2.0"), at("2026-01-01T00:00:00Z"))
    };
    let old = "*x x-1.0-py3-none-any.whl";
    let cutoff = "2025-06-01T00:00:00Z";
    let option = World::new(index())
        .ask(&["x"])
        .set(|i| i.exclude_newer = Some(cutoff.into()));
    assert_eq!(option.pins(), old);
    let variable = World::new(index()).ask(&["x"]).set(|i| {
        i.environment
            .0
            .insert("UV_EXCLUDE_NEWER".into(), cutoff.into());
    });
    assert_eq!(variable.pins(), old);
    let file = World::new(index())
        .ask(&["x"])
        .file("uv.toml", &format!("exclude-newer = '{cutoff}'\n"));
    assert_eq!(file.pins(), old);
    let wrong = World::new(index())
        .ask(&["x"])
        .set(|i| i.exclude_newer = Some("soon".into()));
    assert!(
        wrong
            .pins()
            .starts_with("wrong setting in the option `exclude-newer`"),
        "{}",
        wrong.pins()
    );
}

#[test]
fn preferences_are_kept_where_allowed_and_modes_choose_versions() {
    let index = || {
        let versions = ["1.0", "1.1", "2.0", "3.0rc1"];
        versions.iter().fold(Index::new(), |index, version| {
            index.add(&wheel("x", version))
        })
    };
    let mut world = World::new(index()).ask(&["x"]);
    world.options.preferences = vec![Preference {
        name: "x".into(),
        version: "1.1".into(),
    }];
    assert_eq!(world.pins(), "*x x-1.1-py3-none-any.whl");
    let lowest = World::new(index())
        .ask(&["x"])
        .set(|i| i.resolution = Some(ResolutionMode::Lowest));
    assert_eq!(lowest.pins(), "*x x-1.0-py3-none-any.whl");
    let early = World::new(index())
        .ask(&["x"])
        .set(|i| i.prerelease = Some(PrereleaseMode::Allow));
    assert_eq!(early.pins(), "*x x-3.0rc1-py3-none-any.whl");
    assert_eq!(
        World::new(index()).ask(&["x"]).pins(),
        "*x x-2.0-py3-none-any.whl"
    );
}

#[test]
fn a_second_run_asks_the_network_nothing_and_offline_works_from_the_cache() {
    let index = Index::new()
        .add(&wheel("a", "1.0").requires("b"))
        .add(&wheel("b", "1.0"));
    let world = World::new(index).ask(&["a"]);
    let first = world.pins();
    assert!(!world.index.server.requests().is_empty());
    world.index.server.clear_requests();
    assert_eq!(world.pins(), first);
    assert_eq!(world.index.server.requests(), []);
    let offline = world.set(|inputs| inputs.index.offline = true);
    assert_eq!(offline.pins(), first);
    let missing = offline.ask(&["other"]);
    let error = missing.resolve().unwrap_err();
    assert!(matches!(error, ResolveError::Offline { .. }), "{error:?}");
    assert_eq!(error.fault(), Fault::World);
}

#[test]
fn a_broken_index_is_the_worlds_fault_and_named() {
    let index = Index::new().add(&wheel("a", "1.0"));
    let world = World::new(index).ask(&["a"]);
    world
        .index
        .server
        .fault("*", unheck_testkit::Fault::Status(400));
    let error = world.resolve().unwrap_err();
    assert_eq!(error.fault(), Fault::World, "{error:?}");
    assert!(
        chain(&error).contains(&world.index.server.address()),
        "{}",
        chain(&error)
    );
}

#[test]
fn an_index_without_hashes_leaves_the_digest_open() {
    let options = FileOptions {
        no_hash: true,
        ..FileOptions::default()
    };
    let world = World::new(Index::new().add_with(&wheel("x", "1.0"), options)).ask(&["x"]);
    let found = world.resolve().unwrap();
    let Artifact::Wheel(file) = &found.packages[0].artifact else {
        panic!()
    };
    assert_eq!(file.sha256, None);
    let files = world
        .index
        .server
        .requests_for(&world.index.file_path(&wheel("x", "1.0")));
    assert!(files.is_empty(), "the wheel was downloaded to hash it");
}

#[test]
fn html_indexes_and_wheels_without_metadata_files_work_too() {
    let index = Index::new()
        .html_only()
        .without_metadata()
        .add(&wheel("a", "1.0").requires("b"))
        .add(&wheel("b", "1.0"));
    let world = World::new(index).ask(&["a"]);
    assert_eq!(
        world.pins(),
        "*a a-1.0-py3-none-any.whl -> b\nb b-1.0-py3-none-any.whl"
    );
}

#[test]
fn deep_markers_of_an_index_are_an_error_and_no_crash() {
    let hostile = |depth: usize| {
        let marker = format!("{}os_name == 'x'{}", "(".repeat(depth), ")".repeat(depth));
        wheel("a", "1.0").requires(&format!("b; {marker}"))
    };
    let world = World::new(Index::new().add(&hostile(20_000))).ask(&["a"]);
    let error = world.resolve().unwrap_err();
    assert!(
        matches!(error, ResolveError::TooDeep { limit: 100, .. }),
        "{error:?}"
    );
    // Without a metadata file the parser meets it inside the wheel and must survive (20,000 too, in 17 s unoptimised).
    let world = World::new(Index::new().without_metadata().add(&hostile(3_000))).ask(&["a"]);
    let _ = world.resolve();
}
