//! Source distributions in memory (sdist format, PEP 625 and PEP 643).
//!
//! Read [`SdistBuilder`] first. Hostile members go in as [`TarEntry`] values.

use crate::tarball::{TarEntry, gzip, write_tar};

/// Builds one `.tar.gz` with PKG-INFO (core metadata 2.2) and `pyproject.toml`.
#[derive(Debug, Clone)]
pub struct SdistBuilder {
    name: String,
    version: String,
    metadata: Vec<String>,
    pyproject: Option<String>,
    entries: Vec<TarEntry>,
}

impl SdistBuilder {
    /// An sdist of `name` and `version` with a setuptools `pyproject.toml`.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            metadata: Vec::new(),
            pyproject: None,
            entries: Vec::new(),
        }
    }

    /// Adds a file of mode 644; `path` is below the top directory.
    #[must_use]
    pub fn file(mut self, path: &str, data: impl AsRef<[u8]>) -> Self {
        let path = format!("{}/{path}", self.stem());
        self.entries.push(TarEntry::file(path, data));
        self
    }

    /// Adds a `Requires-Dist` to PKG-INFO (static metadata, PEP 643).
    #[must_use]
    pub fn requires(self, requirement: &str) -> Self {
        self.metadata_line(&format!("Requires-Dist: {requirement}"))
    }

    /// Sets `Requires-Python`.
    #[must_use]
    pub fn requires_python(self, specifier: &str) -> Self {
        self.metadata_line(&format!("Requires-Python: {specifier}"))
    }

    /// Adds a line to PKG-INFO as it stands, such as `Dynamic: Requires-Dist`.
    #[must_use]
    pub fn metadata_line(mut self, line: &str) -> Self {
        self.metadata.push(line.into());
        self
    }

    /// Replaces `pyproject.toml`.
    #[must_use]
    pub fn pyproject(mut self, text: &str) -> Self {
        self.pyproject = Some(text.into());
        self
    }

    /// Adds a member as it stands, its path included.
    #[must_use]
    pub fn entry(mut self, entry: TarEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// The distribution's name as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as given.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file name by PEP 625.
    pub fn filename(&self) -> String {
        format!("{}.tar.gz", self.stem())
    }

    /// The PKG-INFO file.
    pub fn metadata_text(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.2\nName: {}\nVersion: {}\n",
            self.name, self.version
        );
        for line in &self.metadata {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// The archive's bytes.
    pub fn build(&self) -> Vec<u8> {
        let stem = self.stem();
        let default = || {
            format!(
                "[build-system]\nrequires = [\"setuptools\"]\n\
                 build-backend = \"setuptools.build_meta\"\n\n\
                 [project]\nname = \"{}\"\nversion = \"{}\"\n",
                self.name, self.version
            )
        };
        let pyproject = self.pyproject.clone().unwrap_or_else(default);
        let mut entries = vec![
            TarEntry::dir(format!("{stem}/")),
            TarEntry::file(format!("{stem}/PKG-INFO"), self.metadata_text()),
            TarEntry::file(format!("{stem}/pyproject.toml"), pyproject),
        ];
        entries.extend(self.entries.iter().cloned());
        gzip(&write_tar(&entries))
    }

    fn stem(&self) -> String {
        format!(
            "{}-{}",
            self.name.replace(['-', '.'], "_").to_lowercase(),
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdist_has_one_top_directory_and_its_metadata() {
        let sdist = SdistBuilder::new("My-Demo", "1.0")
            .file("my_demo.py", "")
            .requires("other");
        assert_eq!(sdist.filename(), "my_demo-1.0.tar.gz");
        let dump = crate::dump::tree_dump(&sdist.build());
        let paths: Vec<&str> = dump
            .lines()
            .filter_map(|line| line.split(' ').next_back())
            .collect();
        let expected = ["", "PKG-INFO", "pyproject.toml", "my_demo.py"];
        assert_eq!(paths, expected.map(|path| format!("my_demo-1.0/{path}")));
        assert!(sdist.metadata_text().ends_with("Requires-Dist: other\n"));
    }
}
