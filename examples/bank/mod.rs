#![doc = include_str!("README.md")]

mod account;
mod orders;
mod story;

pub use account::{Account, Bank, Deposit, Open, Owner, Refused, Transfer, Withdraw};
pub use orders::{Order, OrderExists, OrderTransfer, transfers};
pub use story::story;
