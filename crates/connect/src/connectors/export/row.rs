//! Rows of files.

/// What is written for an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    /// A line of a text file, with its line feed.
    Line(Vec<u8>),
    /// A value for each column, in their order.
    Cells(Vec<Cell>),
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    /// A whole number, or a time in microseconds since 1970 in UTC.
    Int64(i64),
    Double(f64),
    Bool(bool),
    /// Text, JSON or bytes.
    Bytes(Vec<u8>),
    Texts(Vec<String>),
}
