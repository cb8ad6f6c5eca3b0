#![doc = include_str!("README.md")]

mod invoice;
mod story;

pub use invoice::{Billing, Invoice, Refused, Request, What};
pub use story::story;
