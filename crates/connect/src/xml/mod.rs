//! XML in constant memory.
//!
//! The tokens are found by a scanner of our own ([`tokens`]) instead of a general XML library,
//! for three reasons: every token and record must be bounded, the whole record must be at hand as
//! one slice when it has ended (its raw text, and its values as positions in it), and what no path
//! of the mapping leads to should cost no more than finding its end. A test holds the scanner
//! against quick-xml.
//!
//! It is a reader, not a validator: elements must nest properly and tags must have names, but what
//! the mapping does not ask for is not examined. A DTD is skipped and its entities are never
//! expanded, so a document cannot grow while it is read, nor reach for other files.

mod balance;
mod emit;
#[cfg(test)]
mod oracle;
mod reader;
mod slots;
mod text;
mod tokens;

pub(crate) use reader::read;
