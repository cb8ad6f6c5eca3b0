//! The values of a column that wait for their row group.

use std::io;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;

use super::layout::{Field, Presence};
use crate::connectors::export::column_type::ColumnType;
use crate::connectors::export::row::Cell;

/// What a value takes at least, with its levels.
const VALUE_BYTES: usize = 12;
/// What a text takes besides its bytes: what holds them, and the block of the allocator.
const TEXT_BYTES: usize = 64;

/// The values of a column, and its levels: a level tells a value from its absence, or the first of a list from others.
pub(super) struct ColumnBuffer {
    shape: Shape,
    values: Values,
    /// 1 where there is a value.
    definition: Vec<i16>,
    /// 0 at the first value of a row.
    repetition: Vec<i16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Required,
    Optional,
    List,
}

enum Values {
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    Bytes(Vec<ByteArray>),
}

impl ColumnBuffer {
    pub(super) fn new(field: &Field) -> Self {
        let shape = match (field.column_type, field.presence) {
            (ColumnType::Strings, _) => Shape::List,
            (_, Presence::Required) => Shape::Required,
            (_, Presence::Optional) => Shape::Optional,
        };
        let values = match field.column_type {
            ColumnType::Int64 | ColumnType::Timestamp => Values::Int64(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Bool => Values::Bool(Vec::new()),
            ColumnType::String | ColumnType::Json | ColumnType::Bytes | ColumnType::Strings => {
                Values::Bytes(Vec::new())
            }
        };
        ColumnBuffer { shape, values, definition: Vec::new(), repetition: Vec::new() }
    }

    /// Adds the value of a row. Returns about how many bytes of memory it takes.
    pub(super) fn push(&mut self, cell: Cell) -> io::Result<usize> {
        match (cell, self.shape) {
            (Cell::Texts(texts), Shape::List) => self.push_texts(texts),
            (Cell::Null, Shape::Optional) => {
                self.definition.push(0);
                Ok(VALUE_BYTES)
            }
            (Cell::Null | Cell::Texts(_), _) | (_, Shape::List) => Err(mismatch()),
            (cell, shape) => {
                let bytes = self.values.push(cell)?;
                if shape == Shape::Optional {
                    self.definition.push(1);
                }
                Ok(bytes)
            }
        }
    }

    fn push_texts(&mut self, texts: Vec<String>) -> io::Result<usize> {
        if texts.is_empty() {
            self.definition.push(0);
            self.repetition.push(0);
            return Ok(VALUE_BYTES);
        }
        let mut bytes = 0;
        for (at, text) in texts.into_iter().enumerate() {
            bytes += self.values.push(Cell::Bytes(text.into_bytes()))?;
            self.definition.push(1);
            self.repetition.push(i16::from(at > 0));
        }
        Ok(bytes)
    }

    /// Removes the values, with their memory: many files may be open, each of which was large at some time.
    fn clear(&mut self) {
        (self.definition, self.repetition) = (Vec::new(), Vec::new());
        self.values = match &self.values {
            Values::Int64(_) => Values::Int64(Vec::new()),
            Values::Double(_) => Values::Double(Vec::new()),
            Values::Bool(_) => Values::Bool(Vec::new()),
            Values::Bytes(_) => Values::Bytes(Vec::new()),
        };
    }

    /// Writes all values into a row group, and removes them.
    pub(super) fn drain_into(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let definition = (self.shape != Shape::Required).then_some(self.definition.as_slice());
        let repetition = (self.shape == Shape::List).then_some(self.repetition.as_slice());
        match (&self.values, writer) {
            (Values::Int64(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?
            }
            (Values::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?
            }
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?
            }
            (Values::Bytes(values), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(values, definition, repetition)?
            }
            _ => return Err(mismatch().into()),
        };
        self.clear();
        Ok(())
    }
}

impl Values {
    fn push(&mut self, cell: Cell) -> io::Result<usize> {
        match (self, cell) {
            (Values::Int64(values), Cell::Int64(value)) => values.push(value),
            (Values::Double(values), Cell::Double(value)) => values.push(value),
            (Values::Bool(values), Cell::Bool(value)) => values.push(value),
            (Values::Bytes(values), Cell::Bytes(value)) => {
                let bytes = TEXT_BYTES + value.len();
                values.push(value.into());
                return Ok(bytes);
            }
            _ => return Err(mismatch()),
        }
        Ok(VALUE_BYTES)
    }
}

fn mismatch() -> io::Error {
    io::Error::other("a value has another type than its column; please report this")
}
