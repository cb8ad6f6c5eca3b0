//! The output of each example matches its README.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;

#[path = "bank/tests.rs"]
mod bank;
#[path = "cart/tests.rs"]
mod cart;
#[path = "composite/tests.rs"]
mod composite;
#[path = "error-processor/tests.rs"]
mod error_processor;
#[path = "invoices/tests.rs"]
mod invoices;
#[path = "kafka-consumers/tests.rs"]
mod kafka_consumers;
mod kept;
#[path = "notify/tests.rs"]
mod notify;
#[path = "orders/tests/mod.rs"]
mod orders;
#[path = "products/tests.rs"]
mod products;
#[path = "protobuf/tests.rs"]
mod protobuf;
#[path = "sql-views/tests.rs"]
mod sql_views;
#[path = "tutorial/tests.rs"]
mod tutorial;
#[path = "tweets/tests.rs"]
mod tweets;
#[path = "warehouse/tests.rs"]
mod warehouse;
#[path = "web/tests.rs"]
mod web;

/// Runs an example in this process and returns its output.
fn output_of(story: impl FnOnce(&Path, &mut dyn Write) -> anyhow::Result<()>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut output = Vec::new();
    story(dir.path(), &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

/// Returns the output that a README shows.
fn shown_in(readme: &str) -> &str {
    readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}
