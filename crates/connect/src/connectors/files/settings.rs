//! The table `[files]` of a definition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::connectors::retry::Span;
use crate::mapping::Mapping;

/// How often the directory is looked at, if the definition does not say.
const POLL: Duration = Duration::from_secs(2);
/// The shortest time between two looks.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
/// How long a file must stay as it is before it is read, if the definition does not say.
const SETTLE: Duration = Duration::from_secs(1);
/// The most refused records of one file, if the definition does not say.
const MOST_REJECTS: u64 = 100_000;
/// The longest text of a mapping.
const MOST_MAPPING: u64 = 1 << 20;

/// Which files are read, and what happens to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesSettings {
    /// A directory, or a pattern.
    pub(super) watch: String,
    /// The name of a built-in mapping.
    mapping: Option<String>,
    mapping_file: Option<PathBuf>,
    /// The zone of local times, instead of the mapping's.
    zone: Option<String>,
    poll: Option<Span>,
    settle: Option<Span>,
    #[serde(default)]
    pub(super) done: Done,
    pub(super) done_directory: Option<PathBuf>,
    /// Where the refused records of a file are written; beside the file if it is not given.
    pub(super) rejects_directory: Option<PathBuf>,
    max_rejects: Option<u64>,
    /// Whether a file may hold nothing of what the mapping looks for.
    #[serde(default)]
    pub(super) may_be_empty: bool,
}

/// What happens to a file that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Done {
    /// It stays, and the ledger says that it is done.
    #[default]
    Remember,
    /// It is moved into another directory as well.
    Move,
}

impl FilesSettings {
    /// Checks what can be checked without the disk.
    pub(crate) fn check(&self) -> Result<(), String> {
        glob::Pattern::new(&self.watch).map_err(|error| format!("watch: {error}"))?;
        let watch = ("watch", Some(Path::new(&self.watch)));
        let directories = [
            watch,
            ("mapping_file", self.mapping_file.as_deref()),
            ("done_directory", self.done_directory.as_deref()),
            ("rejects_directory", self.rejects_directory.as_deref()),
        ];
        for (name, path) in directories {
            // The directory in which the process was started is not known to the author of a definition.
            if path.is_some_and(|path| !path.is_absolute()) {
                return Err(format!("{name}: expected a path that begins with /"));
            }
        }
        match (&self.mapping, &self.mapping_file) {
            (Some(name), None) if Mapping::builtin_source(name).is_none() => {
                let known = Mapping::builtin_names().join(", ");
                return Err(format!(
                    "mapping: {name} is not built in, expected one of {known}; a mapping of your own is a mapping_file"
                ));
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return Err("expected either mapping or mapping_file".to_owned()),
        }
        match (self.done, &self.done_directory) {
            (Done::Move, None) => Err("done = \"move\" needs a done_directory".to_owned()),
            (Done::Remember, Some(_)) => {
                Err("done_directory is for done = \"move\"; add that, or leave it out".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn poll(&self) -> Duration {
        self.poll.map_or(POLL, |poll| poll.0).max(SHORTEST_POLL)
    }

    pub(super) fn settle(&self) -> Duration {
        self.settle.map_or(SETTLE, |settle| settle.0)
    }

    pub(super) fn max_rejects(&self) -> u64 {
        self.max_rejects.unwrap_or(MOST_REJECTS)
    }
}

/// Returns the mapping; the error is a sentence.
pub(super) fn load_mapping(settings: &FilesSettings) -> Result<Mapping, String> {
    let mapping = match (&settings.mapping, &settings.mapping_file) {
        (Some(name), _) => {
            Mapping::builtin(name).ok_or_else(|| format!("the mapping {name} is not built in"))?
        }
        (None, Some(path)) => {
            let shown = path.display();
            let wrong = |error: std::io::Error| format!("the mapping {shown}: {error}");
            let bytes = std::fs::metadata(path).map_err(wrong)?.len();
            if bytes > MOST_MAPPING {
                return Err(format!(
                    "the mapping {shown} has {bytes} bytes, at most {MOST_MAPPING}"
                ));
            }
            let text = std::fs::read_to_string(path).map_err(wrong)?;
            Mapping::parse(&text).map_err(|error| format!("the mapping {shown}: {error}"))?
        }
        (None, None) => return Err("expected either mapping or mapping_file".to_owned()),
    };
    match &settings.zone {
        Some(zone) => mapping.with_zone(zone).map_err(|error| error.to_string()),
        None => Ok(mapping),
    }
}
