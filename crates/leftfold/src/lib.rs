#![doc = include_str!("../README.md")]

#[cfg(feature = "client")]
#[doc(inline)]
pub use leftfold_client as client;
pub use leftfold_store::*;
