#![doc = include_str!("README.md")]

mod balances;
mod client;
mod service;
mod story;

pub use balances::{Balance, Balances, balance_of};
pub use client::{Answer, ask};
pub use service::{App, OfAccount, router};
pub use story::story;
