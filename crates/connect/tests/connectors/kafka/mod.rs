//! Kafka, with a real broker.

mod broker;
mod kills;
mod relay;
mod source;
