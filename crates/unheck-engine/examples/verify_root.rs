//! By hand: verify_root CACHE BASE SITE APP OUTPUT WORD...
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use unheck_base::TreePath;
use unheck_engine::event::*;
use unheck_engine::layers::*;
use unheck_engine::lock::*;
use unheck_oci::layer::{Compression, LayerWriter};
use unheck_oci::tar_writer::{Entry, EntryKind};

fn layer(store: &unheck_store::Store, name: LayerName, dir: &str, prefix: &str) -> WrittenLayer {
    use std::os::unix::fs::PermissionsExt as _;
    let mut w = LayerWriter::new(Vec::new(), Compression::Zstd { level: 3, workers: 2 }).unwrap();
    let mut files = 0;
    for e in walkdir::WalkDir::new(dir).sort_by_file_name().min_depth(1) {
        let e = e.unwrap();
        let rel = e.path().strip_prefix(dir).unwrap().to_str().unwrap();
        let p = TreePath::new(&format!("{prefix}{rel}")).unwrap();
        let t = e.file_type();
        let m = e.metadata().unwrap();
        let entry = |kind| Entry { path: &p, mode: m.permissions().mode() & 0o7777, uid: 0, gid: 0, mtime: 0, kind };
        if t.is_dir() {
            w.append_bytes(&entry(EntryKind::Dir), &[]).unwrap();
        } else if t.is_symlink() {
            let l = std::fs::read_link(e.path()).unwrap();
            w.append_bytes(&entry(EntryKind::Symlink(l.to_str().unwrap())), &[]).unwrap();
        } else {
            files += 1;
            let mut f = std::fs::File::open(e.path()).unwrap();
            w.append(&entry(EntryKind::File { len: m.len() }), &mut f).unwrap();
        }
    }
    let (layer, bytes) = w.finish().unwrap();
    store.put_bytes(&bytes).unwrap();
    WrittenLayer { name, layer, sizes: BTreeMap::new(), files }
}

fn main() {
    unheck_sandbox::helper_main_if_asked();
    let a: Vec<String> = std::env::args().skip(1).collect();
    let reporter: Arc<dyn Reporter> = Arc::new(Silent);
    let store = unheck_store::Store::open(Path::new(&a[0])).unwrap();
    let net = unheck_engine::net::Net::new(store.clone(), reporter.clone(), true).unwrap();
    let mirrors = unheck_engine::input::Mirrors { debian: Some("http://localhost/".into()), security: None, snapshot: None };
    let session = unheck_engine::session::Session {
        net,
        mirror: unheck_engine::debian::Mirror::new(&mirrors, &Default::default()).unwrap(),
        keyring: unheck_deb::signature::Keyring::debian(),
        reporter,
        now: 0,
        allow_expired: vec![],
        helper: unheck_sandbox::HelperExe::current(),
        resolver_cache: Path::new(&a[0]).join("resolver"),
        index: Default::default(),
        environment: Default::default(),
        source_date_epoch: None,
    };
    let platform = "amd64".parse().unwrap();
    let target = Target {
        platform,
        interpreter: Interpreter {
            provider: Provider::Debian,
            version: "3.11.2".into(),
            glibc: "2.36".into(),
            archive: None,
            prefix: None,
            prefix_digest: None,
        },
        wheels: vec![],
        suites: vec![],
        debs: vec![],
        notes: vec![],
        build_requires: vec![],
    };
    let lock = Lock {
        requires_python: None,
        packages: vec![],
        plan: Plan {
            format: FORMAT,
            inputs: unheck_base::Digest::of(b""),
            epoch: 0,
            roots: vec![],
            app_needs: vec![],
            targets: vec![target.clone()],
        },
    };
    let app = Path::new(&a[3]);
    let at = app.join("usr/share/unheck");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::write(at.join("pylock.unheck.toml"), lock.to_text()).unwrap();
    let layers = [
        layer(&store, LayerName::Base, &a[1], ""),
        layer(&store, LayerName::Small, &a[2], "usr/local/lib/python3.11/dist-packages/"),
        layer(&store, LayerName::App, &a[3], ""),
    ];
    let entrypoint = a[5..].to_vec();
    let env: BTreeMap<String, String> = [("PATH", "/usr/local/bin:/usr/bin"), ("PYTHONPATH", "/app")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    for depth in [unheck_engine::verify::VerifyDepth::AppOnly, unheck_engine::verify::VerifyDepth::AppOnly] {
        let t = std::time::Instant::now();
        let request = unheck_engine::verify::VerifyRequest {
            target: &target,
            lock: &lock,
            layers: &layers,
            entrypoint: &entrypoint,
            env: &env,
            working_dir: "/app",
            app_modules: &BTreeSet::new(),
            depth,
        };
        let found = unheck_engine::verify::verify_layers(&session, &request);
        eprintln!("verify_layers {:?}", t.elapsed());
        print(found);
    }
    let options = unheck_engine::write::ImageOptions::default();
    let image = unheck_engine::write::ImageTarget {
        platform,
        layers: layers.to_vec(),
        entrypoint: entrypoint.clone(),
        env,
        working_dir: "/app".into(),
    };
    unheck_engine::write::write_image(&store, Path::new(&a[4]), &options, &[image]).unwrap();
    let t = std::time::Instant::now();
    let found = unheck_engine::verify::verify_artifact(&session, Path::new(&a[4]));
    eprintln!("verify_artifact {:?}", t.elapsed());
    print(found);
    let options = unheck_engine::run::RunOptions { args: vec!["--help".into()], interactive: true, network: true, ..Default::default() };
    println!("{:?}", unheck_engine::run::run_image(&session, Path::new(&a[4]), &options).map(|r| r.code));
}

fn print<E: std::error::Error>(found: Result<Vec<unheck_engine::finding::Finding>, E>) {
    match found {
        Ok(found) => {
            for f in found {
                println!("{:?} [{}] {}\n    {}\n    hint: {:?}", f.severity, f.rule, f.subject, f.evidence.replace('\n', "\n    "), f.hint);
            }
        }
        Err(e) => {
            let mut s: Option<&dyn std::error::Error> = Some(&e);
            while let Some(x) = s {
                println!("error: {x}");
                s = x.source();
            }
        }
    }
}
