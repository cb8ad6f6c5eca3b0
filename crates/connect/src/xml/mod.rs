//! Reads XML in constant memory.
//!
//! The reader has its own scanner ([`tokens`]) instead of a general XML library, for three reasons.
//! Every token and record must be bounded. At its end, a record must be one slice: its raw text,
//! with its values as positions in it. And elements that the mapping does not use must cost no more
//! than finding their ends. A test compares the scanner with quick-xml.
//!
//! It is a reader, not a validator: elements must nest and tags must have names, but it does not
//! examine what the mapping does not use. It skips a DTD and never expands entities, so a document
//! can neither grow while it is read nor load other files.

mod balance;
mod emit;
#[cfg(test)]
mod oracle;
mod reader;
mod slots;
mod text;
mod tokens;

pub(crate) use reader::read;
pub(crate) use text::attributes;
pub(crate) use tokens::{Token, Tokens};
