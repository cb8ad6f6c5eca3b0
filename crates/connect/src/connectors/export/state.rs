//! How far an export is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use leftfold_fold::view::Saved;
use serde::{Deserialize, Serialize};

use crate::connectors::directory::sync_directory;

/// The longest text of a state.
const MOST_BYTES: u64 = 1 << 20;

/// How far an export is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExportState {
    /// The name under which the connector keeps its place: another one after a reset.
    pub(super) progress: String,
    /// The number of the next file: those before are whole, those from it on are not there.
    pub(super) next: u64,
    /// The place in the store behind the files before, as text.
    pub(super) saved: Option<String>,
}

/// The file of the state.
#[derive(Debug, Clone)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        StateFile { path }
    }

    /// Reads the state; the error is a sentence.
    pub(super) fn read(&self) -> Result<Option<ExportState>, String> {
        let shown = self.path.display();
        let text = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{shown}: {error}")),
            Ok(about) if about.len() > MOST_BYTES => {
                return Err(format!("{shown} has more than {MOST_BYTES} bytes, so it is no state"));
            }
            Ok(_) => fs::read(&self.path).map_err(|error| format!("{shown}: {error}"))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            format!("{shown} is no state of an export ({error}); restore it, or let the export begin in an empty directory")
        })
    }

    /// Replaces the state: after a crash it is the one before or this one.
    pub(super) fn write(&self, state: &ExportState) -> io::Result<()> {
        let text = serde_json::to_vec(state)?;
        let unfinished = self.path.with_extension("json.tmp");
        let mut file = File::create(&unfinished)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        sync_directory(self.path.parent().unwrap_or(Path::new("/")))
    }
}

impl ExportState {
    /// Returns the place in the store; the error is a sentence.
    pub(super) fn saved(&self) -> Result<Option<Saved>, String> {
        let parsed = self.saved.as_deref().map(str::parse::<Saved>).transpose();
        parsed
            .map_err(|error| format!("the place in the state of the export can't be read: {error}"))
    }
}
