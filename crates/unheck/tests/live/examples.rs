//! Each example is built, verified and run.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kit::{Running, build, directory, example, program, run, text, unheck};

/// Builds an example and gives back where its image is.
#[track_caller]
fn built(name: &str, directory: &Path) -> PathBuf {
    let image = directory.join(format!("{name}.oci.tar"));
    let built = build(&example(name, directory), &image, &[]);
    let findings = built["findings"].as_array().unwrap();
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .collect();
    assert_eq!(bad, [&Value::Null; 0], "verified");
    image
}

/// What `hello --json` must say of any image.
#[track_caller]
pub(crate) fn check_hello(facts: &Value) {
    let number = |name: &str| facts[name].as_u64().unwrap_or_default();
    assert_eq!(
        (
            number("sqlite says"),
            number("strlen"),
            number("https port")
        ),
        (42, 5, 443),
        "{facts}"
    );
    assert!(number("trusted certificates") > 100, "{facts}");
    assert_eq!(
        facts["noon in Vienna"], "2026-06-01T14:00:00+02:00",
        "{facts}"
    );
    assert_eq!(facts["encoding"], "utf-8", "{facts}");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn hello_finds_what_the_standard_library_needs_of_a_system() {
    let directory = directory();
    let image = built("hello", directory.path());
    let facts = run(&image, &["--json"]).ok().json();
    check_hello(&facts);
    assert_eq!(facts["user"], "nonroot");
    assert!(
        facts["python"].as_str().unwrap().starts_with("3.13."),
        "{facts}"
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn data_computes() {
    let directory = directory();
    let image = built("data", directory.path());
    let facts = run(&image, &["--count", "600"]).ok().json();
    assert_eq!(facts["rows"], 600);
    let slope = facts["slope"].as_f64().unwrap();
    assert!((slope - 3.0).abs() < 0.2, "{facts}");
    // What it imports would take seconds to compile at each start.
    let size = unheck(&["size", text(&image), "--json"]).ok().json();
    let mut layers = size["platforms"][0]["layers"].as_array().unwrap().iter();
    assert!(layers.any(|one| one["name"] == "bytecode"), "{size}");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn native_uses_its_compiled_parts() {
    let directory = directory();
    let facts = run(&built("native", directory.path()), &["--text", "Grüße"])
        .ok()
        .json();
    assert_eq!(facts["text"], "Grüße");
    assert!(facts["libpq"].as_u64().unwrap() >= 150_000, "{facts}");
    assert!(
        facts["database"]
            .as_str()
            .unwrap()
            .contains("Connection refused"),
        "{facts}"
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn media_uses_libraries_of_the_system_with_no_configuration() {
    let directory = directory();
    let facts = run(&built("media", directory.path()), &[]).ok().json();
    let expected =
        json!({"picture": "image/png", "sound": "audio/flac", "document": "application/pdf"});
    assert_eq!(facts, expected);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn web_serves_until_it_is_told_to_end() {
    let directory = directory();
    check_web(&built("web", directory.path()));
}

/// `web` of any form serves until it is told to end.
#[track_caller]
pub(crate) fn check_web(artifact: &Path) {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = program();
    command.args([
        "run",
        text(artifact),
        "--",
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    let mut server = Running::start(command);
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert_eq!(server.ended(), None, "it ended by itself");
        assert!(Instant::now() < until, "nobody listens");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        request(port, "GET /health", ""),
        (200, json!({"status": "ok"}))
    );
    let words = json!({"text": "out of heck out"}).to_string();
    let expected = json!({"total": 4, "most": {"out": 2, "of": 1, "heck": 1}});
    assert_eq!(request(port, "POST /words", &words), (200, expected));
    assert_eq!(
        request(port, "POST /words", "{}").0,
        422,
        "pydantic refuses"
    );
    let code = server.terminate();
    // Started directly, it ends by the signal itself.
    assert!([Some(0), Some(143), None].contains(&code), "{code:?}");
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "nobody listens any more"
    );
}

/// One HTTP request; status and body of the answer.
fn request(port: u16, line: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let head = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(
        stream,
        "{line} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        status,
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")),
    )
}
