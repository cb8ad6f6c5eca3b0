//! The format of files, with what it needs to write them.

use std::fs::File;
use std::io;

use leftfold_api::Recorded;

use super::columns::Columns;
use super::encoder::Encoder;
use super::line;
use super::parquet::{Layout, ParquetFile};
use super::row::Row;
use super::settings::{Compression, ExportSettings, FileFormat};
use crate::connectors::template::EventFields;

/// The format of files.
pub(super) struct Format {
    content: Content,
    compression: Compression,
}

enum Content {
    Ndjson,
    Csv(Columns),
    Parquet(Layout),
}

impl Format {
    pub(super) fn new(settings: &ExportSettings) -> Self {
        let content = match (settings.format, &settings.columns) {
            (FileFormat::Parquet, columns) => Content::Parquet(Layout::new(columns.clone())),
            (FileFormat::Csv, Some(columns)) => Content::Csv(columns.clone()),
            // The check of the settings wants columns for CSV.
            (FileFormat::Ndjson | FileFormat::Csv, _) => Content::Ndjson,
        };
        Format { content, compression: settings.compress() }
    }

    /// Returns the row of an event. The error says why it has none.
    pub(super) fn row(&self, event: &Recorded) -> Result<Row, String> {
        let mut line = Vec::new();
        match &self.content {
            Content::Ndjson => line::write(event, &mut line)?,
            Content::Csv(columns) => columns.write(&EventFields::new(event), &mut line)?,
            Content::Parquet(layout) => return layout.row(event),
        }
        Ok(Row::Line(line))
    }

    /// Begins a file.
    pub(super) fn encoder(&self, file: File) -> io::Result<Encoder> {
        let head = match &self.content {
            Content::Ndjson => Vec::new(),
            Content::Csv(columns) => columns.head(),
            Content::Parquet(layout) => {
                let file = ParquetFile::new(file, layout, self.compression)?;
                return Ok(Encoder::Parquet(Box::new(file)));
            }
        };
        Encoder::text(file, self.compression, &head)
    }
}
