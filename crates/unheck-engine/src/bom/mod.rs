//! What is in an artifact, as a bill of materials. Start at [`bills`].
//!
//! Reads the artifact alone: its files, its `dist-info` directories, its package database, its objects and
//! its lock. So a bill is true of what ships, and a build, an archive and a registry give the same one.

mod debian;
mod native;
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unheck_base::{Digest, TreePath};
use unheck_oci::open::{OpenError, open};
use unheck_sbom::model::{Bom, Component, FileHash, Kind, SUBJECT};
use unheck_sbom::{cyclonedx, openvex, purl, spdx_json};

use crate::explain::{Class, Explain};
use crate::form::{FormError, Format, kind_of, open_form};
use crate::inside::{Inside, InsideError, look, look_layers};
use crate::layers::WrittenLayer;
use crate::layout::Layout;
use crate::lock::{Provider, Target};
use crate::platform::Platform;
use crate::roots::{IndexNode, RootsError, from_image, from_layers};
use crate::session::Session;
use crate::steps::left_out::LeftOutList;
use crate::tree::Origin;
use crate::verify::view::View;

/// Longest file that is hashed: it is held in memory.
const MAX_FILE: u64 = 2 << 30;
/// Longest list and text that is read.
const MAX_TEXT: u64 = 64 << 20;

/// A format of bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillFormat {
    /// CycloneDX 1.6 JSON.
    CycloneDx,
    /// SPDX 2.3 JSON.
    Spdx,
    /// OpenVEX 0.2.0: what is said of known vulnerabilities alone.
    OpenVex,
    /// The same as CycloneDX 1.6.
    CycloneDxVex,
}

impl BillFormat {
    /// The media type of a bill.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx | Self::CycloneDxVex => cyclonedx::MEDIA_TYPE,
            Self::Spdx => spdx_json::MEDIA_TYPE,
            Self::OpenVex => openvex::MEDIA_TYPE,
        }
    }

    /// Whether it tells of vulnerabilities alone.
    pub const fn is_vex(self) -> bool {
        matches!(self, Self::OpenVex | Self::CycloneDxVex)
    }

    /// The format that a file's name asks for: SPDX where it ends in `.spdx.json`, OpenVEX where in `.openvex.json`.
    pub fn of_name(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match () {
            () if name.ends_with(".spdx.json") || name.ends_with(".spdx") => Self::Spdx,
            () if name.ends_with(".openvex.json") => Self::OpenVex,
            () => Self::CycloneDx,
        }
    }
}

/// The bill of one platform.
#[derive(Debug, Clone)]
pub struct Bill {
    /// The platform, such as `linux/amd64`.
    pub platform: String,
    /// What is in it.
    pub bom: Bom,
    /// What could not be taken over or recognised, one line each.
    pub notes: Vec<String>,
    /// The digest of the image's manifest, where it is one that was written.
    pub manifest: Option<Digest>,
    /// The paths that are code: objects, programs, modules and scripts.
    pub(crate) code: BTreeSet<String>,
    /// What trimming left out, where the artifact says so.
    pub(crate) left_out: Option<LeftOutList>,
    /// Where modules are, where the artifact has a lock.
    pub(crate) layout: Option<Layout>,
}

impl Bill {
    /// The bill in a format. The same artifact gives the same bytes.
    ///
    /// # Errors
    /// [`BomError::Json`].
    pub fn document(&self, format: BillFormat) -> Result<Vec<u8>, BomError> {
        let written = match format {
            BillFormat::CycloneDx => cyclonedx::document(&self.bom),
            BillFormat::Spdx => spdx_json::document(&self.bom),
            BillFormat::CycloneDxVex => cyclonedx::vex(&self.bom),
            BillFormat::OpenVex => {
                let product = self
                    .manifest
                    .map(|digest| purl::oci(&self.bom.subject.name, &digest, None));
                let written = openvex::document(&self.bom, product.as_deref());
                return written
                    .map_err(BomError::Json)?
                    .ok_or(BomError::NothingKnown);
            }
        };
        written.map_err(BomError::Json)
    }
}

/// There is no bill of an artifact.
#[derive(Debug, thiserror::Error)]
pub enum BomError {
    /// It cannot be looked into.
    #[error("cannot look into the artifact")]
    Inside(#[from] InsideError),
    /// It is no image that can be read.
    #[error("cannot open the artifact `{path}`", path = path.display())]
    Open {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// It is a directory, archive or executable that cannot be read.
    #[error("cannot open the artifact")]
    Form(#[from] Box<FormError>),
    /// Its layers cannot be unpacked.
    #[error("cannot read the artifact's layers")]
    Roots(#[from] RootsError),
    /// A file of it cannot be read.
    #[error("cannot read `{path}` of the artifact")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is nothing that a VEX could state.
    #[error("no vulnerability is known of it, and an OpenVEX document must state something")]
    NothingKnown,
    /// The bill cannot be written as JSON.
    #[error("cannot write the bill as JSON")]
    Json(#[source] serde_json::Error),
}

impl Explain for BomError {
    fn class(&self) -> Class {
        match self {
            Self::Inside(error) => error.class(),
            Self::Form(error) => error.class(),
            Self::Roots(error) => error.class(),
            Self::Open { .. } | Self::Read { .. } => Class::Input,
            Self::NothingKnown => Class::Verdict,
            Self::Json(_) => Class::Bug,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Inside(error) => error.hints(),
            Self::Form(error) => error.hints(),
            Self::Roots(error) => error.hints(),
            Self::NothingKnown => vec![
                "write a bill instead: `--format cyclonedx`; or name more data: `--osv DUMP`"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// One bill for each platform of the artifact at `path`.
///
/// # Errors
/// [`BomError`].
pub fn bills(session: &Session, path: &Path) -> Result<Vec<Bill>, BomError> {
    let insides = look(path)?;
    if kind_of(path).is_ok_and(|kind| kind != Format::Image) {
        let form = open_form(session.store(), path).map_err(Box::new)?;
        let index = form.index().map_err(Box::new)?;
        let view = View::new(vec![index], vec![form.root.clone()]);
        let bills = insides
            .iter()
            .map(|inside| bill(inside, &view, (Kind::Application, Hashing::All)));
        return bills.collect();
    }
    let failed = |source| BomError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let opened = open(path).map_err(failed)?;
    let images = opened.images().map_err(failed)?;
    let mut bills = Vec::new();
    for (inside, image) in insides.iter().zip(&images) {
        let roots = from_image(session.store(), &opened, image)?;
        let mut bill = bill(inside, &View::of(&roots)?, (Kind::Container, Hashing::All))?;
        bill.manifest = Some(image.descriptor.digest);
        bills.push(bill);
    }
    Ok(bills)
}

/// The bill of layers that are in no artifact yet, without hashes of files: what is judged before it is written.
///
/// # Errors
/// [`BomError`].
pub(crate) fn bill_of_layers(
    session: &Session,
    layers: &[WrittenLayer],
    platform: Platform,
) -> Result<Bill, BomError> {
    let inside = look_layers(session.store(), layers, platform)?;
    let plain: Vec<_> = layers.iter().map(|written| &written.layer).collect();
    let view = View::of(&from_layers(session.store(), &plain)?)?;
    bill(&inside, &view, (Kind::Container, Hashing::None))
}

/// Whether the files of a bill are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hashing {
    /// Each has its hashes.
    All,
    /// Hashes are those of nothing: only the paths count.
    None,
}

/// Everything that the parts of a bill are made from.
struct Work<'a> {
    inside: &'a Inside,
    view: &'a View,
    target: Option<&'a Target>,
    hashes: BTreeMap<TreePath, FileHash>,
    /// The Debian release, such as `13`, where the artifact says so.
    release: Option<String>,
    bom: Bom,
    notes: Vec<String>,
}

fn bill(inside: &Inside, view: &View, (kind, hashing): (Kind, Hashing)) -> Result<Bill, BomError> {
    let lock = inside.lock.as_ref();
    let target = lock.and_then(|lock| lock.target(inside.platform.parse().ok()?));
    let subject = Component {
        kind,
        name: inside
            .project
            .clone()
            .unwrap_or_else(|| "artifact".to_owned()),
        version: inside.version.clone(),
        properties: [("unheck:platform".to_owned(), inside.platform.clone())].into(),
        ..Component::default()
    };
    let mut work = Work {
        inside,
        view,
        target,
        hashes: hashes(inside, view, hashing)?,
        release: debian::release(view),
        bom: Bom {
            subject,
            created: lock.map_or(0, |lock| lock.plan.epoch),
            tool: ("unheck".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            components: BTreeMap::new(),
            edges: BTreeMap::new(),
            vulnerabilities: Vec::new(),
        },
        notes: Vec::new(),
    };
    debian::add(&mut work)?;
    let interpreter = work.interpreter();
    python::add(&mut work, interpreter.as_deref())?;
    work.app(interpreter.as_deref());
    work.bom.subject.files = work.files(|origin| matches!(origin, Origin::Generated(_)));
    Ok(Bill {
        platform: inside.platform.clone(),
        bom: work.bom,
        notes: work.notes,
        manifest: None,
        code: code(inside, view),
        left_out: inside.left_out.clone(),
        layout: target.map(|target| Layout::of(&target.interpreter)),
    })
}

/// Endings of files that are run by somebody else.
const SCRIPTS: [&str; 12] = [
    ".py", ".pyc", ".pth", ".so", ".pl", ".pm", ".sh", ".js", ".jar", ".rb", ".lua", ".tcl",
];

/// The regular files that are code, or could be.
fn code(inside: &Inside, view: &View) -> BTreeSet<String> {
    let is_code = |path: &&TreePath| match view.get(path) {
        Some(IndexNode::File {
            executable, elf, ..
        }) => {
            let name = path.file_name();
            *executable
                || elf.is_some()
                || name.contains(".so.")
                || SCRIPTS.iter().any(|end| name.ends_with(end))
        }
        _ => false,
    };
    let paths = inside.files.keys().filter(is_code);
    paths.map(ToString::to_string).collect()
}

/// The hashes of every file that is to be seen.
fn hashes(
    inside: &Inside,
    view: &View,
    hashing: Hashing,
) -> Result<BTreeMap<TreePath, FileHash>, BomError> {
    let files: Vec<&TreePath> = inside
        .files
        .iter()
        .filter(|(path, file)| {
            file.link.is_none() && matches!(view.get(path), Some(IndexNode::File { .. }))
        })
        .map(|(path, _)| path)
        .collect();
    if hashing == Hashing::None {
        let nothing = FileHash::of(b"");
        return Ok(files
            .into_iter()
            .map(|path| (path.clone(), nothing))
            .collect());
    }
    let hashed = files.into_par_iter().map(|path| {
        let bytes = view.read(path, MAX_FILE).map_err(|source| BomError::Read {
            path: path.to_string(),
            source,
        })?;
        Ok((path.clone(), FileHash::of(&bytes)))
    });
    hashed.collect()
}

impl Work<'_> {
    /// The files of some origins with their hashes.
    fn files(&self, wanted: impl Fn(&Origin) -> bool) -> BTreeMap<String, FileHash> {
        let mine = self
            .inside
            .files
            .iter()
            .filter(|(_, file)| wanted(&file.origin));
        let hashed = mine.filter_map(|(path, _)| Some((path.to_string(), *self.hashes.get(path)?)));
        hashed.collect()
    }

    /// A text file, where there is one that can be read.
    fn text(&self, path: &str) -> Option<String> {
        let path = self.view.resolve(&TreePath::new(path).ok()?)?;
        let bytes = self.view.read(&path, MAX_TEXT).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The id of what runs the code: a Debian package that is there, or a component of its own.
    fn interpreter(&mut self) -> Option<String> {
        let target = self.target?;
        let interpreter = &target.interpreter;
        if interpreter.provider == Provider::Debian {
            let minor: Vec<&str> = interpreter.version.split('.').take(2).collect();
            let minor = minor.join(".");
            let names = [
                format!("python{minor}-minimal"),
                format!("libpython{minor}-minimal"),
            ];
            return names
                .iter()
                .find_map(|name| debian::id(&self.bom, name))
                .map(str::to_owned);
        }
        let archive = interpreter.archive.as_ref();
        let provider = match interpreter.provider {
            Provider::Standalone => "standalone",
            Provider::Prefix => "prefix",
            Provider::Debian => "debian",
        };
        let component = Component {
            name: "python".to_owned(),
            version: Some(interpreter.version.clone()),
            purl: Some(purl::generic("python", Some(&interpreter.version))),
            licence: unheck_sbom::licence::of_text("PSF-2.0"),
            archive: archive.map(|wheel| wheel.hashes.sha256),
            download: archive.and_then(|wheel| wheel.url.clone()),
            files: self.files(|origin| *origin == Origin::Interpreter),
            properties: [("unheck:provider".to_owned(), provider.to_owned())].into(),
            ..Component::default()
        };
        let id = format!("interpreter:python@{}", interpreter.version);
        Some(self.bom.add(&id, component))
    }

    /// The project's own files; the artifact needs them, they need what the project asks for.
    fn app(&mut self, interpreter: Option<&str>) {
        let files = self.files(|origin| *origin == Origin::App);
        let name = self.bom.subject.name.clone();
        let component = Component {
            kind: Kind::Application,
            name: name.clone(),
            version: self.inside.version.clone(),
            files,
            ..Component::default()
        };
        let id = self.bom.add(&format!("app:{name}"), component);
        self.bom.depend(SUBJECT, &id);
        if let Some(interpreter) = interpreter {
            self.bom.depend(&id, interpreter);
        }
        let roots = self.inside.lock.iter().flat_map(|lock| &lock.plan.roots);
        for root in roots {
            if let Some(needed) = python::id(&self.bom, root).map(str::to_owned) {
                self.bom.depend(&id, &needed);
            }
        }
    }
}
