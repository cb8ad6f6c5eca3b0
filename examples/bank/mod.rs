#![doc = include_str!("README.md")]

mod account;
mod orders;
mod story;

pub use account::{Account, Bank, Deposit, Open, Owner, Refused, Transfer, Withdraw};
pub use orders::{Known, Order, Place, transfers};
pub use story::story;
