//! The table `[file-export]` of a definition.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::columns::Columns;
use crate::connectors::retry::Span;

/// The rows of a file, if the definition does not say: of text, and of Parquet, whose readers want large files.
const ROWS: [u64; 2] = [100_000, 1_000_000];
/// The most rows of a file.
const MOST_ROWS: u64 = 100_000_000;
/// How long a file is written to, if the definition does not say: one of text, and one of Parquet.
const EVERY: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];
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
    compress: Option<Compression>,
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileFormat {
    Ndjson,
    Csv,
    Parquet,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compression {
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
                return Err("columns is for the formats csv and parquet: a line of NDJSON is the whole event"
                    .to_owned());
            }
            (FileFormat::Csv, Some(columns)) => {
                if let Some(name) = columns.first_with_type() {
                    return Err(format!(
                        "columns: {name}: a type is for format = \"parquet\": CSV has only text"
                    ));
                }
            }
            (FileFormat::Parquet, Some(columns)) => {
                let has_date = columns.types().any(|(name, _)| name == "date");
                if has_date && self.partition == Partition::Day {
                    return Err("columns: readers call the directories date; name the column otherwise, or set partition = \"none\""
                        .to_owned());
                }
            }
            (FileFormat::Ndjson | FileFormat::Parquet, None) => {}
        }
        if self.format == FileFormat::Parquet && self.compress == Some(Compression::Gzip) {
            return Err("compress: expected zstd or none for format = \"parquet\"".to_owned());
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
        self.rows.unwrap_or_else(|| self.of_format(ROWS))
    }

    /// Returns how long a file is written to.
    pub(super) fn every(&self) -> Duration {
        self.every.map_or_else(|| self.of_format(EVERY), |every| every.0)
    }

    /// Returns how files are compressed. Parquet compresses pages, so that its readers need not know.
    pub(super) fn compress(&self) -> Compression {
        self.compress.unwrap_or_else(|| self.of_format([Compression::None, Compression::Zstd]))
    }

    /// Returns the default of text, or that of Parquet.
    fn of_format<T>(&self, [text, parquet]: [T; 2]) -> T {
        match self.format {
            FileFormat::Ndjson | FileFormat::Csv => text,
            FileFormat::Parquet => parquet,
        }
    }

    /// Returns the end of the files' names.
    pub(super) fn extension(&self) -> &'static str {
        match (self.format, self.compress()) {
            (FileFormat::Ndjson, Compression::None) => "ndjson",
            (FileFormat::Ndjson, Compression::Gzip) => "ndjson.gz",
            (FileFormat::Ndjson, Compression::Zstd) => "ndjson.zst",
            (FileFormat::Csv, Compression::None) => "csv",
            (FileFormat::Csv, Compression::Gzip) => "csv.gz",
            (FileFormat::Csv, Compression::Zstd) => "csv.zst",
            (FileFormat::Parquet, _) => "parquet",
        }
    }
}
