//! A file that is being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression as GzipLevel;
use flate2::write::GzEncoder;

use super::settings::Compression;
use crate::connectors::directory::sync_directory;

/// The level of zstd: its own default.
const ZSTD_LEVEL: i32 = 3;

/// A file that is being written, under a name by which no reader finds it.
pub(super) struct Part {
    unfinished: PathBuf,
    encoder: Encoder,
    /// The directory in which it belongs.
    directory: PathBuf,
    /// The name that it gets there.
    name: String,
    pub(super) rows: u64,
}

/// A file whose bytes are on disk.
pub(super) struct FinishedPart {
    unfinished: PathBuf,
    pub(super) directory: PathBuf,
    name: String,
    pub(super) rows: u64,
}

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Part {
    pub(super) fn create(
        unfinished: &Path,
        directory: PathBuf,
        name: String,
        compress: Compression,
    ) -> io::Result<Self> {
        let unfinished = unfinished.join(&name);
        let file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        let out = BufWriter::new(file);
        let encoder = match compress {
            Compression::None => Encoder::Plain(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, GzipLevel::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Part { unfinished, encoder, directory, name, rows: 0 })
    }

    /// Writes bytes that are no row.
    pub(super) fn write_head(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Plain(out) => out.write_all(bytes),
            Encoder::Gzip(out) => out.write_all(bytes),
            Encoder::Zstd(out) => out.write_all(bytes),
        }
    }

    pub(super) fn write_row(&mut self, row: &[u8]) -> io::Result<()> {
        self.write_head(row)?;
        self.rows += 1;
        Ok(())
    }

    /// Ends the file, and makes its bytes durable.
    pub(super) fn finish(self) -> io::Result<FinishedPart> {
        let mut out = match self.encoder {
            Encoder::Plain(out) => out,
            Encoder::Gzip(out) => out.finish()?,
            Encoder::Zstd(out) => out.finish()?,
        };
        out.flush()?;
        out.get_ref().sync_all()?;
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
