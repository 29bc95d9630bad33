//! A headless Chromium that a test drives as a person would: [`Browser`].
//!
//! Speaks the DevTools protocol over two pipes (`--remote-debugging-pipe`: JSON texts, each ended
//! by a zero byte, read from file descriptor 3 and written to 4).

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kit::{command, finish, text};

/// Longest that the browser may take for an answer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: std::fs::File,
    from: Receiver<Value>,
    next: u64,
    session: String,
    /// What went wrong on the page: exceptions and errors of its console.
    pub(crate) troubles: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Browser {
    /// Opens a file.
    pub(crate) fn open(page: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (down, up) = (directory.path().join("down"), directory.path().join("up"));
        for pipe in [&down, &up] {
            let mut mkfifo = command("mkfifo");
            mkfifo.arg(pipe);
            finish(mkfifo).ok();
        }
        // Open for both directions, which does not wait for the other end.
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        let (to, answers) = (open(&down), open(&up));
        let mut browser = command("sh");
        browser.args(["-c", "exec chromium \"$@\" 3<\"$DOWN\" 4>\"$UP\"", "sh"]);
        browser.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ]);
        browser.args(["--no-first-run", "--disable-background-networking"]);
        browser.args([
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]);
        browser.arg("--remote-debugging-pipe");
        let profile = directory.path().join("profile");
        browser.arg(format!("--user-data-dir={}", text(&profile)));
        browser.arg("about:blank");
        browser.env("DOWN", &down).env("UP", &up);
        let child = browser
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut this = Self {
            child,
            to,
            from: listen(answers),
            next: 0,
            session: String::new(),
            troubles: Vec::new(),
            _directory: directory,
        };
        this.attach();
        let absolute = page.canonicalize().unwrap();
        this.call(
            "Page.navigate",
            json!({"url": format!("file://{}", text(&absolute))}),
        );
        this.wait("document.documentElement?.dataset.ready === 'yes'");
        this
    }

    fn attach(&mut self) {
        let targets = self.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets.iter().find(|one| one["type"] == "page").unwrap();
        let wanted = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", wanted);
        self.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.width(1280, 1000);
    }

    /// One command of the protocol and its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let answer = self.from.recv_timeout(PATIENCE);
            let answer = answer
                .unwrap_or_else(|_| panic!("no answer to {method}: is `chromium` installed?"));
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                    self.troubles.push(answer["params"].to_string());
                }
                _ if answer["id"] == self.next => {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return answer["result"].clone();
                }
                _ => {}
            }
        }
    }

    /// The value of an expression on the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// The same as text.
    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{expression}: {value}"))
            .to_owned()
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(
                Instant::now() < until,
                "never: {expression}; {:?}",
                self.troubles
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the window so wide and high, and lets it lay out.
    pub(crate) fn width(&mut self, width: u32, height: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
        self.frame();
    }

    /// Waits for two frames: what was changed before is drawn.
    pub(crate) fn frame(&mut self) {
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// Moves the mouse to the middle of an element.
    pub(crate) fn hover(&mut self, element: &str) -> (f64, f64) {
        let place = self.value(&format!(
            "(() => {{ const e = {element}; e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + Math.min(b.height / 2, 8)]; }})()"
        ));
        let (x, y) = (place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
        self.mouse("mouseMoved", (x, y));
        self.frame();
        (x, y)
    }

    /// Clicks an element as a mouse does: whatever is on top there gets it.
    pub(crate) fn click(&mut self, element: &str) {
        let place = self.hover(element);
        self.mouse("mousePressed", place);
        self.mouse("mouseReleased", place);
        self.frame();
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        self.call(
            "Input.dispatchMouseEvent",
            json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1}),
        );
    }

    /// Presses a key: `Enter`, `ArrowLeft`, `/`.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            "/" => 191,
            _ => 0,
        };
        let typed = match key {
            "Enter" => "\r",
            "/" => "/",
            _ => "",
        };
        let down = json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": typed});
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up);
        self.frame();
    }

    /// Types a text where the focus is.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }
}

/// Reads answers in a thread, so that none that never comes stops the test.
fn listen(answers: std::fs::File) -> Receiver<Value> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(answers);
        let mut bytes = Vec::new();
        while let Ok(read) = reader.read_until(0, &mut bytes) {
            if read == 0 {
                break;
            }
            bytes.pop();
            let Ok(value) = serde_json::from_slice(&bytes) else {
                break;
            };
            if send.send(value).is_err() {
                break;
            }
            bytes.clear();
        }
    });
    receive
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
