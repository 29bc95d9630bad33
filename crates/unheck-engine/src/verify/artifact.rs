//! Verifies an image on disk: [`verify_artifact`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use unheck_base::{Digest, TreePath};
use unheck_oci::open::{OpenError, Opened, OpenedImage, open};
use unheck_oci::validate::validate;
use unheck_wheel::{normalize_name, same_version};

use super::form::{FormSubject, against_list, verify_exe, verify_form};
use super::imports::Imported;
use super::view::{Installed, View};
use super::{Checked, Subject, VerifyError, joined};
use crate::assemble::{BUNDLE, is_certificate};
use crate::build::LOCK_PATH;
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity, worst};
use crate::form::{FormError, Format, kind_of, open_form};
use crate::layout::Layout;
use crate::lock::{Lock, Target};
use crate::platform::Platform;
use crate::roots::from_image;
use crate::session::Session;
use crate::steps::imports::finder::LIST;
use crate::steps::left_out::{LEFT_OUT_PATH, LeftOutList};
use crate::steps::{bytecode_of, may_be_left_out};

/// Longest lock that is read.
const MAX_LOCK: u64 = 64 << 20;
/// Longest control paragraph that is read.
const MAX_CONTROL: u64 = 1 << 20;

/// An artifact cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyArtifactError {
    /// It cannot be opened.
    #[error("cannot open the image `{path}`", path = path.display())]
    Open {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// It is a directory, archive or executable that cannot be opened.
    #[error("cannot open the artifact `{path}`", path = path.display())]
    Form {
        /// The file or directory.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: Box<FormError>,
    },
    /// It cannot be verified.
    #[error("cannot verify the artifact")]
    Verify(#[from] VerifyError),
}

impl Explain for VerifyArtifactError {
    fn class(&self) -> Class {
        match self {
            Self::Open { .. } => Class::Input,
            Self::Form { source, .. } => source.class(),
            Self::Verify(error) => error.class(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { .. } => {
                vec!["give an OCI archive or layout folder, as `unheck build` writes it".to_owned()]
            }
            Self::Form { source, .. } => source.hints(),
            Self::Verify(error) => error.hints(),
        }
    }
}

/// Verifies what was built. Of an image file or layout folder: the format, every platform's content against the lock
/// inside, and by running it. Nothing that is remembered is believed.
///
/// # Errors
/// [`VerifyArtifactError`] when it cannot be told whether it works.
pub fn verify_artifact(
    session: &Session,
    path: &Path,
) -> Result<Vec<Finding>, VerifyArtifactError> {
    let unopened = |source| VerifyArtifactError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    };
    if kind_of(path).is_ok_and(|kind| kind != Format::Image) {
        return verify_a_form(session, path);
    }
    let opened = open(path).map_err(unopened)?;
    let mut findings: Vec<Finding> = validate(&opened)
        .into_iter()
        .map(|problem| {
            Finding::new(
                Severity::Error,
                "image-invalid",
                problem.subject,
                problem.message,
            )
        })
        .collect();
    if findings.is_empty() {
        let images = opened.images().map_err(unopened)?;
        if images.is_empty() {
            findings.push(Finding::new(
                Severity::Error,
                "image-invalid",
                path.display().to_string(),
                "it holds no image",
            ));
        }
        for image in &images {
            findings.extend(verify_image(session, &opened, image)?);
        }
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// A directory, archive or executable: its files against its list and its lock, and by running it
/// where nothing else is.
fn verify_a_form(session: &Session, path: &Path) -> Result<Vec<Finding>, VerifyArtifactError> {
    let unopened = |source| VerifyArtifactError::Form {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let form = open_form(session.store(), path).map_err(unopened)?;
    let manifest = &form.described.manifest;
    let mut findings = against_list(&form.root, manifest).map_err(|source| {
        unopened(FormError::Read {
            path: form.root.clone(),
            source,
        })
    })?;
    let lock = &form.described.lock;
    let Some(target) = lock.target(manifest.platform) else {
        let evidence = format!("the lock inside has no target {}", manifest.platform);
        let subject = manifest.platform.to_string();
        findings.push(Finding::new(
            Severity::Error,
            "lock-differs",
            subject,
            evidence,
        ));
        return Ok(findings);
    };
    let index = form.index().map_err(unopened)?;
    let view = View::new(vec![index], vec![form.root.clone()]);
    let distributions = view.distributions().map_err(VerifyError::Lists)?;
    findings.extend(
        distributions
            .par_iter()
            .flat_map_iter(|one| recorded(&view, one))
            .collect::<Vec<_>>(),
    );
    findings.extend(locked_distributions(lock, target, &distributions));
    // What is not what it says is not run.
    if worst(&findings) != Some(Severity::Error) {
        let subject = FormSubject {
            root: &form.root,
            manifest,
            target,
            known_by: None,
            is_app: &|_| true,
        };
        findings.extend(verify_form(session, &subject)?);
        if form.described.format == Format::Exe {
            findings.extend(verify_exe(session, path, manifest, None)?);
        }
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

fn verify_image(
    session: &Session,
    opened: &Opened,
    image: &OpenedImage,
) -> Result<Vec<Finding>, VerifyError> {
    let named = image.platform.to_string();
    let platform = match image.platform.architecture.parse::<Platform>() {
        Ok(platform) if image.platform.os == "linux" => platform,
        _ => {
            let evidence = "unheck makes no images of this platform and cannot look into it";
            return Ok(vec![Finding::new(
                Severity::Warning,
                "platform-unknown",
                named,
                evidence,
            )]);
        }
    };
    let roots = from_image(session.store(), opened, image)?;
    let view = View::of(&roots)?;
    let lock = match read_lock(&view) {
        Ok(lock) => lock,
        Err(finding) => return Ok(vec![*finding]),
    };
    let Some(target) = lock.target(platform) else {
        let evidence = format!("the lock inside has no target {platform}");
        return Ok(vec![Finding::new(
            Severity::Error,
            "lock-differs",
            named,
            evidence,
        )]);
    };
    let distributions = view.distributions().map_err(VerifyError::Lists)?;
    let mut findings = contents(&view, &lock, target, &distributions);
    let execution = &image.config.config;
    let env: BTreeMap<String, String> = execution
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let entrypoint: Vec<String> = execution
        .entrypoint
        .iter()
        .chain(&execution.cmd)
        .cloned()
        .collect();
    let app = image
        .config
        .history
        .last()
        .is_some_and(|last| last.created_by.as_deref() == Some("unheck: app"));
    let subject = Subject {
        platform,
        layout: Layout::of(&target.interpreter),
        diff_ids: image.config.rootfs.diff_ids.clone(),
        below: roots.lower.len() - usize::from(app && !roots.lower.is_empty()),
        entrypoint: &entrypoint,
        env: &env,
        working_dir: execution
            .working_dir
            .as_deref()
            .filter(|text| !text.is_empty())
            .unwrap_or("/"),
        imported: Imported::All,
    };
    let checked = Checked::new(session, &subject, &roots)?;
    findings.extend(checked.below()?.findings);
    Ok(joined(findings, checked.app()?))
}

fn read_lock(view: &View) -> Result<Lock, Box<Finding>> {
    let finding = |severity, evidence: String| {
        Box::new(Finding::new(
            severity,
            "lock-unreadable",
            LOCK_PATH,
            evidence,
        ))
    };
    let path = TreePath::new(LOCK_PATH).expect("a constant path");
    if view.resolve(&path).is_none() {
        let evidence =
            "the image has no lock inside: unheck did not make it, and only its format was checked";
        return Err(finding(Severity::Warning, evidence.to_owned()));
    }
    let bytes = view
        .read(&path, MAX_LOCK)
        .map_err(|error| finding(Severity::Error, error.to_string()))?;
    let text =
        String::from_utf8(bytes).map_err(|error| finding(Severity::Error, error.to_string()))?;
    Lock::from_text(&text, Path::new(LOCK_PATH))
        .map_err(|error| finding(Severity::Error, error.to_string()))
}

/// What is inside against what the lock says.
fn contents(
    view: &View,
    lock: &Lock,
    target: &Target,
    distributions: &[Installed],
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = distributions
        .par_iter()
        .flat_map_iter(|one| recorded(view, one))
        .collect();
    findings.extend(locked_distributions(lock, target, distributions));
    let layout = Layout::of(&target.interpreter);
    let left_out = LeftOutPaths::of(view, &layout);
    findings.extend(
        target
            .debs
            .iter()
            .flat_map(|deb| package(view, deb, (&layout, &left_out))),
    );
    findings
}

/// Every file that a distribution records is there with its digest.
fn recorded(view: &View, distribution: &Installed) -> Vec<Finding> {
    let new = |path: &str, evidence: String| {
        Finding::new(
            Severity::Error,
            "record-differs",
            path,
            format!("{}: {evidence}", distribution.name),
        )
    };
    let mut findings: Vec<Finding> = distribution
        .broken_rows
        .iter()
        .map(|row| {
            new(
                distribution.info.as_str(),
                format!("`RECORD` has the row `{row}`, which is none"),
            )
        })
        .collect();
    for (path, digest) in &distribution.files {
        // A file that is there twice is a link to the other.
        let place = view.resolve(path);
        let Some(host) = place.and_then(|place| view.host_path(&place)) else {
            findings.push(new(
                path.as_str(),
                "`RECORD` names the file, and it is not there".to_owned(),
            ));
            continue;
        };
        let Some(digest) = digest else { continue };
        match fs_err::File::open(host).and_then(Digest::of_reader) {
            Ok((found, _)) if found == *digest => {}
            Ok((found, _)) => findings.push(new(
                path.as_str(),
                format!("`RECORD` says `{digest}`, it is `{found}`"),
            )),
            Err(error) => findings.push(new(path.as_str(), error.to_string())),
        }
    }
    findings
}

/// Every locked wheel is installed at its version.
fn locked_distributions(lock: &Lock, target: &Target, distributions: &[Installed]) -> Vec<Finding> {
    let installed: BTreeMap<String, String> = distributions
        .iter()
        .map(|one| {
            let stem = one.info.file_name().trim_end_matches(".dist-info");
            let version = stem.rsplit_once('-').map_or("", |(_, version)| version);
            (normalize_name(&one.name).to_string(), version.to_owned())
        })
        .collect();
    let mut findings = Vec::new();
    for (locked, _) in target.wheels.iter().filter_map(|wheel| lock.wheel(wheel)) {
        let evidence = match (installed.get(&locked.name), &locked.version) {
            (None, _) => "the lock has it, the image does not".to_owned(),
            (Some(found), Some(version)) if !same_version(found, version) => {
                format!("the lock has version {version}, the image {found}")
            }
            (Some(_), _) => continue,
        };
        findings.push(Finding::new(
            Severity::Error,
            "lock-differs",
            locked.name.clone(),
            evidence,
        ));
    }
    findings
}

/// What trimming left out, as the image itself lists it; it counts as missing all the same where it is there.
struct LeftOutPaths(BTreeSet<TreePath>);

impl LeftOutPaths {
    fn of(view: &View, layout: &Layout) -> Self {
        let lists = [
            layout.site.join(LIST).expect("a constant name"),
            TreePath::new(LEFT_OUT_PATH).expect("a constant path"),
        ];
        let texts = lists
            .iter()
            .filter_map(|list| view.read(list, MAX_LOCK).ok());
        let read = |text: Vec<u8>| LeftOutList::read(&String::from_utf8_lossy(&text)).entries;
        Self(texts.flat_map(read).map(|one| one.path).collect())
    }

    /// Whether a path is listed, or a directory above it of which nothing is left.
    fn has(&self, path: &TreePath) -> bool {
        self.0.contains(path) || path.ancestors().any(|above| self.0.contains(&above))
    }
}

/// A Debian package is there at its version, with every file that the lock names but those that
/// trimming leaves out and those that were joined into another.
fn package(
    view: &View,
    deb: &crate::lock::Deb,
    (layout, left_out): (&Layout, &LeftOutPaths),
) -> Vec<Finding> {
    let new = |evidence: String| {
        Finding::new(Severity::Error, "lock-differs", deb.name.clone(), evidence)
    };
    let mut findings = Vec::new();
    let path = TreePath::new(&format!("var/lib/dpkg/status.d/{}", deb.name));
    let path = path.ok();
    if path.as_ref().is_some_and(|path| left_out.has(path)) {
        return findings;
    }
    let control = path
        .and_then(|path| view.read(&path, MAX_CONTROL).ok())
        .unwrap_or_default();
    let control = String::from_utf8_lossy(&control);
    match control
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
    {
        Some(version) if version.trim() == deb.version => {}
        Some(version) => findings.push(new(format!(
            "the lock has version {}, the image {version}",
            deb.version
        ))),
        None => findings.push(new("the lock has it, the image does not".to_owned())),
    }
    let bundled = TreePath::new(BUNDLE).is_ok_and(|path| view.get(&path).is_some());
    let compiled =
        |path: &TreePath| bytecode_of(path).is_some_and(|path| view.get(&path).is_some());
    let elsewhere = |path: &TreePath| {
        may_be_left_out(path, layout)
            || left_out.has(path)
            || (bundled && is_certificate(path))
            || compiled(path)
    };
    let missing = deb.files.keys().filter(|path| view.get(path).is_none());
    for path in missing.filter(|path| !elsewhere(path)) {
        findings.push(new(format!(
            "the lock has its file `{path}`, the image does not"
        )));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::{IndexNode, LayerIndex};

    #[test]
    fn changed_and_missing_files_of_a_distribution_are_told() {
        let temp = tempfile::tempdir().expect("temp");
        let path = |text: &str| TreePath::new(text).expect("path");
        let mut index = LayerIndex::default();
        for (name, bytes) in [("good.py", b"a"), ("bad.py", b"b")] {
            fs_err::write(temp.path().join(name), bytes).expect("write");
            index.nodes.insert(
                path(name),
                IndexNode::File {
                    len: 1,
                    executable: false,
                    elf: None,
                },
            );
        }
        let view = View::new(vec![index], vec![temp.path().to_owned()]);
        let digest = Some(Digest::of(b"a"));
        let distribution = Installed {
            name: "d".to_owned(),
            site: path("site"),
            info: path("site/d-1.dist-info"),
            files: [("good.py", digest), ("bad.py", digest), ("gone.py", None)]
                .map(|(name, digest)| (path(name), digest))
                .into(),
            modules: BTreeMap::new(),
            requires: BTreeSet::new(),
            broken_rows: vec!["x".to_owned()],
        };
        let subjects: Vec<String> = recorded(&view, &distribution)
            .into_iter()
            .map(|finding| finding.subject)
            .collect();
        assert_eq!(subjects, ["site/d-1.dist-info", "bad.py", "gone.py"]);
    }
}
