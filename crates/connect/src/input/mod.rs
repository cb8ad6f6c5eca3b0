//! The bytes of a file: decoded to UTF-8 and seen through a bounded window.

mod decode;
mod window;

pub(crate) use decode::{Label, open};
pub(crate) use window::{Fill, Window};
