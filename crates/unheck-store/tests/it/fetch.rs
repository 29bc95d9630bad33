//! Downloads from servers that fail, stall, lie and redirect.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use unheck_base::Digest;
use unheck_store::Store;
use unheck_store::fetch::{
    FetchError, FetchEvent, FetchOptions, FetchStep, HttpOptions, SourceError, Want, WebTransport,
    fetch_all, get_small,
};
use unheck_testkit::http::{Fault, Server};
use url::Url;

use crate::{noise, tree};

/// A store, a server, and a list of what progress told.
struct World {
    top: tempfile::TempDir,
    store: Store,
    server: Server,
    events: Mutex<Vec<String>>,
    options: FetchOptions,
}

impl World {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("tempdir");
        let store = Store::open(top.path()).expect("store");
        let options = FetchOptions {
            backoff: Duration::from_millis(5),
            stall: Duration::from_millis(300),
            give_up: Duration::from_millis(2_000),
            ..FetchOptions::default()
        };
        Self {
            top,
            store,
            server: Server::start(),
            events: Mutex::default(),
            options,
        }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&self.server.url(path)).expect("url")
    }

    /// Serves `bytes` and wants them, with digest and size known.
    fn want(&self, path: &str, bytes: &[u8]) -> Want {
        self.server.put(path, bytes.to_vec());
        Want {
            label: path.trim_start_matches('/').to_owned(),
            sources: vec![self.url(path)],
            digest: Some(Digest::of(bytes)),
            size: Some(bytes.len() as u64),
            max_size: 1 << 30,
        }
    }

    fn fetch(&self, wants: &[Want]) -> Result<Vec<Digest>, FetchError> {
        let transport = WebTransport::new(&HttpOptions::default());
        let tell = |event: FetchEvent<'_>| {
            let label = event.label;
            let what = match event.what {
                FetchStep::Progress { .. } => return,
                FetchStep::Cached { bytes } => format!("{label} cached {bytes}"),
                FetchStep::Waiting => format!("{label} waiting"),
                FetchStep::Retry { after, .. } => format!("{label} retry {}", after.as_millis()),
                FetchStep::Done { bytes } => format!("{label} done {bytes}"),
                FetchStep::Failed => format!("{label} failed"),
            };
            self.events.lock().expect("events").push(what);
        };
        runtime().block_on(fetch_all(
            &self.store,
            &transport,
            wants,
            &self.options,
            &tell,
        ))
    }

    /// The only failure of fetching one want.
    fn failure(&self, want: Want) -> SourceError {
        let mut error = self.fetch(&[want]).expect_err("fails");
        assert_eq!(error.failures.len(), 1);
        error.failures.remove(0).reason
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().expect("events").clone()
    }

    fn partials(&self) -> Vec<String> {
        let names = tree(&self.top.path().join("tmp")).into_iter();
        names.filter(|name| name.starts_with("partial-")).collect()
    }

    /// The `Range` headers that the server saw for `path`.
    fn ranges(&self, path: &str) -> Vec<String> {
        let requests = self.server.requests_for(path);
        let range = |request: &unheck_testkit::http::Request| {
            request.header("range").unwrap_or("all").to_owned()
        };
        requests.iter().map(range).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

#[test]
fn many_files_come_in_parallel_and_a_second_time_from_the_store() {
    let world = World::new();
    let files: Vec<Vec<u8>> = (0..40).map(|at| noise(at, 1_000 * at as usize)).collect();
    let want = |(at, bytes): (usize, &Vec<u8>)| world.want(&format!("/{at}"), bytes);
    let wants: Vec<Want> = files.iter().enumerate().map(want).collect();
    let digests = world.fetch(&wants).expect("fetch");
    let expected: Vec<Digest> = files.iter().map(|bytes| Digest::of(bytes)).collect();
    assert_eq!(digests, expected);
    digests
        .iter()
        .for_each(|digest| world.store.verify(digest).expect("good"));
    let requests = world.server.requests();
    assert_eq!(requests.len(), 40);
    let agent = concat!("unheck/", env!("CARGO_PKG_VERSION"));
    assert_eq!(requests[0].header("user-agent"), Some(agent));
    assert_eq!(requests[0].header("accept-encoding"), Some("identity"));
    assert_eq!(world.fetch(&wants).expect("again"), expected);
    assert_eq!(world.server.requests().len(), 40, "nothing was asked again");
    assert!(world.events().contains(&"7 cached 7000".to_owned()));
    assert!(world.partials().is_empty());
}

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let world = World::new();
    let bytes = noise(1, 900_000);
    let want = world.want("/a", &bytes);
    world.server.fault_times("/a", 1, Fault::Truncate(600_000));
    world.fetch(&[want]).expect("fetch");
    assert_eq!(world.ranges("/a"), ["all", "bytes=600000-"]);
    assert_eq!(world.events(), ["a retry 5", "a done 900000"]);
}

#[test]
fn a_later_process_goes_on_with_what_an_earlier_one_left() {
    let mut world = World::new();
    world.options.retries = 0;
    let bytes = noise(1, 900_000);
    let want = world.want("/a", &bytes);
    world.server.fault_times("/a", 1, Fault::Truncate(600_000));
    world.failure(want.clone());
    assert_eq!(world.partials().len(), 1);
    world.store = Store::open(world.top.path()).expect("opened again");
    world.fetch(&[want]).expect("fetch");
    assert_eq!(world.ranges("/a"), ["all", "bytes=600000-"]);
    assert!(world.partials().is_empty());
}

#[test]
fn servers_that_cannot_or_will_not_resume_are_read_anew() {
    for fault in [Fault::NoRange, Fault::WrongRange] {
        let world = World::new();
        let bytes = noise(1, 900_000);
        let want = world.want("/a", &bytes);
        world.server.fault_times("/a", 1, Fault::Truncate(600_000));
        world.server.fault_times("/a", 1, fault);
        world.fetch(&[want]).expect("fetch");
    }
}

#[test]
fn a_damaged_partial_file_is_thrown_away() {
    let world = World::new();
    let bytes = noise(1, 300_000);
    let want = world.want("/a", &bytes);
    let partial = format!("tmp/partial-{}", Digest::of(&bytes).hex());
    for (left, ranges) in [
        (noise(2, 100_000), vec!["bytes=100000-", "all"]),
        (noise(2, 300_000), vec!["all"]),
        (noise(2, 400_000), vec!["all"]),
        (bytes.clone(), vec![]),
    ] {
        fs_err::write(world.top.path().join(&partial), &left).expect("write");
        world.server.clear_requests();
        world.fetch(std::slice::from_ref(&want)).expect("fetch");
        assert_eq!(world.ranges("/a"), ranges);
        fs_err::remove_file(world.store.path(&Digest::of(&bytes))).expect("remove");
    }
}

#[test]
fn errors_that_pass_are_waited_for_with_growing_pauses() {
    let world = World::new();
    let want = world.want("/a", b"content");
    world.server.fault_times("/a", 2, Fault::Status(503));
    world.server.fault_times("/a", 1, Fault::Close);
    world.fetch(&[want]).expect("fetch");
    assert_eq!(
        world.events(),
        ["a retry 5", "a retry 10", "a retry 20", "a done 7"]
    );
}

#[test]
fn retry_after_is_honoured_and_does_not_count_against_the_time() {
    let mut world = World::new();
    world.options.give_up = Duration::from_millis(700);
    let want = world.want("/a", b"content");
    world.server.fault_times("/a", 1, Fault::RetryAfter(429, 1));
    let begun = Instant::now();
    world.fetch(&[want]).expect("fetch");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(world.events(), ["a retry 1000", "a done 7"]);
}

#[test]
fn retries_end_and_permanent_refusals_are_not_retried() {
    let world = World::new();
    let want = world.want("/a", b"content");
    world.server.fault("/a", Fault::Status(500));
    let error = world.failure(want.clone());
    assert_eq!(error.status(), Some(500));
    assert_eq!(world.server.requests().len(), 6);
    world.server.clear_requests();
    world.server.clear_faults();
    world.server.remove("/a");
    assert!(world.failure(want).is_not_found());
    assert_eq!(world.server.requests().len(), 1);
    assert!(
        world.partials().is_empty(),
        "an empty partial file is removed"
    );
}

#[test]
fn a_stall_is_told_with_host_bytes_and_seconds() {
    let mut world = World::new();
    world.options.stall = Duration::from_millis(700);
    world.options.give_up = Duration::from_millis(1_200);
    let bytes = noise(1, 100_000);
    let want = world.want("/a", &bytes);
    world
        .server
        .fault("/a", Fault::Stall(5_000, Duration::from_secs(60)));
    let begun = Instant::now();
    let error = world.failure(want);
    assert!(begun.elapsed() < Duration::from_secs(6));
    let text = error.to_string();
    assert!(
        matches!(error, SourceError::Stalled { got: 5_000.., .. }),
        "{text}"
    );
    assert!(
        text.starts_with(&format!("`{}` stalled: ", world.server.address())),
        "{text}"
    );
}

#[test]
fn a_trickle_is_a_stall_and_a_slow_file_has_an_end() {
    let mut world = World::new();
    world.options.retries = 0;
    let want = world.want("/a", &noise(1, 100_000));
    world
        .server
        .fault("/a", Fault::Slow(10, Duration::from_millis(20)));
    let error = world.failure(want.clone());
    assert!(matches!(error, SourceError::Stalled { .. }), "{error}");
    world.server.clear_faults();
    world
        .server
        .fault("/a", Fault::Slow(2_000, Duration::from_millis(100)));
    world.options.total = Duration::from_secs(1);
    let error = world.failure(want);
    assert!(
        matches!(error, SourceError::TooSlow { seconds: 1, .. }),
        "{error}"
    );
}

#[test]
fn an_endless_body_is_cut_at_the_limit() {
    let world = World::new();
    world.server.fault("/a", Fault::Endless);
    let mut want = world.want("/a", b"content");
    let error = world.failure(want.clone());
    assert!(
        matches!(error, SourceError::TooLarge { limit: 7, .. }),
        "{error}"
    );
    want.size = None;
    want.max_size = 5_000_000;
    let error = world.failure(want);
    assert!(
        matches!(
            error,
            SourceError::TooLarge {
                limit: 5_000_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(world.partials().is_empty());
    let usage = world.store.usage().expect("usage");
    assert!(usage.iter().all(|usage| usage.bytes < 1_000), "{usage:?}");
}

#[test]
fn a_wrong_announced_size_is_refused_before_the_body() {
    let world = World::new();
    let mut want = world.want("/a", b"content");
    want.size = Some(8);
    let error = world.failure(want.clone());
    assert!(
        matches!(
            error,
            SourceError::WrongSize {
                expected: 8,
                found: 7,
                ..
            }
        ),
        "{error}"
    );
    want.size = None;
    want.max_size = 6;
    let error = world.failure(want);
    assert!(
        matches!(error, SourceError::TooLarge { limit: 6, .. }),
        "{error}"
    );
}

#[test]
fn a_wrong_digest_is_told_with_both_after_one_fresh_retry() {
    let world = World::new();
    let mut want = world.want("/a", b"content");
    let host = world.server.address();
    want.sources = vec![Url::parse(&format!("http://u:pass@{host}/a?sig=pass")).expect("url")];
    world.server.fault("/a", Fault::Wrong(b"CONTENT".to_vec()));
    let error = world.failure(want.clone());
    let (good, bad) = (Digest::of(b"content"), Digest::of(b"CONTENT"));
    let expected =
        format!("`http://{host}/a?…` gives a file with the digest `{bad}`, not `{good}`");
    assert_eq!(error.to_string(), expected);
    assert_eq!(world.server.requests().len(), 2);
    world.server.clear_faults();
    world.server.fault_times("/a", 1, Fault::Flip(3));
    world.fetch(&[want]).expect("the fresh retry is good");
    assert!(world.partials().is_empty());
}

#[test]
fn mirrors_are_asked_in_order() {
    let world = World::new();
    let mut want = world.want("/good", b"content");
    world.server.put("/bad", b"another".to_vec());
    let paths = ["/gone", "/bad", "/busy", "/good"];
    world.server.fault("/busy", Fault::Status(503));
    want.sources = paths.iter().map(|path| world.url(path)).collect();
    world.fetch(&[want]).expect("fetch");
    let asked: Vec<String> = world
        .server
        .requests()
        .into_iter()
        .map(|r| r.path)
        .collect();
    assert_eq!(asked, ["/gone", "/bad", "/bad", "/busy", "/good"]);
}

#[test]
fn all_failures_are_told_and_the_others_are_fetched() {
    let world = World::new();
    let mut wants: Vec<Want> = ["/a", "/b", "/c"]
        .iter()
        .map(|path| world.want(path, path.as_bytes()))
        .collect();
    world.server.remove("/a");
    world.server.put("/c", b"xx".to_vec());
    wants.push(Want {
        label: "nowhere".to_owned(),
        sources: vec![],
        digest: Some(Digest::of(b"n")),
        size: None,
        max_size: 1,
    });
    let error = world.fetch(&wants).expect_err("fails");
    assert_eq!(error.to_string(), "cannot fetch 3 of 4 files");
    let told: Vec<String> = error.failures.iter().map(ToString::to_string).collect();
    let host = world.server.address();
    let expected = [
        format!("cannot fetch `a` from `http://{host}/a`"),
        format!("cannot fetch `c` from `http://{host}/c`"),
        "cannot fetch `nowhere` from ``".to_owned(),
    ];
    assert_eq!(told, expected);
    assert!(world.store.has(&Digest::of(b"/b")));
}

#[test]
fn credentials_stay_at_their_origin_and_out_of_messages() {
    let world = World::new();
    let other = Server::start();
    other.put("/b", b"content".to_vec());
    let mut want = world.want("/a", b"content");
    let host = world.server.address();
    want.sources = vec![Url::parse(&format!("http://user:secret@{host}/a")).expect("url")];
    world.server.require_basic_auth("/", "user", "secret");
    world.server.fault("/a", Fault::Redirect(other.url("/b")));
    world.fetch(std::slice::from_ref(&want)).expect("fetch");
    assert!(world.server.requests()[0].header("authorization").is_some());
    for request in other.requests() {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("referer"), None);
        assert_eq!(request.header("cookie"), None);
    }
    want.digest = Some(Digest::of(b"x"));
    other.fault("/b", Fault::Status(404));
    let error = world.fetch(&[want]).expect_err("fails");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn redirects_end_after_ten() {
    let world = World::new();
    let want = world.want("/a", b"content");
    world
        .server
        .fault("/a", Fault::Redirect(world.server.url("/a")));
    let error = world.failure(want);
    let source = std::error::Error::source(&error).expect("source");
    assert_eq!(source.to_string(), "the redirect is refused");
    assert_eq!(world.server.requests().len(), 11);
}

#[test]
fn nobody_listening_is_told_with_the_host() {
    let world = World::new();
    let mut want = world.want("/a", b"content");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    want.sources = vec![Url::parse(&format!("http://{address}/a")).expect("url")];
    let error = world.failure(want);
    assert_eq!(
        error.to_string(),
        format!("cannot read from `{address}` (0 bytes came)")
    );
    assert_eq!(world.events().len(), 6, "{:?}", world.events());
}

#[test]
fn files_without_a_digest_are_fetched_and_local_files_too() {
    let world = World::new();
    let mut want = world.want("/a", b"content");
    want.digest = None;
    want.size = None;
    world.server.fault_times("/a", 1, Fault::Truncate(3));
    world.server.fault_times("/a", 1, Fault::Chunked);
    assert_eq!(
        world.fetch(&[want]).expect("fetch"),
        [Digest::of(b"content")]
    );
    assert_eq!(world.ranges("/a"), ["all", "all"]);

    let path = world.top.path().join("local");
    fs_err::write(&path, "local").expect("write");
    let file = |path: &std::path::Path| Want {
        label: "local".to_owned(),
        sources: vec![Url::from_file_path(path).expect("url")],
        digest: Some(Digest::of(b"local")),
        size: None,
        max_size: 100,
    };
    world.fetch(&[file(&path)]).expect("fetch");
    assert!(world.store.has(&Digest::of(b"local")));
    let mut gone = file(&world.top.path().join("gone"));
    gone.digest = Some(Digest::of(b"gone"));
    assert!(world.failure(gone).is_not_found());
    let mut directory = file(world.top.path());
    directory.digest = Some(Digest::of(b"gone"));
    assert!(!world.failure(directory).is_not_found());
}

#[test]
fn two_who_want_the_same_file_fetch_it_once() {
    let world = World::new();
    let bytes = noise(1, 200_000);
    let want = world.want("/a", &bytes);
    world
        .server
        .fault_times("/a", 1, Fault::Slow(50_000, Duration::from_millis(50)));
    let second = Store::open(world.top.path()).expect("store");
    std::thread::scope(|scope| {
        scope.spawn(|| world.fetch(&[want.clone(), want.clone()]).expect("fetch"));
        scope.spawn(|| {
            let transport = WebTransport::new(&HttpOptions::default());
            let wants = [want.clone()];
            let fetching = fetch_all(&second, &transport, &wants, &world.options, &|_| {});
            runtime().block_on(fetching).expect("fetch");
        });
    });
    assert_eq!(world.server.requests().len(), 1);
}

#[test]
fn a_dropped_download_leaves_its_lock_free_and_its_bytes_to_be_resumed() {
    let world = World::new();
    let want = world.want("/a", &noise(1, 2_000_000));
    world
        .server
        .fault_times("/a", 1, Fault::Stall(1_500_000, Duration::from_secs(20)));
    let mut patient = world.options.clone();
    patient.stall = Duration::from_secs(20);
    patient.give_up = Duration::from_secs(20);
    let transport = WebTransport::new(&HttpOptions::default());
    runtime().block_on(async {
        let wants = [want.clone()];
        let fetching = fetch_all(&world.store, &transport, &wants, &patient, &|_| {});
        let cut = tokio::time::timeout(Duration::from_millis(800), fetching).await;
        assert!(cut.is_err());
    });
    world.fetch(&[want]).expect("fetch");
    let ranges = world.ranges("/a");
    assert_eq!(ranges.len(), 2);
    assert!(ranges[1].starts_with("bytes=1"), "{ranges:?}");
}

#[test]
fn small_files_come_into_memory_within_their_limit() {
    let world = World::new();
    let bytes = noise(1, 100_000);
    world.server.put("/a", bytes.clone());
    world.server.fault_times("/a", 2, Fault::Status(502));
    world.server.fault_times("/a", 1, Fault::Truncate(10));
    let transport = WebTransport::new(&HttpOptions::default());
    let url = world.url("/a");
    let get = |limit| runtime().block_on(get_small(&transport, &url, limit, &world.options));
    assert!(get(100_000).expect("get") == bytes);
    assert!(matches!(
        get(99_999),
        Err(SourceError::TooLarge { limit: 99_999, .. })
    ));
    world.server.fault("/a", Fault::Endless);
    assert!(matches!(get(1_000_000), Err(SourceError::TooLarge { .. })));
    world.server.clear_faults();
    world.server.remove("/a");
    assert!(get(10).expect_err("gone").is_not_found());
}
