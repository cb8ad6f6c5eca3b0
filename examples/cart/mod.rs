#![doc = include_str!("README.md")]

#[expect(clippy::module_inception, reason = "the example is named after its entity")]
mod cart;
mod story;

pub use cart::{AtCart, Cart, Refused, Shop, Wish};
pub use story::story;
