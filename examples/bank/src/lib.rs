#![doc = include_str!("../README.md")]

mod account;
mod story;

pub use account::{Account, Bank, Deposit, Open, Owner, Refused, Transfer, Withdraw};
pub use story::story;
