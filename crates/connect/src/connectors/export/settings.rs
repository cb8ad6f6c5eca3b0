//! The table `[file-export]` of a definition.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::columns::Columns;
use crate::connectors::retry::Span;

/// The rows of a file, if the definition does not say.
const ROWS: u64 = 100_000;
/// The most rows of a file.
const MOST_ROWS: u64 = 100_000_000;
/// How long a file is written to, if the definition does not say.
const EVERY: Duration = Duration::from_secs(60);
/// The shortest time for a file: each is some syncs of the disk.
const SHORTEST: Duration = Duration::from_millis(10);

/// Where events are written, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportSettings {
    pub(super) directory: PathBuf,
    pub(super) format: FileFormat,
    pub(super) columns: Option<Columns>,
    #[serde(default)]
    pub(super) partition: Partition,
    rows: Option<u64>,
    every: Option<Span>,
    #[serde(default)]
    pub(super) compress: Compression,
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileFormat {
    Ndjson,
    Csv,
}

/// How files are spread over directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Partition {
    /// By the day of the event's time, in UTC.
    #[default]
    Day,
    /// All in one.
    None,
}

/// How the files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl ExportSettings {
    /// Checks what can be checked without the disk.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.directory.is_absolute() {
            return Err("directory: expected a path that begins with /".to_owned());
        }
        match (self.format, &self.columns) {
            (FileFormat::Csv, None) => {
                return Err("columns is missing: which ones does the CSV have?".to_owned());
            }
            (FileFormat::Ndjson, Some(_)) => {
                return Err("columns is for format = \"csv\": a line of NDJSON is the whole event"
                    .to_owned());
            }
            _ => {}
        }
        if !(1..=MOST_ROWS).contains(&self.rows()) {
            return Err(format!("rows: expected 1 to {MOST_ROWS}"));
        }
        if self.every() < SHORTEST {
            return Err(format!("every: expected at least {}ms", SHORTEST.as_millis()));
        }
        Ok(())
    }

    /// Returns the most rows of a file.
    pub(super) fn rows(&self) -> u64 {
        self.rows.unwrap_or(ROWS)
    }

    /// Returns how long a file is written to.
    pub(super) fn every(&self) -> Duration {
        self.every.map_or(EVERY, |every| every.0)
    }

    /// Returns the end of the files' names.
    pub(super) fn extension(&self) -> &'static str {
        match (self.format, self.compress) {
            (FileFormat::Ndjson, Compression::None) => "ndjson",
            (FileFormat::Ndjson, Compression::Gzip) => "ndjson.gz",
            (FileFormat::Ndjson, Compression::Zstd) => "ndjson.zst",
            (FileFormat::Csv, Compression::None) => "csv",
            (FileFormat::Csv, Compression::Gzip) => "csv.gz",
            (FileFormat::Csv, Compression::Zstd) => "csv.zst",
        }
    }
}
