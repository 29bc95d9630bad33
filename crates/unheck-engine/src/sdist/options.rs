//! What the user says about the build of one distribution: [`BuildOptions`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[tool.unheck.builds.NAME]`: for builds that unheck cannot find out by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BuildOptions {
    /// Debian packages to have in the build root.
    pub debs: Vec<String>,
    /// Whether to begin with what Debian needs to build the same project; yes where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<bool>,
    /// Requirements that the build has and does not declare (PEP 508).
    pub requires: Vec<String>,
    /// Variables of its environment.
    pub env: BTreeMap<String, String>,
    /// Settings for the build backend (PEP 517 `config_settings`).
    pub config_settings: BTreeMap<String, Setting>,
    /// Shell commands that run in the source tree before the backend, one after the other.
    pub script: Vec<String>,
}

/// The value of a setting: backends take a text, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// One text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read_and_others_refused() {
        let text = r#"
            debs = ["libpq-dev"]
            prior = false
            requires = ["cython<3"]
            script = ["sed -i s/a/b/ setup.py"]
            env = { WITH_X = "1" }
            config-settings = { "--build-option" = ["a", "b"], editable = "no" }
        "#;
        let options: BuildOptions = toml::from_str(text).expect("all keys");
        assert_eq!(options.debs, ["libpq-dev"]);
        let many = &options.config_settings["--build-option"];
        assert_eq!(*many, Setting::Many(vec!["a".to_owned(), "b".to_owned()]));
        toml::from_str::<BuildOptions>("deb = []").expect_err("a typing error");
    }
}
