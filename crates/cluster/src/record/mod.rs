//! The records of a partition: one event is one plain Kafka record, and a batch holds whole appends.
//!
//! The key is the stream and the value is the payload. The headers are those of a CloudEvent in the binary mode of its
//! Kafka binding, and our own, which begin with `lf-`. All are text, so Kafka's tools show them, except metadata.
//!
//! | header | value | in |
//! |---|---|---|
//! | `ce_specversion` | `1.0` | every event |
//! | `ce_id` | the event's id, a UUID | every event |
//! | `ce_source` | a constant of the cluster | every event |
//! | `ce_type` | the event type | every event |
//! | `ce_time` | the event time, given or not, in RFC 3339 | every event |
//! | `content-type` | the media type of the payload | every event |
//! | `lf-version` | the event's number in its stream, from 0 | every event |
//! | `lf-time` | `given` | events whose event time was given |
//! | `lf-schema` | the version of the payload's schema | events that name one |
//! | `lf-correlation`, `lf-causation` | the ids | events that have them |
//! | `lf-tag` | `key=value` | once for each tag, in order |
//! | `lf-metadata` | the metadata, any bytes | events that have some |
//! | `lf-append` | the id of the append, 32 hexadecimal digits | an append's first record |
//! | `lf-commit-time` | the commit time in RFC 3339 | an append's first record |
//! | `lf-checkpoint` | a cursor, a space, and the name | an append's first record, for each checkpoint that it moves |
//! | `lf-stamp` | `TERM.NUMBER INDEX/COUNT`: the stamp, and the record's place in its append | every record |
//!
//! Three kinds of record have no key. An append without events is one record without a value. A barrier has only a
//! stamp, without a place. A claim has the number 0, and a value that names the owner in JSON.
//!
//! A reader ignores unknown headers, except those that begin with `lf-`: a later release may say with them what must
//! not be lost. The position of an event is its offset + 1.

mod claim;
mod decode;
mod encode;
mod error;
mod fields;
pub(crate) mod names;

pub use claim::Claimant;
pub use decode::{Decoded, Decoder};
pub use encode::Encoder;
pub use error::{EncodeError, RecordError};
