//! What a name of a module is, through imports, star imports and `__getattr__`. Start at
//! [`Resolver::member`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruff_python_ast::name::Name;

use super::eval::Scope;
use super::memo::{Memo, Question};
use super::model::{Binding, Bound, Dynamic, Module, Term};
use super::mro::Mro;
use super::tree::Tree;
use super::value::{ClassId, FunctionId, Lookup, Value, reason, tidy};

/// How many lookups may stand in one another.
const MAX_DEPTH: usize = 48;
/// Names that every module has.
const OF_MODULES: [&str; 9] = [
    "__name__",
    "__doc__",
    "__file__",
    "__path__",
    "__dict__",
    "__package__",
    "__spec__",
    "__loader__",
    "__builtins__",
];

/// How an import statement runs.
#[derive(Clone, Copy)]
pub(crate) struct Import {
    /// No other branch binds the name instead.
    pub(crate) certain: bool,
    /// Asked for an annotation.
    pub(crate) typing: bool,
}

impl Import {
    /// A plain import.
    pub(crate) const CERTAIN: Self = Self {
        certain: true,
        typing: false,
    };
}

/// `__all__` with those of other modules that it takes.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    pub(crate) names: BTreeSet<Name>,
    /// Nothing else is exported.
    pub(crate) is_complete: bool,
}

/// Answers questions about one tree and remembers the answers.
pub(crate) struct Resolver<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) memo: Memo,
    pub(crate) mros: RefCell<BTreeMap<ClassId, Option<Rc<Mro>>>>,
    pub(crate) patches: BTreeMap<ClassId, Vec<(u32, usize)>>,
    depth: Cell<usize>,
    alls: RefCell<BTreeMap<u32, Option<Rc<Exports>>>>,
}

impl<'t> Resolver<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        let mut resolver = Self {
            tree,
            memo: Memo::new(),
            mros: RefCell::default(),
            patches: BTreeMap::new(),
            depth: Cell::new(0),
            alls: RefCell::default(),
        };
        resolver.patches = resolver.find_patches();
        resolver
    }

    pub(crate) fn module(&self, at: u32) -> &'t Module {
        &self.tree.modules[at as usize]
    }

    /// Runs a question unless too many stand in one another.
    pub(crate) fn deeper<T>(&self, otherwise: T, question: impl FnOnce() -> T) -> T {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            self.memo.cut();
            return otherwise;
        }
        self.depth.set(depth + 1);
        let answer = question();
        self.depth.set(depth);
        answer
    }

    /// Attributes put on classes by statements of module level.
    fn find_patches(&self) -> BTreeMap<ClassId, Vec<(u32, usize)>> {
        let mut patches: BTreeMap<ClassId, Vec<(u32, usize)>> = BTreeMap::new();
        for (at, module) in self.tree.modules.iter().enumerate() {
            for (number, patch) in module.patches.iter().enumerate() {
                let scope = Scope::module(at as u32);
                for value in self.eval(&patch.class, &scope) {
                    if let Value::Class(class) = value {
                        patches.entry(class).or_default().push((at as u32, number));
                    }
                }
            }
        }
        patches
    }

    /// What a name of a module is at run time.
    pub(crate) fn member(&self, module: u32, name: &str) -> Lookup {
        self.lookup(module, name, false)
    }

    /// The same for an annotation, which also sees what only type checkers import.
    pub(crate) fn typed_member(&self, module: u32, name: &str) -> Lookup {
        self.lookup(module, name, true)
    }

    fn lookup(&self, module: u32, name: &str, typing: bool) -> Lookup {
        self.memo.ask(
            Question::Member(module, Name::new(name), typing),
            // A question within itself has no answer.
            || Lookup::Absent(None),
            || self.deeper(Lookup::Open(1), || self.look(module, name, typing)),
        )
    }

    fn look(&self, at: u32, name: &str, typing: bool) -> Lookup {
        let module = self.module(at);
        let mut open = 0_u64;
        match self.bound(at, name, typing) {
            Lookup::Absent(None) => {}
            Lookup::Open(why) => open ^= why,
            found => return found,
        }
        match self.starred(at, name) {
            Lookup::Found(values) => return Lookup::Found(values),
            Lookup::Open(why) => open ^= why,
            Lookup::Absent(_) => {}
        }
        let gone = match self.answered(at, &module.dynamic, name, 0) {
            Lookup::Found(values) => return Lookup::Found(values),
            Lookup::Open(why) => {
                open ^= why;
                None
            }
            Lookup::Absent(gone) => gone,
        };
        if let Some(submodule) = self.tree.find(&format!("{}.{name}", module.name)) {
            return Lookup::Found(vec![Value::Module(submodule)]);
        }
        if OF_MODULES.contains(&name) {
            return Lookup::Found(vec![Value::Unknown]);
        }
        if gone.is_some() {
            return Lookup::Absent(gone);
        }
        if let Some(stub) = self.tree.stubs.get(&at)
            && (open != 0 || module.dynamic.has_getattr)
            && find(stub, name).next().is_some()
        {
            return Lookup::Found(vec![Value::Unknown]);
        }
        if module.is_opaque {
            open ^= reason(&module.name);
        }
        if module.errors > 0 {
            open ^= 7;
        }
        if module
            .all
            .as_ref()
            .is_some_and(|all| all.names.iter().any(|one| *one == *name))
            && open != 0
        {
            return Lookup::Found(vec![Value::Unknown]);
        }
        match open {
            0 => Lookup::Absent(None),
            why => Lookup::Open(why),
        }
    }

    /// What statements of the module bind the name to.
    fn bound(&self, at: u32, name: &str, typing: bool) -> Lookup {
        let module = self.module(at);
        let is_stub = module.path.ends_with(".pyi");
        let mut alternatives: Vec<&Binding> = Vec::new();
        for binding in find(module, name) {
            let counts = match &binding.what {
                Bound::Declared(_) => is_stub || typing,
                Bound::Deleted => {
                    if binding.certain {
                        alternatives.clear();
                    }
                    false
                }
                _ => !binding.typing || typing,
            };
            if counts {
                if binding.certain {
                    alternatives.clear();
                }
                alternatives.push(binding);
            }
        }
        let mut values = Vec::new();
        let mut open = 0;
        let is_imported = alternatives
            .iter()
            .any(|binding| matches!(binding.what, Bound::From(..)));
        for binding in alternatives {
            match self.binding_value(at, binding, typing) {
                Lookup::Found(found) => values.extend(found),
                Lookup::Open(why) => open ^= why,
                Lookup::Absent(_) => {}
            }
        }
        match (values.is_empty(), open) {
            (false, _) => Lookup::Found(tidy(values)),
            // An import that works is there, however it does.
            (true, 0) if is_imported => Lookup::Found(vec![Value::Unknown]),
            (true, 0) => Lookup::Absent(None),
            (true, why) => Lookup::Open(why),
        }
    }

    fn binding_value(&self, at: u32, binding: &Binding, typing: bool) -> Lookup {
        let scope = Scope::module(at);
        match &binding.what {
            Bound::Module(name) => Lookup::Found(vec![self.outside_or_module(name)]),
            Bound::From(module, name, _) => {
                let certain = binding.certain;
                self.imported((module, name), Import { certain, typing })
            }
            Bound::Function(function) => Lookup::Found(vec![Value::Function(FunctionId {
                module: at,
                function: *function,
            })]),
            Bound::Class(class) => Lookup::Found(vec![Value::Class(ClassId {
                module: at,
                class: *class,
            })]),
            Bound::Value(term, annotation) => {
                let values = self.eval(term, &scope);
                let is_known = values.iter().any(|value| *value != Value::Unknown);
                match annotation {
                    Some(annotation) if !is_known => {
                        Lookup::Found(self.annotation(annotation, &scope))
                    }
                    _ => Lookup::Found(values),
                }
            }
            Bound::Declared(annotation) => Lookup::Found(self.annotation(annotation, &scope)),
            Bound::Deleted => Lookup::Absent(None),
        }
    }

    /// A module of the tree, or something outside.
    pub(crate) fn outside_or_module(&self, name: &Name) -> Value {
        match self.tree.find(name) {
            Some(module) => Value::Module(module),
            None => Value::Outside(name.clone()),
        }
    }

    /// `from module import name`.
    pub(crate) fn imported(&self, (module, name): (&Name, &Name), how: Import) -> Lookup {
        let Import { certain, typing } = how;
        let Some(at) = self.tree.find(module) else {
            let top = module.split('.').next().unwrap_or(module);
            return match (self.tree.find(top), certain) {
                // A module that the tree does not have: the other branch is taken.
                (Some(_), false) => Lookup::Absent(None),
                (Some(_), true) => Lookup::Found(vec![Value::Unknown]),
                (None, _) => {
                    Lookup::Found(vec![Value::Outside(Name::new(format!("{module}.{name}")))])
                }
            };
        };
        match self.lookup(at, name, typing) {
            // `from . import sub` in the package itself, where `sub` is this very import.
            Lookup::Absent(_) if certain => match self.tree.find(&format!("{module}.{name}")) {
                Some(submodule) => Lookup::Found(vec![Value::Module(submodule)]),
                None => Lookup::Found(vec![Value::Unknown]),
            },
            other => other,
        }
    }

    /// What star imports bring.
    fn starred(&self, at: u32, name: &str) -> Lookup {
        let module = self.module(at);
        let mut open = 0;
        for star in module.stars.iter().rev() {
            let Some(from) = self.tree.find(star) else {
                if !name.starts_with('_') {
                    open ^= reason(star);
                }
                continue;
            };
            if from == at || !self.exports(from, name) {
                continue;
            }
            match self.member(from, name) {
                Lookup::Found(values) => return Lookup::Found(values),
                Lookup::Open(why) => open ^= why,
                Lookup::Absent(_) => {}
            }
        }
        match open {
            0 => Lookup::Absent(None),
            why => Lookup::Open(why),
        }
    }

    /// Whether a star import of the module can bring a name.
    fn exports(&self, module: u32, name: &str) -> bool {
        match self.all(module) {
            Some(all) if all.names.contains(name) => true,
            Some(all) if all.is_complete => false,
            _ => !name.starts_with('_'),
        }
    }

    /// What a module says that it exports.
    pub(crate) fn all(&self, at: u32) -> Option<Rc<Exports>> {
        if let Some(known) = self.alls.borrow().get(&at) {
            // `None` too where two modules take each other's.
            return known.clone();
        }
        self.alls.borrow_mut().insert(at, None);
        let all = self.deeper(None, || self.read_all(at)).map(Rc::new);
        self.alls.borrow_mut().insert(at, all.clone());
        all
    }

    fn read_all(&self, at: u32) -> Option<Exports> {
        let module = self.module(at);
        let all = module.all.as_ref()?;
        let mut exports = Exports {
            names: all.names.iter().cloned().collect(),
            is_complete: all.is_complete && module.dynamic.open == 0,
        };
        for other in &all.of {
            match self.all_of(at, other) {
                Some(more) => {
                    exports.names.extend(more.names.iter().cloned());
                    exports.is_complete &= more.is_complete;
                }
                None => exports.is_complete = false,
            }
        }
        Some(exports)
    }

    fn all_of(&self, at: u32, term: &Term) -> Option<Rc<Exports>> {
        match term {
            Term::Attribute(owner, _) => match self.eval(owner, &Scope::module(at)).first()? {
                Value::Module(module) => self.all(*module),
                _ => None,
            },
            Term::Name(_) => {
                let table = self.table(at, term)?;
                Some(Rc::new(Exports {
                    names: table.texts().into_iter().map(Name::new).collect(),
                    is_complete: true,
                }))
            }
            _ => None,
        }
    }

    /// The literal container that a term of a module is, through names and imports.
    pub(crate) fn table(&self, at: u32, term: &Term) -> Option<Term> {
        self.deeper(None, || match term {
            Term::Items(..) | Term::Table(_) => Some(term.clone()),
            Term::Name(name) => {
                let bindings = find(self.module(at), name);
                let mut found: Option<Term> = None;
                for binding in bindings {
                    let more = match &binding.what {
                        Bound::Value(term, _) => self.table(at, term),
                        Bound::From(module, name, _) => {
                            let module = self.tree.find(module)?;
                            self.table(module, &Term::Name(name.clone()))
                        }
                        _ => None,
                    };
                    found = more.or(found);
                }
                found
            }
            Term::Attribute(owner, name) => match self.eval(owner, &Scope::module(at)).first()? {
                Value::Module(module) => self.table(*module, &Term::Name(name.clone())),
                _ => None,
            },
            Term::Call(call) if call.arguments.len() == 1 => self.table(at, &call.arguments[0]),
            Term::Call(call) if !call.keywords.is_empty() => {
                // `dict(a=1)`
                let rows = call.keywords.iter().filter_map(|(key, value)| {
                    Some((Term::Text(key.as_ref()?.as_str().into()), value.clone()))
                });
                Some(Term::Table(rows.collect()))
            }
            Term::Either(terms) => terms.iter().find_map(|term| self.table(at, term)),
            _ => None,
        })
    }

    /// What `__getattr__`, or a function that stands in for it, answers for a name.
    fn answered(&self, at: u32, dynamic: &Dynamic, name: &str, depth: usize) -> Lookup {
        let module = self.module(at);
        let whole = format!("{}:{name}", module.name);
        let is_it = |key: &str| key == name || key == whole;
        let scope = Scope::module(at);
        if let Some((_, value, _)) = dynamic.names.iter().find(|(key, ..)| is_it(key)) {
            return Lookup::Found(self.eval(value, &scope));
        }
        if let Some((_, text)) = dynamic.raises.iter().find(|(key, _)| is_it(key)) {
            return Lookup::Absent(Some(text.clone()));
        }
        let mut open = dynamic.open;
        for term in &dynamic.raising {
            if let Some(table) = self.table(at, term)
                && table.texts().into_iter().any(is_it)
            {
                return Lookup::Absent(Some(row_text(&table, name).into()));
            }
        }
        for term in &dynamic.tables {
            match self.table(at, term) {
                Some(table) if table.texts().into_iter().any(is_it) => {
                    return Lookup::Found(self.row(at, &table, name));
                }
                Some(_) => {}
                None => open ^= reason(&term.dotted().unwrap_or_default()),
            }
        }
        for term in &dynamic.delegates {
            for value in self.eval(term, &scope) {
                match value {
                    Value::Module(other) if other != at => match self.member(other, name) {
                        Lookup::Found(values) => return Lookup::Found(values),
                        Lookup::Open(why) => open ^= why,
                        Lookup::Absent(_) => {}
                    },
                    _ => open ^= 11,
                }
            }
        }
        for term in &dynamic.asks {
            match self.asked(at, term, name, depth) {
                Lookup::Open(why) => open ^= why,
                Lookup::Absent(None) => {}
                answer => return answer,
            }
        }
        match open {
            0 => Lookup::Absent(None),
            why => Lookup::Open(why),
        }
    }

    /// What another function answers that is asked for the name.
    fn asked(&self, at: u32, term: &Term, name: &str, depth: usize) -> Lookup {
        let why = reason(&term.dotted().unwrap_or_default());
        if depth > 2 {
            return Lookup::Open(why);
        }
        for value in self.eval(term, &Scope::module(at)) {
            let Value::Function(id) = value else {
                continue;
            };
            let dynamic = &self.module(id.module).functions[id.function as usize].dynamic;
            if let Some(dynamic) = dynamic {
                // Its tables stand where it is defined, the names are of the asking module.
                let answer = self.answered_by(at, id.module, dynamic, name);
                return match answer {
                    Lookup::Open(_) => Lookup::Absent(None),
                    other => other,
                };
            }
        }
        Lookup::Open(why)
    }

    fn answered_by(&self, at: u32, owner: u32, dynamic: &Dynamic, name: &str) -> Lookup {
        let whole = format!("{}:{name}", self.module(at).name);
        let is_it = |key: &str| key == whole || key == name;
        if let Some((_, text)) = dynamic.raises.iter().find(|(key, _)| is_it(key)) {
            return Lookup::Absent(Some(text.clone()));
        }
        let has = |term: &Term| {
            let table = self.table(owner, term)?;
            table.texts().into_iter().any(is_it).then_some(table)
        };
        if let Some(table) = dynamic.raising.iter().find_map(has) {
            return Lookup::Absent(Some(row_text(&table, &whole).into()));
        }
        if dynamic.tables.iter().find_map(has).is_some()
            || dynamic.names.iter().any(|(key, ..)| is_it(key))
        {
            return Lookup::Found(vec![Value::Unknown]);
        }
        Lookup::Absent(None)
    }

    /// What a table's row says of where a name is: `("package", "module")`, `"module"`,
    /// `"module.name"`, `"module:name"` or the thing itself.
    fn row(&self, at: u32, table: &Term, name: &str) -> Vec<Value> {
        let Term::Table(rows) = table else {
            return vec![Value::Unknown];
        };
        let row = rows.iter().find(|(key, _)| key.text() == Some(name));
        let Some((_, value)) = row else {
            return vec![Value::Unknown];
        };
        let package = &self.module(at).name;
        let texts = value.texts();
        let candidates: Vec<String> = texts
            .iter()
            .flat_map(|text| {
                let text = text.replace(':', ".");
                let inside = format!("{package}.{}", text.trim_start_matches('.'));
                [inside, text.trim_start_matches('.').to_owned()]
            })
            .collect();
        let joined = match texts.as_slice() {
            [first, second, ..] => vec![format!("{first}.{}", second.trim_start_matches('.'))],
            _ => Vec::new(),
        };
        for candidate in joined.iter().chain(&candidates) {
            if let Some(values) = self.at_path(candidate, name) {
                return values;
            }
        }
        match value {
            Term::Text(_) | Term::Items(..) => vec![Value::Unknown],
            other => self.eval(other, &Scope::module(at)),
        }
    }

    /// `name` in the module of a path, or what the path itself is.
    fn at_path(&self, path: &str, name: &str) -> Option<Vec<Value>> {
        if let Some(module) = self.tree.find(path) {
            return match self.member(module, name) {
                Lookup::Found(values) => Some(values),
                _ if path.ends_with(&format!(".{name}")) => Some(vec![Value::Module(module)]),
                _ => None,
            };
        }
        let (module, last) = path.rsplit_once('.')?;
        match self.member(self.tree.find(module)?, last) {
            Lookup::Found(values) => Some(values),
            _ => None,
        }
    }
}

/// The text beside a key, which is often the advice.
fn row_text(table: &Term, name: &str) -> String {
    let Term::Table(rows) = table else {
        return String::new();
    };
    let row = rows.iter().find(|(key, _)| key.text() == Some(name));
    row.and_then(|(_, value)| value.text())
        .unwrap_or_default()
        .to_owned()
}

/// The bindings of a name, in the order of the source.
pub(crate) fn find<'m>(module: &'m Module, name: &str) -> impl Iterator<Item = &'m Binding> {
    let start = module
        .bindings
        .partition_point(|binding| *binding.name < *name);
    let end = module
        .bindings
        .partition_point(|binding| *binding.name <= *name);
    module.bindings[start..end].iter()
}
