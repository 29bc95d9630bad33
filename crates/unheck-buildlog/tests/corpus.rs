//! Logs in the style of real ones, each with what must be read from it.
//!
//! A file begins with `STRENGTH: LACK` for every lack that is stated or fatal, in order, and
//! `cause: LINE`; without that line there must be no cause. The log follows after `---`.

use unheck_buildlog::{Probe, ProbeKind, Strength, merge, read_log, read_probes};

fn said(log: &str) -> Vec<String> {
    let reading = read_log(log);
    let sure = reading
        .lacks
        .iter()
        .filter(|found| found.strength >= Strength::Stated);
    let lacks = sure
        .map(|found| format!("{:?}: {}", found.strength, found.lack).replacen(['F', 'S'], "", 1));
    let mut lines: Vec<String> = lacks
        .map(|line| match line.strip_prefix("atal") {
            Some(rest) => format!("fatal{rest}"),
            None => format!("s{line}"),
        })
        .collect();
    if let Some(cause) = &reading.cause {
        assert!((1..=10).contains(&cause.lines.len()), "{cause:?}");
        let text = log.lines().nth(cause.line - 1).unwrap_or_default();
        let line = cause.lines.iter().find(|line| {
            let bare: String = text.chars().filter(|c| !c.is_control()).collect();
            bare.contains(line.trim()) || !line.is_empty() && text.contains('\u{1b}')
        });
        let line = line.unwrap_or_else(|| panic!("{text} is not in {cause:?}"));
        lines.push(format!("cause: {}", line.trim()));
    }
    lines
}

#[test]
fn every_log_of_the_corpus_is_read_right() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let mut files: Vec<_> = fs_err::read_dir(directory)
        .expect("corpus")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    assert!(files.len() > 20);
    let mut wrong = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(&file).expect("text");
        let (head, log) = text.split_once("---\n").expect("two parts");
        let expected: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
        let said = said(log);
        if said != expected {
            wrong.push(format!(
                "{}\n  expected {expected:#?}\n  said {said:#?}",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn probes(kind: ProbeKind, by: &str, paths: &[&str]) -> Vec<Probe> {
    paths
        .iter()
        .map(|path| Probe {
            kind,
            path: (*path).to_owned(),
            by: by.to_owned(),
            count: 1,
        })
        .collect()
}

const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

fn along_path(by: &str, name: &str, directories: usize) -> Vec<Probe> {
    let paths: Vec<String> = PATH[..directories]
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    probes(ProbeKind::Exec, by, &paths)
}

fn names(found: &[unheck_buildlog::Found]) -> Vec<String> {
    found.iter().map(|found| found.lack.to_string()).collect()
}

#[test]
fn a_program_counts_when_the_whole_path_was_searched() {
    let all = [
        along_path("sh", "lsb_release", 6),
        along_path("sh", "gcc", 3),
        along_path("sh", "pg_config", 6),
        along_path("sh", "git", 6),
        along_path("sh", "xslt-config", 6),
    ]
    .concat();
    let found = read_probes(&all);
    assert_eq!(
        names(&found),
        ["program `pg_config`", "program `xslt-config`"]
    );
    assert_eq!(
        found[0].evidence,
        "`sh` looked for `pg_config` in `/usr/bin`, `/usr/local/bin` and 2 more and did not find it"
    );
    assert!(found.iter().all(|found| found.strength == Strength::Probed));
}

#[test]
fn a_module_that_was_found_in_a_later_directory_does_not_count() {
    let pc = |name: &str, directories: &[&str]| {
        let paths: Vec<String> = directories
            .iter()
            .map(|one| format!("{one}/pkgconfig/{name}.pc"))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        probes(ProbeKind::Open, "pkgconf", &paths)
    };
    let all = [
        "/usr/local/lib/x86_64-linux-gnu",
        "/usr/local/lib",
        "/usr/local/share",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib",
        "/usr/share",
    ];
    let found = read_probes(
        &[
            pc("zlib", &all[..3]),
            pc("mysqlclient-uninstalled", &all),
            pc("mysqlclient", &all),
        ]
        .concat(),
    );
    assert_eq!(names(&found), ["pkg-config module `mysqlclient`"]);
}

#[test]
fn headers_and_libraries_count_when_all_default_directories_were_searched() {
    let stat = |paths: &[&str]| probes(ProbeKind::Stat, "python3.13", paths);
    let found = read_probes(
        &[
            stat(&["/usr/local/include/zlib.h"]),
            stat(&["/usr/local/include/jpeglib.h", "/usr/include/jpeglib.h"]),
            probes(
                ProbeKind::Open,
                "cc1",
                &[
                    "/usr/local/include/ffi.h",
                    "/usr/include/x86_64-linux-gnu/ffi.h",
                    "/usr/include/ffi.h",
                ],
            ),
            probes(
                ProbeKind::Open,
                "cc1",
                &[
                    "/usr/local/include/stdio.h",
                    "/usr/include/x86_64-linux-gnu/stdio.h",
                ],
            ),
            probes(ProbeKind::Open, "cc1", &["/usr/include/windows.h"]),
            probes(
                ProbeKind::Open,
                "ld",
                &[
                    "/usr/lib/gcc/x86_64-linux-gnu/14/../../../x86_64-linux-gnu/libpq.so",
                    "/lib/x86_64-linux-gnu/libpq.so",
                    "/usr/lib/libpq.so",
                    "/usr/lib/x86_64-linux-gnu/libm.so",
                ],
            ),
        ]
        .concat(),
    );
    assert_eq!(
        names(&found),
        ["header `jpeglib.h`", "header `ffi.h`", "library `-lpq`"]
    );
    let found = read_probes(&probes(
        ProbeKind::Open,
        "ld",
        &[
            "/usr/lib/x86_64-linux-gnu/libpq.so",
            "/usr/lib/x86_64-linux-gnu/libpq.a",
            "/usr/lib/libpq.so",
            "/usr/lib/libpq.a",
        ],
    ));
    assert_eq!(names(&found), ["library `-lpq`"]);
}

#[test]
fn cmake_packages_are_told_by_their_file_names_and_chatter_is_not() {
    let paths = [
        "/usr/lib/cmake/OpenBLAS/OpenBLASConfig.cmake",
        "/usr/share/fmt/fmt-config.cmake",
        "/usr/lib/python3.13/encodings/__pycache__/x.pyc",
        "/usr/share/locale/de/LC_MESSAGES/gcc.mo",
        "/usr/lib/glibc-hwcaps/x86-64-v3/libz.so.1",
        "/etc/ld.so.preload",
        "relative/libx.so",
        "/usr/bin/$(evil)",
    ];
    let found = read_probes(&probes(ProbeKind::Open, "cmake", &paths));
    assert_eq!(
        names(&found),
        ["CMake package `OpenBLAS`", "CMake package `fmt`"]
    );
}

#[test]
fn the_log_outranks_probes_and_harmless_checks_do_not() {
    let log = read_log(
        "checking for curl-config... no\nx.c:1:1: fatal error: curl/curl.h: No such file or directory\n",
    );
    let all = merge([read_probes(&along_path("sh", "pg_config", 4)), log.lacks]);
    assert_eq!(
        names(&all),
        [
            "header `curl/curl.h`",
            "program `pg_config`",
            "program `curl-config`"
        ]
    );
}

#[test]
fn an_endless_log_of_the_same_kind_stays_small() {
    let mut log = String::new();
    for number in 0..3_000 {
        log.push_str(&format!(
            "a.c:1:1: fatal error: h{number}.h: No such file or directory\n"
        ));
    }
    log.push_str(&"x".repeat(1 << 20));
    let reading = read_log(&log);
    assert_eq!(reading.lacks.len(), 256);
    assert_eq!(reading.cause.expect("cause").line, 1);
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_nothing_unfit_is_shown(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0usize..6) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lead = ["", "fatal error: ", "/bin/sh: 1: ", "Could NOT find ", "ERROR: Dependency \"", "cannot find -l"][at];
        let reading = read_log(&format!("{lead}{text}: not found\n{lead}{text}: No such file or directory\n"));
        let cause = reading.cause.map(|cause| cause.lines).unwrap_or_default();
        for shown in reading.lacks.iter().map(|found| &found.evidence).chain(&cause) {
            proptest::prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            proptest::prop_assert!(shown.chars().count() <= 240);
        }
        read_probes(&probes(ProbeKind::Stat, &text, &[&format!("/usr/bin/{text}"), &text]));
    }
}
