//! What maintainer scripts would have made: the certificate bundle, the loader's cache and an
//! `ldconfig` that answers from it.

use unheck_base::TreePath;
use unheck_elf::ldcache;
use unheck_store::Store;

use super::{AssembleError, PackReader, is_file};
use crate::close::is_library_name;
use crate::layout::Layout;
use crate::lock::Target;
use crate::tree::{Content, Kind, Node, Origin, Tree};

/// The bundle that OpenSSL, curl and Python look for on Debian.
pub(crate) const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where Debian's OpenSSL looks for everything (its `OPENSSLDIR`).
const OPENSSL_DIR: &str = "usr/lib/ssl";

/// Where it looks for the bundle. Packages before bookworm lack this link: they rely on one hashed
/// link for each certificate, which a bundle replaces.
const OPENSSL_BUNDLE: &str = "usr/lib/ssl/cert.pem";

/// Most bytes of one certificate.
const MAX_CERTIFICATE: u64 = 1 << 20;

/// Adds the nodes of this module to a tree that has everything else.
pub(super) fn add(tree: &mut Tree, store: &Store, target: &Target) -> Result<(), AssembleError> {
    certificates(tree, store)?;
    loader_cache(tree, target)
}

/// Joins the certificates into one file, in the order of their names, as `update-ca-certificates`
/// does; the single files do not ship.
fn certificates(tree: &mut Tree, store: &Store) -> Result<(), AssembleError> {
    let found: Vec<(TreePath, Content, Origin)> = tree
        .iter()
        .filter(|(path, _)| is_certificate(path))
        .filter_map(|(path, node)| {
            Some((path.clone(), node.content()?.clone(), node.origin.clone()))
        })
        .collect();
    let Some((_, _, origin)) = found.first().cloned() else {
        return Ok(());
    };
    let reader = PackReader::new(store);
    let mut bundle = Vec::new();
    for (path, content, _) in found {
        let bytes =
            reader
                .bytes(&content, MAX_CERTIFICATE)
                .map_err(|source| AssembleError::Read {
                    path: path.clone(),
                    source,
                })?;
        bundle.extend_from_slice(bytes.trim_ascii_end());
        bundle.push(b'\n');
        tree.remove(&path);
    }
    let path = TreePath::new(BUNDLE).expect("a constant path");
    tree.replace(path, Node::file(origin.clone(), Content::inline(bundle)));
    let link = TreePath::new(OPENSSL_BUNDLE).expect("a constant path");
    let openssl = tree.iter().any(|(path, _)| path.is_under(OPENSSL_DIR));
    if openssl && tree.get(&link).is_none() {
        tree.replace(link, Node::symlink(origin, &format!("/{BUNDLE}")));
    }
    Ok(())
}

/// A certificate that goes into the bundle.
pub(crate) fn is_certificate(path: &TreePath) -> bool {
    path.is_under("usr/share/ca-certificates") && path.as_str().ends_with(".crt")
}

/// `etc/ld.so.cache` over every library of Debian's, and `sbin/ldconfig`, because
/// `ctypes.util.find_library` asks `/sbin/ldconfig -p`.
pub(crate) fn loader_cache(tree: &mut Tree, target: &Target) -> Result<(), AssembleError> {
    let library_dir = format!("usr/lib/{}", target.platform.triplet());
    let mut libraries: Vec<(String, TreePath)> = tree
        .iter()
        .filter(|(path, node)| {
            matches!(node.origin, Origin::Deb(_))
                && path.is_under(&library_dir)
                && is_library_name(path.file_name())
                && path.file_name().contains(".so.")
                && depth_below(path, &library_dir) <= 2
                && (is_file(node) || matches!(node.kind, Kind::Symlink(_)))
                && !path.as_str().contains("/gconv/")
        })
        .map(|(path, _)| (path.file_name().to_owned(), path.clone()))
        .collect();
    // A library in the directory itself wins over one of the same name below it.
    libraries
        .sort_by_key(|(name, path)| (name.clone(), depth_below(path, &library_dir), path.clone()));
    libraries.dedup_by(|one, other| one.0 == other.0);
    let machine = target.platform.elf_machine();
    let entries: Vec<ldcache::Entry> = libraries
        .into_iter()
        .map(|(soname, path)| ldcache::Entry {
            soname,
            path,
            machine,
        })
        .collect();
    let cache = ldcache::write(&entries).map_err(AssembleError::LdCache)?;
    let generated = || Origin::Generated("loader-cache".to_owned());
    let constant = |text: &str| TreePath::new(text).expect("a constant path");
    tree.replace(
        constant("etc/ld.so.cache"),
        Node::file(generated(), Content::inline(cache)),
    );
    let script = ldconfig(&entries, &Layout::of(&target.interpreter).python, target);
    tree.replace(
        constant("usr/sbin/ldconfig"),
        Node::file(generated(), Content::inline(script)).with_mode(0o755),
    );
    Ok(())
}

fn depth_below(path: &TreePath, directory: &str) -> usize {
    path.as_str()[directory.len()..].matches('/').count()
}

/// A program that prints the cache in `ldconfig -p`'s words and refuses everything else.
fn ldconfig(entries: &[ldcache::Entry], python: &str, target: &Target) -> String {
    let tag = match target.platform {
        crate::platform::Platform::LinuxAmd64 => "libc6,x86-64",
        crate::platform::Platform::LinuxArm64 => "libc6,AArch64",
    };
    let mut text = format!(
        "#!{python} -IS\nimport sys\n\nif sys.argv[1:] not in (['-p'], ['--print-cache']):\n    sys.exit('ldconfig: this image is read-only; only -p is answered')\nprint('''{} libs found in cache `/etc/ld.so.cache\\'\n",
        entries.len()
    );
    for entry in entries {
        text.push_str(&format!("\t{} ({tag}) => /{}\n", entry.soname, entry.path));
    }
    text.push_str("''', end='')\n");
    text
}
