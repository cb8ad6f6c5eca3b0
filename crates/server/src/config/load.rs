//! Loads settings from the defaults, a file, the environment and flags. Later ones take precedence.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Config, Setting};

/// The variable that names the file.
const CONFIG_ENV: &str = "LEFTFOLD_CONFIG";

/// Why settings can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigError {
    /// A stable code.
    pub code: &'static str,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the defaults.
    Default,
    /// From the file.
    File(PathBuf),
    /// From a variable of the environment.
    Environment(String),
    /// From a flag.
    Flag(String),
}

/// The value that a source gives to a setting.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its key, such as `limits.body_bytes`.
    pub name: String,
    /// Its value's text.
    pub value: String,
}

/// The sources of settings: a file, the environment and flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, if a flag names it.
    pub file: Option<PathBuf>,
    /// The variables of the environment; those that are no settings are ignored.
    pub environment: Vec<(String, String)>,
    /// The settings that flags give.
    pub flags: Vec<Given>,
}

/// All settings, and where each comes from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The settings.
    pub config: Config,
    /// Where each comes from, in the order of [`Config::SETTINGS`].
    pub origins: Vec<Origin>,
}

impl ConfigError {
    fn new(code: &'static str, message: String) -> Self {
        ConfigError { code, message }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

impl Sources {
    /// Returns the sources of this process: its environment, and these flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Given>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Sources { file, environment: std::env::vars_os().filter_map(text).collect(), flags }
    }

    /// Loads all settings.
    ///
    /// # Errors
    /// `setting_unknown`, `setting_invalid`, `config_unreadable`, `config_syntax`.
    pub fn load(&self) -> Result<Effective, ConfigError> {
        let origins = vec![Origin::Default; Config::SETTINGS.len()];
        let mut effective = Effective { config: Config::default(), origins };
        let named = self.variable(CONFIG_ENV).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = self.file.clone().or(named) {
            for given in read_file(&path)? {
                effective.take(&given, Origin::File(path.clone()))?;
            }
        }
        for setting in Config::SETTINGS {
            if let Some(value) = self.variable(&setting.env()) {
                let given = Given { name: setting.name.to_owned(), value: value.to_owned() };
                effective.take(&given, Origin::Environment(setting.env()))?;
            }
        }
        for given in &self.flags {
            effective.take(given, Origin::Flag(given.name.replace(['.', '_'], "-")))?;
        }
        effective.check()?;
        Ok(effective)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Effective {
    fn take(&mut self, given: &Given, origin: Origin) -> Result<(), ConfigError> {
        let known = Config::SETTINGS.iter().zip(&mut self.origins);
        let Some((setting, place)) = known.into_iter().find(|(s, _)| s.name == given.name) else {
            return Err(unknown(&given.name, &origin));
        };
        if !(setting.set)(&mut self.config, &given.value) {
            let Given { name, value } = given;
            let message = format!("{name} = {value:?} ({origin}): it takes {}", setting.allowed);
            return Err(ConfigError::new("setting_invalid", message));
        }
        *place = origin;
        Ok(())
    }

    /// Checks the settings that depend on each other.
    fn check(&self) -> Result<(), ConfigError> {
        if self.config.tls_certificate.is_some() != self.config.tls_key.is_some() {
            let message = "tls.certificate and tls.key go together: give both or none".to_owned();
            return Err(ConfigError::new("setting_invalid", message));
        }
        for (name, wrong) in [
            ("limits.connections", self.config.connections == 0),
            ("limits.requests", self.config.requests == 0),
            ("limits.asks", self.config.asks == 0),
            ("limits.connection_requests", self.config.connection_requests == 0),
            ("limits.header_bytes", self.config.header_bytes.0 < 8 << 10),
        ] {
            if wrong {
                let message = format!("{name} is too small for any request to be served");
                return Err(ConfigError::new("setting_invalid", message));
            }
        }
        Ok(())
    }

    /// Returns each setting, its value and where that comes from.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Setting, String, &Origin)> {
        let rows = Config::SETTINGS.iter().zip(&self.origins);
        rows.map(|(setting, origin)| (setting, setting.show(&self.config), origin))
    }
}

fn unknown(name: &str, origin: &Origin) -> ConfigError {
    let near = Config::SETTINGS.iter().map(|setting| setting.name);
    let near = near.max_by(|a, b| {
        let like = |known| strsim::jaro_winkler(name, known);
        like(a).total_cmp(&like(b))
    });
    let message = match near.filter(|near| strsim::jaro_winkler(name, near) > 0.7) {
        Some(near) => format!("there is no setting {name} ({origin}); did you mean {near}?"),
        None => format!("there is no setting {name} ({origin})"),
    };
    ConfigError::new("setting_unknown", message)
}

fn read_file(path: &Path) -> Result<Vec<Given>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("the configuration file {} can't be read: {error}", path.display());
        ConfigError::new("config_unreadable", message)
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let message = format!("the configuration file {}: {error}", path.display());
        ConfigError::new("config_syntax", message)
    })?;
    let mut given = Vec::new();
    flatten("", &table, &mut given);
    Ok(given)
}

/// Flattens tables to names with dots. Settings have two levels at most, so this goes no deeper.
fn flatten(prefix: &str, table: &toml::Table, given: &mut Vec<Given>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) if prefix.is_empty() => {
                flatten(&format!("{name}."), inner, given);
            }
            toml::Value::String(text) => given.push(Given { name, value: text.clone() }),
            other => given.push(Given { name, value: other.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, value: &str) -> Given {
        Given { name: name.to_owned(), value: value.to_owned() }
    }

    fn written(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("leftfold.toml");
        std::fs::write(&file, text).unwrap();
        (dir, Sources { file: Some(file), ..Sources::default() })
    }

    #[test]
    fn later_sources_take_precedence_and_each_value_names_its_source() {
        let text = "listen = \"127.0.0.1:1\"\npacking = \"off\"\n[limits]\nbody_bytes = \"1 MiB\"\n\
                    requests = 7";
        let (_dir, mut sources) = written(text);
        sources.environment = vec![
            ("LEFTFOLD_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("LEFTFOLD_PACKING".to_owned(), "small".to_owned()),
            ("OTHER".to_owned(), "x".to_owned()),
        ];
        sources.flags = vec![flag("packing", "fast")];
        let effective = sources.load().unwrap();
        let config = &effective.config;
        assert_eq!(config.listen.to_string(), "127.0.0.1:2");
        assert_eq!((config.body_bytes.0, config.requests), (1 << 20, 7));
        let origins: Vec<_> = effective
            .rows()
            .filter(|(setting, ..)| {
                ["listen", "packing", "limits.requests", "data"].contains(&setting.name)
            })
            .map(|(_, value, origin)| {
                format!("{value} {origin}")
                    .replace(&sources.file.as_ref().unwrap().display().to_string(), "F")
            })
            .collect();
        let expected = [
            "leftfold-data default",
            "127.0.0.1:2 environment LEFTFOLD_LISTEN",
            "fast flag --packing",
            "7 file F",
        ];
        assert_eq!(origins, expected);
    }

    fn refused(text: &str, code: &str, words: &str) {
        let (_dir, sources) = written(text);
        let error = sources.load().unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(words), "{error}");
    }

    #[test]
    fn refuses_an_unknown_setting_and_suggests_a_known_one() {
        refused("listn = \"x\"", "setting_unknown", "did you mean listen?");
        refused("[limits]\nbody_byte = 1", "setting_unknown", "did you mean limits.body_bytes?");
        refused("[limit.s]\nq = 1", "setting_unknown", "there is no setting limit.s");
        refused("listen = 17", "setting_invalid", "it takes an address and a port");
        refused("[tls]\ncertificate = \"x\"", "setting_invalid", "go together");
        refused("limits = 3", "setting_unknown", "limits");
        refused("listen = ", "config_syntax", "leftfold.toml");
        let sources = Sources { file: Some("/nowhere/x".into()), ..Sources::default() };
        assert_eq!(sources.load().unwrap_err().code, "config_unreadable");
    }

    #[test]
    fn every_default_reads_as_itself() {
        for setting in Config::SETTINGS {
            let mut config = Config::default();
            assert!((setting.set)(&mut config, &setting.default()), "{}", setting.name);
            assert_eq!(setting.show(&config), setting.default());
        }
    }
}
