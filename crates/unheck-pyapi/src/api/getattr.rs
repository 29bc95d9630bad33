//! What a module-level `__getattr__` (PEP 562) answers: the names in its tests and tables. A
//! branch that only raises says which names are gone. Start at [`read`].

use std::collections::BTreeSet;

use ruff_python_ast::name::Name;
use ruff_python_ast::{CmpOp, Expr, ExprCall, Stmt, StmtFunctionDef, StmtIf};

use super::body::hash_of;
use super::deprecation;
use super::model::{Dynamic, Term};
use super::term::{message, term};

/// What a branch does.
enum Effect {
    /// It only raises, with this message.
    Raises(Box<str>),
    /// It answers, with what is known of the answer and the warning.
    Returns(Term, Option<Box<str>>),
    /// It goes on.
    Neither,
}

/// Reads a function that answers for names.
pub(crate) fn read(definition: &StmtFunctionDef) -> Dynamic {
    let parameters = &definition.parameters.args;
    let by_name = parameters.iter().map(|one| &one.parameter.name.id);
    let name = by_name
        .clone()
        .find(|name| name.contains("name") || name.contains("attr"))
        .or_else(|| by_name.clone().next_back());
    let mut reader = Reader {
        aliases: name.into_iter().cloned().collect(),
        found: Dynamic {
            has_getattr: true,
            ..Dynamic::default()
        },
        open: false,
    };
    reader.block(&definition.body);
    if reader.open {
        reader.found.open = hash_of(&definition.body);
    }
    reader.found
}

struct Reader {
    /// The names that hold the name asked for, or a text with it.
    aliases: BTreeSet<Name>,
    found: Dynamic,
    /// Something was answered that is not understood.
    open: bool,
}

impl Reader {
    fn is_asked(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Name(name) => self.aliases.contains(&name.id),
            // `name.lower()` and the like are other names.
            _ => false,
        }
    }

    fn mentions(&self, expr: &Expr) -> bool {
        match expr {
            Expr::FString(text) => text.value.elements().any(|part| {
                part.as_interpolation()
                    .is_some_and(|value| self.is_asked(&value.expression))
            }),
            Expr::BinOp(sum) => self.mentions(&sum.left) || self.mentions(&sum.right),
            _ => self.is_asked(expr),
        }
    }

    fn block(&mut self, body: &[Stmt]) {
        for statement in body {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::If(branches) => self.branches(branches),
            Stmt::Return(returned) => {
                if let Some(value) = &returned.value
                    && !self.looked_up(value)
                {
                    self.open = true;
                }
            }
            Stmt::Assign(assign) => {
                if self.mentions(&assign.value) {
                    let targets = assign.targets.iter().filter_map(Expr::as_name_expr);
                    self.aliases.extend(targets.map(|name| name.id.clone()));
                } else {
                    self.looked_up(&assign.value);
                }
            }
            Stmt::Try(tried) => {
                self.block(&tried.body);
                self.block(&tried.orelse);
            }
            Stmt::With(with) => self.block(&with.body),
            Stmt::For(_) | Stmt::While(_) | Stmt::Match(_) => self.open |= returns(statement),
            _ => {}
        }
    }

    /// `TABLE[name]`, `TABLE.get(name)`, `getattr(module, name)`, `ask(name)`, or what was looked
    /// up before; `false` when it is none of these.
    fn looked_up(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::Subscript(subscript) if self.is_asked(&subscript.slice) => {
                self.table(&subscript.value);
                true
            }
            Expr::Subscript(subscript) => self.looked_up(&subscript.value),
            Expr::Call(call) => self.call(call),
            Expr::Name(_) | Expr::Attribute(_) => true,
            _ => false,
        }
    }

    fn call(&mut self, call: &ExprCall) -> bool {
        let arguments = &call.arguments.args;
        let callee = term(&call.func);
        let name = callee.last().map(Name::as_str).unwrap_or_default();
        match (name, &**arguments) {
            ("get" | "pop", [first, ..]) if self.is_asked(first) => {
                if let Some(method) = call.func.as_attribute_expr() {
                    self.table(&method.value);
                }
                true
            }
            ("getattr", [module, asked, ..]) if self.is_asked(asked) => {
                let module = term(module);
                // Else it is what a table or an import of a computed name gave.
                if module.dotted().is_some() {
                    self.found.delegates.push(module);
                }
                true
            }
            ("__getattr__", [asked]) if self.is_asked(asked) => {
                if let Term::Attribute(module, _) = callee {
                    self.found.delegates.push(*module);
                }
                true
            }
            ("import_module" | "__import__", _) => true,
            (_, all) => {
                let named = call.arguments.keywords.iter().map(|keyword| &keyword.value);
                let is_asked = all
                    .iter()
                    .chain(named)
                    .any(|argument| self.is_asked(argument));
                if is_asked && callee.dotted().is_some() {
                    self.found.asks.push(callee);
                    return true;
                }
                // A function of what was looked up.
                all.iter().any(|argument| match argument {
                    Expr::Subscript(_) => self.looked_up(argument),
                    _ => false,
                })
            }
        }
    }

    fn table(&mut self, table: &Expr) {
        let table = stripped(table);
        if !super::dynamic::is_namespace(table) {
            self.found.tables.push(term(table));
        }
    }

    fn branches(&mut self, branches: &StmtIf) {
        let rest = branches.elif_else_clauses.iter();
        let rest = rest.map(|clause| (clause.test.as_ref(), &clause.body));
        for (test, body) in std::iter::once((Some(&*branches.test), &branches.body)).chain(rest) {
            match test {
                Some(test) => self.branch(test, body),
                None => self.block(body),
            }
        }
    }

    fn branch(&mut self, test: &Expr, body: &[Stmt]) {
        let tests = self.tests(test);
        let Some((is_among, sources)) = tests else {
            if let Expr::Named(named) = test {
                self.looked_up(&named.value);
            }
            return self.block(body);
        };
        match (effect(body), is_among) {
            (Effect::Raises(text), true) => self.raising(sources, &text),
            (Effect::Raises(_), false) => self.answering(sources, &Term::Unknown, None),
            (Effect::Returns(value, warning), true) => {
                let value = match sources.len() {
                    1 => value,
                    _ => Term::Unknown,
                };
                self.answering(sources, &value, warning);
            }
            _ => self.block(body),
        }
    }

    fn raising(&mut self, sources: Vec<Term>, text: &str) {
        for source in sources {
            match source {
                Term::Text(name) => self.found.raises.push((Name::new(name), text.into())),
                table => self.found.raising.push(table),
            }
        }
    }

    fn answering(&mut self, sources: Vec<Term>, value: &Term, warning: Option<Box<str>>) {
        for source in sources {
            match source {
                Term::Text(name) => {
                    let row = (Name::new(name), value.clone(), warning.clone());
                    self.found.names.push(row);
                }
                table => self.found.tables.push(table),
            }
        }
    }

    /// What a test compares the name with, and whether it asks if the name is among that.
    fn tests(&self, test: &Expr) -> Option<(bool, Vec<Term>)> {
        match test {
            Expr::Compare(compare) if compare.ops.len() == 1 => {
                let (left, right) = (&*compare.left, &compare.comparators[0]);
                match compare.ops[0] {
                    CmpOp::Eq if self.is_asked(left) => Some((true, texts(right)?)),
                    CmpOp::NotEq if self.is_asked(left) => Some((false, texts(right)?)),
                    CmpOp::In if self.is_asked(left) => Some((true, self.members(right))),
                    CmpOp::NotIn if self.is_asked(left) => Some((false, self.members(right))),
                    _ => None,
                }
            }
            Expr::BoolOp(operation) => {
                let mut parts = operation
                    .values
                    .iter()
                    .filter_map(|value| self.tests(value));
                let (is_among, mut sources) = parts.next()?;
                if operation.op == ruff_python_ast::BoolOp::Or {
                    for (_, more) in parts.filter(|part| part.0 == is_among) {
                        sources.extend(more);
                    }
                }
                Some((is_among, sources))
            }
            Expr::UnaryOp(not) if not.op == ruff_python_ast::UnaryOp::Not => {
                let (is_among, sources) = self.tests(&not.operand)?;
                Some((!is_among, sources))
            }
            _ => None,
        }
    }

    fn members(&self, of: &Expr) -> Vec<Term> {
        let of = stripped(of);
        if super::dynamic::is_namespace(of) {
            return Vec::new();
        }
        match texts(of) {
            Some(texts) => texts,
            None => vec![term(of)],
        }
    }
}

/// `TABLE` of `TABLE.keys()`, `set(TABLE)`.
fn stripped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Call(call) => match &*call.func {
            Expr::Attribute(method) if matches!(method.attr.as_str(), "keys" | "values") => {
                stripped(&method.value)
            }
            Expr::Name(name) if matches!(name.id.as_str(), "set" | "list" | "tuple") => {
                call.arguments.args.first().map_or(expr, stripped)
            }
            _ => expr,
        },
        _ => expr,
    }
}

/// Literal texts, each a term of its own.
fn texts(expr: &Expr) -> Option<Vec<Term>> {
    match term(expr) {
        text @ Term::Text(_) => Some(vec![text]),
        Term::Items(_, items) => Some(items.to_vec()),
        table @ Term::Table(_) => {
            let keys = table.texts();
            Some(keys.into_iter().map(|key| Term::Text(key.into())).collect())
        }
        _ => None,
    }
}

fn effect(body: &[Stmt]) -> Effect {
    let mut warning = None;
    for statement in body {
        match statement {
            Stmt::Raise(raise) => {
                let call = raise.exc.as_deref().and_then(Expr::as_call_expr);
                let text = call
                    .and_then(|call| call.arguments.args.first())
                    .and_then(message);
                return Effect::Raises(text.unwrap_or_default().into());
            }
            Stmt::Return(returned) => {
                let value = returned.value.as_deref().map_or(Term::Unknown, term);
                return Effect::Returns(value, warning);
            }
            Stmt::Expr(statement) => {
                let call = statement.value.as_call_expr();
                let text = call.and_then(deprecation::announced);
                warning = text.map(Into::into).or(warning);
            }
            Stmt::If(_) | Stmt::Try(_) | Stmt::With(_) if returns(statement) => {
                return Effect::Returns(Term::Unknown, warning);
            }
            _ => {}
        }
    }
    Effect::Neither
}

/// Whether something is returned anywhere in a statement.
fn returns(statement: &Stmt) -> bool {
    struct Finder(bool);
    impl ruff_python_ast::visitor::Visitor<'_> for Finder {
        fn visit_stmt(&mut self, statement: &Stmt) {
            self.0 |= statement.is_return_stmt();
            ruff_python_ast::visitor::walk_stmt(self, statement);
        }
    }
    let mut finder = Finder(false);
    ruff_python_ast::visitor::Visitor::visit_stmt(&mut finder, statement);
    finder.0
}
