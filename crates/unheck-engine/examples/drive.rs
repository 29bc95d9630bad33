//! Drives the engine by hand: drive PROJECT OUTPUT CACHE MIRROR [PLATFORM,...]
use std::path::Path;
use std::sync::Arc;
use unheck_engine::build::*;
use unheck_engine::event::*;
fn main() {
    unheck_sandbox::helper_main_if_asked();
    let a: Vec<String> = std::env::args().skip(1).collect();
    struct P;
    impl Reporter for P {
        fn event(&self, e: Event<'_>) {
            match e {
                Event::Download { .. } => {}
                e => eprintln!("{e:?}"),
            }
        }
    }
    let reporter: Arc<dyn Reporter> = Arc::new(P);
    let store = unheck_store::Store::open(Path::new(&a[2])).unwrap();
    let net = unheck_engine::net::Net::new(store, reporter.clone(), false).unwrap();
    let mirrors = unheck_engine::input::Mirrors { debian: Some(a[3].clone()), security: None, snapshot: None };
    let session = unheck_engine::session::Session {
        net,
        mirror: unheck_engine::debian::Mirror::new(&mirrors, &Default::default()).unwrap(),
        keyring: unheck_deb::signature::Keyring::debian(),
        reporter,
        now: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64,
        allow_expired: vec![],
        helper: unheck_sandbox::HelperExe::current(),
        resolver_cache: Path::new(&a[2]).join("resolver"),
        index: Default::default(),
        environment: Default::default(),
        source_date_epoch: None,
    };
    let project = unheck_engine::input::read(Path::new(&a[0])).unwrap();
    let platforms = a.get(4).map_or("amd64", |s| s).split(',').map(|p| p.parse().unwrap()).collect();
    let request = BuildRequest {
        lock: unheck_engine::input::LockOptions {
            platforms,
            suite: "trixie".into(),
            python: None,
            provider: unheck_engine::lock::Provider::Debian,
            extras: vec![],
            groups: vec![],
            exclude_newer: None,
            indexes: vec![],
            debs: vec![],
        },
        mode: LockMode::Renew,
        output: a[1].clone().into(),
        entry: None,
        trim: unheck_engine::steps::TrimLevel::Safe,
        compression: a.get(5).map_or("zstd", |s| s).parse().unwrap(),
        tag: None,
        verify: true,
    };
    let t = std::time::Instant::now();
    match build(&session, &project, &request) {
        Ok(built) => {
            for p in &built.platforms {
                for l in &p.layers {
                    println!("{} {} files {} bytes {}", l.name, l.layer.digest, l.files, l.layer.size);
                }
                println!("{:?} {:?}", p.entrypoint, p.trimmed);
            }
            println!("{:?}", built.image);
        }
        Err(e) => {
            let mut s: Option<&dyn std::error::Error> = Some(&e);
            while let Some(x) = s {
                println!("error: {x}");
                s = x.source();
            }
            if let BuildError::Lock(l) = &e {
                println!("{l:#?}");
            }
        }
    }
    println!("{:?}", t.elapsed());
}
