//! The kinds of sources, their selections and their settings.

use unheck_resolve::{ResolveError, Source};
use unheck_testkit::{FileOptions, Index, Server, WheelBuilder};

use crate::world::{World, chain};

fn wheel(name: &str, version: &str) -> WheelBuilder {
    WheelBuilder::new(name, version)
}

/// One pure wheel of version 1.0 for each name.
fn index(names: &[&str]) -> Index {
    names
        .iter()
        .fold(Index::new(), |index, name| index.add(&wheel(name, "1.0")))
}

const PROJECT: &str = "
[project]
name = 'My.App'
version = '0.1'
requires-python = '>=3.11'
dependencies = ['a']
[project.optional-dependencies]
pdf = ['b']
everything = ['my-app[pdf]', 'c']
[project.scripts]
run = 'my_app:main'
[dependency-groups]
dev = [{include-group = 'test'}, 'd']
test = ['e']
docs = ['f', 'my-app[pdf]']
[build-system]
requires = ['x']
build-backend = 'y'
";

fn names(world: &World) -> String {
    match world.resolve() {
        Ok(found) => {
            let names: Vec<&str> = found.packages.iter().map(|p| p.name.as_str()).collect();
            names.join(" ")
        }
        Err(error) => chain(&error),
    }
}

#[test]
fn extras_and_groups_of_a_project_are_selected_as_asked() {
    let world = || World::new(index(&["a", "b", "c", "d", "e", "f"])).project(PROJECT);
    assert_eq!(names(&world()), "a");
    let extra = world().extra("Everything");
    assert_eq!(names(&extra), "a b c");
    assert_eq!(names(&world().set(|i| i.extras.all = true)), "a b c");
    assert_eq!(names(&world().set(|i| i.groups.defaults = true)), "a d e");
    let test = world().group("test");
    assert_eq!(names(&test), "a e");
    let docs = world().group("docs");
    assert_eq!(names(&docs), "a b f");
    let only = world().set(|i| {
        i.groups.only = true;
        i.groups.names.insert("test".into());
    });
    assert_eq!(names(&only), "e");
    let except = world().set(|i| {
        i.groups.all = true;
        i.groups.except.insert("docs".into());
    });
    assert_eq!(names(&except), "a d e");
    let unknown = world().group("tset");
    assert_eq!(
        names(&unknown),
        "the project has no dependency group `tset` (it has: dev, docs, test)"
    );
    let unknown = world().extra("pfd");
    assert_eq!(
        names(&unknown),
        "the project has no extra `pfd` (it has: everything, pdf)"
    );
}

#[test]
fn the_project_is_described_and_no_package() {
    let found = World::new(index(&["a"]))
        .project(PROJECT)
        .resolve()
        .unwrap();
    assert_eq!(found.requires_python.as_deref(), Some(">=3.11"));
    let info = found.project.unwrap();
    assert_eq!(
        (info.name.as_str(), info.version.as_deref()),
        ("my-app", Some("0.1"))
    );
    assert!(info.is_package);
    assert_eq!(info.scripts["run"], "my_app:main");
    assert_eq!(info.build_system.unwrap().backend.as_deref(), Some("y"));
    assert_eq!(
        info.groups.into_iter().collect::<Vec<_>>(),
        ["dev", "docs", "test"]
    );
}

#[test]
fn wrong_projects_are_refused_with_the_place() {
    let told = |text: &str| names(&World::new(index(&["a"])).project(text));
    assert!(
        told("[project\n").contains("line 1, column 9"),
        "{}",
        told("[project\n")
    );
    assert!(told("[project]\nname = '-x-'\n").contains("-x-"));
    assert!(told("[tool.x]\n").contains("neither a `[project]` nor"));
    let old = told("[project]\nname='x'\nversion='1'\nrequires-python='<3.10'\n");
    assert_eq!(
        old,
        "the project needs Python `<3.10`, the target is Python 3.13.5 on glibc 2.41, x86_64"
    );
    let deep = format!(
        "[project]\nname='x'\nversion='1'\ndependencies=[\"a; {}os_name == 'x'{}\"]",
        "(".repeat(20_000),
        ")".repeat(20_000)
    );
    assert!(
        told(&deep).contains("(limit `MAX_NESTING`)"),
        "{}",
        told(&deep)
    );
}

#[test]
fn workspace_members_become_directories() {
    let world = World::new(index(&["a"]))
        .project(
            "[project]\nname = 'root'\nversion = '1'\ndependencies = ['member']\n\
             [tool.uv.workspace]\nmembers = ['member']\n\
             [tool.uv.sources]\nmember = { workspace = true }\n",
        )
        .file(
            "member/pyproject.toml",
            "[project]\nname = 'member'\nversion = '2'\ndependencies = ['a']\n\
             [build-system]\nrequires = ['x']\nbuild-backend = 'y'\n",
        );
    assert_eq!(
        world.pins(),
        "a a-1.0-py3-none-any.whl\n*member directory member editable -> a"
    );
}

#[test]
fn requirements_files_include_constrain_and_name_their_index() {
    let main = World::new(Index::new().add(&wheel("a", "1.0")).add(&wheel("a", "2.0")));
    let url = main.index.simple_url();
    let world = World::new(Index::new())
        .file(
            "requirements.txt",
            &format!("--index-url {url}\n-r more/in.txt # c\n"),
        )
        .file(
            "more/in.txt",
            "-c limits.txt\na ; sys_platform == 'linux'\nb; os_name == 'nt'\n",
        )
        .file("more/limits.txt", "a<2\nunrelated<1\n")
        .set(|i| i.index.default_url = None);
    let path = world.path("requirements.txt");
    assert_eq!(
        world.source(Source::Requirements(path)).pins(),
        "*a a-1.0-py3-none-any.whl"
    );
}

#[test]
fn required_hashes_choose_the_file_or_refuse_it() {
    let one = wheel("a", "1.0").tag("py3-none-any").file("a.py", "1");
    let two = wheel("a", "1.0")
        .tag("cp313-cp313-manylinux_2_17_x86_64")
        .file("a.py", "2");
    let hash = |wheel: &WheelBuilder| unheck_testkit::sha256_hex(&wheel.build());
    let ask = |text: String| {
        let world = World::new(Index::new().add(&one).add(&two)).file("r.txt", &text);
        let path = world.path("r.txt");
        world.source(Source::Requirements(path))
    };
    let pinned = ask(format!("a==1.0 --hash=sha256:{}\n", hash(&one)));
    assert_eq!(pinned.pins(), "*a a-1.0-py3-none-any.whl");
    assert_eq!(pinned.resolve().unwrap().packages[0].all_wheels.len(), 1);
    let wrong = ask(format!("a==1.0 --hash=sha256:{}\n", "0".repeat(64)));
    let error = wrong.resolve().unwrap_err();
    assert!(
        matches!(error, ResolveError::HashMismatch { .. }),
        "{error:?}"
    );
    let unpinned = ask(format!("a --hash=sha256:{}\n", hash(&one)));
    assert!(unpinned.pins().contains("pinned"), "{}", unpinned.pins());
}

#[test]
fn deep_nesting_in_any_kind_of_source_is_an_error() {
    let marker = format!("{}os_name == 'x'{}", "(".repeat(20_000), ")".repeat(20_000));
    let world = || World::new(Index::new()).file("r.txt", "-r in.txt\n");
    let sources = [
        world().ask(&[&format!("a; {marker}")]),
        world()
            .file("in.txt", &format!("a; {marker}\n"))
            .set(|i| i.sources.push(Source::Requirements("r.txt".into()))),
        world()
            .file(
                "s.py",
                &format!("# /// script\n# dependencies = [\"a; {marker}\"]\n# ///\n"),
            )
            .set(|i| i.sources.push(Source::Script("s.py".into()))),
    ];
    for world in sources {
        let error = world.resolve().unwrap_err();
        assert!(matches!(error, ResolveError::TooDeep { .. }), "{error:?}");
    }
}

#[test]
fn scripts_bring_requirements_python_and_settings() {
    let script = |python: &str| {
        format!(
            "#!/usr/bin/env python\n# /// script\n# requires-python = '{python}'\n\
             # dependencies = ['a']\n# [tool.uv]\n# constraint-dependencies = ['a<2']\n# ///\nprint((((1))))\n"
        )
    };
    let world = |text: &str| {
        World::new(Index::new().add(&wheel("a", "1.0")).add(&wheel("a", "2.0")))
            .file("s.py", text)
            .set(|i| i.sources.push(Source::Script("s.py".into())))
    };
    assert_eq!(world(&script(">=3.11")).pins(), "*a a-1.0-py3-none-any.whl");
    assert!(
        world(&script("<3.10"))
            .pins()
            .starts_with("the project needs Python `<3.10`")
    );
    assert!(
        world("print(1)\n")
            .pins()
            .contains("no `# /// script` block (PEP 723)")
    );
}

#[test]
fn tool_uv_settings_apply() {
    let project = "[project]\nname='x'\nversion='1'\ndependencies=['a']\n[tool.uv]\n";
    let versions = || {
        Index::new()
            .add(&wheel("a", "1.0"))
            .add(&wheel("a", "2.0"))
            .add(&wheel("b", "1.0"))
    };
    let told = |more: &str| {
        World::new(versions())
            .project(&format!("{project}{more}\n"))
            .pins()
    };
    let old = "*a a-1.0-py3-none-any.whl";
    assert_eq!(told("constraint-dependencies = ['a<2']"), old);
    assert_eq!(told("override-dependencies = ['a==1.0']"), old);
    assert_eq!(told("resolution = 'lowest'"), old);
    assert!(
        told("resolution = 'newest'").starts_with("wrong setting in"),
        "{}",
        told("resolution = 'newest'")
    );
}

#[test]
fn a_named_index_serves_only_its_own_packages() {
    let private = Index::new()
        .add(&wheel("a", "0.5"))
        .add(&wheel("b", "9.0"))
        .serve();
    let project = format!(
        "[project]\nname='x'\nversion='1'\ndependencies=['a', 'b']\n\
         [tool.uv.sources]\na = {{ index = 'private' }}\n\
         [[tool.uv.index]]\nname = 'private'\nurl = '{}'\nexplicit = true\n",
        private.simple_url()
    );
    let world = World::new(index(&["a", "b"])).project(&project);
    assert_eq!(
        world.pins(),
        "*a a-0.5-py3-none-any.whl\n*b b-1.0-py3-none-any.whl"
    );
}

#[test]
fn the_first_index_that_knows_a_name_wins() {
    let private = Index::new().add(&wheel("a", "0.5")).serve();
    for name in ["UV_INDEX", "UV_EXTRA_INDEX_URL"] {
        let world = World::new(index(&["a", "b"])).ask(&["a", "b"]).set(|i| {
            i.environment.0.insert(name.into(), private.simple_url());
        });
        assert_eq!(
            world.pins(),
            "*a a-0.5-py3-none-any.whl\n*b b-1.0-py3-none-any.whl",
            "{name}"
        );
    }
}

#[test]
fn find_links_directories_work_without_an_index() {
    let demo = wheel("demo", "1.0");
    let world = World::new(Index::new()).ask(&["demo"]).set(|i| {
        i.index.no_index = true;
        i.index.find_links.push("links".into());
    });
    fs_err::create_dir(world.path("links")).unwrap();
    fs_err::write(world.path("links").join(demo.filename()), demo.build()).unwrap();
    let found = world.resolve().unwrap();
    let unheck_resolve::Artifact::Wheel(file) = &found.packages[0].artifact else {
        panic!()
    };
    assert!(
        file.url.starts_with("file:///") && file.url.ends_with("/links/demo-1.0-py3-none-any.whl")
    );
}

#[test]
fn direct_urls_and_paths_are_archives_with_a_computed_hash() {
    let demo = wheel("demo", "1.0").requires("a");
    let world = World::new(index(&["a"]).add(&demo));
    let url = world.index.server.url(&world.index.file_path(&demo));
    fs_err::write(world.path(&demo.filename()), demo.build()).unwrap();
    for text in [format!("demo @ {url}"), format!("./{}", demo.filename())] {
        let found = World::new(index(&["a"]))
            .ask(&[&text])
            .set(|i| i.root = world.dir.path().into());
        let found = found.resolve().unwrap();
        let unheck_resolve::Artifact::Archive {
            file,
            is_wheel: true,
            ..
        } = &found.package("demo").unwrap().artifact
        else {
            panic!("{found:?}")
        };
        let digest = file.sha256.unwrap().hex();
        assert_eq!(digest, unheck_testkit::sha256_hex(&demo.build()), "{text}");
    }
}

#[test]
fn credentials_reach_their_own_origin_only_and_no_message() {
    let other = Server::start();
    other.put("/x", *b"x");
    let index = index(&["a"]).add_with(&wheel("b", "1.0"), FileOptions::default());
    let world = World::new(index).ask(&["a"]);
    world.index.server.require_basic_auth("/", "user", "secret");
    let open = world
        .index
        .simple_url()
        .replace("http://", "http://user:secret@");
    let wrong = world
        .index
        .simple_url()
        .replace("http://", "http://user:wr0ng@");
    let world = world.set(|i| i.index.default_url = Some(open));
    assert_eq!(world.pins(), "*a a-1.0-py3-none-any.whl");
    let found = format!("{:?}", world.resolve().unwrap());
    assert!(
        !found.contains("secret") && !found.contains("user"),
        "{found}"
    );
    let refused = world
        .set(|i| i.index.default_url = Some(wrong))
        .ask(&["nope"]);
    let told = refused.pins();
    assert!(!told.contains("wr0ng"), "{told}");
    // A page of the index that is redirected to another origin must not carry them there.
    let elsewhere = format!("{}/x", other.url(""));
    refused.index.server.clear_faults();
    refused
        .index
        .server
        .fault("/simple/moved/", unheck_testkit::Fault::Redirect(elsewhere));
    let open = refused
        .index
        .simple_url()
        .replace("http://", "http://user:secret@");
    let moved = refused
        .set(|i| i.index.default_url = Some(open))
        .set(|i| i.sources = vec![Source::Requirement("moved".into())]);
    let _ = moved.resolve();
    assert!(!other.requests().is_empty());
    for request in other.requests() {
        assert!(
            request
                .headers
                .iter()
                .all(|(name, _)| name != "authorization"),
            "{request:?}"
        );
    }
}
