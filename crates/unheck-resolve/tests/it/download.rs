//! Downloads through the index client.

use futures::TryStreamExt;
use unheck_resolve::{Download, Downloader, FetchError};
use unheck_testkit::{Fault, Index, Server};

use crate::world::{World, run};

async fn bytes(download: Download) -> Result<Vec<u8>, FetchError> {
    download
        .body
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

fn downloader(world: &World) -> Downloader {
    Downloader::new(&world.inputs, &world.options.cache).unwrap()
}

fn server() -> Server {
    let server = Server::start();
    server.put("/f.whl", *b"0123456789");
    server
}

#[test]
fn a_file_is_read_whole_or_from_an_offset() {
    let (world, server) = (World::new(Index::new()), server());
    let downloader = downloader(&world);
    run(async {
        let url = server.url("/f.whl");
        let all = downloader.open(&url, 0, None).await.unwrap();
        assert_eq!((all.offset, all.total), (0, Some(10)));
        let validator = all.validator.clone().unwrap();
        assert_eq!(bytes(all).await.unwrap(), b"0123456789");
        let rest = downloader.open(&url, 4, Some(&validator)).await.unwrap();
        assert_eq!((rest.offset, rest.total), (4, Some(10)));
        assert_eq!(bytes(rest).await.unwrap(), b"456789");
        let changed = downloader.open(&url, 4, Some("\"other\"")).await.unwrap();
        assert_eq!(changed.offset, 0, "the file changed since");
        server.fault_times("/f.whl", 1, Fault::NoRange);
        assert_eq!(downloader.open(&url, 4, None).await.unwrap().offset, 0);
        server.fault_times("/f.whl", 1, Fault::WrongRange);
        let wrong = downloader.open(&url, 4, None).await.err().unwrap();
        assert!(
            matches!(wrong, FetchError::Range { offset: 4, .. }),
            "{wrong:?}"
        );
    });
}

#[test]
fn errors_say_whether_to_try_again() {
    let (world, server) = (World::new(Index::new()), server());
    let downloader = downloader(&world);
    run(async {
        let url = server.url("/f.whl");
        for (status, transient) in [(503, true), (429, true), (404, false), (403, false)] {
            server.clear_requests();
            server.fault_times("/f.whl", 1, Fault::Status(status));
            let error = downloader.open(&url, 0, None).await.err().unwrap();
            assert!(
                matches!(error, FetchError::Status { status: s, .. } if s == status),
                "{error:?}"
            );
            assert_eq!(error.is_transient(), transient, "{status}");
            assert_eq!(server.requests().len(), 1, "the caller retries");
        }
        server.fault_times("/f.whl", 1, Fault::Close);
        assert!(
            downloader
                .open(&url, 0, None)
                .await
                .err()
                .unwrap()
                .is_transient()
        );
        server.fault_times("/f.whl", 1, Fault::Truncate(4));
        let broken = bytes(downloader.open(&url, 0, None).await.unwrap())
            .await
            .unwrap_err();
        assert!(broken.is_transient(), "{broken:?}");
    });
}

#[test]
fn local_files_are_streamed_and_other_schemes_refused() {
    let world = World::new(Index::new()).file("a b.whl", "0123456789");
    let downloader = downloader(&world);
    run(async {
        let url = url::Url::from_file_path(world.path("a b.whl")).unwrap();
        let rest = downloader.open(url.as_str(), 7, None).await.unwrap();
        assert_eq!((rest.offset, rest.total), (7, Some(10)));
        assert_eq!(bytes(rest).await.unwrap(), b"789");
        let gone = downloader
            .open("file:///nowhere/x.whl", 0, None)
            .await
            .err()
            .unwrap();
        assert!(!gone.is_transient());
        for url in ["ftp://u:p@h/x", "x", "data:,x"] {
            let error = downloader.open(url, 0, None).await.err().unwrap();
            assert!(matches!(error, FetchError::Url { .. }), "{error:?}");
            assert!(!error.to_string().contains("u:p"));
        }
    });
}

#[test]
fn offline_opens_local_files_only() {
    let world = World::new(Index::new())
        .file("a.whl", "x")
        .set(|i| i.index.offline = true);
    let downloader = downloader(&world);
    run(async {
        let url = url::Url::from_file_path(world.path("a.whl")).unwrap();
        assert!(downloader.open(url.as_str(), 0, None).await.is_ok());
        let error = downloader
            .open("http://h.example/x", 0, None)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, FetchError::Offline { .. }));
    });
}

#[test]
fn index_credentials_are_sent_to_the_index_and_to_no_other_origin() {
    let (world, other) = (World::new(Index::new()), server());
    world.index.server.put("/files/x.whl", *b"secret wheel");
    world.index.server.require_basic_auth("/", "user", "secret");
    let url = world.index.server.url("/files/x.whl");
    let open = world
        .index
        .simple_url()
        .replace("http://", "http://user:secret@");
    let world = world.set(|i| i.index.default_url = Some(open));
    let downloader = downloader(&world);
    run(async {
        let file = downloader.open(&url, 0, None).await.unwrap();
        assert_eq!(bytes(file).await.unwrap(), b"secret wheel");
        assert!(downloader.open(&other.url("/f.whl"), 0, None).await.is_ok());
        world
            .index
            .server
            .fault("/files/x.whl", Fault::Redirect(other.url("/f.whl")));
        assert!(downloader.open(&url, 0, None).await.is_ok());
        for request in other.requests() {
            assert!(
                request
                    .headers
                    .iter()
                    .all(|(name, _)| name != "authorization"),
                "{request:?}"
            );
        }
    });
}

#[test]
fn downloads_run_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let world = World::new(Index::new());
    let downloader = downloader(&world);
    is_send(&downloader.open("http://h.example/", 0, None));
    is_send(&unheck_resolve::resolve(
        &world.inputs,
        &crate::world::x86_64(),
        &world.options,
    ));
}
