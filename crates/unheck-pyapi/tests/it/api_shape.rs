//! The check of call shapes against an oracle written from the language reference's words alone:
//! every signature of a small alphabet, every pair, every small call.

use std::collections::{BTreeMap, BTreeSet};

use unheck_pyapi::api::{Effect, Parameter, ParameterKind, Shape, Signature, compare};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn parameter(name: &str, kind: ParameterKind, optional: bool) -> Parameter {
    Parameter {
        name: name.into(),
        kind,
        default: optional.then(|| "0".into()),
    }
}

/// All signatures of up to `most` named parameters taken in any order from [`NAMES`], with and
/// without `*x` and `**y`.
fn signatures(most: usize) -> Vec<Signature> {
    fn extend(done: Vec<Parameter>, most: usize, out: &mut Vec<Vec<Parameter>>) {
        out.push(done.clone());
        if done.len() == most {
            return;
        }
        let last = done
            .last()
            .map_or(ParameterKind::PositionalOnly, |last| last.kind);
        let must_default = done
            .last()
            .is_some_and(|last| last.default.is_some() && last.kind != ParameterKind::KeywordOnly);
        for name in NAMES {
            if done.iter().any(|other| other.name == *name) {
                continue;
            }
            for kind in [
                ParameterKind::PositionalOnly,
                ParameterKind::PositionalOrKeyword,
                ParameterKind::KeywordOnly,
            ] {
                for optional in [false, true] {
                    let by_place = kind != ParameterKind::KeywordOnly;
                    if kind < last || by_place && must_default && !optional {
                        continue;
                    }
                    let mut more = done.clone();
                    more.push(parameter(name, kind, optional));
                    extend(more, most, out);
                }
            }
        }
    }
    let mut named = Vec::new();
    extend(Vec::new(), most, &mut named);
    let mut all = Vec::new();
    for parameters in named {
        for (star, stars) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut parameters = parameters.clone();
            let is_by_name = |one: &Parameter| one.kind == ParameterKind::KeywordOnly;
            let at = parameters
                .iter()
                .position(is_by_name)
                .unwrap_or(parameters.len());
            if star {
                parameters.insert(at, parameter("x", ParameterKind::VarPositional, false));
            }
            if stars {
                parameters.push(parameter("y", ParameterKind::VarKeyword, false));
            }
            all.push(Signature { parameters });
        }
    }
    all
}

/// All calls with up to `places` places and every subset of the names that matter.
fn calls(places: usize) -> Vec<Shape> {
    let names = ["a", "b", "c", "x", "z"];
    let mut all = Vec::new();
    for positional in 0..=places {
        for set in 0..1 << names.len() {
            let keywords = names
                .iter()
                .enumerate()
                .filter(|(at, _)| set >> at & 1 == 1);
            all.push(Shape {
                positional,
                keywords: keywords.map(|(_, name)| (*name).into()).collect(),
            });
        }
    }
    all
}

/// Binds as the reference tells it: slots are filled from places, then from names, then from
/// defaults. Answers which slot each argument reaches.
fn oracle(signature: &Signature, call: &Shape) -> Option<BTreeMap<String, String>> {
    let mut slots: BTreeMap<String, String> = BTreeMap::new();
    let by_place: Vec<&Parameter> = signature
        .parameters
        .iter()
        .filter(|one| {
            matches!(
                one.kind,
                ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword
            )
        })
        .collect();
    let takes = |kind| signature.parameters.iter().any(|one| one.kind == kind);
    let mut reached = BTreeMap::new();
    for place in 0..call.positional {
        match by_place.get(place) {
            Some(slot) => {
                slots.insert(slot.name.to_string(), "place".to_owned());
                reached.insert(place.to_string(), slot.name.to_string());
            }
            None if takes(ParameterKind::VarPositional) => {}
            None => return None,
        }
    }
    for name in &call.keywords {
        let slot = signature.parameters.iter().find(|one| {
            one.name == *name
                && matches!(
                    one.kind,
                    ParameterKind::PositionalOrKeyword | ParameterKind::KeywordOnly
                )
        });
        match slot {
            Some(slot) => {
                if slots
                    .insert(slot.name.to_string(), "name".to_owned())
                    .is_some()
                {
                    return None;
                }
            }
            None if takes(ParameterKind::VarKeyword) => {}
            None => return None,
        }
    }
    let is_filled = |one: &Parameter| {
        matches!(
            one.kind,
            ParameterKind::VarPositional | ParameterKind::VarKeyword
        ) || one.default.is_some()
            || slots.contains_key(one.name.as_str())
    };
    signature
        .parameters
        .iter()
        .all(is_filled)
        .then_some(reached)
}

#[test]
fn binding_agrees_with_the_reference_on_every_small_call() {
    let calls = calls(4);
    for signature in signatures(3) {
        for call in &calls {
            let ours = signature.bind(call).is_ok();
            assert_eq!(
                ours,
                oracle(&signature, call).is_some(),
                "{signature} {call}"
            );
        }
    }
}

#[test]
fn comparing_finds_exactly_the_pairs_for_which_a_call_breaks() {
    let all = signatures(2);
    let calls = calls(4);
    let accepted: Vec<BTreeSet<usize>> = all
        .iter()
        .map(|signature| {
            let numbers = 0..calls.len();
            numbers
                .filter(|at| oracle(signature, &calls[*at]).is_some())
                .collect()
        })
        .collect();
    let (mut breaking, mut pairs) = (0, 0);
    for (old, old_accepts) in all.iter().zip(&accepted) {
        for (new, new_accepts) in all.iter().zip(&accepted) {
            pairs += 1;
            let expected = !old_accepts.is_subset(new_accepts);
            let found = compare(old, new);
            if let Some(Effect::Raises { witness, .. }) = &found {
                assert!(oracle(old, witness).is_some(), "{old} {witness}");
                assert!(oracle(new, witness).is_none(), "{new} {witness}");
            }
            let raises = matches!(found, Some(Effect::Raises { .. }));
            assert_eq!(raises, expected, "{old} -> {new}");
            breaking += usize::from(expected);
        }
    }
    // The table is not trivial.
    assert!(
        pairs > 30_000 && breaking > pairs / 4,
        "{breaking} of {pairs}"
    );
}

#[test]
fn an_argument_that_arrives_elsewhere_is_told_from_one_that_was_renamed() {
    use ParameterKind::PositionalOrKeyword as Both;
    let of = |names: &[&str], kind| Signature {
        parameters: names
            .iter()
            .map(|name| parameter(name, kind, true))
            .collect(),
    };
    let effect = |old: &[&str], new: &[&str], kind| compare(&of(old, kind), &of(new, kind));
    assert!(matches!(
        effect(&["a", "b"], &["b", "a"], ParameterKind::PositionalOnly),
        Some(Effect::Reaches { place: 0, .. })
    ));
    // By name as well, `f(_, b=_)` gives `b` twice: what raises is told first.
    assert!(matches!(
        effect(&["a", "b"], &["b", "a"], Both),
        Some(Effect::Raises { .. })
    ));
    assert_eq!(effect(&["a"], &["a", "b"], Both), None);
    assert_eq!(effect(&["a"], &["b"], ParameterKind::PositionalOnly), None);
    assert!(matches!(
        effect(&["a"], &["b"], Both),
        Some(Effect::Raises { .. })
    ));
}

#[test]
fn signatures_print_as_python_writes_them() {
    use ParameterKind::{KeywordOnly, PositionalOnly, VarKeyword, VarPositional};
    let signature = Signature {
        parameters: vec![
            parameter("a", PositionalOnly, false),
            parameter("b", KeywordOnly, true),
        ],
    };
    assert_eq!(signature.to_string(), "(a, /, *, b=0)");
    let signature = Signature {
        parameters: vec![
            parameter("a", PositionalOnly, true),
            parameter("x", VarPositional, false),
            parameter("b", KeywordOnly, false),
            parameter("y", VarKeyword, false),
        ],
    };
    assert_eq!(signature.to_string(), "(a=0, /, *x, b, **y)");
    assert_eq!(signature.bound().to_string(), "(*x, b, **y)");
}

/// Calls functions of the parameters that it is given, one list a line, and answers a digit for
/// each call. The call itself counts: `inspect.Signature.bind` of CPython 3.11 refuses the name of
/// a positional-only parameter that has a default even where `**y` takes it, and is else the same.
const CALLER: &str = r#"
import inspect, sys
calls = [(n, [k for at, k in enumerate("abcxz") if s >> at & 1]) for n in range(5) for s in range(32)]
def works(call, places, names):
    try:
        call(*[0] * places, **dict.fromkeys(names, 0))
    except TypeError:
        return False
    return True
for line in sys.stdin:
    function = eval(f"lambda {line.strip()}: None")
    signature = inspect.signature(function)
    optional = {p.name for p in signature.parameters.values() if p.kind == 0 and p.default is not p.empty}
    answer = ""
    for places, names in calls:
        called = works(function, places, names)
        if called != works(signature.bind, places, names) and not optional & set(names):
            called = None
        answer += {True: "1", False: "0", None: "?"}[called]
    print(answer)
"#;

#[test]
#[ignore = "live: python3"]
fn binding_agrees_with_cpython_on_every_small_call() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let (signatures, calls) = (signatures(3), calls(4));
    let mut python = Command::new("python3")
        .args(["-c", CALLER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text: String = signatures
        .iter()
        .map(|one| format!("{}\n", inner(one)))
        .collect();
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), signatures.len());
    for (signature, answer) in signatures.iter().zip(answers) {
        let ours = calls.iter().map(|call| match signature.bind(call) {
            Ok(()) => '1',
            Err(_) => '0',
        });
        assert_eq!(ours.collect::<String>(), answer, "{signature}");
    }
    println!(
        "{} signatures, {} calls each",
        signatures.len(),
        calls.len()
    );
}

/// The parameters without the brackets.
fn inner(signature: &Signature) -> String {
    let text = signature.to_string();
    text[1..text.len() - 1].to_owned()
}
