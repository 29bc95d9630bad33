//! What every error of the engine can say beside its message: whose fault, and what mends it.

/// Whose world an error comes from; the binary maps each class to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The answer is no: a failed check, a finding.
    Verdict,
    /// The user's input: usage, a bad or refused file, a conflict.
    Input,
    /// The outside world: network, index, registry, build backend.
    Outside,
    /// The sandbox that was asked for is not possible here.
    Sandbox,
    /// No space, or a limit was hit.
    Limit,
    /// Our bug.
    Bug,
}

/// Says of an error whose world it comes from and how to mend it.
pub trait Explain: std::error::Error {
    /// Whose world the error comes from.
    fn class(&self) -> Class;

    /// Commands or edits that mend it, the best first. Shown after the cause chain.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An error with its causes, put together by `between`, for a place that takes only a text.
pub(crate) fn with_causes(error: &dyn std::error::Error, between: &str) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text = format!("{text}{between}{one}");
        cause = one.source();
    }
    text
}
