//! What a source imports, where, and how much it needs it.
//!
//! Names are not resolved to files: `from p import q` may name a module or a value. Start at
//! [`imports`].

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{ExceptHandler, Expr, ExprCall, Stmt, StmtIf, StmtImportFrom, StmtTry};

use crate::parse::Parsed;
use crate::platform::{Platform, last_name};

/// One imported name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module, absolute. A relative import that climbs out of `package` keeps its dots.
    pub module: String,
    /// The name taken from the module, `*` for all; `None` for `import module`.
    pub name: Option<String>,
    /// When it runs.
    pub context: Context,
    /// Called with a text (`importlib.import_module("m")`, `__import__("m")`) instead of a
    /// statement.
    pub dynamic: bool,
    /// Not while the module is imported but later: in a function, or lazily.
    pub deferred: bool,
    /// Inside the module's own `__getattr__` (PEP 562).
    pub on_attribute: bool,
    /// The imports of the `try` whose handler this is, where that has nothing but imports: it
    /// runs only when one of them fails.
    pub instead_of: Vec<(String, Option<String>)>,
    /// The line, counted from 1.
    pub line: u32,
}

/// When an import runs. Where several apply, the one listed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// Never: under `if TYPE_CHECKING`.
    TypeChecking,
    /// Never on Linux: under a test for another platform.
    OtherPlatform,
    /// In a `try` that handles ImportError or in its handlers, or under
    /// `contextlib.suppress(ImportError)`.
    Optional,
    /// In a function: when that is called.
    Function,
    /// Under `if __name__ == "__main__"`: when the file is run as a program.
    Main,
    /// Under another `if` or in a `match`.
    Conditional,
    /// A `lazy` import (PEP 810): when the name is used.
    Lazy,
    /// When the module is imported.
    Module,
}

/// Every import of the source, in its order.
///
/// `package` is what relative imports count from: the import name of the module's package, or of
/// the module itself when it is an `__init__.py`. Empty for a script.
pub fn imports(parsed: &Parsed, package: &str) -> Vec<Import> {
    imports_on(parsed, package, None)
}

/// The same for one version of Python, as major and minor: tests of `sys.version_info` are
/// answered, and branches for others are [`Context::OtherPlatform`].
pub fn imports_on(parsed: &Parsed, package: &str, python: Option<(u32, u32)>) -> Vec<Import> {
    let mut visitor = Imports {
        parsed,
        package,
        contexts: Vec::new(),
        platform: Platform::of_python(python),
        instead_of: Vec::new(),
        depth: 0,
        on_attribute: false,
        found: Vec::new(),
    };
    parsed.visit(|| visitor.visit_body(parsed.body()));
    visitor.found
}

struct Imports<'a> {
    parsed: &'a Parsed,
    package: &'a str,
    contexts: Vec<Context>,
    platform: Platform,
    instead_of: Vec<(String, Option<String>)>,
    /// Functions and classes around here.
    depth: usize,
    on_attribute: bool,
    found: Vec<Import>,
}

impl<'a> Imports<'a> {
    fn inside(&mut self, context: Context, body: impl FnOnce(&mut Self)) {
        self.contexts.push(context);
        body(self);
        self.contexts.pop();
    }

    fn add(&mut self, module: String, name: Option<String>, offset: u32) {
        let context = self.contexts.iter().min().copied();
        self.found.push(Import {
            module,
            name,
            context: context.unwrap_or(Context::Module),
            dynamic: false,
            deferred: self
                .contexts
                .iter()
                .any(|context| matches!(context, Context::Function | Context::Lazy)),
            on_attribute: self.on_attribute,
            instead_of: self.instead_of.clone(),
            line: self.parsed.line(offset),
        });
    }

    fn from(&mut self, import: &StmtImportFrom) {
        let name = import.module.as_ref().map_or("", |module| module.as_str());
        let module = absolute(self.package, import.level as usize, name);
        for alias in &import.names {
            let local = alias.asname.as_ref().unwrap_or(&alias.name);
            self.platform.learn_import(&module, &alias.name, local);
            let name = Some(alias.name.to_string());
            self.add(module.clone(), name, alias.range.start().to_u32());
        }
    }

    fn branches(&mut self, branch: &'a StmtIf) {
        self.visit_expr(&branch.test);
        let clauses = branch.elif_else_clauses.iter();
        let clauses = clauses.map(|clause| (clause.test.as_ref(), &clause.body));
        let (mut decided, mut doubtful) = (false, false);
        for (test, body) in std::iter::once((Some(&*branch.test), &branch.body)).chain(clauses) {
            let answer = match test {
                _ if decided => Some(false),
                None => None,
                // `if False:` is how type checkers alone are spoken to, too.
                Some(test)
                    if last_name(test) == Some("TYPE_CHECKING")
                        || test
                            .as_boolean_literal_expr()
                            .is_some_and(|literal| !literal.value) =>
                {
                    self.inside(Context::TypeChecking, |visitor| visitor.visit_body(body));
                    continue;
                }
                Some(test) if is_main_test(test) => {
                    doubtful = true;
                    self.inside(Context::Main, |visitor| visitor.visit_body(body));
                    continue;
                }
                Some(test) => self.platform.truth(test),
            };
            match answer {
                Some(true) => {
                    decided = true;
                    if doubtful {
                        self.inside(Context::Conditional, |visitor| visitor.visit_body(body));
                    } else {
                        self.visit_body(body);
                    }
                }
                Some(false) => {
                    self.inside(Context::OtherPlatform, |visitor| visitor.visit_body(body));
                }
                // Every branch before the `else` was excluded, so that it always runs.
                None if test.is_none() && !doubtful => self.visit_body(body),
                None => {
                    doubtful = true;
                    self.inside(Context::Conditional, |visitor| visitor.visit_body(body));
                }
            }
        }
    }

    fn attempt(&mut self, attempt: &'a StmtTry) {
        if attempt
            .handlers
            .iter()
            .any(|handler| handles(handler, IMPORT_ERRORS))
        {
            self.inside(Context::Optional, |visitor| {
                let before = visitor.found.len();
                visitor.visit_body(&attempt.body);
                let only = attempt
                    .body
                    .iter()
                    .all(|stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_)));
                let tried = visitor.found[before..].iter();
                let tried = tried
                    .filter(|_| only)
                    .map(|import| (import.module.clone(), import.name.clone()))
                    .collect();
                let outer = std::mem::replace(&mut visitor.instead_of, tried);
                for handler in &attempt.handlers {
                    visitor.visit_except_handler(handler);
                }
                visitor.instead_of = outer;
                visitor.visit_body(&attempt.orelse);
            });
            self.visit_body(&attempt.finalbody);
        } else {
            let everything = [&attempt.body, &attempt.orelse, &attempt.finalbody];
            for body in everything {
                self.visit_body(body);
            }
            for handler in &attempt.handlers {
                self.inside(Context::Conditional, |visitor| {
                    visitor.visit_except_handler(handler)
                });
            }
        }
    }

    fn dynamic(&mut self, call: &ExprCall) {
        if !matches!(last_name(&call.func), Some("import_module" | "__import__")) {
            return;
        }
        let Some(Expr::StringLiteral(text)) = call.arguments.args.first() else {
            return;
        };
        let text = text.value.to_str();
        let name = text.trim_start_matches('.');
        let level = text.len() - name.len();
        if name
            .split('.')
            .any(|part| part.is_empty() || part.contains(char::is_whitespace))
        {
            return;
        }
        let package = match call.arguments.find_argument_value("package", 1) {
            Some(Expr::StringLiteral(package)) => package.value.to_str(),
            _ => self.package,
        };
        self.add(
            absolute(package, level, name),
            None,
            call.arguments.range.start().to_u32(),
        );
        if let Some(import) = self.found.last_mut() {
            import.dynamic = true;
        }
    }
}

impl<'a> Visitor<'a> for Imports<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                let lazy = if import.is_lazy {
                    Context::Lazy
                } else {
                    Context::Module
                };
                self.inside(lazy, |visitor| {
                    for alias in &import.names {
                        visitor.add(alias.name.to_string(), None, alias.range.start().to_u32());
                    }
                });
            }
            Stmt::ImportFrom(import) => {
                let lazy = if import.is_lazy {
                    Context::Lazy
                } else {
                    Context::Module
                };
                self.inside(lazy, |visitor| visitor.from(import));
            }
            Stmt::FunctionDef(function) => {
                let is_getattr = self.depth == 0 && function.name.as_str() == "__getattr__";
                let outer = self.on_attribute;
                self.on_attribute |= is_getattr;
                self.depth += 1;
                self.inside(Context::Function, |visitor| walk_stmt(visitor, stmt));
                self.depth -= 1;
                self.on_attribute = outer;
            }
            Stmt::ClassDef(_) => {
                self.depth += 1;
                walk_stmt(self, stmt);
                self.depth -= 1;
            }
            Stmt::If(branch) => self.branches(branch),
            Stmt::Match(_) => {
                self.inside(Context::Conditional, |visitor| walk_stmt(visitor, stmt));
            }
            Stmt::Try(attempt) => self.attempt(attempt),
            Stmt::With(with)
                if with
                    .items
                    .iter()
                    .any(|item| suppresses(&item.context_expr, IMPORT_ERRORS)) =>
            {
                self.inside(Context::Optional, |visitor| visitor.visit_body(&with.body));
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.platform.learn(target, &assign.value);
                }
                walk_stmt(self, stmt);
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                self.dynamic(call);
                walk_expr(self, expr);
            }
            Expr::Lambda(_) => {
                self.inside(Context::Function, |visitor| walk_expr(visitor, expr));
            }
            _ => walk_expr(self, expr),
        }
    }
}

/// `__name__ == "__main__"`.
pub(crate) fn is_main_test(test: &Expr) -> bool {
    let Expr::Compare(compare) = test else {
        return false;
    };
    let main = |expr: &Expr| {
        expr.as_string_literal_expr()
            .is_some_and(|text| text.value.to_str() == "__main__")
    };
    let name = |expr: &Expr| last_name(expr) == Some("__name__");
    let (left, right) = (&*compare.left, &compare.comparators[0]);
    compare.ops[..] == [ruff_python_ast::CmpOp::Eq]
        && ((name(left) && main(right)) || (main(left) && name(right)))
}

/// Exceptions that are, or include, a failed import.
pub(crate) const IMPORT_ERRORS: &[&str] = &[
    "ImportError",
    "ModuleNotFoundError",
    "Exception",
    "BaseException",
];
/// Exceptions that are, or include, a library that cannot be loaded.
pub(crate) const LOAD_ERRORS: &[&str] = &[
    "OSError",
    "ImportError",
    "IOError",
    "EnvironmentError",
    "Exception",
    "BaseException",
];

/// Whether a handler takes one of `errors`; a bare one takes all.
pub(crate) fn handles(handler: &ExceptHandler, errors: &[&str]) -> bool {
    let ExceptHandler::ExceptHandler(handler) = handler;
    handler
        .type_
        .as_deref()
        .is_none_or(|class| names_any(class, errors))
}

/// Whether an expression is `suppress(E)` with one of `errors`.
pub(crate) fn suppresses(expr: &Expr, errors: &[&str]) -> bool {
    expr.as_call_expr().is_some_and(|call| {
        last_name(&call.func) == Some("suppress")
            && call
                .arguments
                .args
                .iter()
                .any(|class| names_any(class, errors))
    })
}

fn names_any(class: &Expr, errors: &[&str]) -> bool {
    match class {
        Expr::Tuple(tuple) => tuple.elts.iter().any(|element| names_any(element, errors)),
        _ => last_name(class).is_some_and(|name| errors.contains(&name)),
    }
}

/// The absolute name of a relative import (language reference 5.7, "Package Relative Imports").
pub(crate) fn absolute(package: &str, level: usize, name: &str) -> String {
    if level == 0 {
        return name.to_owned();
    }
    let parts: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    let Some(keep) = (parts.len() + 1)
        .checked_sub(level)
        .filter(|&keep| keep > 0)
    else {
        return format!("{}{name}", ".".repeat(level.min(100)));
    };
    let mut parts = parts[..keep].to_vec();
    parts.extend((!name.is_empty()).then_some(name));
    parts.join(".")
}
