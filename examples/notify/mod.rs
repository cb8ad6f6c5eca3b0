#![doc = include_str!("README.md")]

mod endpoint;
mod story;

pub use endpoint::{Endpoint, post};
pub use story::story;
