//! What analyses answer: [`Finding`]s, sorted, all of them instead of the first.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The artifact must not be published.
    Error,
    /// Somebody should look at it.
    Warning,
    /// Good to know.
    Info,
}

/// One problem or observation in the user's world.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters; findings sort by this first.
    pub severity: Severity,
    /// Stable name of the rule, such as `import-fails`.
    pub rule: String,
    /// What it is about: a file, a distribution, a soname.
    pub subject: String,
    /// What was seen, in one or a few lines.
    pub evidence: String,
    /// A command or an edit that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(
        severity: Severity,
        rule: &str,
        subject: impl Into<String>,
        evidence: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            rule: rule.to_owned(),
            subject: subject.into(),
            evidence: evidence.into(),
            hint: None,
        }
    }

    /// The same finding with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The worst severity among findings.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).min()
}
