//! Reads the modules that a verification does not import: what they import at their top must be in
//! the root. Start at [`read`]; what an answer means is in `judge`, as if the module had been run.
//!
//! Only what can be known by reading is said: a name of which nothing is there. Imports inside
//! functions, conditions and guards are left alone, and so are modules below a package that is
//! there, because packages make modules while they run.

use std::collections::BTreeSet;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_pyapi::Context;
use unheck_wheel::ModuleKind;

use super::app::{BUILT_IN, MAX_SOURCE};
use super::imports::Imported;
use super::judge::{Answer, JobKind};
use super::view::{Installed, View};

/// What the modules that `imported` leaves out lack, one answer for each module that lacks
/// something. `modules` are all modules of the root, dotted.
pub(super) fn read(
    view: &View,
    imported: Imported,
    distributions: &[Installed],
    modules: &BTreeSet<String>,
) -> Vec<Answer> {
    let mut waiting: Vec<(&Installed, &str)> = Vec::new();
    for distribution in distributions {
        let run: BTreeSet<&str> = imported.of(distribution).collect();
        let left = distribution.modules.iter().filter(|(name, kind)| {
            matches!(kind, ModuleKind::Module | ModuleKind::Package) && !run.contains(name.as_str())
        });
        waiting.extend(left.map(|(name, _)| (distribution, name.as_str())));
    }
    let mut answers: Vec<Answer> = waiting
        .par_iter()
        .filter_map(|(distribution, name)| lacking(view, distribution, name, modules))
        .collect();
    answers.sort_by(|one, other| (&one.group, &one.name).cmp(&(&other.group, &other.name)));
    answers
}

fn lacking(
    view: &View,
    distribution: &Installed,
    name: &str,
    modules: &BTreeSet<String>,
) -> Option<Answer> {
    let inner = name.replace('.', "/");
    let file = |tail: &str| distribution.site.join(&format!("{inner}{tail}")).ok();
    let (path, is_package) = [("/__init__.py", true), (".py", false)]
        .into_iter()
        .filter_map(|(tail, is_package)| Some((file(tail)?, is_package)))
        .find(|(path, _)| view.get(path).is_some())?;
    let bytes = view.read(&path, MAX_SOURCE).ok()?;
    let package = if is_package {
        name
    } else {
        name.rsplit_once('.').map_or("", |(package, _)| package)
    };
    let parsed = unheck_pyapi::parse(&bytes).ok()?;
    let import = unheck_pyapi::imports(&parsed, package)
        .into_iter()
        .find(|import| {
            let top = import.module.split('.').next().unwrap_or_default();
            import.context == Context::Module
                && !import.dynamic
                && !top.is_empty()
                && !top.starts_with('_')
                && !BUILT_IN.contains(&top)
                && !modules.contains(top)
        })?;
    Some(answer(distribution, name, &path, &import))
}

fn answer(
    distribution: &Installed,
    name: &str,
    path: &TreePath,
    import: &unheck_pyapi::Import,
) -> Answer {
    let message = format!("No module named '{}'", import.module);
    let place = format!("/{path}, line {}: not run, only read", import.line);
    Answer {
        kind: JobKind::Module,
        group: distribution.name.clone(),
        name: name.to_owned(),
        ok: false,
        exception: "ModuleNotFoundError".to_owned(),
        tail: vec![place, format!("ModuleNotFoundError: {message}")],
        message,
        missing: Some(import.module.clone()),
        library: None,
        left_out: None,
        stdlib: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::roots::{IndexNode, LayerIndex};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("path")
    }

    #[test]
    fn a_module_that_is_not_run_still_tells_what_it_lacks() {
        let temp = tempfile::tempdir().expect("temp");
        let sources = [
            ("d", "__init__.py", "import nowhere\n"),
            ("d.bad", "bad.py", "import json\nimport extra.part\n"),
            (
                "d.good",
                "good.py",
                "import json\nfrom . import bad\nimport time, _thread\n",
            ),
            (
                "d.guarded",
                "guarded.py",
                "try:\n    import extra\nexcept ImportError:\n    extra = None\n\ndef f():\n    import other\n",
            ),
        ];
        let mut index = LayerIndex::default();
        let mut modules = BTreeMap::new();
        fs_err::create_dir_all(temp.path().join("site/d")).expect("directory");
        for (name, file, source) in sources {
            let place = format!("site/d/{file}");
            fs_err::write(temp.path().join(&place), source).expect("write");
            let len = source.len() as u64;
            let node = IndexNode::File {
                len,
                executable: false,
                elf: None,
            };
            index.nodes.insert(path(&place), node);
            let kind = if name == "d" {
                ModuleKind::Package
            } else {
                ModuleKind::Module
            };
            modules.insert(name.to_owned(), kind);
        }
        let view = View::new(vec![index], vec![temp.path().to_owned()]);
        let distribution = Installed {
            name: "d".to_owned(),
            site: path("site"),
            info: path("site/d-1.dist-info"),
            files: BTreeMap::new(),
            modules,
            requires: BTreeSet::new(),
            broken_rows: Vec::new(),
        };
        let known = ["d", "json"].map(str::to_owned).into();
        let found = read(&view, Imported::Names, &[distribution], &known);
        let told: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|one| {
                let missing = one.missing.as_deref().expect("missing");
                (one.name.as_str(), missing, one.tail[0].as_str())
            })
            .collect();
        let expected = (
            "d.bad",
            "extra.part",
            "/site/d/bad.py, line 2: not run, only read",
        );
        assert_eq!(told, [expected]);
    }
}
