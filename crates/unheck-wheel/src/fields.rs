//! Header fields in the form of electronic mail (RFC 5322, as METADATA and WHEEL use it).

use crate::limits::{Limit, LimitExceeded, Limits};

/// The fields before the first empty line, in their order, with continuation lines unfolded.
///
/// Bytes that are not UTF-8 become U+FFFD. As in the parser that installers use, a line that is
/// neither a field nor a continuation ends the fields: the rest is the body.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the fields of `content`, the file called `what` in messages.
    pub(crate) fn parse(
        content: &[u8],
        what: &str,
        limits: &Limits,
    ) -> Result<Self, LimitExceeded> {
        let text = String::from_utf8_lossy(content);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    break;
                };
                value.push('\n');
                value.push_str(line.trim());
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.is_empty() || name.contains(char::is_whitespace) {
                break;
            }
            fields.push((name.to_ascii_lowercase(), value.trim().into()));
            Limit::Fields.check(fields.len() as u64, limits.fields, || what.into())?;
        }
        Ok(Self(fields))
    }

    /// All values of a field, whose name is given in lower case.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let matching = self.0.iter().filter(move |(found, _)| found == name);
        matching.map(|(_, value)| value.as_str())
    }

    /// All values of a field, as the lists of [`crate::Metadata`] keep them.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.all(name).map(Into::into).collect()
    }

    /// The first value of a field; old tools write `UNKNOWN` for none.
    pub(crate) fn first(&self, name: &str) -> Option<String> {
        let value = self.all(name).next()?;
        (!value.is_empty() && value != "UNKNOWN").then(|| value.into())
    }

    /// The value of a field that must be there exactly once; `Err` with their number else.
    pub(crate) fn single(&self, name: &str) -> Result<&str, usize> {
        let mut values = self.all(name);
        match (values.next(), values.count()) {
            (Some(value), 0) => Ok(value),
            (first, more) => Err(usize::from(first.is_some()) + more),
        }
    }
}
