//! The compiler without namespaces: the root's own loader starts its interpreter where the root lies. Start at [`spec`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use unheck_base::TreePath;
use unheck_elf::{Object, default_dirs};
use unheck_sandbox::{Root, Spec};

use crate::debian::usrmerge;
use crate::layout::Layout;
use crate::roots::Roots;

/// The same run as `inside`, on the host's files: `input` and `out` stand for `/in` and `/out`. `None` where the root has no
/// interpreter that can be started so.
pub(super) fn spec(
    roots: &Roots,
    layout: &Layout,
    inside: &Spec,
    (input, out): (&Path, &Path),
) -> Option<Spec> {
    let started = Started::of(roots, layout)?;
    let python = &layout.python;
    let words = inside.argv.iter().map(|word| match word.to_str() {
        Some(word) if word == python => started.python.clone().into_os_string(),
        Some("/in") => input.as_os_str().to_owned(),
        Some("/out") => out.as_os_str().to_owned(),
        Some(word) => match word.strip_prefix("/in/") {
            Some(name) => input.join(name).into_os_string(),
            None => OsString::from(word),
        },
        None => word.clone(),
    });
    let loads = [
        started.loader.into_os_string(),
        OsString::from("--library-path"),
        started.libraries,
    ];
    let mut reads = roots.lower.clone();
    reads.push(input.to_owned());
    let writes = vec![out.to_owned()];
    let mut env: BTreeMap<OsString, OsString> = inside.env.clone();
    env.insert("PYTHONHOME".into(), started.home.into_os_string());
    Some(Spec {
        env,
        limits: inside.limits.clone(),
        stdio: inside.stdio,
        cwd: input.to_owned(),
        ..Spec::new(
            Root::Host { reads, writes },
            loads.into_iter().chain(words).collect(),
        )
    })
}

/// What starts an interpreter of a root from outside of it.
struct Started {
    loader: PathBuf,
    /// Where libraries are looked for, as `--library-path` of `ld.so(8)` takes them.
    libraries: OsString,
    python: PathBuf,
    /// Where its standard library is, less `lib/pythonX.Y`.
    home: PathBuf,
}

impl Started {
    fn of(roots: &Roots, layout: &Layout) -> Option<Self> {
        // A link that leads out of the root would lead to something of the host's.
        let within = |root: &PathBuf, path: &TreePath| {
            let real = fs_err::canonicalize(root.join(path.as_str())).ok()?;
            let root = fs_err::canonicalize(root).ok()?;
            real.starts_with(root).then_some(real)
        };
        let place = |path: &TreePath| {
            let mut lower = roots.lower.iter().rev();
            lower.find_map(|root| within(root, path))
        };
        let at = |text: &str| TreePath::new(text.trim_start_matches('/')).ok();
        let python = place(&at(&layout.python)?)?;
        let object = Object::parse(&fs_err::read(&python).ok()?).ok()?;
        let loader = place(&usrmerge(&at(object.interp.as_deref()?)?))?;
        let home = place(&layout.stdlib)?.parent()?.parent()?.to_owned();
        let directories: Vec<String> = default_dirs(object.machine)
            .iter()
            .flat_map(|directory| {
                roots
                    .lower
                    .iter()
                    .filter_map(|root| within(root, directory))
            })
            .map(|place| place.into_os_string().into_string().ok())
            .collect::<Option<_>>()?;
        // The loader divides the list at these.
        let dividing = |directory: &String| directory.contains([':', ';']);
        if directories.is_empty() || directories.iter().any(dividing) {
            return None;
        }
        Some(Self {
            loader,
            libraries: directories.join(":").into(),
            python,
            home,
        })
    }
}
