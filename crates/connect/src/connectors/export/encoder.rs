//! Writes rows into a file in its format.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::Compression as GzipLevel;
use flate2::write::GzEncoder;

use super::parquet::ParquetFile;
use super::row::Row;
use super::settings::Compression;

/// The level of zstd: its own default.
pub(super) const ZSTD_LEVEL: i32 = 3;

/// What writes the rows of a file.
pub(super) enum Encoder {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
    Parquet(Box<ParquetFile>),
}

impl Encoder {
    /// Begins a file of text, whose first line may be no row.
    pub(super) fn text(file: File, compression: Compression, head: &[u8]) -> io::Result<Self> {
        let out = BufWriter::new(file);
        let mut encoder = match compression {
            Compression::None => Encoder::Plain(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, GzipLevel::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        };
        encoder.write_line(head)?;
        Ok(encoder)
    }

    pub(super) fn write(&mut self, row: Row) -> io::Result<()> {
        match (self, row) {
            (Encoder::Parquet(file), Row::Cells(cells)) => file.push(cells),
            (encoder, Row::Line(line)) => encoder.write_line(&line),
            (_, Row::Cells(_)) => Err(mismatch()),
        }
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Plain(out) => out.write_all(line),
            Encoder::Gzip(out) => out.write_all(line),
            Encoder::Zstd(out) => out.write_all(line),
            Encoder::Parquet(_) => Err(mismatch()),
        }
    }

    /// Returns about how many bytes of rows wait in memory; small buffers of text don't count.
    pub(super) fn buffered(&self) -> usize {
        match self {
            Encoder::Parquet(file) => file.buffered(),
            _ => 0,
        }
    }

    /// Writes the rows that wait in memory.
    pub(super) fn write_buffered(&mut self) -> io::Result<()> {
        match self {
            Encoder::Parquet(file) => file.write_row_group(),
            _ => Ok(()),
        }
    }

    /// Returns whether the format allows no more rows in the file.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Encoder::Parquet(file) if file.is_full())
    }

    /// Ends the file. Its bytes are not durable yet.
    pub(super) fn finish(self) -> io::Result<File> {
        let mut out = match self {
            Encoder::Plain(out) => out,
            Encoder::Gzip(out) => out.finish()?,
            Encoder::Zstd(out) => out.finish()?,
            Encoder::Parquet(file) => return file.finish(),
        };
        out.flush()?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

fn mismatch() -> io::Error {
    io::Error::other("a row is of another format than its file; please report this")
}
