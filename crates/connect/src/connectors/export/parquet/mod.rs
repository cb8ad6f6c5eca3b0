//! Parquet: rows in columns with types, which readers load one by one.
//!
//! A file can't be continued: its footer, which says where the columns are, is written last. That serves the export,
//! whose files have no name before they are whole. Rows are kept in memory until there are enough for a row group.

mod buffer;
mod event;
mod file;
mod layout;

pub(super) use self::file::ParquetFile;
pub(super) use self::layout::Layout;
