//! A small client of Kafka's wire protocol, for whoever needs to choose what clients usually hide:
//! producer id, epoch and sequence of each batch, the version of each request, and when to retry.
//!
//! It lives here until the cluster crate takes it over, and is written for that: no runtime, a
//! thread for each connection's answers, everything bounded, nothing retried behind its caller's back.
//! A request is sent by [`Connection::send`], which returns at once, so many can be in flight; the
//! answer is waited for on the [`Reply`].
//!
//! **What an error leaves open** is the question that matters to a log: [`WireError::outcome_unknown`]
//! says whether the request may have been carried out.
//!
//! Produce and Fetch stop at version 12, the last ones that name topics instead of numbering them.

pub mod batch;
mod client;
mod connection;
mod error;
mod fetch;
mod offsets;
mod produce;
mod transactions;
mod versions;

pub use batch::{Batch, ProducerId, Record, StoredBatch, StoredRecord};
pub use client::{Client, Partition};
pub use connection::{Connection, Reply};
pub use error::WireError;
pub use fetch::{Fetched, Isolation};
pub use kafka_protocol::error::ResponseError;
pub use offsets::{OffsetReply, Place};
pub use produce::{ProduceReply, Produced};
pub use transactions::{End, EndReply, EndVersion};

/// Reading answers to requests that somebody else has sent.
pub(crate) mod replayed {
    pub(crate) use super::connection::decode as answer;
    pub(crate) use super::produce::only_answer as produced;
}
