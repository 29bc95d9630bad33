//! From what the user writes after `--on` to a [`Profile`]. Start at [`Target::parse`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unheck_oci::open::{OpenError, Opened, OpenedImage, open};

use super::capture::{Captured, Host, capture};
use super::computed::{ComputeError, Release, compute, release};
use super::profile::{Profile, ReadProfileError, glibc_names};
use super::root::{DirRoot, ImageRoot, RootError};
use super::shipped;
use crate::debian::Mirror;
use crate::explain::{Class, Explain};
use crate::finding::Finding;
use crate::inside::InsideError;
use crate::platform::Platform;
use crate::session::Session;

/// Longest profile that is read.
const MAX_PROFILE: u64 = 64 << 20;

/// A place to check against, before anything is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the user wrote it.
    pub asked: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A release whose indexes can be asked.
    Release(Release),
    /// A shipped profile, by its name.
    Shipped(&'static str),
    /// A profile's file.
    File(PathBuf),
    /// An image.
    Image(PathBuf),
    /// A root directory.
    Root(PathBuf),
}

/// A target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is neither a name nor a path.
    #[error("`{asked}` is no target that unheck knows, and no file or directory")]
    Unknown {
        /// What was asked for.
        asked: String,
    },
    /// A profile's file cannot be read.
    #[error("cannot read the profile `{path}`", path = path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A profile's file is none.
    #[error("cannot use the profile `{path}`", path = path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ReadProfileError,
    },
    /// An image cannot be opened.
    #[error("cannot open the image `{path}`", path = path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// An image has nothing for the platform.
    #[error("the image `{path}` has nothing for {platform}", path = path.display())]
    NoPlatform {
        /// The image.
        path: PathBuf,
        /// What was wanted.
        platform: String,
    },
    /// An image cannot be read.
    #[error("cannot look into the image `{path}`", path = path.display())]
    Inside {
        /// The image.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<InsideError>,
    },
    /// A directory cannot be used.
    #[error("cannot use the root directory")]
    Root(#[from] RootError),
    /// A release cannot be computed, and there is no shipped data of it.
    #[error("cannot compute the target `{asked}`, and unheck ships no data of it")]
    Compute {
        /// What was asked for.
        asked: String,
        /// Why not.
        #[source]
        source: Box<ComputeError>,
    },
}

impl Explain for TargetError {
    fn class(&self) -> Class {
        match self {
            Self::Root(error) => error.class(),
            Self::Compute { source, .. } => source.class(),
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { asked } => {
                let family = asked.split(':').next().unwrap_or_default();
                let near: Vec<&str> = shipped::all()
                    .iter()
                    .map(|one| one.profile.name.as_str())
                    .filter(|name| name.split(':').next() == Some(family))
                    .collect();
                let list = "see them all with `unheck check --list`".to_owned();
                let mut hints = Vec::new();
                if family == "ubuntu" {
                    let archive =
                        "give an archive that has it: `--ubuntu-mirror URL --keyring FILE`";
                    hints.push(archive.to_owned());
                }
                if !near.is_empty() {
                    hints.push(format!("unheck knows `{}`", near.join("`, `")));
                }
                hints.push(list);
                hints
            }
            Self::Root(error) => error.hints(),
            Self::Compute { source, .. } => {
                let mut hints = source.hints();
                hints.push(
                    "or capture a machine or an image of it: `unheck check --capture`".to_owned(),
                );
                hints
            }
            _ => Vec::new(),
        }
    }
}

impl Target {
    /// Says what is meant: a name, else a path, which counts from `base`.
    ///
    /// # Errors
    /// [`TargetError::Unknown`].
    pub fn parse(asked: &str, base: &Path) -> Result<Self, TargetError> {
        let kind = if let Some(found) = release(asked) {
            Kind::Release(found)
        } else if let Some(found) = shipped::find_release(asked) {
            Kind::Shipped(found.profile.name.as_str())
        } else {
            Self::of_path(&base.join(asked)).ok_or_else(|| TargetError::Unknown {
                asked: asked.to_owned(),
            })?
        };
        Ok(Self {
            asked: asked.to_owned(),
            kind,
        })
    }

    fn of_path(path: &Path) -> Option<Kind> {
        let path = path.to_owned();
        if path.is_dir() {
            let image = path.join("oci-layout").is_file() || path.join("index.json").is_file();
            return Some(if image {
                Kind::Image(path)
            } else {
                Kind::Root(path)
            });
        }
        let profile = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        let kind = if profile { Kind::File } else { Kind::Image };
        let there = path.is_file();
        there.then_some(kind(path))
    }

    /// The profile for a platform, with what there is to say of how it was had.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn profile(
        &self,
        session: &Session,
        ubuntu: Option<&Mirror>,
        platform: Platform,
        sonames: &BTreeSet<String>,
    ) -> Result<(Profile, Vec<Finding>), TargetError> {
        match &self.kind {
            Kind::Shipped(name) => {
                let found = shipped::find(name).map(|found| found.profile.clone());
                Ok((found.unwrap_or_default(), Vec::new()))
            }
            Kind::File(path) => read_profile(path).map(|profile| (profile, Vec::new())),
            Kind::Image(path) => {
                let captured = capture_image(path, Some(platform), Some(platform))?;
                Ok((captured.profile, captured.findings))
            }
            Kind::Root(path) => {
                let root = DirRoot::open(path)?;
                let captured = capture(&root, None, None);
                Ok((captured.profile, captured.findings))
            }
            Kind::Release(release) => self.release(session, ubuntu, (release, platform), sonames),
        }
    }

    fn release(
        &self,
        session: &Session,
        ubuntu: Option<&Mirror>,
        (release, platform): (&Release, Platform),
        sonames: &BTreeSet<String>,
    ) -> Result<(Profile, Vec<Finding>), TargetError> {
        let shipped = shipped::find(&release.name).map(|found| &found.profile);
        let mirror = if release.ubuntu {
            ubuntu
        } else {
            Some(&session.mirror)
        };
        let known = || shipped.cloned().map(|profile| (profile, Vec::new()));
        // A static artifact asks for no library: what no index says is all that counts then.
        if sonames.is_empty()
            && let Some(known) = known()
        {
            return Ok(known);
        }
        let Some(mirror) = mirror else {
            return known().ok_or_else(|| TargetError::Unknown {
                asked: self.asked.clone(),
            });
        };
        match compute(session, mirror, (release, platform), sonames, shipped) {
            Ok(profile) => Ok((profile, Vec::new())),
            Err(error) => match known() {
                Some(known) => {
                    session.note(&fallback(&self.asked, &error));
                    Ok(known)
                }
                None => Err(TargetError::Compute {
                    asked: self.asked.clone(),
                    source: Box::new(error),
                }),
            },
        }
    }
}

/// The profile of a target that has a name, with all libraries that shipped data knows of it.
///
/// # Errors
/// [`TargetError`].
pub fn named_profile(
    session: &Session,
    ubuntu: Option<&Mirror>,
    asked: &str,
    platform: Platform,
) -> Result<Profile, TargetError> {
    let target = Target::parse(asked, Path::new(""))?;
    let name = match &target.kind {
        Kind::Release(release) => release.name.as_str(),
        _ => asked,
    };
    let listed = shipped::find_release(name)
        .into_iter()
        .flat_map(|found| found.profile.libraries.keys().cloned());
    let sonames: BTreeSet<String> = listed.chain(glibc_names(platform)).collect();
    let (profile, _) = target.profile(session, ubuntu, platform, &sonames)?;
    Ok(profile)
}

/// Why shipped data is used, with the innermost cause.
fn fallback(asked: &str, error: &ComputeError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("{asked} is judged by data that comes with unheck: {error}: {cause}")
}

/// Reads a captured profile.
///
/// # Errors
/// [`TargetError`].
pub fn read_profile(path: &Path) -> Result<Profile, TargetError> {
    let failed = |source| TargetError::ReadFile {
        path: path.to_owned(),
        source,
    };
    let bytes = crate::verify::view::read(path, MAX_PROFILE).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| failed(std::io::Error::other(error)))?;
    Profile::from_text(&text).map_err(|source| TargetError::Profile {
        path: path.to_owned(),
        source,
    })
}

/// Captures a root directory or an image: what `path` is.
///
/// # Errors
/// [`TargetError`].
pub fn capture_path(
    path: &Path,
    platform: Option<Platform>,
    host: Option<&Host>,
) -> Result<Captured, TargetError> {
    let machine = platform.map(Platform::elf_machine);
    match Target::of_path(path) {
        Some(Kind::Root(path)) => Ok(capture(&DirRoot::open(&path)?, machine, host)),
        Some(Kind::Image(path)) => capture_image(&path, platform, Platform::host()),
        _ => Err(TargetError::Unknown {
            asked: path.display().to_string(),
        }),
    }
}

fn capture_image(
    path: &Path,
    wanted: Option<Platform>,
    preferred: Option<Platform>,
) -> Result<Captured, TargetError> {
    let failed = |source| TargetError::Image {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let opened: Opened = open(path).map_err(failed)?;
    let images = opened.images().map_err(failed)?;
    let of = |platform: Platform| -> Option<&OpenedImage> {
        images.iter().find(|image| {
            image.platform.os == "linux" && image.platform.architecture == platform.architecture()
        })
    };
    let chosen = match wanted {
        Some(platform) => of(platform),
        None => preferred.and_then(of).or_else(|| images.first()),
    };
    let image = chosen.ok_or_else(|| TargetError::NoPlatform {
        path: path.to_owned(),
        platform: wanted.map_or_else(|| "linux".to_owned(), |platform| platform.to_string()),
    })?;
    let root = ImageRoot::read(&opened, image).map_err(|source| TargetError::Inside {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let machine = image
        .platform
        .architecture
        .parse::<Platform>()
        .ok()
        .map(Platform::elf_machine);
    Ok(capture(&root, machine, None))
}
