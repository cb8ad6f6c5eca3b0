#![doc = include_str!("README.md")]

mod balances;
mod client;
mod service;
mod story;

pub use balances::{Balance, Balances};
pub use client::{Answer, ask};
pub use service::{App, router};
pub use story::story;
