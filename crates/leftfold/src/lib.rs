#![doc = include_str!("../README.md")]

pub use leftfold_store::*;
