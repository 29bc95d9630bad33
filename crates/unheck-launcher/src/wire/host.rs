//! What tells hosts apart: the family of their packages and where their loaders look.

use super::elf::AARCH64;

/// The family of a host by its `/etc/os-release`: `ID`, else the first known word of `ID_LIKE`.
pub(crate) fn family(os_release: &[u8]) -> Option<&'static str> {
    let value = |key: &[u8]| {
        os_release
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(key))
            .map(unquote)
    };
    let known = |word: &[u8]| {
        Some(match word {
            b"debian" | b"ubuntu" | b"raspbian" | b"linuxmint" => "debian",
            b"rhel" | b"fedora" | b"centos" | b"rocky" | b"almalinux" | b"ol" | b"amzn" => "rhel",
            b"alpine" => "alpine",
            b"suse" | b"opensuse" | b"sles" | b"opensuse-leap" | b"opensuse-tumbleweed" => "suse",
            _ => return None,
        })
    };
    value(b"ID=").and_then(known).or_else(|| {
        value(b"ID_LIKE=")?
            .split(|byte| *byte == b' ')
            .find_map(known)
    })
}

fn unquote(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => value,
    }
}

/// The command that installs packages on a family's hosts.
pub(crate) fn install(family: &str) -> &'static str {
    match family {
        "debian" => "apt-get install",
        "rhel" => "dnf install",
        "alpine" => "apk add",
        _ => "zypper install",
    }
}

/// The directories that glibc's loaders of the families look into by default.
pub(crate) fn default_directories(machine: u16) -> [&'static str; 6] {
    let multiarch = if machine == AARCH64 {
        ["/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
    } else {
        ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"]
    };
    let [first, second] = multiarch;
    [first, second, "/lib64", "/usr/lib64", "/lib", "/usr/lib"]
}

#[cfg(test)]
mod tests {
    use super::family;

    #[test]
    fn hosts_are_told_by_id_then_by_what_they_are_like() {
        for (text, expected) in [
            ("NAME=x\nID=debian\n", Some("debian")),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Some("rhel"),
            ),
            ("ID=alpine", Some("alpine")),
            (
                "ID=opensuse-microos\nID_LIKE=\"suse opensuse\"\n",
                Some("suse"),
            ),
            ("ID=pop\nID_LIKE='ubuntu debian'\n", Some("debian")),
            ("ID=nixos\n", None),
            ("VERSION_ID=debian\n", None),
        ] {
            assert_eq!(family(text.as_bytes()), expected, "{text}");
        }
    }
}
