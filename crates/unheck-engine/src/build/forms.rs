//! One platform as a relocatable artifact: what is below the app remembered by the lock, the app's
//! own part made anew. Start at [`FormBuilder::build`].

use std::collections::BTreeMap;
use std::path::Path;

use unheck_base::{Digest, TreePath};

use super::launch::{Start, command_path, description, start, words};
use super::layers::{Builder, Stepped, add_lists, summary, top_level};
use super::{Attempt, BuildError, working};
use crate::assemble::{AppPart, PackReader, add_app};
use crate::bom::bills;
use crate::event::Stage;
use crate::finding::Finding;
use crate::form::{FORMAT, FormFile, Format, MANIFEST_PATH, Manifest};
use crate::layout::Layout;
use crate::limits::Weight;
use crate::platform::Platform;
use crate::steps::{
    Relocated, Relocation, TrimFacts, compiling_root, launcher_node, relocate, relocate_app,
    relocated_sizes,
};
use crate::tree::{Content, Node, Origin, Tree};
use crate::verify::{FormSubject, verify_exe, verify_form};
use crate::write::form::stage::Record;
use crate::write::form::{
    Below, Parts, directory_of, lay_out, refuse_strangers, remember, replace, stage_file,
    still_there,
};
use crate::write::{Sizes, WrittenForm};

/// One relocatable artifact on its way.
pub(super) struct FormBuilder<'a> {
    pub(super) builder: Builder<'a>,
    pub(super) stub: &'static [u8],
    /// Whether the lock was renewed; `None` when it may not be.
    pub(super) renew: Option<bool>,
}

/// A relocatable artifact that was written.
pub(super) struct Formed {
    pub(super) written: WrittenForm,
    pub(super) findings: Vec<Finding>,
    pub(super) entry: String,
    pub(super) trimmed: BTreeMap<String, (u64, u64)>,
    pub(super) sizes: Sizes,
    pub(super) origins: BTreeMap<String, u64>,
    pub(super) files: u64,
}

/// The launcher for a platform, where this unheck has one.
pub(super) fn stub(platform: Platform) -> Option<&'static [u8]> {
    unheck_launcher::stub(match platform {
        Platform::LinuxAmd64 => unheck_launcher::Architecture::Amd64,
        Platform::LinuxArm64 => unheck_launcher::Architecture::Arm64,
    })
}

/// The app's part of an artifact.
struct AppTree {
    tree: Tree,
    relocated: Relocated,
    entry: TreePath,
}

/// The list of an artifact's files; long ones take a while to be written, so that is done once.
#[derive(Clone, Copy)]
struct Listed<'a> {
    manifest: &'a Manifest,
    /// The digest of its bytes.
    digest: Digest,
}

impl FormBuilder<'_> {
    /// Assembles, verifies and writes.
    pub(super) fn build(&self) -> Result<Formed, BuildError> {
        let Attempt {
            session, request, ..
        } = *self.builder.attempt;
        let store = session.store();
        let layout = Layout::of(&self.builder.target.interpreter);
        let name = self.builder.target.platform.to_string();
        if request.format == Format::Dir {
            refuse_strangers(&request.output)?;
        }
        let (below, mut app) = session.stage(Stage::Assemble, &name, || {
            self.builder.ensure_interpreter()?;
            let part = self.builder.app_part()?;
            let below = self.below(&layout, &part)?;
            let app = self.app(&layout, &part, &below)?;
            Ok::<_, BuildError>((below, app))
        })?;
        let manifest = self.manifest(&below, &app);
        let bytes = manifest.to_bytes();
        let listed = Listed {
            digest: Digest::of(&bytes),
            manifest: &manifest,
        };
        let list = Content::inline(bytes);
        let origin = Origin::Generated("manifest".to_owned());
        app.tree
            .replace(constant(MANIFEST_PATH), Node::file(origin, list));
        let parts = Parts {
            below: &below,
            app: &app.tree,
            store,
            reader: PackReader::new(store),
            top: self.top(),
            stub: self.stub,
        };
        let (written, mut findings) = self.write(&parts, listed, &app)?;
        let record = below.record();
        findings.extend(record.findings.iter().cloned());
        let app_bytes = manifest.unpacked() - record.unpacked();
        Ok(Formed {
            written,
            findings,
            entry: app.entry.to_string(),
            trimmed: record.trimmed.clone(),
            sizes: Sizes {
                with_libraries: record.sizes.with_libraries + app_bytes,
                without: record.sizes.without + app_bytes,
            },
            origins: manifest.origins(),
            files: manifest.files.len() as u64 + 1,
        })
    }

    fn relocation(&self) -> Relocation<'_> {
        Relocation {
            target: self.builder.target,
            libs: self.builder.attempt.request.libs,
            stub: self.stub,
        }
    }

    /// What decides the part below the app.
    fn key(&self, facts: &TrimFacts, references: &Digest) -> Digest {
        let Attempt { request, text, .. } = *self.builder.attempt;
        let text = format!(
            "form 5\0{}\0{}\0{}\0{}\0{}\0{}\0{facts:?}\0{references}\0{text}",
            env!("CARGO_PKG_VERSION"),
            self.builder.target.platform,
            request.trim,
            request.bytecode,
            request.libs,
            Digest::of(self.stub),
        );
        Digest::of(text.as_bytes())
    }

    fn below(&self, layout: &Layout, part: &AppPart) -> Result<Below, BuildError> {
        let store = self.builder.attempt.session.store();
        let facts = self.builder.app_facts();
        let references = self.builder.references(layout, part)?;
        let key = self.key(&facts, &references);
        if let Some(below) = Below::find(store, &key)?
            && !self.builder.meets(part, &below.record().site)?
        {
            return Ok(below);
        }
        let mut stepped = self.builder.tree(layout, part, facts, &references)?;
        let site = top_level(&stepped.tree, layout);
        let app: Vec<TreePath> = stepped
            .tree
            .iter()
            .filter(|(_, node)| {
                node.origin == Origin::App && !matches!(node.kind, crate::tree::Kind::Dir)
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in app {
            stepped.tree.remove(&path);
        }
        let mut sizes = relocated_sizes(&stepped.tree, layout);
        let image = stepped.tree.clone();
        let relocated = relocate(&mut stepped.tree, store, &self.relocation()).map_err(Box::new)?;
        // Last: unchecked bytecode of a module that was changed later would hide the change.
        let grown = self.builder.bytecode(&mut stepped, &|_| {
            Ok(compiling_root(store, &image, self.builder.target)?)
        })?;
        sizes.with_libraries = sizes.with_libraries.saturating_add_signed(grown);
        sizes.without = sizes.without.saturating_add_signed(grown);
        let key = stepped.key(key);
        let Stepped {
            tree,
            removed,
            shortened,
            linked,
            left_out,
            findings,
            ..
        } = stepped;
        let record = |files| Record {
            relocated,
            files,
            trimmed: summary(&removed, &shortened, &linked),
            site,
            left_out,
            sizes,
            findings,
        };
        Ok(Below::make(store, &key, &tree, record)?)
    }

    /// The app's own files, the commands and their description, the lock.
    fn app(&self, layout: &Layout, part: &AppPart, below: &Below) -> Result<AppTree, BuildError> {
        let Attempt {
            session,
            project,
            request,
            text,
            entry,
            ..
        } = *self.builder.attempt;
        let mut tree = Tree::new();
        add_app(&mut tree, session.store(), part, layout).map_err(Box::new)?;
        let known = &below.record().relocated;
        let relocation = self.relocation();
        let relocated =
            relocate_app(&mut tree, session.store(), &relocation, known).map_err(Box::new)?;
        let started = start(entry, &self.command_name(), layout, &relocated)
            .ok_or_else(|| BuildError::EntryProgram(words(entry)))?;
        self.commands(&mut tree, &relocated, known, &started);
        let launch = description(
            &relocated,
            &started,
            &project.config.env,
            (self.builder.target, request.libs),
        )?;
        let generated = |step: &str, bytes: Vec<u8>| {
            Node::file(Origin::Generated(step.to_owned()), Content::inline(bytes))
        };
        let launch_path = constant(unheck_launcher::LAUNCH_PATH);
        tree.replace(launch_path, generated("launch", launch.to_bytes()?));
        add_lists(&mut tree, text, &below.record().left_out);
        Ok(AppTree {
            tree,
            relocated,
            entry: started.at,
        })
    }

    /// `bin/NAME` of the entry and of each command of the project.
    fn commands(&self, tree: &mut Tree, all: &Relocated, below: &Relocated, entry: &Start) {
        let own = all
            .commands
            .iter()
            .filter(|(name, _)| !below.commands.contains_key(*name));
        let links = own.map(|(name, started)| (command_path(name), started.at.clone()));
        let linked = entry.link.clone().map(|to| (Some(entry.at.clone()), to));
        for (at, to) in links.chain(linked) {
            let Some(at) = at else { continue };
            let origin = Origin::Generated("launch".to_owned());
            tree.replace(at, Node::symlink(origin, &format!("../{to}")));
        }
        if entry.link.is_none() {
            tree.replace(entry.at.clone(), launcher_node(self.stub));
        }
    }

    fn manifest(&self, below: &Below, app: &AppTree) -> Manifest {
        let mut files: BTreeMap<TreePath, FormFile> = below.files().clone();
        files.extend(
            app.tree
                .iter()
                .filter(|(_, node)| !matches!(node.kind, crate::tree::Kind::Dir))
                .map(|(path, node)| (path.clone(), crate::write::form::describe(node))),
        );
        let project = self.builder.attempt.project;
        Manifest {
            unheck_form: FORMAT,
            platform: self.builder.target.platform,
            project: self.project_name(),
            version: project.version.clone(),
            libs: self.builder.attempt.request.libs,
            entry: app.entry.clone(),
            needs: app.relocated.needs.clone(),
            files,
        }
    }

    /// The project's name; a name that is only the directory's would make the artifact depend on
    /// where it was built.
    fn project_name(&self) -> String {
        let project = self.builder.attempt.project;
        if super::is_named(project) {
            project.name.clone()
        } else {
            "app".to_owned()
        }
    }

    fn command_name(&self) -> String {
        file_name(&self.project_name())
    }

    /// The directory above all others in an archive.
    fn top(&self) -> String {
        let version = self.builder.attempt.project.version.as_deref();
        let version = version
            .map(|version| format!("-{version}"))
            .unwrap_or_default();
        file_name(&format!("{}{version}", self.project_name()))
    }

    /// Verifies where it is asked for, and writes what works.
    fn write(
        &self,
        parts: &Parts<'_>,
        listed: Listed<'_>,
        app: &AppTree,
    ) -> Result<(WrittenForm, Vec<Finding>), BuildError> {
        let manifest = listed.manifest;
        let Attempt {
            session, request, ..
        } = *self.builder.attempt;
        let output = &request.output;
        let stage = |directory: tempfile::TempDir| -> Result<_, BuildError> {
            let linked = lay_out(parts, directory.path())?;
            let findings = self.verified(directory.path(), listed, parts, app)?;
            Ok((directory, linked, findings))
        };
        let said = output.display().to_string();
        if request.format == Format::Dir {
            let name = output.file_name().unwrap_or_default().to_string_lossy();
            let beside = tempfile::Builder::new()
                .prefix(&format!(".{name}.unheck-"))
                .tempdir_in(directory_of(output)?)
                .map_err(|source| crate::write::WriteFormError::Output {
                    path: output.clone(),
                    source,
                })?;
            let (directory, linked, mut findings) = stage(beside)?;
            self.held(&mut findings, directory.path())?;
            let written = WrittenForm {
                path: output.clone(),
                digest: listed.digest,
                size: manifest.unpacked(),
                linked,
                unchanged: false,
            };
            self.hold_limits(written.size, manifest)?;
            session.stage(Stage::Write, &said, || replace(directory, output))?;
            return Ok((written, findings));
        }
        let mut findings = Vec::new();
        if request.verify {
            let beside = session.store().temp_dir()?;
            let inner = tempfile::Builder::new()
                .prefix("form-")
                .tempdir_in(beside.path())
                .map_err(|source| crate::write::WriteFormError::Output {
                    path: beside.path().to_owned(),
                    source,
                })?;
            (_, _, findings) = stage(inner)?;
        }
        let compression = request.compression;
        let key = format!(
            "file 1\0{}\0{compression}\0{}\0{said}",
            request.format, listed.digest
        );
        let key = Digest::of(key.as_bytes());
        if let Some(there) = still_there(session.store(), output, &key)? {
            self.guard(&mut findings, output)?;
            self.hold_limits(there.size, manifest)?;
            return Ok((there, findings));
        }
        let staged = session.stage(Stage::Write, &said, || {
            stage_file(parts, output, request.format, compression)
        })?;
        if request.format == Format::Exe && request.verify {
            let name = manifest.platform.to_string();
            let digest = staged.written().digest;
            let found = session.stage(Stage::Verify, &name, || {
                verify_exe(session, staged.path(), manifest, Some(digest))
            });
            findings.extend(working(found.map_err(Box::new)?)?);
        }
        self.held(&mut findings, staged.path())?;
        self.hold_limits(staged.written().size, manifest)?;
        let written = staged.keep()?;
        remember(session.store(), &written, key)?;
        Ok((written, findings))
    }

    /// Holds what was made against all that the project promises.
    fn held(&self, findings: &mut Vec<Finding>, made: &Path) -> Result<(), BuildError> {
        findings.extend(self.require(made)?);
        self.guard(findings, made)
    }

    /// Holds what was made against the targets that the project promises.
    fn require(&self, made: &Path) -> Result<Vec<Finding>, BuildError> {
        let Attempt {
            session, project, ..
        } = *self.builder.attempt;
        if project.config.require.is_empty() {
            return Ok(Vec::new());
        }
        working(crate::check::require_of(session, project, made).map_err(Box::new)?)
    }

    /// Holds what was made, or is there already, against known vulnerabilities.
    fn guard(&self, findings: &mut Vec<Finding>, made: &Path) -> Result<(), BuildError> {
        let attempt = self.builder.attempt;
        attempt.guard(findings, || bills(attempt.session, made))
    }

    fn hold_limits(&self, size: u64, manifest: &Manifest) -> Result<(), BuildError> {
        let Attempt {
            session,
            project,
            request,
            ..
        } = *self.builder.attempt;
        let name = format!("{} {}", manifest.platform, request.format);
        let weight = Weight {
            size,
            layers: Vec::new(),
            origins: manifest.origins(),
        };
        super::hold_limits(session, project, &[(name, weight)].into(), self.renew)
    }

    fn verified(
        &self,
        root: &Path,
        listed: Listed<'_>,
        parts: &Parts<'_>,
        app: &AppTree,
    ) -> Result<Vec<Finding>, BuildError> {
        let Attempt {
            session, request, ..
        } = *self.builder.attempt;
        if !request.verify {
            return Ok(Vec::new());
        }
        let manifest = listed.manifest;
        let subject = FormSubject {
            root,
            manifest,
            target: self.builder.target,
            known_by: Some((parts.below.key(), listed.digest)),
            is_app: &|path| app.tree.get(path).is_some() || path.as_str() == MANIFEST_PATH,
        };
        let name = manifest.platform.to_string();
        let found = session.stage(Stage::Verify, &name, || verify_form(session, &subject));
        working(found.map_err(Box::new)?)
    }
}

fn constant(path: &str) -> TreePath {
    TreePath::new(path).expect("a constant path")
}

/// A name that every file system and shell takes.
fn file_name(text: &str) -> String {
    let name: String = text
        .chars()
        .take(60)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() {
        "app".to_owned()
    } else {
        name.to_owned()
    }
}
