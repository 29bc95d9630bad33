use unheck_pyapi::{facts, parse};

fn check(source: &str, evidence: &[&str], programs: &[&str]) {
    let found = facts(&parse(source.as_bytes()).unwrap());
    let lines: Vec<String> = found
        .evidence
        .iter()
        .map(|(what, line)| format!("{line} {what:?}"))
        .collect();
    assert_eq!(lines, evidence);
    let started: Vec<&String> = found.programs.keys().collect();
    assert_eq!(started, programs);
}

#[test]
fn shell_and_programs_are_told_apart() {
    let source = "\
import subprocess as sp, os
sp.run(['git', 'log'])
subprocess.check_output(('ffmpeg', '-v'), shell=False)
subprocess.Popen('ls | wc', shell=True)
subprocess.run([sys.executable, '-m', 'x'])
os.execvp('dot', [])
app.run(['no'])
";
    check(source, &["4 Shell", "2 Program"], &["dot", "ffmpeg", "git"]);
    for line in [
        "os.system('x')",
        "os.popen('x')",
        "call(x, shell=y)",
        "subprocess.getoutput('x')",
    ] {
        let expected: &[&str] = if line.starts_with("call") {
            &[]
        } else {
            &["1 Shell"]
        };
        check(line, expected, &[]);
    }
}

#[test]
fn modules_and_calls_that_need_data_files_are_found() {
    let source = "\
import mimetypes
from curses import wrapper
import socket
from concurrent.futures import ProcessPoolExecutor
def f():
    socket.getservbyname('http')
    socket.getaddrinfo('a', 1)
    locale.setlocale(locale.LC_ALL, '')
    time.tzset()
from dateutil import tz
import pwd
import tkinter.ttk
import ssl
";
    let expected = [
        "1 MimeTypes",
        "2 Curses",
        "6 Services",
        "7 HostNames",
        "11 Users",
        "9 TimeZones",
        "8 Locale",
        "12 Tkinter",
        "13 Certificates",
        "4 Multiprocessing",
    ];
    check(source, &expected, &[]);
}

#[test]
fn other_platforms_count_for_nothing() {
    let source = "\
import sys
if sys.platform == 'darwin':
    os.system('open x')
elif sys.platform == 'win32':
    subprocess.run(['cmd'])
else:
    subprocess.run(['xdg-open'])
";
    check(source, &["7 Program"], &["xdg-open"]);
}
