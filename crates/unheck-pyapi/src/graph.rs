//! Which modules can be reached from where a program starts.
//!
//! Pure bookkeeping: the caller knows which modules there are and reads them. Names that nobody
//! has are passed over. Start at [`Graph::new`]; then [`Graph::root`], and [`Graph::next_batch`]
//! with [`Graph::take`] until nothing is left.

use std::collections::{BTreeMap, BTreeSet};

use crate::references::{Computed, Reference, References, When};

/// Whose module it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The standard library's.
    Stdlib,
    /// A distribution's.
    Distribution,
    /// The app's own.
    App,
}

/// What a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A source file.
    Module,
    /// A directory with an `__init__`.
    Package,
    /// A compiled file.
    Extension,
    /// A directory without an `__init__`.
    Namespace,
}

/// A module that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whose it is.
    pub owner: Owner,
    /// What it is.
    pub shape: Shape,
}

/// What references are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Everything that can run: functions, lazy imports, computed names, texts.
    All,
    /// What importing a module runs, and no more.
    ImportTime,
    /// What importing runs; then what functions of the modules reached so far import, and what texts in them name, one
    /// step further and no more. Of the standard library no functions are followed, and none lead to it: what it has for
    /// errors, prompts and rare cases is many times what a start needs.
    Start,
}

/// What source does not tell, or tells too much of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphRules {
    /// Imports inside the standard library that are not followed.
    pub ignore: Vec<Ignore>,
    /// What a module written in C imports, where given only when an attribute of that name is
    /// used anywhere.
    pub from_c: BTreeMap<String, Vec<(String, Option<String>)>>,
    /// What a module's computed names can be: names, or `prefix.*`; nothing for names that the
    /// caller gives, which are seen where they are given.
    pub computed: BTreeMap<String, Vec<String>>,
    /// Modules compiled into the interpreter.
    pub built_in: BTreeSet<String>,
}

/// Imports inside the standard library that are not needed, or not always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    /// The importer; `*` for every module of the standard library.
    pub from: String,
    /// What it imports.
    pub imports: BTreeSet<String>,
    /// Importers that are meant all the same: names, or `prefix.*`.
    pub except: Vec<String>,
    /// Followed once an attribute of one of these names is used.
    pub unless: BTreeSet<String>,
    /// The same, of uses outside the standard library.
    pub unless_outside: BTreeSet<String>,
}

impl Ignore {
    fn is_of(&self, from: &str) -> bool {
        let excepted = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => from.starts_with(prefix),
            None => from == pattern,
        };
        (self.from == "*" || self.from == from) && !self.except.iter().any(excepted)
    }
}

/// An import that waits until an attribute of one of the names is used.
#[derive(Debug)]
struct Lazy {
    names: BTreeSet<String>,
    /// Only uses outside the standard library count.
    outside: bool,
    /// A rule for imports inside the standard library says so.
    by_rule: bool,
    target: String,
    from: String,
}

/// The reached part of an import graph.
#[derive(Debug)]
pub struct Graph<'r> {
    known: BTreeMap<String, Known>,
    rules: &'r GraphRules,
    follow: Follow,
    /// Reached modules, each with the one that led there; a root with its reason.
    pub reached: BTreeMap<String, String>,
    /// Names of attributes that reached sources ask for.
    pub attributes: BTreeSet<String>,
    /// Texts that can be names, of reached sources outside the standard library.
    pub texts: BTreeSet<String>,
    /// Texts of reached sources of the app.
    pub app_texts: BTreeSet<String>,
    /// Names of attributes that reached sources outside the standard library ask for.
    pub outside_attributes: BTreeSet<String>,
    /// Modules that something outside the standard library imports itself.
    pub outside: BTreeSet<String>,
    /// Absolute paths in reached sources of distributions and the app.
    pub paths: BTreeSet<String>,
    /// Native libraries that reached sources open by name.
    pub libraries: BTreeSet<String>,
    /// Computed names that no rule explains, with the module that has them.
    pub computed: BTreeSet<(String, Computed)>,
    /// Modules outside the standard library that ask for a codec by a computed name, with the line.
    pub computed_codec: BTreeMap<String, u32>,
    /// Modules that ask for entry points of a computed group, with the line.
    pub computed_group: BTreeMap<String, u32>,
    queue: BTreeSet<String>,
    programs: BTreeSet<String>,
    main: BTreeMap<String, Vec<Reference>>,
    lazy: Vec<Lazy>,
    lazy_prefix: BTreeSet<(String, String)>,
    starred: BTreeSet<String>,
    /// Who imports a module, at whatever time, where no rule takes the import away.
    importers: BTreeMap<String, BTreeSet<String>>,
    exports: BTreeMap<String, BTreeSet<String>>,
    asked: BTreeSet<String>,
    /// What [`Graph::step`] follows; none once it did.
    ahead: Option<Vec<(String, Owner, References)>>,
}

impl<'r> Graph<'r> {
    /// A graph with nothing reached.
    pub fn new(known: BTreeMap<String, Known>, rules: &'r GraphRules, follow: Follow) -> Self {
        Self {
            known,
            rules,
            follow,
            reached: BTreeMap::new(),
            attributes: BTreeSet::new(),
            texts: BTreeSet::new(),
            app_texts: BTreeSet::new(),
            outside_attributes: BTreeSet::new(),
            outside: BTreeSet::new(),
            paths: BTreeSet::new(),
            libraries: BTreeSet::new(),
            computed: BTreeSet::new(),
            computed_codec: BTreeMap::new(),
            computed_group: BTreeMap::new(),
            queue: BTreeSet::new(),
            programs: BTreeSet::new(),
            main: BTreeMap::new(),
            lazy: Vec::new(),
            lazy_prefix: BTreeSet::new(),
            starred: BTreeSet::new(),
            importers: BTreeMap::new(),
            exports: BTreeMap::new(),
            asked: BTreeSet::new(),
            ahead: (follow == Follow::Start).then(Vec::new),
        }
    }

    /// Whether there is such a module.
    pub fn knows(&self, module: &str) -> bool {
        self.known.contains_key(module)
    }

    /// Every module that there is.
    pub fn known(&self) -> &BTreeMap<String, Known> {
        &self.known
    }

    /// Reaches a module with the packages above it; `false` when there is none of that name.
    pub fn root(&mut self, module: &str, why: &str) -> bool {
        self.chain(module, why);
        self.known.contains_key(module)
    }

    /// Reaches a module that is run as a program (`python -m`).
    pub fn program(&mut self, module: &str, why: &str) {
        let main = format!("{module}.__main__");
        for name in [module, &main] {
            if self.root(name, why) {
                self.programs.insert(name.to_owned());
                for reference in self.main.remove(name).unwrap_or_default() {
                    self.import(name, &reference);
                }
            }
        }
    }

    /// Reaches every module whose name begins so.
    pub fn all_under(&mut self, prefix: &str, why: &str) {
        let names: Vec<String> = self
            .known
            .range(prefix.to_owned()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        for name in names {
            self.chain(&name, why);
        }
    }

    /// Reached modules that were not read yet. Empty when all is done.
    pub fn next_batch(&mut self) -> BTreeSet<String> {
        if self.queue.is_empty() {
            self.settle();
        }
        std::mem::take(&mut self.queue)
    }

    /// Takes in what a reached source refers to. `owner` is whose it is.
    pub fn take(&mut self, from: &str, owner: Owner, references: &References) {
        self.attributes
            .extend(references.attributes.iter().cloned());
        self.libraries.extend(references.libraries.iter().cloned());
        if owner != Owner::Stdlib {
            self.texts.extend(references.texts.iter().cloned());
            self.outside_attributes
                .extend(references.attributes.iter().cloned());
            self.paths.extend(references.paths.iter().cloned());
            if let Some(line) = references.computed_codec {
                self.computed_codec.insert(from.to_owned(), line);
            }
        }
        if owner == Owner::App {
            self.app_texts.extend(references.texts.iter().cloned());
        }
        if let (Some(line), true) = (references.computed_group, owner != Owner::Stdlib) {
            self.computed_group.insert(from.to_owned(), line);
        }
        self.exports
            .insert(from.to_owned(), references.exports.clone());
        for reference in &references.modules {
            match reference.when {
                When::Import => self.import(from, reference),
                When::Main if owner == Owner::App || self.programs.contains(from) => {
                    self.import(from, reference);
                }
                When::Main => self
                    .main
                    .entry(from.to_owned())
                    .or_default()
                    .push(reference.clone()),
                When::Call | When::Attribute if self.follow != Follow::All => {
                    self.note(from, reference);
                }
                When::Call => self.import(from, reference),
                When::Attribute => self.lazily(from, reference, &references.texts),
            }
        }
        if let (Some(ahead), true) = (&mut self.ahead, owner != Owner::Stdlib) {
            ahead.push((from.to_owned(), owner, references.clone()));
        }
        if self.follow == Follow::All {
            for module in &references.started {
                self.program(module, from);
            }
            for computed in &references.computed {
                self.computed(from, owner, computed);
            }
            if owner != Owner::Stdlib {
                self.texts_of(from, owner, &references.texts);
            }
        }
    }

    /// Goes the step that [`Follow::Start`] goes after what importing runs is reached; `false` when it was gone before.
    pub fn step(&mut self) -> bool {
        let ahead = self.ahead.take();
        let any = ahead.is_some();
        for (from, owner, references) in ahead.into_iter().flatten() {
            for reference in &references.modules {
                let inner = self.owner(&reference.module) != Some(Owner::Stdlib);
                if inner && reference.when == When::Call {
                    self.import(&from, reference);
                }
            }
            self.texts_of(&from, owner, &references.texts);
        }
        any
    }

    /// What the names of a module that this one imports lead to, by their first part.
    fn import(&mut self, from: &str, reference: &Reference) {
        let Reference {
            module,
            name,
            instead_of,
            ..
        } = reference;
        let member = name.as_ref().map(|name| format!("{module}.{name}"));
        let is_stdlib = self.owner(from) == Some(Owner::Stdlib);
        if !is_stdlib {
            self.outside.insert(module.clone());
        } else if self.is_ignored(from, module, member.as_deref()) {
            return;
        }
        self.note(from, reference);
        let works = |(module, name): &(String, Option<String>)| {
            let there = self.known.contains_key(module) || self.rules.built_in.contains(module);
            // An accelerator of the standard library's has every name; others may be too old.
            there && (is_stdlib || name.is_none())
        };
        if !instead_of.is_empty() && instead_of.iter().all(works) {
            return;
        }
        self.chain(module, from);
        match (name.as_deref(), member) {
            (Some("*"), _) => drop(self.starred.insert(module.clone())),
            (_, Some(member)) => self.chain_if_known(&member, from),
            _ => {}
        }
    }

    fn note(&mut self, from: &str, reference: &Reference) {
        let member = reference
            .name
            .as_ref()
            .map(|name| format!("{}.{name}", reference.module));
        let names = member.into_iter().chain([reference.module.clone()]);
        for name in names.filter(|name| self.known.contains_key(name)) {
            let importers = self.importers.entry(name).or_default();
            importers.insert(from.to_owned());
        }
    }

    /// Whether a rule says that an import is not needed, or not yet.
    fn is_ignored(&mut self, from: &str, module: &str, member: Option<&str>) -> bool {
        for name in [Some(module), member].into_iter().flatten() {
            let mut rules = self.rules.ignore.iter();
            let rule = rules.find(|rule| rule.imports.contains(name) && rule.is_of(from));
            let Some(rule) = rule else { continue };
            let target = member.filter(|member| self.known.contains_key(*member));
            let target = target.unwrap_or(name);
            for (names, outside) in [(&rule.unless, false), (&rule.unless_outside, true)] {
                if !names.is_empty() {
                    self.lazy.push(Lazy {
                        names: names.clone(),
                        outside,
                        by_rule: true,
                        target: target.to_owned(),
                        from: from.to_owned(),
                    });
                }
            }
            return true;
        }
        false
    }

    fn owner(&self, module: &str) -> Option<Owner> {
        self.known.get(module).map(|known| known.owner)
    }

    /// An import inside a module's `__getattr__`: waits for an attribute that is called like the
    /// module or the name taken from it, where the source compares with that name.
    fn lazily(&mut self, from: &str, reference: &Reference, texts: &BTreeSet<String>) {
        let last = reference.module.rsplit('.').next().unwrap_or_default();
        let names = [Some(last), reference.name.as_deref()];
        let names: BTreeSet<String> = names
            .into_iter()
            .flatten()
            .filter(|name| texts.contains(*name))
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return self.import(from, reference);
        }
        let member = reference
            .name
            .as_ref()
            .map(|name| format!("{}.{name}", reference.module))
            .filter(|member| self.known.contains_key(member));
        let target = member.unwrap_or_else(|| reference.module.clone());
        self.lazy.push(Lazy {
            names,
            outside: false,
            by_rule: false,
            target,
            from: from.to_owned(),
        });
    }

    fn computed(&mut self, from: &str, owner: Owner, computed: &Computed) {
        if let Some(means) = self.rules.computed.get(from) {
            for name in means {
                match name.strip_suffix('*') {
                    Some(prefix) => self.all_under(prefix, from),
                    None => self.chain_if_known(name, from),
                }
            }
            return;
        }
        if owner != Owner::Stdlib {
            self.computed.insert((from.to_owned(), computed.clone()));
        }
        let mut prefix = computed.prefix.clone();
        if prefix.is_empty() {
            // What the standard library imports by a name alone is what its caller named.
            if owner == Owner::Stdlib {
                return;
            }
            let top = from.split('.').next().unwrap_or(from);
            if self.known.get(top).map(|known| known.shape) != Some(Shape::Package) {
                return;
            }
            prefix = format!("{top}.");
        }
        if computed.when == When::Attribute && prefix.ends_with('.') && !computed.prefix.is_empty()
        {
            self.lazy_prefix.insert((prefix, from.to_owned()));
        } else {
            self.all_under(&prefix, from);
        }
    }

    /// Texts that name a module: `a.b`, `a.b:c`, `a.b.Class`; in the app also a distribution's
    /// top-level module.
    fn texts_of(&mut self, from: &str, owner: Owner, texts: &BTreeSet<String>) {
        let package = match self.known.get(from).map(|known| known.shape) {
            Some(Shape::Package) => from,
            _ => from.rsplit_once('.').map_or("", |(above, _)| above),
        };
        for text in texts {
            let dotted = text.split(':').next().unwrap_or(text);
            // `".client"` in a table of lazy names.
            if let Some(relative) = dotted.strip_prefix('.') {
                if !package.is_empty() && !relative.starts_with('.') {
                    self.chain_if_known(&format!("{package}.{relative}"), from);
                }
                continue;
            }
            if !dotted.contains('.') {
                let explicit = text.contains(':');
                if (owner == Owner::App || explicit)
                    && self.owner(dotted) == Some(Owner::Distribution)
                {
                    self.chain(dotted, from);
                }
                continue;
            }
            let mut name = dotted;
            while name.contains('.') {
                if self.known.contains_key(name) {
                    self.chain(name, from);
                    break;
                }
                name = name.rsplit_once('.').map_or("", |(above, _)| above);
            }
        }
    }

    fn chain_if_known(&mut self, module: &str, from: &str) {
        if self.known.contains_key(module) {
            self.chain(module, from);
        }
    }

    /// Reaches a module and every package above it.
    fn chain(&mut self, module: &str, from: &str) {
        let dots = module.match_indices('.').map(|(at, _)| at);
        for end in dots.chain([module.len()]) {
            let name = &module[..end];
            if self.known.contains_key(name) && !self.reached.contains_key(name) {
                self.reached.insert(name.to_owned(), from.to_owned());
                self.queue.insert(name.to_owned());
            }
            if self.asked.insert(name.to_owned()) {
                for (imported, attribute) in
                    self.rules.from_c.get(name).cloned().unwrap_or_default()
                {
                    match attribute {
                        None => self.chain(&imported, name),
                        Some(attribute) => {
                            self.lazy.push(Lazy {
                                names: [attribute].into(),
                                outside: false,
                                by_rule: false,
                                target: imported,
                                from: name.to_owned(),
                            });
                        }
                    }
                }
            }
        }
    }

    /// Modules that a rule holds back until something uses an attribute, and those that nothing
    /// but such modules import.
    pub fn held_back(&self) -> BTreeSet<String> {
        let waiting = self.lazy.iter().filter(|one| one.by_rule);
        let mut held: BTreeSet<String> = waiting.map(|one| one.target.clone()).collect();
        held.retain(|name| {
            let importers = self.importers.get(name);
            importers.is_none_or(|importers| importers.is_subset(&BTreeSet::from([name.clone()])))
        });
        loop {
            let more = self
                .importers
                .iter()
                .filter(|(name, importers)| !held.contains(*name) && importers.is_subset(&held));
            let more: Vec<String> = more.map(|(name, _)| name.clone()).collect();
            if more.is_empty() {
                return held;
            }
            held.extend(more);
        }
    }

    /// What became true since: attributes that lazy imports wait for, `from m import *`.
    fn settle(&mut self) {
        let lazy = std::mem::take(&mut self.lazy);
        for one in lazy {
            let used = if one.outside {
                &self.outside_attributes
            } else {
                &self.attributes
            };
            if one.names.is_disjoint(used) {
                self.lazy.push(one);
            } else {
                self.chain(&one.target, &one.from);
            }
        }
        for (prefix, from) in self.lazy_prefix.clone() {
            let names: Vec<String> = self
                .known
                .range(prefix.clone()..)
                .map(|(name, _)| name)
                .take_while(|name| name.starts_with(&prefix))
                .filter(|name| {
                    let rest = name[prefix.len()..].split('.').next().unwrap_or_default();
                    self.attributes.contains(rest) && name.len() == prefix.len() + rest.len()
                })
                .cloned()
                .collect();
            for name in names {
                self.chain(&name, &from);
            }
        }
        for module in self.starred.clone() {
            for name in self.exports.get(&module).cloned().unwrap_or_default() {
                self.chain_if_known(&format!("{module}.{name}"), &module);
            }
        }
    }
}
