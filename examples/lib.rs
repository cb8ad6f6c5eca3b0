//! The examples. Each is a module and a program of the same name; its README shows its output.

// The code of the tutorial names this crate as an external one.
extern crate self as leftfold_examples;

pub mod bank;
pub mod cart;
#[path = "error-processor/mod.rs"]
pub mod error_processor;
pub mod invoices;
pub mod notify;
pub mod orders;
pub mod products;
pub mod protobuf;
mod running;
pub mod tutorial;
pub mod tweets;
pub mod warehouse;
pub mod web;

pub use running::{run, run_with};
