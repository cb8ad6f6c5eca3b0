//! A file that is being written.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::encoder::Encoder;
use super::render::Renderer;
use super::row::Row;
use crate::connectors::directory::sync_directory;

/// A file that is being written, under a name by which no reader finds it.
pub(super) struct Part {
    unfinished: PathBuf,
    encoder: Encoder,
    /// The directory in which it belongs.
    directory: PathBuf,
    /// The name that it gets there.
    name: String,
    rows: u64,
}

/// A file whose bytes are on disk.
pub(super) struct FinishedPart {
    unfinished: PathBuf,
    pub(super) directory: PathBuf,
    name: String,
    pub(super) rows: u64,
}

impl Part {
    pub(super) fn create(
        unfinished: &Path,
        directory: PathBuf,
        name: String,
        renderer: &Renderer,
    ) -> io::Result<Self> {
        let unfinished = unfinished.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        let encoder = renderer.encoder(file)?;
        Ok(Part { unfinished, encoder, directory, name, rows: 0 })
    }

    pub(super) fn write_row(&mut self, row: Row) -> io::Result<()> {
        self.encoder.write(row)?;
        self.rows += 1;
        Ok(())
    }

    /// Returns whether the file has its most rows, or its format allows no more.
    pub(super) fn is_full(&self, most_rows: u64) -> bool {
        self.rows >= most_rows || self.encoder.is_full()
    }

    /// Returns about how many bytes of its rows wait in memory.
    pub(super) fn buffered(&self) -> usize {
        self.encoder.buffered()
    }

    /// Writes the rows that wait in memory.
    pub(super) fn write_buffered(&mut self) -> io::Result<()> {
        self.encoder.write_buffered()
    }

    /// Ends the file, and makes its bytes durable.
    pub(super) fn finish(self) -> io::Result<FinishedPart> {
        self.encoder.finish()?.sync_all()?;
        let Part { unfinished, directory, name, rows, .. } = self;
        Ok(FinishedPart { unfinished, directory, name, rows })
    }
}

impl FinishedPart {
    /// Moves the file to its name. The directory is to be synced then.
    pub(super) fn publish(&self) -> io::Result<()> {
        if !fs::exists(&self.directory)? {
            fs::create_dir(&self.directory)?;
            if let Some(above) = self.directory.parent() {
                sync_directory(above)?;
            }
        }
        fs::rename(&self.unfinished, self.directory.join(&self.name))
    }
}
