//! Reads JSON in constant memory: one value per line, or the elements of an array.

mod reader;
mod records;
mod walk;

pub(crate) use reader::read;
pub(crate) use records::Records;
