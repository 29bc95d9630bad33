//! Wheels in the store: opened strictly, unpacked once, planned into a layout.

use std::collections::BTreeMap;
use std::io::Read;

use unheck_base::{Digest, TreePath};
use unheck_store::{
    Corruption, Member, Object, Pack, PackError, PackKind, PackWriter, Store, StoreError,
};
use unheck_wheel::{
    Limits, ParseWheelNameError, PlanError, PlanOptions, Source, UnpackError, Wheel, WheelError,
    WheelName, plan,
};

use crate::explain::{Class, Explain};
use crate::layout::Layout;
use crate::tree::{Content, Kind, Node, Origin};

/// Raised whenever the pack of the same wheel would differ.
const UNPACKER: &str = "wheel 1";

/// A wheel with its unpacked members.
pub struct OpenWheel {
    /// What it says of itself.
    pub wheel: Wheel,
    /// Its members.
    pub pack: Pack,
    /// Digest of the archive.
    pub digest: Digest,
}

/// A wheel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UseWheelError {
    /// Its file name is none of a wheel.
    #[error("`{name}` is not the name of a wheel")]
    Name {
        /// The file name.
        name: String,
        /// Why not.
        #[source]
        source: ParseWheelNameError,
    },
    /// It is refused.
    #[error("the wheel `{name}` is refused")]
    Refused {
        /// The file name.
        name: String,
        /// Why.
        #[source]
        source: Box<WheelError>,
    },
    /// Its members are not what they should be.
    #[error("the wheel `{name}` is refused")]
    Members {
        /// The file name.
        name: String,
        /// Why.
        #[source]
        source: Box<UnpackError>,
    },
    /// It would not go where it should.
    #[error("the wheel `{name}` cannot be installed")]
    Plan {
        /// The file name.
        name: String,
        /// Why not.
        #[source]
        source: PlanError,
    },
    /// Its members cannot be kept.
    #[error("the wheel `{name}` cannot be kept")]
    Pack {
        /// The file name.
        name: String,
        /// Why not.
        #[source]
        source: PackError,
    },
    /// A member is not among those that were unpacked.
    #[error("the wheel `{name}` has no unpacked `{path}` in the store")]
    Lost {
        /// The file name.
        name: String,
        /// The member.
        path: TreePath,
    },
    /// The store failed.
    #[error("the store failed on the wheel `{name}`")]
    Store {
        /// The file name.
        name: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl Explain for UseWheelError {
    fn class(&self) -> Class {
        match self {
            Self::Store { source, .. } if source.is_no_space() => Class::Limit,
            Self::Store { .. } | Self::Pack { .. } | Self::Lost { .. } => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store { source, .. } => source.hint().into_iter().collect(),
            Self::Refused { name, .. } | Self::Members { name, .. } | Self::Plan { name, .. } => {
                vec![format!(
                    "pin another version of `{}`, or report the file to who published it",
                    name.split('-').next().unwrap_or(name)
                )]
            }
            _ => Vec::new(),
        }
    }
}

/// Opens a wheel whose blob is in the store, and unpacks it there when that was not done yet.
///
/// # Errors
/// [`UseWheelError`]; a damaged blob is a [`StoreError::Corrupt`] inside.
pub fn open_wheel(store: &Store, name: &str, digest: &Digest) -> Result<OpenWheel, UseWheelError> {
    let parsed: WheelName = name.parse().map_err(|source| UseWheelError::Name {
        name: name.to_owned(),
        source,
    })?;
    let failed = |source| UseWheelError::Store {
        name: name.to_owned(),
        source,
    };
    let mut blob =
        std::io::BufReader::with_capacity(256 << 10, store.open_blob(digest).map_err(failed)?);
    let len = store.size_of(digest).unwrap_or_default();
    let limits = Limits::default();
    let wheel = Wheel::open(&mut blob, len, &parsed, &limits).map_err(|source| {
        refused(
            store,
            name,
            digest,
            UseWheelError::Refused {
                name: name.to_owned(),
                source: Box::new(source),
            },
        )
    })?;
    let key = Pack::key(digest, UNPACKER);
    let pack = match Pack::open(store, &key).map_err(failed)? {
        Some(pack) => pack,
        None => {
            store.verify(digest).map_err(failed)?;
            unpack(store, name, &wheel, &mut blob, &key)?
        }
    };
    Ok(OpenWheel {
        wheel,
        pack,
        digest: *digest,
    })
}

/// A wheel that was good when it was fetched and is refused now is damaged, not hostile.
fn refused(store: &Store, name: &str, digest: &Digest, error: UseWheelError) -> UseWheelError {
    match store.verify(digest) {
        Err(
            source @ StoreError::Corrupt(Corruption {
                object: Object::Blob(_),
                ..
            }),
        ) => UseWheelError::Store {
            name: name.to_owned(),
            source,
        },
        _ => error,
    }
}

fn unpack(
    store: &Store,
    name: &str,
    wheel: &Wheel,
    blob: &mut (impl Read + std::io::Seek),
    key: &Digest,
) -> Result<Pack, UseWheelError> {
    let mut writer = PackWriter::create(store, key).map_err(|source| UseWheelError::Store {
        name: name.to_owned(),
        source,
    })?;
    let mut failed = None;
    let unpacked = wheel.unpack(blob, &mut |_, member, content| {
        let mode = if member.executable { 0o755 } else { 0o644 };
        let place = Member {
            path: member.path.clone(),
            mode,
            mtime: 0,
        };
        let added = if member.is_dir {
            writer.add_dir(place)
        } else {
            writer.add_file(place, Some(member.size), content).map(drop)
        };
        added.map_err(|error| {
            // A reader that finds a lie must be heard as such, not as trouble of the store.
            if let PackError::Input { source, .. } = error {
                return source;
            }
            let text = error.to_string();
            failed = Some(error);
            std::io::Error::other(text)
        })
    });
    if let Some(source) = failed {
        return Err(UseWheelError::Pack {
            name: name.to_owned(),
            source,
        });
    }
    unpacked.map_err(|source| UseWheelError::Members {
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    writer
        .commit(&serde_json::Value::Null)
        .map_err(|source| UseWheelError::Pack {
            name: name.to_owned(),
            source,
        })
}

/// The nodes of an installed wheel, and where each member of it went.
pub struct InstalledWheel {
    /// Nodes by path.
    pub nodes: Vec<(TreePath, Node)>,
    /// Place in the tree by path in the archive.
    pub places: BTreeMap<TreePath, TreePath>,
}

/// Installs a wheel into a layout, without writing anything.
///
/// # Errors
/// [`UseWheelError::Plan`].
pub fn install(
    open: &OpenWheel,
    layout: &Layout,
    origin: &Origin,
    requested: bool,
) -> Result<InstalledWheel, UseWheelError> {
    let name = open.wheel.name().to_string();
    let options = PlanOptions {
        requested,
        direct_url: None,
    };
    let planned =
        plan(&open.wheel, &layout.scheme(), &options).map_err(|source| UseWheelError::Plan {
            name: name.clone(),
            source,
        })?;
    let mut installed = InstalledWheel {
        nodes: Vec::new(),
        places: BTreeMap::new(),
    };
    for file in planned {
        let content = match file.source {
            Source::Inline(bytes) => Content::inline(bytes),
            Source::Member(index) => {
                let member = &open.wheel.members()[index].path;
                installed.places.insert(member.clone(), file.path.clone());
                part(open, member).ok_or_else(|| UseWheelError::Lost {
                    name: name.clone(),
                    path: member.clone(),
                })?
            }
        };
        let node = Node {
            origin: origin.clone(),
            mode: file.mode,
            owner: 0,
            kind: Kind::File(content),
        };
        installed.nodes.push((file.path, node));
    }
    Ok(installed)
}

fn part(open: &OpenWheel, member: &TreePath) -> Option<Content> {
    let entry = open.pack.get(member)?;
    let PackKind::File {
        offset,
        len,
        digest,
    } = entry.kind
    else {
        return None;
    };
    Some(Content::Part {
        archive: Pack::key(&open.digest, UNPACKER),
        offset,
        len,
        digest,
    })
}
