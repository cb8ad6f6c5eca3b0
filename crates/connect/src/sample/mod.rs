//! Sample files: a bank's night, and statements of any size.
//!
//! Everything follows from a seed, byte for byte, so tests and demonstrations can say beforehand
//! what must come out. Names and accounts are invented; the IBANs' check digits are right.

mod dialect;
mod entry;
mod iban;
mod night;
mod people;
mod rng;
mod statement;
mod stream;
mod xml;

pub use night::{Night, NightOptions, write_night};
pub use stream::{Written, write_camt};
