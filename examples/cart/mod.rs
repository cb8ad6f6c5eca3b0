#![doc = include_str!("README.md")]

mod cart;
mod story;

pub use cart::{AtCart, Cart, Refused, Shop, Wish};
pub use story::story;
