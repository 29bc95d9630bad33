//! Sources that must ship although their bytecode does. Start at [`sources`].
//!
//! A source is more than a module where somebody reads it: a distribution that asks for source
//! text (`inspect.getsource` and its kin) keeps all of its own, and a file that is named in a
//! string of its distribution (`"worker.py"`) is started or read by that name. Both are read off
//! the text, so what is put together at run time is not seen.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use super::{BytecodeError, Module, compile};
use crate::assemble::PackReader;
use crate::layout::Layout;
use crate::tree::Origin;

/// Calls that want the text of a module.
const READERS: [&str; 6] = [
    "getsource(",
    "getsourcelines(",
    "getsourcefile(",
    "findsource(",
    "get_source(",
    "linecache",
];

/// Which modules keep their source, each with the reason.
pub(super) fn sources(
    reader: &PackReader<'_>,
    modules: &[Module],
    layout: &Layout,
) -> Result<BTreeMap<TreePath, String>, BytecodeError> {
    let mut readers: BTreeMap<&Origin, &TreePath> = BTreeMap::new();
    let mut named: BTreeMap<&Origin, BTreeSet<String>> = BTreeMap::new();
    for module in modules {
        let bytes = compile::source(reader, module)?;
        let text = String::from_utf8_lossy(&bytes);
        let own = !module.path.is_under(layout.stdlib.as_str())
            || module.path.is_under(layout.site.as_str());
        // The standard library offers these calls; it works without its own text.
        if own && READERS.iter().any(|word| text.contains(word)) {
            readers.entry(&module.origin).or_insert(&module.path);
        }
        named
            .entry(&module.origin)
            .or_default()
            .extend(named_files(&text));
    }
    let mut keep = BTreeMap::new();
    for module in modules {
        if let Some(reader) = readers.get(&module.origin) {
            let why = format!("`{reader}` of the same distribution reads source text");
            keep.insert(module.path.clone(), why);
        } else if named
            .get(&module.origin)
            .is_some_and(|names| names.contains(module.path.file_name()))
        {
            let why = "a string of the same distribution names the file";
            keep.insert(module.path.clone(), why.to_owned());
        }
    }
    Ok(keep)
}

/// Names such as `worker.py` that end a string literal, with or without a path before them.
fn named_files(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(".py") {
        if !text[at + 3..].starts_with(['"', '\'']) {
            continue;
        }
        let before = &text[..at];
        let stem_at = before
            .char_indices()
            .rev()
            .take_while(|(_, letter)| letter.is_alphanumeric() || *letter == '_')
            .last()
            .map_or(at, |(at, _)| at);
        let opens = before[..stem_at].ends_with(['"', '\'', '/']);
        // `__init__.py` is looked for to know a package, `__main__.py` is run by its module's name.
        if stem_at < at && opens && !before[stem_at..].starts_with("__") {
            names.insert(format!("{}.py", &before[stem_at..]));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_named_in_strings_are_seen() {
        let text = "run('worker.py')\nopen(os.path.join(here, \"sub/tool_2.py\"))\n# a.py\nx = '.py'\ny = 'foo' + 'bar-baz.py'\nz = f'{n}.py'\nw = '__init__.py'";
        assert_eq!(
            named_files(text).into_iter().collect::<Vec<_>>(),
            ["tool_2.py", "worker.py"]
        );
    }
}
