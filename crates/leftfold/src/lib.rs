#![doc = include_str!("../README.md")]

pub use leftfold_fold::*;
pub use leftfold_store::*;
