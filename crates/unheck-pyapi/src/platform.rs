//! Which branches of a source run on Linux, as far as tests of the platform tell.
//!
//! Only tests are understood whose answer is certain from the text; anything else is unknown.
//! Start at [`Platform::truth`].

use std::collections::BTreeMap;

use ruff_python_ast::{BoolOp, CmpOp, Expr, UnaryOp};

/// What a name was last seen to hold.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// The name of the platform, as `sys.platform`, `os.name` or `platform.system()` give it.
    Name,
    /// The answer to a test of the platform.
    Answer(bool),
}

/// What is known so far about names of the file.
#[derive(Default)]
pub(crate) struct Platform {
    names: BTreeMap<String, Known>,
    /// Major and minor version of the Python that will run it, where the caller knows.
    python: Option<(u32, u32)>,
}

/// How platform names of systems other than Linux begin, in lower case.
const OTHERS: [&str; 25] = [
    "win",
    "nt",
    "darwin",
    "mac",
    "osx",
    "os2",
    "cygwin",
    "msys",
    "mingw",
    "ce",
    "dos",
    "java",
    "freebsd",
    "openbsd",
    "netbsd",
    "dragonfly",
    "sunos",
    "solaris",
    "aix",
    "hp-ux",
    "riscos",
    "ios",
    "android",
    "emscripten",
    "wasi",
];

/// Whether a text names a platform that is not Linux.
pub(crate) fn is_other(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    OTHERS.iter().any(|other| text.starts_with(other))
}

fn is_linux(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "linux" | "linux2" | "posix"
    )
}

impl Platform {
    /// Also answers tests of the version of Python.
    pub(crate) fn of_python(python: Option<(u32, u32)>) -> Self {
        Self {
            python,
            ..Self::default()
        }
    }

    /// Remembers what `value` says about `target`, a name or an attribute.
    pub(crate) fn learn(&mut self, target: &Expr, value: &Expr) {
        let Some(name) = last_name(target) else {
            return;
        };
        let known = match self.truth_of_test(value) {
            Some(answer) => Some(Known::Answer(answer)),
            None => self.is_platform(value).then_some(Known::Name),
        };
        match known {
            Some(known) => self.names.insert(name.to_owned(), known),
            None => self.names.remove(name),
        };
    }

    /// Remembers that a name was imported.
    pub(crate) fn learn_import(&mut self, module: &str, name: &str, local: &str) {
        if matches!((module, name), ("sys", "platform") | ("os", "name")) {
            self.names.insert(local.to_owned(), Known::Name);
        }
    }

    /// What a test answers on Linux; `None` when it asks something else.
    pub(crate) fn truth(&self, test: &Expr) -> Option<bool> {
        self.truth_of_test(test).or_else(|| truth_by_name(test))
    }

    fn truth_of_test(&self, test: &Expr) -> Option<bool> {
        match test {
            Expr::BooleanLiteral(_) => None,
            Expr::Name(_) | Expr::Attribute(_) => match self.names.get(last_name(test)?)? {
                Known::Answer(answer) => Some(*answer),
                Known::Name => None,
            },
            Expr::UnaryOp(not) if not.op == UnaryOp::Not => Some(!self.truth(&not.operand)?),
            Expr::BoolOp(operation) => {
                let answers = operation.values.iter().map(|value| self.truth(value));
                let decisive = operation.op == BoolOp::Or;
                let mut all_known = true;
                for answer in answers {
                    match answer {
                        Some(answer) if answer == decisive => return Some(decisive),
                        Some(_) => {}
                        None => all_known = false,
                    }
                }
                all_known.then_some(!decisive)
            }
            Expr::Compare(compare) if compare.ops.len() == 1 => {
                self.comparison(&compare.left, compare.ops[0], &compare.comparators[0])
            }
            Expr::Call(call) => {
                let method = call.func.as_attribute_expr();
                match (method, call.arguments.args.first()) {
                    (Some(method), Some(argument))
                        if method.attr.as_str() == "startswith"
                            && self.is_platform(&method.value) =>
                    {
                        any_of(argument, |text| {
                            "linux"
                                .starts_with(&text.to_ascii_lowercase())
                                .then_some(true)
                                .or_else(|| is_other(text).then_some(false))
                        })
                    }
                    // Windows alone has it.
                    (None, Some(_)) => {
                        let attribute = call.arguments.args.get(1)?.as_string_literal_expr()?;
                        let is_hasattr = last_name(&call.func) == Some("hasattr");
                        let name = attribute.value.to_str();
                        (is_hasattr && matches!(name, "add_dll_directory" | "winver"))
                            .then_some(false)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// `sys.version_info >= (3, 11)`, `sys.version_info[:2] < (3, 9)`, `version_info[0] == 2`.
    fn version(&self, left: &Expr, op: CmpOp, right: &Expr) -> Option<bool> {
        use std::cmp::Ordering;
        let (major, minor) = self.python?;
        let is_version = |expr: &Expr| last_name(expr) == Some("version_info");
        let ours: Vec<u64> = match left {
            Expr::Subscript(subscript) if is_version(&subscript.value) => match &*subscript.slice {
                Expr::Slice(slice) if slice.lower.is_none() && slice.step.is_none() => {
                    let count = usize::try_from(number(slice.upper.as_deref()?)?).ok()?;
                    [major.into(), minor.into()].get(..count)?.to_vec()
                }
                index => {
                    vec![*[major.into(), minor.into()].get(usize::try_from(number(index)?).ok()?)?]
                }
            },
            Expr::Attribute(attribute) if is_version(&attribute.value) => {
                match attribute.attr.as_str() {
                    "major" => vec![major.into()],
                    "minor" => vec![minor.into()],
                    _ => return None,
                }
            }
            // The patch version is not known, and compares greater than nothing.
            left if is_version(left) => vec![major.into(), minor.into(), u64::MAX],
            _ => return None,
        };
        let theirs: Vec<u64> = match right {
            Expr::Tuple(tuple) => tuple.elts.iter().map(number).collect::<Option<_>>()?,
            single => vec![number(single)?],
        };
        if ours.last() == Some(&u64::MAX) && theirs.len() > 2 && theirs[..2] == ours[..2] {
            return None;
        }
        let order = ours.cmp(&theirs);
        match op {
            CmpOp::Lt => Some(order == Ordering::Less),
            CmpOp::LtE => Some(order != Ordering::Greater),
            CmpOp::Gt => Some(order == Ordering::Greater),
            CmpOp::GtE => Some(order != Ordering::Less),
            CmpOp::Eq => Some(order == Ordering::Equal),
            CmpOp::NotEq => Some(order != Ordering::Equal),
            _ => None,
        }
    }

    fn comparison(&self, left: &Expr, op: CmpOp, right: &Expr) -> Option<bool> {
        if let Some(answer) = self.version(left, op, right) {
            return Some(answer);
        }
        let same = |text: &str| {
            is_linux(text)
                .then_some(true)
                .or_else(|| is_other(text).then_some(false))
        };
        match op {
            CmpOp::Eq | CmpOp::Is if self.is_platform(left) => any_of(right, same),
            CmpOp::NotEq | CmpOp::IsNot if self.is_platform(left) => {
                any_of(right, same).map(|answer| !answer)
            }
            CmpOp::In if self.is_platform(left) => any_of(right, same),
            CmpOp::NotIn if self.is_platform(left) => any_of(right, same).map(|answer| !answer),
            CmpOp::Eq if self.is_platform(right) => any_of(left, same),
            // `'win' in sys.platform`
            CmpOp::In if self.is_platform(right) => any_of(left, same),
            CmpOp::NotIn if self.is_platform(right) => any_of(left, same).map(|answer| !answer),
            _ => None,
        }
    }

    /// Whether an expression is the name of the platform.
    pub(crate) fn is_platform(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(name) => self.names.get(name.id.as_str()) == Some(&Known::Name),
            Expr::Attribute(attribute) => {
                let owner = last_name(&attribute.value).unwrap_or_default();
                let owner = owner.trim_start_matches('_');
                match (owner, attribute.attr.as_str()) {
                    ("sys", "platform") | ("os", "name") => true,
                    (_, name) if name.ends_with("_platform") => true,
                    (_, "sysname") => true,
                    (_, name) => self.names.get(name) == Some(&Known::Name),
                }
            }
            // `platform.system()`, `sys.platform.lower()`, `os.uname()[0]`
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(method) => {
                    let owner = last_name(&method.value).unwrap_or_default();
                    match method.attr.as_str() {
                        "system" => owner.trim_start_matches('_') == "platform",
                        "get_platform" => true,
                        "lower" | "casefold" | "strip" => self.is_platform(&method.value),
                        _ => false,
                    }
                }
                Expr::Name(name) => name.id.as_str() == "get_platform",
                _ => false,
            },
            Expr::Subscript(subscript) => match &*subscript.value {
                Expr::Call(call) => last_name(&call.func) == Some("uname"),
                value => self.is_platform(value),
            },
            _ => false,
        }
    }
}

/// A small whole number.
fn number(expr: &Expr) -> Option<u64> {
    expr.as_number_literal_expr()?.value.as_int()?.as_u64()
}

/// The answer for one text, or for any of a tuple, list or set of them.
fn any_of(expr: &Expr, answer: impl Fn(&str) -> Option<bool>) -> Option<bool> {
    let elements = match expr {
        Expr::StringLiteral(text) => return answer(text.value.to_str()),
        Expr::Tuple(tuple) => &tuple.elts[..],
        Expr::List(list) => &list.elts[..],
        Expr::Set(set) => &set.elts[..],
        _ => return None,
    };
    let mut all_no = true;
    for element in elements {
        match answer(element.as_string_literal_expr()?.value.to_str()) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => all_no = false,
        }
    }
    all_no.then_some(false)
}

/// `IS_WINDOWS`, `compat.is_darwin`, `LINUX`: names that say what they test.
fn truth_by_name(test: &Expr) -> Option<bool> {
    let test = match test {
        Expr::Call(call) if call.arguments.args.is_empty() => &call.func,
        other => other,
    };
    let name = last_name(test)?.to_ascii_lowercase();
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    if words.len() > 3
        || words
            .iter()
            .any(|word| matches!(*word, "not" | "non" | "no" | "has"))
    {
        return None;
    }
    words
        .iter()
        .find_map(|word| match word.trim_start_matches("is") {
            "linux" => Some(true),
            "windows" | "win" | "win32" | "win64" | "darwin" | "macos" | "osx" | "macosx"
            | "cygwin" => Some(false),
            _ => None,
        })
}

/// The last part of `a`, `b.a` or `self.a`.
pub(crate) fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        _ => None,
    }
}
