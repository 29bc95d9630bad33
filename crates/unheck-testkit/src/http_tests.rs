use super::*;

/// Sends one request on a new connection and returns everything that comes back.
fn ask(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut bytes = Vec::new();
    // A reset is one way in which a faulty server ends.
    drop(stream.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn server() -> Server {
    let server = Server::start();
    server.put("/a", b"0123456789".to_vec());
    server
}

#[test]
fn ranges_conditions_and_heads_follow_the_rfc() {
    let server = server();
    let cases = [
        ("GET /a HTTP/1.1", "200", "0123456789"),
        ("GET /gone HTTP/1.1", "404", ""),
        ("HEAD /a HTTP/1.1", "200", ""),
        ("GET /a HTTP/1.1\r\nRange: bytes=2-4", "206", "234"),
        ("GET /a HTTP/1.1\r\nRange: bytes=7-", "206", "789"),
        ("GET /a HTTP/1.1\r\nRange: bytes=-2", "206", "89"),
        ("GET /a HTTP/1.1\r\nRange: bytes=5-99", "206", "56789"),
        ("GET /a HTTP/1.1\r\nRange: bytes=10-", "416", ""),
        (
            "GET /a HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: \"other\"",
            "200",
            "0123456789",
        ),
    ];
    for (head, expected, text) in cases {
        let answer = ask(&server, head);
        assert_eq!((status(&answer), body(&answer)), (expected, text), "{head}");
    }
    let answer = ask(&server, "HEAD /a HTTP/1.1");
    assert!(answer.contains("content-length: 10\r\n"));
    let tag = answer
        .split("etag: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(
        status(&ask(
            &server,
            &format!("GET /a HTTP/1.1\r\nIf-None-Match: {tag}")
        )),
        "304"
    );
    let ranged = ask(
        &server,
        &format!("GET /a HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: {tag}"),
    );
    assert_eq!((status(&ranged), body(&ranged)), ("206", "234"));
    assert!(ranged.contains("content-range: bytes 2-4/10\r\n"));
}

#[test]
fn an_escaped_path_is_the_plain_path() {
    let server = server();
    server.put("/pool/a+b~1", b"x".to_vec());
    assert_eq!(body(&ask(&server, "GET /pool/a%2bb%7E1 HTTP/1.1")), "x");
    assert_eq!(
        server.requests_for("/pool/a+b~1")[0].target,
        "/pool/a%2bb%7E1"
    );
}

#[test]
fn a_connection_is_kept_and_requests_are_remembered() {
    let server = server();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for _ in 0..2 {
        stream
            .write_all(b"GET /a?x=%41b HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n")
            .unwrap();
        let mut head = vec![0; 400];
        let count = stream.read(&mut head).unwrap();
        assert!(String::from_utf8_lossy(&head[..count]).starts_with("HTTP/1.1 206"));
        // The body may come in a packet of its own.
        if !head[..count].ends_with(b"01") {
            assert_eq!(stream.read(&mut head).unwrap(), 2);
        }
    }
    let requests = server.requests_for("/a");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("range"), Some("bytes=0-1"));
    assert_eq!(requests[0].parameter("x").as_deref(), Some("Ab"));
}

#[test]
fn faults_come_in_their_order_and_then_end() {
    let server = server();
    server.fault_times("/a", 2, Fault::Status(503));
    server.fault_times("/a", 1, Fault::RetryAfter(429, 3));
    server.fault_times("/a", 1, Fault::Truncate(4));
    server.fault_times("/a", 1, Fault::Flip(0));
    server.fault_times("/a", 1, Fault::Close);
    server.fault_times("/a", 1, Fault::Redirect("http://elsewhere.invalid/".into()));
    server.fault_times("/a", 1, Fault::Wrong(b"no".to_vec()));
    server.fault_times("/a", 1, Fault::Chunked);
    let answers: Vec<String> = (0..10).map(|_| ask(&server, "GET /a HTTP/1.1")).collect();
    let seen: Vec<(&str, &str)> = answers
        .iter()
        .map(|text| (status(text), body(text)))
        .collect();
    let expected = [
        ("503", ""),
        ("503", ""),
        ("429", ""),
        ("200", "0123"),
        ("200", "1123456789"),
        ("none", ""),
        ("302", ""),
        ("200", "no"),
        ("200", "a\r\n0123456789\r\n0\r\n\r\n"),
        ("200", "0123456789"),
    ];
    assert_eq!(seen, expected);
    assert!(answers[2].contains("retry-after: 3\r\n"));
    assert!(answers[3].contains("content-length: 10\r\n"));
}

#[test]
fn range_faults_and_stalls_do_what_they_say() {
    let server = server();
    server.fault_times("/a", 1, Fault::NoRange);
    server.fault_times("/a", 1, Fault::WrongRange);
    server.fault_times("/a", 1, Fault::Stall(3, Duration::from_millis(60)));
    let ranged = "GET /a HTTP/1.1\r\nRange: bytes=5-6";
    assert_eq!(body(&ask(&server, ranged)), "0123456789");
    assert_eq!(body(&ask(&server, ranged)), "01");
    let start = Instant::now();
    assert_eq!(body(&ask(&server, "GET /a HTTP/1.1")), "0123456789");
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn authentication_is_asked_for_below_its_prefix() {
    let server = server();
    server.put("/private/b", b"secret".to_vec());
    server.require_basic_auth("/private", "user", "pass");
    assert_eq!(status(&ask(&server, "GET /a HTTP/1.1")), "200");
    assert_eq!(status(&ask(&server, "GET /private/b HTTP/1.1")), "401");
    let answer = ask(
        &server,
        "GET /private/b HTTP/1.1\r\nAuthorization: Basic dXNlcjpwYXNz",
    );
    assert_eq!(body(&answer), "secret");
}

#[test]
fn dropping_ends_stalled_and_endless_answers_at_once() {
    let server = server();
    server.fault_times("/a", 1, Fault::Stall(1, Duration::from_secs(60)));
    server.fault_times("/a", 1, Fault::Endless);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        streams.push(stream);
    }
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(5));
}
