//! Whether this machine can run a platform's programs. Start at [`can_run`].
//!
//! Another architecture's programs run where the kernel hands them to an emulator (Linux,
//! `Documentation/admin-guide/binfmt-misc.rst`). In a root of its own a program sees no emulator of
//! the host, so that it must have been opened when it was registered: the flag `F`.

use std::path::{Path, PathBuf};

use crate::explain::{Class, Explain};
use crate::platform::Platform;

/// Where the kernel lists the formats that it hands on.
pub const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Most entries that are looked at, and most bytes of each.
const MAX_ENTRIES: usize = 1_000;
const MAX_ENTRY: u64 = 16 << 10;

/// This machine cannot run a platform's programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRun {
    /// No emulator is registered.
    #[error("this machine cannot run programs for {platform}: `{directory}` has no emulator for them", directory = directory.display())]
    NoEmulator {
        /// Whose programs.
        platform: Platform,
        /// Where was looked.
        directory: PathBuf,
    },
    /// There is one, and it cannot be used in a root of its own.
    #[error(
        "programs for {platform} run on this machine, but not in a sandbox: `{entry}` is registered without the flag `F`"
    )]
    NotFixed {
        /// Whose programs.
        platform: Platform,
        /// Its name in the list.
        entry: String,
    },
    /// There is one, and it is switched off.
    #[error("the emulator `{entry}` for programs for {platform} is switched off on this machine")]
    Disabled {
        /// Whose programs.
        platform: Platform,
        /// Its name in the list.
        entry: String,
    },
}

impl Explain for CannotRun {
    fn class(&self) -> Class {
        Class::Outside
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoEmulator { platform, .. } => vec![format!(
                "install an emulator: Debian's packages `qemu-user-static` and `binfmt-support`, or build for {platform} on a machine of that kind"
            )],
            Self::NotFixed { .. } => vec![
                "install Debian's `qemu-user-static` in place of `qemu-user`: it registers itself with that flag".to_owned(),
            ],
            Self::Disabled { entry, .. } => {
                vec![format!("as root: `echo 1 > {BINFMT}/{entry}`")]
            }
        }
    }
}

/// Whether programs for `platform` run in a sandbox of this machine; `binfmt` is [`BINFMT`].
///
/// # Errors
/// [`CannotRun`], which names what to install.
pub fn can_run(platform: Platform, binfmt: &Path) -> Result<(), CannotRun> {
    if Platform::host() == Some(platform) {
        return Ok(());
    }
    let mut names: Vec<String> = fs_err::read_dir(binfmt)
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !matches!(name.as_str(), "register" | "status"))
        .collect();
    names.sort();
    let mut trouble = CannotRun::NoEmulator {
        platform,
        directory: binfmt.to_owned(),
    };
    for entry in names {
        let file = binfmt.join(&entry);
        let short = fs_err::metadata(&file).is_ok_and(|found| found.len() <= MAX_ENTRY);
        let Some(text) = short.then(|| fs_err::read_to_string(&file).ok()).flatten() else {
            continue;
        };
        if !is_for(platform, &text) {
            continue;
        }
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        if text.lines().next() != Some("enabled") {
            trouble = CannotRun::Disabled { platform, entry };
        } else if flags.is_some_and(|flags| flags.contains('F')) {
            return Ok(());
        } else {
            trouble = CannotRun::NotFixed { platform, entry };
        }
    }
    Err(trouble)
}

/// Whether an entry is for the platform's programs: its magic bytes are the beginning of ELF, 64
/// bits, little-endian, with the machine's number at its place (ELF, `e_machine`).
fn is_for(platform: Platform, entry: &str) -> bool {
    let magic = entry.lines().find_map(|line| line.strip_prefix("magic "));
    let machine = match platform {
        Platform::LinuxAmd64 => "3e00",
        Platform::LinuxArm64 => "b700",
    };
    magic.is_some_and(|magic| {
        magic.starts_with("7f454c460201") && magic.get(36..40) == Some(machine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
    const AMD64: &str = "interpreter /usr/bin/qemu-x86_64-static\nflags: POCF\noffset 0\nmagic 7f454c4602010100000000000000000002003e00\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    fn foreign() -> (Platform, &'static str) {
        match Platform::host() {
            Some(Platform::LinuxArm64) => (Platform::LinuxAmd64, AMD64),
            _ => (Platform::LinuxArm64, ARM64),
        }
    }

    fn asked(entries: &[(&str, String)]) -> Result<(), String> {
        let directory = tempfile::tempdir().expect("directory");
        for (name, text) in entries {
            fs_err::write(directory.path().join(name), text).expect("entry");
        }
        can_run(foreign().0, directory.path()).map_err(|error| {
            let name = directory.path().display().to_string();
            format!("{error} / {}", error.hints().join(" ")).replace(&name, "BINFMT")
        })
    }

    #[test]
    fn own_programs_need_no_emulator() {
        if let Some(host) = Platform::host() {
            assert_eq!(can_run(host, Path::new("/nonexistent")), Ok(()));
        }
    }

    #[test]
    fn an_emulator_counts_when_it_is_on_fixed_and_for_the_machine() {
        let (platform, text) = foreign();
        let other = if text == ARM64 { AMD64 } else { ARM64 };
        let on = format!("enabled\n{text}");
        assert_eq!(
            asked(&[("status", String::new()), ("qemu", on.clone())]),
            Ok(())
        );
        let missing = asked(&[("qemu", format!("enabled\n{other}"))]).expect_err("another machine");
        assert!(
            missing.contains(&format!("{platform}: `BINFMT` has no emulator")),
            "{missing}"
        );
        assert!(missing.contains("`qemu-user-static`"), "{missing}");
        let off = asked(&[("qemu", format!("disabled\n{text}"))]).expect_err("off");
        assert!(off.contains("switched off"), "{off}");
        let loose = asked(&[("qemu", on.replace("POCF", "POC"))]).expect_err("not fixed");
        assert!(loose.contains("without the flag `F`"), "{loose}");
    }
}
