#![doc = include_str!("README.md")]

mod invoice;
mod story;

pub use invoice::{Action, Billing, Invoice, Refused, Request};
pub use story::story;
