//! The examples. Each is a module and a program of its own name; its README shows what it prints.

// The tutorial names this crate as a reader of the page would.
extern crate self as leftfold_examples;

pub mod bank;
pub mod cart;
#[path = "error-processor/mod.rs"]
pub mod error_processor;
pub mod invoices;
pub mod notify;
pub mod orders;
pub mod products;
pub mod tutorial;
pub mod tweets;
pub mod warehouse;
