//! The examples. Each is a module and a program of the same name; its README shows its output.

// The code of the tutorial names this crate as an external one.
extern crate self as leftfold_examples;

pub mod bank;
pub mod cart;
pub mod cluster;
pub mod composite;
pub mod customers;
#[path = "error-processor/mod.rs"]
pub mod error_processor;
#[path = "in-step/mod.rs"]
pub mod in_step;
pub mod invoices;
#[path = "kafka-consumers/mod.rs"]
pub mod kafka_consumers;
#[path = "last-30-orders/mod.rs"]
pub mod last_30_orders;
pub mod notify;
pub mod orders;
#[path = "page-views/mod.rs"]
pub mod page_views;
pub mod products;
pub mod protobuf;
mod running;
#[path = "sql-views/mod.rs"]
pub mod sql_views;
#[path = "top-words/mod.rs"]
pub mod top_words;
pub mod tutorial;
pub mod tweets;
pub mod warehouse;
pub mod web;

pub use running::{run, run_with};
