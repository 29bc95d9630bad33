//! Names for what is used, and what the library says to write instead. Start at [`Adviser`].

use std::cell::OnceCell;
use std::collections::BTreeSet;

use ruff_python_ast::name::Name;

use super::super::model::Bound;
use super::super::resolve::Resolver;
use super::super::surface::{Definition, Surface, definition, surface};
use super::super::tree::Tree;
use super::super::value::{ClassId, Lookup, Value};
use super::check::Target;

/// Both versions of the library, with their public names once they are asked for.
pub(crate) struct Adviser<'t> {
    old: Resolver<'t>,
    new: Resolver<'t>,
    old_surface: OnceCell<Surface>,
    new_surface: OnceCell<Surface>,
}

impl<'t> Adviser<'t> {
    pub(crate) fn new(old: &'t Tree, new: &'t Tree) -> Self {
        Self {
            old: Resolver::new(old),
            new: Resolver::new(new),
            old_surface: OnceCell::new(),
            new_surface: OnceCell::new(),
        }
    }

    fn old_surface(&self) -> &Surface {
        self.old_surface.get_or_init(|| surface(&self.old))
    }

    /// The shortest path by which a user reaches a definition.
    fn public(&self, of: &Definition) -> Option<String> {
        self.old_surface().by_definition.get(of)?.first().cloned()
    }

    fn class_path(&self, class: ClassId) -> String {
        if class.module as usize >= self.old.tree.modules.len() {
            return String::new();
        }
        self.public(&Definition::Class(class)).unwrap_or_else(|| {
            format!(
                "{}.{}",
                self.old.module(class.module).name,
                self.old.class(class).name
            )
        })
    }

    /// The dotted name of what a check is about.
    pub(crate) fn api(&self, target: &Target) -> String {
        match target {
            Target::Module(module, name) => {
                let whole = format!("{module}.{name}");
                self.defined(module, name)
                    .and_then(|of| self.public(&of))
                    // The path that the code writes is better than a longer one.
                    .filter(|path| path.len() < whole.len())
                    .unwrap_or(whole)
            }
            Target::Whole(module) => module.to_string(),
            Target::Member(class, name) => format!("{}.{name}", self.class_path(*class)),
            Target::Class(class) => self.class_path(*class),
            Target::Nothing => String::new(),
        }
    }

    fn defined(&self, module: &Name, name: &Name) -> Option<Definition> {
        definition(&self.old, self.old.tree.find(module)?, name)
    }

    /// What the old version announces about a target.
    pub(crate) fn announced(&self, target: &Target) -> Option<String> {
        match target {
            Target::Module(module, name) => {
                let at = self.old.tree.find(module)?;
                let dynamic = self.old.module(at).dynamic.names.iter();
                let by_name = dynamic.filter(|(own, ..)| own == name);
                let warned = by_name.filter_map(|(.., text)| text.as_deref()).next();
                let warned = warned.map(str::to_owned);
                warned.or_else(|| match self.defined(module, name)? {
                    Definition::Class(class) => {
                        self.old.class_deprecation(class).map(str::to_owned)
                    }
                    Definition::Function(function) => self
                        .old
                        .function(function)
                        .deprecated
                        .as_deref()
                        .map(str::to_owned),
                    _ => None,
                })
            }
            Target::Whole(module) => {
                let at = self.old.tree.find(module)?;
                self.old.module(at).deprecated.as_deref().map(str::to_owned)
            }
            Target::Member(class, name) => self.member(*class, name),
            Target::Class(class) if self.is_library(*class) => {
                self.old.class_deprecation(*class).map(str::to_owned)
            }
            Target::Class(_) | Target::Nothing => None,
        }
    }

    fn is_library(&self, class: ClassId) -> bool {
        (class.module as usize) < self.old.tree.modules.len()
    }

    fn member(&self, class: ClassId, name: &Name) -> Option<String> {
        if !self.is_library(class) {
            return None;
        }
        let members = self.old.class_attribute(class, name, (true, 0)).ok()?;
        members.iter().find_map(|member| match member {
            super::super::mro::Member::Binding(_, module, binding) => match binding.what {
                Bound::Function(function) => {
                    let function = &self.old.module(*module).functions[function as usize];
                    function.deprecated.as_deref().map(str::to_owned)
                }
                _ => None,
            },
            super::super::mro::Member::Store(..) => None,
        })
    }

    /// What to write instead: the old version's announcement, the new version's message, or the
    /// one other place where the same definition is.
    pub(crate) fn advice(&mut self, target: &Target, text: Option<&str>) -> Option<String> {
        let own = self.announced(target).filter(|text| !text.is_empty());
        let own = own.or_else(|| text.filter(|text| !text.is_empty()).map(str::to_owned));
        own.or_else(|| self.elsewhere(target))
    }

    fn elsewhere(&self, target: &Target) -> Option<String> {
        let Target::Module(module, name) = target else {
            return None;
        };
        let is_class = matches!(self.defined(module, name)?, Definition::Class(_));
        // Still there is no advice.
        if let Some(at) = self.new.tree.find(module)
            && let Lookup::Found(values) = self.new.member(at, name)
            && values.iter().any(|value| *value != Value::Unknown)
        {
            return None;
        }
        let new = self.new_surface.get_or_init(|| surface(&self.new));
        let same: BTreeSet<&Definition> = new
            .paths
            .iter()
            .filter(|((_, public), of)| {
                public == name && matches!(of, Definition::Class(_)) == is_class
            })
            .map(|(_, of)| of)
            .filter(|of| matches!(of, Definition::Class(_) | Definition::Function(_)))
            .collect();
        let [one] = same.into_iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let path = new.by_definition.get(one)?.first()?;
        Some(format!("use {path}"))
    }
}
