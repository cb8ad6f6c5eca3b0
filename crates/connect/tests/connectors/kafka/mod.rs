//! Kafka, with a real broker.

mod broker;
mod hanging;
mod kills;
mod relay;
mod source;
