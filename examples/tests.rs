//! The output of each example matches its README.

#[path = "bank/tests.rs"]
mod bank;
#[path = "cart/tests.rs"]
mod cart;
#[path = "error-processor/tests.rs"]
mod error_processor;
#[path = "invoices/tests.rs"]
mod invoices;
mod kept;
#[path = "notify/tests.rs"]
mod notify;
#[path = "orders/tests/mod.rs"]
mod orders;
#[path = "products/tests.rs"]
mod products;
#[path = "protobuf/tests.rs"]
mod protobuf;
#[path = "tutorial/tests.rs"]
mod tutorial;
#[path = "tweets/tests.rs"]
mod tweets;
#[path = "warehouse/tests.rs"]
mod warehouse;
#[path = "web/tests.rs"]
mod web;
