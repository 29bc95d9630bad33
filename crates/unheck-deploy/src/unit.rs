//! systemd units for a target: a socket that stays open while releases come and go, and the service.

use crate::artifact::Artifact;
use crate::config::{Target, TargetError};

/// Two unit files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Units {
    /// The name of the service, with `.service`.
    pub service_name: String,
    /// The text of the service.
    pub service: String,
    /// The name of the socket, with `.socket`.
    pub socket_name: String,
    /// The text of the socket; `None` when the target listens on nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
}

/// The units of a target for an artifact.
///
/// # Errors
/// The target's `unit` is no service, or its directory is not absolute.
pub fn units(target: &Target, artifact: &Artifact) -> Result<Units, TargetError> {
    let default = format!("{}.service", artifact.entry.file_name());
    let service_name = target.unit.clone().unwrap_or(default);
    let stem = service_name
        .strip_suffix(".service")
        .unwrap_or(&service_name);
    if stem.contains('.') && !service_name.ends_with(".service") {
        return Err(TargetError {
            target: target.name.clone(),
            problem: format!("`unit` is no service: `{service_name}`"),
        });
    }
    if target.directory.starts_with('~') {
        return Err(TargetError {
            target: target.name.clone(),
            problem: "units need an absolute `directory`".to_owned(),
        });
    }
    let socket_name = format!("{stem}.socket");
    let project: String = artifact
        .project
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let program = format!("{}/current/{}", target.directory, artifact.entry);
    let words: Vec<String> = std::iter::once(program)
        .chain(target.arguments.iter().cloned())
        .map(|word| quoted(&word))
        .collect();
    let has_socket = !target.listen.is_empty();
    let bound = if has_socket {
        format!("Requires={socket_name}\nAfter={socket_name} network.target\n")
    } else {
        "After=network.target\n".to_owned()
    };
    let sockets = if has_socket {
        format!("Sockets={socket_name}\n")
    } else {
        String::new()
    };
    let service = format!(
        "[Unit]\nDescription={description}\n{bound}\
         # Releases may follow each other as fast as they like.\n\
         StartLimitIntervalSec=0\n\n\
         [Service]\nExecStart={command}\n{sockets}\
         # The path is resolved at each start, so a restart serves what `current` names then.\n\
         Restart=on-failure\nRestartSec=1\n\
         # Requests that are being answered are answered before it ends.\n\
         KillSignal=SIGTERM\nTimeoutStopSec=30\n\
         DynamicUser=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nNoNewPrivileges=yes\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        description = project.replace('%', "%%"),
        command = words.join(" "),
    );
    let listens: Vec<String> = target
        .listen
        .iter()
        .map(|address| format!("ListenStream={}\n", address.replace('%', "%%")))
        .collect();
    let socket = has_socket.then(|| {
        format!(
            "[Unit]\nDescription={} (socket)\n\n[Socket]\n{}Backlog=4096\n\n[Install]\nWantedBy=sockets.target\n",
            project.replace('%', "%%"),
            listens.concat()
        )
    });
    Ok(Units {
        service,
        service_name,
        socket_name,
        socket,
    })
}

/// A word of a command line (systemd.service(5), "Command lines", and specifiers of systemd.unit(5)).
fn quoted(word: &str) -> String {
    let escaped: String = word
        .chars()
        .map(|c| match c {
            '%' => "%%".to_owned(),
            '$' => "$$".to_owned(),
            '"' | '\\' => format!("\\{c}"),
            c => c.to_string(),
        })
        .collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:=@+%$".contains(c);
    if escaped.chars().all(plain) && !escaped.is_empty() {
        escaped
    } else {
        format!("\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::tests::{artifact, file};
    use crate::config::TargetConfig;

    #[test]
    fn a_socket_outlives_the_service_and_words_are_quoted() {
        let config = TargetConfig {
            hosts: vec!["a".to_owned()],
            directory: Some("/srv/my web".to_owned()),
            unit: Some("web.service".to_owned()),
            listen: vec!["8000".to_owned()],
            arguments: vec!["--fd".to_owned(), "3".to_owned(), "100%".to_owned()],
            ..TargetConfig::default()
        };
        let target = Target::new("prod", &config).expect("target");
        let artifact = artifact(&[("bin/web", file("x"))]);
        let units = units(&target, &artifact).expect("units");
        assert!(
            units
                .service
                .contains("ExecStart=\"/srv/my web/current/bin/web\" --fd 3 100%%\n"),
            "{}",
            units.service
        );
        assert!(units.service.contains("Requires=web.socket\n"));
        assert!(
            units
                .socket
                .expect("socket")
                .contains("ListenStream=8000\n")
        );
        let mut without = target.clone();
        without.listen.clear();
        let units = super::units(&without, &artifact).expect("units");
        assert_eq!(
            (units.socket, units.service.contains("socket")),
            (None, false)
        );
        without.unit = Some("web.timer".to_owned());
        assert!(super::units(&without, &artifact).is_err());
    }
}
