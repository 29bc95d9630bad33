//! The project's profile of recorded runs. Start at [`profile`].

use std::path::PathBuf;

use super::BuildError;
use crate::input::Project;
use crate::steps::TrimLevel;
use crate::steps::imports::profile::{PROFILE_FILE, Profile};

/// What recorded runs of the project opened; nothing for levels that do not ask.
///
/// # Errors
/// [`BuildError::NoProfile`] when the level cannot do without; the file cannot be read.
pub(super) fn profile(project: &Project, level: TrimLevel) -> Result<Profile, BuildError> {
    if level != TrimLevel::Traced {
        return Ok(Profile::default());
    }
    let path = place(project);
    match fs_err::read_to_string(&path) {
        Ok(text) => Ok(Profile::from_text(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(BuildError::NoProfile { path })
        }
        Err(source) => Err(BuildError::Profile { path, source }),
    }
}

fn place(project: &Project) -> PathBuf {
    project.root.join(PROFILE_FILE)
}
