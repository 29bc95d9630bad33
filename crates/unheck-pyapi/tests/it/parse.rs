use proptest::prelude::*;
use unheck_pyapi::{MAX_SOURCE, ParseError, facts, imports, native_names, parse};

fn modules(bytes: &[u8]) -> Vec<String> {
    let parsed = parse(bytes).unwrap();
    imports(&parsed, "")
        .into_iter()
        .map(|import| import.module)
        .collect()
}

/// Everything that is asked of a source.
fn ask(bytes: &[u8]) {
    if let Ok(parsed) = parse(bytes) {
        imports(&parsed, "a.b");
        native_names(&parsed);
        facts(&parsed);
    }
}

#[test]
fn marks_and_encoding_lines_are_obeyed() {
    assert_eq!(modules(b"\xef\xbb\xbfimport a\n"), ["a"]);
    assert_eq!(
        modules(b"# -*- coding: latin-1 -*-\nx = '\xe9'\nimport a\n"),
        ["a"]
    );
    assert_eq!(
        modules(b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'; import b"),
        ["b"]
    );
    assert_eq!(modules("# coding: UTF_8\nimport é\n".as_bytes()), ["é"]);
    // Only the first two lines count, and only comments.
    assert_eq!(modules(b"x = 1\n# coding: cp037\nimport a\n"), ["a"]);
    let error = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert_eq!(
        error(b"x\n'\xe9'\n"),
        "source is not in its encoding `utf-8` at byte 3"
    );
    assert_eq!(
        error(b"# coding: ascii\n\xe9"),
        "source is not in its encoding `ascii` at byte 16"
    );
    assert_eq!(
        error(b"# coding: EBCDIC-cp-be\nx"),
        "source declares the encoding `ebcdic-cp-be`, which is not supported"
    );
}

#[test]
fn wrong_syntax_is_told_and_the_rest_is_read() {
    let parsed = parse(b"import a\nprint 'python two'\nimport b\n").unwrap();
    assert_eq!(parsed.errors[0].line, 2);
    let names: Vec<String> = imports(&parsed, "")
        .into_iter()
        .map(|import| import.module)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn hostile_nesting_is_refused_before_a_tree_exists() {
    let n = 20_000;
    let wrap = |open: &str, close: &str| format!("{}1{}\n", open.repeat(n), close.repeat(n));
    let indents: String = (0..n / 40)
        .map(|at| format!("{}if x:\n", " ".repeat(at)))
        .collect();
    let sources = [
        wrap("(", ")"),
        wrap("[", "]"),
        wrap("-", ""),
        wrap("not ", ""),
        wrap("await ", ""),
        wrap("lambda: ", ""),
        wrap("lambda a, b: ", ""),
        wrap("1 if 1 else ", ""),
        wrap("1+", ""),
        wrap("f(", ")"),
        wrap("if 1: ", ""),
        wrap("f'{", "}'"),
        wrap("f'{x:{", "}}'"),
        format!("x{}\n", ".a".repeat(n)),
        format!("x{}\n", "()".repeat(n)),
        format!("x{}\n", "[0]".repeat(n)),
        format!("f'{{{}1}}'\n", "1+".repeat(n)),
        format!(
            "match x:\n  case {}1{}: pass\n",
            "[".repeat(n),
            "]".repeat(n)
        ),
        "(".repeat(n),
        "{".repeat(n),
    ];
    for source in &sources {
        let start: String = source.chars().take(20).collect();
        assert_eq!(
            parse(source.as_bytes()).unwrap_err(),
            ParseError::TooDeep,
            "{start}"
        );
    }
    ask(indents.as_bytes());
}

#[test]
fn long_but_honest_sources_are_read() {
    let sum = format!("x = {}1\nimport a\n", "1 + ".repeat(4_990));
    let list = format!("x = [{}]\nimport a\n", "(1, -2, a.b), ".repeat(50_000));
    let chain = format!("x = {}1\nimport a\n", "a and not b or ".repeat(4_000));
    let branches = format!("if a: pass\n{}import a\n", "elif b: pass\n".repeat(4_000));
    for source in [sum, list, branches] {
        assert_eq!(modules(source.as_bytes()), ["a"]);
        ask(source.as_bytes());
    }
    ask(chain.as_bytes());
}

#[test]
fn a_source_over_the_size_limit_is_refused() {
    let large = vec![b'\n'; MAX_SOURCE + 1];
    assert_eq!(
        parse(&large).unwrap_err(),
        ParseError::TooLarge {
            size: MAX_SOURCE + 1
        }
    );
}

#[test]
fn questions_about_hostile_bindings_come_to_an_end() {
    let bindings: String = (0..60)
        .map(|at| format!("x = x + y\ny = x + 'a{at}'\n"))
        .collect();
    let calls = "find_library(x); find_library(f(x, y))\n".repeat(2000);
    let functions = "def f(*x): return f(*x, f(x)) or x.split() or g(x)\ndef g(x): return f(x)\n";
    ask(format!("from ctypes.util import find_library\n{bindings}{functions}{calls}").as_bytes());
}

const WORDS: [&str; 40] = [
    "import ",
    "from ",
    "a",
    "b.c",
    "\n",
    "\n    ",
    "\n\t",
    "def f(x, *y):",
    "class C:",
    "if ",
    "else:",
    "try:",
    "except OSError:",
    "with suppress(OSError):",
    "x = ",
    "'libx.so.1'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "CDLL",
    "find_library",
    "ffi.dlopen(",
    "for n in ",
    "return ",
    "yield ",
    "lambda n: ",
    "f'{",
    "}'",
    "sys.platform",
    " == ",
    "'win32'",
    "x",
    " + ",
    "import_module('.a')",
    "\\",
];

proptest! {
    #[test]
    fn no_mix_of_words_makes_a_reader_panic(picks in prop::collection::vec(0..WORDS.len(), 0..80)) {
        let source: String = picks.iter().map(|&at| WORDS[at]).collect();
        ask(source.as_bytes());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        ask(&bytes);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[ -~\n\t]{0,300}") {
        ask(text.as_bytes());
    }
}
