//! What is done about known vulnerabilities: `[tool.unheck] vulnerabilities`, `allow` and `vex`. Start at [`Rules`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unheck_sbom::vulnerability::{Justification, Status};
use unheck_vuln::merge::Known;
use unheck_vuln::severity::Level;

use crate::input::Config;

/// Whether vulnerabilities stop a build, and from which level on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Gate {
    /// Nothing is looked for.
    Off,
    /// They are told; `None` is every level.
    Warn(Option<Level>),
    /// They stop; `None` is every level.
    Fail(Option<Level>),
}

impl Default for Gate {
    fn default() -> Self {
        Self::Warn(None)
    }
}

/// The text is no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither `off` nor `fail:LEVEL` nor `warn:LEVEL` with the level `critical`, `high`, `medium`, `low` or `any`"
)]
pub struct ParseGateError(String);

impl FromStr for Gate {
    type Err = ParseGateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseGateError(text.chars().take(100).collect());
        if text == "off" {
            return Ok(Self::Off);
        }
        let (action, level) = text.split_once(':').ok_or_else(wrong)?;
        let level = match level {
            "any" => None,
            level => Some(level.parse().map_err(|_| wrong())?),
        };
        match action {
            "fail" => Ok(Self::Fail(level)),
            "warn" => Ok(Self::Warn(level)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Gate {
    type Error = ParseGateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Gate> for String {
    fn from(gate: Gate) -> Self {
        gate.to_string()
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, level) = match self {
            Self::Off => return f.write_str("off"),
            Self::Warn(level) => ("warn", level),
            Self::Fail(level) => ("fail", level),
        };
        write!(f, "{action}:{}", level.map_or("any", Level::name))
    }
}

impl Gate {
    /// Whether a vulnerability of this level is one that the gate is about. One that nobody rates is: a gate that lets
    /// pass what is not known would hold nothing that only an index tells of.
    pub fn is_about(self, level: Option<Level>) -> bool {
        match self {
            Self::Off => false,
            Self::Warn(from) | Self::Fail(from) => level.is_none_or(|level| Some(level) >= from),
        }
    }

    /// Whether it stops.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Fail(_))
    }
}

/// A row of `[tool.unheck.vex]`: what the project states of a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "RawRow")]
pub struct VexRow {
    /// The status.
    pub status: Status,
    /// Why, of `not_affected` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<Justification>,
    /// Who looked, and what was seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawRow {
    status: Status,
    justification: Option<Justification>,
    #[serde(default)]
    detail: String,
}

impl TryFrom<RawRow> for VexRow {
    type Error = String;

    fn try_from(raw: RawRow) -> Result<Self, Self::Error> {
        match (raw.status, raw.justification) {
            (Status::NotAffected, None) => Err(
                "`not_affected` needs a `justification`: `component_not_present`, `vulnerable_code_not_present`, `vulnerable_code_not_in_execute_path`, `vulnerable_code_cannot_be_controlled_by_adversary` or `inline_mitigations_already_exist`"
                    .to_owned(),
            ),
            (Status::NotAffected, _) | (_, None) => Ok(Self {
                status: raw.status,
                justification: raw.justification,
                detail: raw.detail,
            }),
            (status, Some(_)) => Err(format!(
                "a `justification` is for `not_affected`, not for `{}`",
                status.name()
            )),
        }
    }
}

/// What a project says of vulnerabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is done.
    pub gate: Gate,
    /// Statements by `ID` or `NAME:ID`.
    pub vex: BTreeMap<String, VexRow>,
    /// Reasons by `NAME:ID`: it is affected, and that is accepted.
    pub allow: BTreeMap<String, String>,
}

impl Rules {
    /// Those of a project's configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            gate: config.vulnerabilities.unwrap_or_default(),
            vex: config.vex.clone(),
            allow: config.allow.clone(),
        }
    }

    /// What is stated of a vulnerability of something that goes by these names; the name's own statement comes first.
    pub(super) fn stated(&self, names: &[&str], known: &Known) -> Option<(&str, &VexRow)> {
        let of_name = |key: &str| {
            let (name, id) = key.split_once(':')?;
            Some(names.contains(&name) && known.is(id))
        };
        let exact = self.vex.iter().find(|(key, _)| of_name(key) == Some(true));
        let any = || self.vex.iter().find(|(key, _)| known.is(key));
        exact.or_else(any).map(|(key, row)| (key.as_str(), row))
    }

    /// Why a vulnerability is accepted. A whole name excuses nothing: what will be found next year is not known yet.
    pub(super) fn excused(&self, names: &[&str], known: &Known) -> Option<&str> {
        let fits = |key: &str| {
            key.split_once(':')
                .is_some_and(|(name, id)| names.contains(&name) && known.is(id))
        };
        let found = self.allow.iter().find(|(key, _)| fits(key));
        found.map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_written_as_they_are_read() {
        for text in ["off", "fail:high", "fail:any", "warn:critical", "warn:low"] {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "fail",
            "fail:",
            "fail:severe",
            "stop:high",
            "on",
            "fail:High",
        ] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
        let high: Gate = "fail:high".parse().unwrap();
        assert!(high.is_about(Some(Level::Critical)) && high.is_about(None));
        assert!(!high.is_about(Some(Level::Medium)) && !Gate::Off.is_about(None));
        assert!(Gate::default().is_about(Some(Level::Low)) && !Gate::default().stops());
    }

    #[test]
    fn a_row_without_a_reason_or_with_a_reason_too_many_is_refused() {
        let row =
            |text: &str| toml::from_str::<VexRow>(text).map_err(|error| error.message().to_owned());
        let good = "status = \"not_affected\"\njustification = \"vulnerable_code_not_present\"";
        assert!(row(good).is_ok());
        assert!(row("status = \"fixed\"\ndetail = \"our patch\"").is_ok());
        assert!(
            row("status = \"not_affected\"")
                .unwrap_err()
                .starts_with("`not_affected` needs a `justification`")
        );
        assert!(row("status = \"affected\"\njustification = \"component_not_present\"").is_err());
        assert!(row("status = \"fine\"").is_err());
        assert!(row("status = \"fixed\"\nreason = \"x\"").is_err());
    }
}
