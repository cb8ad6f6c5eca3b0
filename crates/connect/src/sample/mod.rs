//! Sample files: a bank's nightly batch, and statements of any size.
//!
//! A seed determines every byte, so tests and demonstrations know the expected result. Names and
//! accounts are invented; the IBANs' check digits are valid.

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
pub use stream::{CamtSummary, write_camt};
