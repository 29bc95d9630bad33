//! `kill -9` of the program at many points of `deploy` and `release`: what served serves, and the next call repairs or
//! completes.

use std::process::Command;
use std::time::{Duration, Instant};

use unheck_testkit::hosts::Load;

use crate::kit::{project, text};
use crate::world::World;

/// Points in time of each verb at which it is killed while it is at it.
const POINTS: u32 = 20;

/// Of the load, whose requests must not slow down what is measured.
const PAUSE: Duration = Duration::from_millis(20);

/// A web server on the socket that systemd holds; on `SIGTERM` it answers what it has begun.
const SERVER: &str = r#"
import http.server, signal, socket, sys, threading

VERSION = b"1"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(VERSION)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(VERSION)

    def log_message(self, *_):
        pass


def main():
    if "--fd" not in sys.argv:
        sys.exit("usage: small --fd 3" if sys.argv[1:] else 0)
    server = Server(("", 0), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=3)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.02)
    server.server_close()


main()
"#;

fn world() -> (World, [std::path::PathBuf; 2]) {
    let pyproject = "[project]\nname = \"small\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n";
    let world = World::new(2, |directory| {
        let files = [("pyproject.toml", pyproject), ("main.py", SERVER)];
        project(&directory.join("small"), &files)
    });
    let artifacts = ["1", "2"].map(|version| {
        let edit = |source: &str| source.replace("b\"1\"", &format!("b\"{version}\""));
        world.build(version, "main.py", edit)
    });
    world.install(&artifacts[0]);
    world.ok(&["deploy", text(&artifacts[0])]);
    world.ok(&["release"]);
    world.check("1");
    (world, artifacts)
}

/// Starts a verb and kills it after a while. Whether it was still at it.
fn killed(world: &World, words: &[&str], round: u32, most: Duration) -> bool {
    // A number that differs from round to round, and not from run to run.
    let part = round.wrapping_mul(2_654_435_761).rotate_left(13) % 1000;
    let mut child = world.start(words);
    std::thread::sleep(most * part / 1000);
    let at_it = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    at_it
}

/// Clients of ssh that the program started end with it.
#[track_caller]
fn no_ssh_is_left(world: &World) {
    let config = text(&world.hosts.config);
    let clock = Instant::now();
    loop {
        let left = Command::new("pgrep")
            .args(["-f", "--", config])
            .output()
            .unwrap();
        if left.stdout.is_empty() {
            return;
        }
        assert!(
            clock.elapsed() < Duration::from_secs(20),
            "clients of ssh are left: {}",
            String::from_utf8_lossy(&left.stdout)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root and the network"]
fn a_deployment_killed_anywhere_touches_nothing_and_is_completed() {
    let (world, [_, two]) = world();
    let clock = Instant::now();
    let id = world.ok(&["deploy", text(&two)]);
    let most = clock.elapsed();
    let load = Load::of(&world.hosts.hosts, PAUSE);
    let (mut kills, mut round) = (0, 0);
    while kills < POINTS {
        round += 1;
        assert!(round < 4 * POINTS, "{kills} of {round} in time");
        world.ok(&["prune", "--releases", "0"]);
        kills += u32::from(killed(&world, &["deploy", text(&two)], round, most));
        world.check("1");
        let status = world.json(&["status"]);
        for host in status["hosts"].as_array().unwrap() {
            assert_ne!(host["released"], id.as_str(), "{status}");
        }
        assert_eq!(world.ok(&["deploy", text(&two)]), id);
        let status = world.json(&["status"]);
        for host in status["hosts"].as_array().unwrap() {
            assert_eq!(host["deployed"].as_array().unwrap().len(), 2, "{status}");
            assert!(host["locked"].is_null(), "{status}");
        }
    }
    println!("{kills} kills of deploy in {round} rounds; one takes {most:?}");
    Load::none_lost(load);
    no_ssh_is_left(&world);
}

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root and the network"]
fn a_release_killed_anywhere_is_undone_by_the_hosts_and_done_by_the_next() {
    let (world, artifacts) = world();
    let ids = artifacts.map(|artifact| world.ok(&["deploy", text(&artifact)]));
    let clock = Instant::now();
    world.ok(&["release", &ids[1]]);
    let most = clock.elapsed();
    let load = Load::of(&world.hosts.hosts, PAUSE);
    let (mut kills, mut round, mut serving) = (0, 0, 1);
    while kills < POINTS {
        round += 1;
        assert!(round < 4 * POINTS, "{kills} of {round} in time");
        let wanted = 1 - serving;
        kills += u32::from(killed(&world, &["release", &ids[wanted]], round, most));
        settled(&world, serving, &ids[wanted]);
        world.ok(&["release", &ids[wanted]]);
        world.check(&(wanted + 1).to_string());
        let status = world.json(&["status"]);
        assert_eq!(status["released"], ids[wanted].as_str());
        for host in status["hosts"].as_array().unwrap() {
            assert!(
                host["locked"].is_null() && host["unconfirmed"].is_null(),
                "{status}"
            );
        }
        serving = wanted;
    }
    println!("{kills} kills of release in {round} rounds; one takes {most:?}");
    Load::none_lost(load);
    no_ssh_is_left(&world);
}

/// Each host serves what it did, by its own doing; or it was told to commit, and says so.
#[track_caller]
fn settled(world: &World, serving: usize, wanted: &str) {
    let before = (serving + 1).to_string();
    let clock = Instant::now();
    loop {
        let answers = world.answers();
        if answers
            .iter()
            .all(|answer| answer.as_deref() == Ok(&before))
        {
            return;
        }
        let status = world.json(&["status"]);
        let mut hosts = status["hosts"].as_array().unwrap().iter().zip(&answers);
        let good = |(host, answer): (&serde_json::Value, &Result<String, String>)| {
            let committed = host["released"] == wanted
                && host["unconfirmed"].is_null()
                && host["locked"].is_null();
            answer.as_deref() == Ok(&before) || committed
        };
        if hosts.all(good) {
            return;
        }
        assert!(
            clock.elapsed() < Duration::from_secs(20),
            "{answers:?}, {before} before: {status}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
