//! A file of Parquet that is being written.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;

use super::buffer::ColumnBuffer;
use super::layout::Layout;
use crate::connectors::export::encoder::ZSTD_LEVEL;
use crate::connectors::export::row::Cell;
use crate::connectors::export::settings::Compression;

/// The most row groups of a file: what its footer says of them is in memory until the end.
const MOST_ROW_GROUPS: usize = 256;

/// Writes the rows of a file, in groups.
pub(in crate::connectors::export) struct ParquetFile {
    writer: SerializedFileWriter<File>,
    columns: Vec<ColumnBuffer>,
    /// The bytes of the rows that are in no row group yet.
    buffered: usize,
}

impl ParquetFile {
    pub(in crate::connectors::export) fn new(
        file: File,
        layout: &Layout,
        compression: Compression,
    ) -> io::Result<Self> {
        let codec = match compression {
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(failure)?),
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => return Err(io::Error::other("Parquet is not compressed by gzip")),
        };
        let properties = WriterProperties::builder()
            .set_compression(codec)
            // All readers know it.
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_created_by(concat!("leftfold version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = layout.schema().map_err(failure)?;
        let writer =
            SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(failure)?;
        Ok(ParquetFile { writer, columns: layout.buffers(), buffered: 0 })
    }

    /// Adds a row to those that wait for their row group.
    pub(in crate::connectors::export) fn push(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        if cells.len() != self.columns.len() {
            return Err(io::Error::other("a row has not a value for each column"));
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.buffered += column.push(cell)?;
        }
        Ok(())
    }

    /// Returns about how many bytes of memory the rows take that wait.
    pub(in crate::connectors::export) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Returns whether no row group fits any more behind the one that waits.
    pub(in crate::connectors::export) fn is_full(&self) -> bool {
        self.writer.flushed_row_groups().len() >= MOST_ROW_GROUPS
    }

    /// Writes the rows that wait as a row group.
    pub(in crate::connectors::export) fn write_row_group(&mut self) -> io::Result<()> {
        if self.buffered == 0 {
            return Ok(());
        }
        self.buffered = 0;
        write_columns(&mut self.writer, &mut self.columns).map_err(failure)
    }

    /// Writes what waits and the footer. The bytes are not durable yet.
    pub(in crate::connectors::export) fn finish(mut self) -> io::Result<File> {
        self.write_row_group()?;
        self.writer.into_inner().map_err(failure)
    }
}

fn write_columns(
    writer: &mut SerializedFileWriter<File>,
    columns: &mut [ColumnBuffer],
) -> Result<(), ParquetError> {
    let mut row_group = writer.next_row_group()?;
    for column in columns {
        let next = row_group.next_column()?;
        let mut next = next.ok_or_else(|| ParquetError::EOF("a column is missing".to_owned()))?;
        column.drain_into(next.untyped())?;
        next.close()?;
    }
    row_group.close().map(|_| ())
}

/// Returns the failure of the disk, if it is one.
fn failure(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(failure) => *failure,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;
    use leftfold_fold::react::Cause;

    use super::*;
    use crate::connectors::export::row::Row;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_the_failure_that_it_is() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let layout = Layout::new(None);
        let event = Cause::of_new("order-1", NewEvent::json("Paid", "{}")).event;
        let Row::Cells(cells) = layout.row(&event).unwrap() else { panic!("no cells") };
        let mut file = ParquetFile::new(full, &layout, Compression::Zstd).unwrap();
        file.push(cells).unwrap();
        assert!(file.buffered() > 0);
        assert_eq!(file.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_row_that_does_not_fit_its_columns_is_refused() {
        let file = || {
            let file = tempfile::tempfile().unwrap();
            ParquetFile::new(file, &Layout::new(None), Compression::None).unwrap()
        };
        assert!(file().push(vec![Cell::Null]).is_err());
        assert!(file().push(vec![Cell::Null; 13]).is_err());
        assert!(file().push(vec![Cell::Bool(true); 13]).is_err());
        assert!(file().push(vec![Cell::Texts(Vec::new()); 13]).is_err());
    }
}
