//! Writes an OCI image: config, manifest, archive or layout folder. Start at [`write_image`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_base::Digest;
use unheck_oci::image::{Config, Execution, History, Platform as OciPlatform};
use unheck_oci::layout::{
    ArchiveRecord, Blob, WriteError, update_archive, write_archive, write_layout,
};
use unheck_oci::plan::{Image, ImageName, ImageNameError, Images, PlanError, plan};
use unheck_store::{Store, StoreError};

use crate::explain::{Class, Explain};
use crate::layers::WrittenLayer;
use crate::layout::NONROOT;
use crate::platform::Platform;

/// What is the same for every platform of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// `NAME:TAG` under which `docker load` and `podman load` file it.
    pub tag: Option<String>,
    /// Labels; `org.opencontainers.image.*` among them.
    pub labels: BTreeMap<String, String>,
    /// Ports such as `8000/tcp`.
    pub expose: Vec<String>,
    /// Creation time, in seconds since 1970.
    pub created: i64,
}

/// One platform of an image.
#[derive(Debug, Clone)]
pub struct ImageTarget {
    /// Which.
    pub platform: Platform,
    /// Its layers, the lowest first.
    pub layers: Vec<WrittenLayer>,
    /// The command that the image starts.
    pub entrypoint: Vec<String>,
    /// `NAME=value`, sorted by name.
    pub env: BTreeMap<String, String>,
    /// Absolute path where it starts.
    pub working_dir: String,
}

/// An image on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenImage {
    /// Where.
    pub path: PathBuf,
    /// Digest of the manifest, or of the index when there are several platforms.
    pub digest: Digest,
    /// Length of the archive in bytes, or of everything in the layout.
    pub size: u64,
    /// Whether it was there already, byte for byte.
    pub unchanged: bool,
}

/// An image cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteImageError {
    /// The tag is none.
    #[error("cannot name the image")]
    Name(#[source] ImageNameError),
    /// There is no image of it.
    #[error("cannot put the image together")]
    Plan(#[from] PlanError),
    /// The output's directory cannot be made.
    #[error("cannot make the directory `{path}`", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the image")]
    Write(#[from] WriteError),
    /// The store failed.
    #[error("cannot remember what was written")]
    Store(#[from] StoreError),
}

impl Explain for WriteImageError {
    fn class(&self) -> Class {
        let full = |error: &std::io::Error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
            )
        };
        match self {
            Self::Name(_) | Self::Plan(_) => Class::Input,
            Self::Write(WriteError::Output { source, .. } | WriteError::Copy { source, .. })
            | Self::Directory { source, .. }
                if full(source) =>
            {
                Class::Limit
            }
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Write(WriteError::Blob { .. } | WriteError::BlobSize { .. }) | Self::Store(_) => {
                Class::Outside
            }
            Self::Write(_) | Self::Directory { .. } => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Write(_) | Self::Directory { .. } if self.class() == Class::Limit => {
                vec!["free some space, or write elsewhere with `--output PATH`".to_owned()]
            }
            Self::Write(WriteError::Output { .. }) | Self::Directory { .. } => {
                vec!["choose a place that you may write to with `--output PATH`".to_owned()]
            }
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Writes an image to `path`: a layout folder when the name ends in `.oci`, else an archive.
///
/// # Errors
/// [`WriteImageError`]; the output is whole or as it was.
pub fn write_image(
    store: &Store,
    path: &Path,
    options: &ImageOptions,
    targets: &[ImageTarget],
) -> Result<WrittenImage, WriteImageError> {
    let name = options
        .tag
        .as_deref()
        .map(str::parse::<ImageName>)
        .transpose()
        .map_err(WriteImageError::Name)?;
    let images = Images {
        images: targets
            .iter()
            .map(|target| image(options, target))
            .collect(),
        name,
        annotations: BTreeMap::new(),
    };
    let plan = plan(&images)?;
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        fs_err::create_dir_all(parent).map_err(|source| WriteImageError::Directory {
            path: parent.to_owned(),
            source,
        })?;
    }
    // What goes into an artifact is checked at this last door, however long it lay in the store.
    let blobs = |digest: &Digest| {
        let checked = store.verify(digest).and_then(|()| store.open_blob(digest));
        checked.map(Blob::File).map_err(std::io::Error::other)
    };
    let digest = plan.digest();
    if path.extension().is_some_and(|extension| extension == "oci") {
        write_layout(path, &plan, &blobs)?;
        let size = plan.layers().iter().map(|(_, size)| size).sum();
        return Ok(WrittenImage {
            path: path.to_owned(),
            digest,
            size,
            unchanged: false,
        });
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let state = format!(
        "archive-{}",
        Digest::of(absolute.as_os_str().as_encoded_bytes()).hex()
    );
    let previous: Option<ArchiveRecord> = store.state_get(&state)?;
    let (record, unchanged) = match previous {
        Some(previous) => {
            let updated = update_archive(path, &previous, &plan, &blobs)?;
            let unchanged = updated.record == previous;
            (updated.record, unchanged)
        }
        None => (write_archive(path, &plan, &blobs)?, false),
    };
    if !unchanged {
        store.state_put(&state, &record)?;
    }
    Ok(WrittenImage {
        path: path.to_owned(),
        digest,
        size: record.len,
        unchanged,
    })
}

fn image(options: &ImageOptions, target: &ImageTarget) -> Image {
    let created = jiff::Timestamp::from_second(options.created)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .ok();
    let mut config = Config::new(&OciPlatform::linux(target.platform.architecture()));
    if target.platform == Platform::LinuxArm64 {
        // What `docker build` and the registries' tools write for 64-bit Arm.
        config.variant = Some("v8".to_owned());
    }
    config.created.clone_from(&created);
    config.config = Execution {
        user: Some(format!("{NONROOT}:{NONROOT}")),
        env: target
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        entrypoint: target.entrypoint.clone(),
        working_dir: Some(target.working_dir.clone()),
        labels: options.labels.clone(),
        exposed_ports: options.expose.iter().cloned().collect(),
        ..Execution::default()
    };
    config.history = target
        .layers
        .iter()
        .map(|layer| History {
            created: created.clone(),
            created_by: Some(format!("unheck: {}", layer.name)),
            ..History::default()
        })
        .collect();
    Image {
        config,
        layers: target
            .layers
            .iter()
            .map(|layer| layer.layer.clone())
            .collect(),
        annotations: BTreeMap::new(),
    }
}
