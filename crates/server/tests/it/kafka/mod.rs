//! Clients of Kafka's protocol.

mod access;
mod consumers;
mod hostile;
mod idempotence;
mod limits;
mod long_poll;
mod order;
mod refusals;
mod sessions;
mod support;
