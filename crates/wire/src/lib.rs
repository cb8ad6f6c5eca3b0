//! The messages of `leftfold.v1` that server and client exchange, and their translation into the
//! types of the contract.
//!
//! The protocol is in `proto/leftfold/v1/`, with a comment on every field; [`v1`] is generated from
//! it. The other modules translate the contract's types into messages and back. Every message is
//! translated into a value or into an error with a code.
//!
//! Neither the server's nor the client's public API shows anything of this crate.

mod admin;
mod append;
mod busy_poll;
mod codec;
mod event;
mod form;
mod gather;
mod guard;
mod invalid;
mod ordinals;
mod packed;
mod pipeline;
mod point;
mod problem;
mod query;
mod read;
mod received;
mod settings;
mod subscribe;

/// The descriptors of the protocol's files, encoded: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use append::{answer, result};
pub use busy_poll::Traffic;
pub use codec::{Incoming, WireCodec, WireDecoder, WireEncoder, decode};
pub use event::recorded;
pub use form::EventForm;
pub use gather::Gather;
pub use packed::PackedEvents;
pub use pipeline::{APPEND_MANY, EncodedAppend, PipelineCodec, encode};
pub use point::{cursor, cursors, optional_cursor};
pub use problem::{from_status, to_status};
pub use read::{append_page, page_part};
pub use received::{ReceivedAppend, ReceivedNumberedAppend, Weight};
pub use subscribe::{deliveries, delivery_part};

/// The trailer that holds an error's code.
pub const CODE_TRAILER: &str = "leftfold-code";

/// The header with the number of the partition that a call to another node is for. Without it, it is partition 0.
pub const PARTITION_HEADER: &str = "leftfold-partition";

/// Bytes of a message of events, about: hundreds of events share its cost, and a thousand messages in
/// flight take little memory.
pub const MESSAGE_BYTES: usize = 128 << 10;

/// Bytes of the largest message that either side accepts, unless set otherwise. An append of the
/// largest size that a store allows fits, with its event headers; so the store itself refuses an
/// append that is too large.
pub const MAX_MESSAGE: usize = 96 << 20;

/// The messages and services.
#[expect(clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("leftfold.v1");

    pub use crate::servers::{admin_server, store_server};
}

/// What the nodes of a cluster ask of each other.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod node {
    tonic::include_proto!("leftfold.node.v1");
}

/// What a server implements.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod servers {
    include!(concat!(env!("OUT_DIR"), "/servers/leftfold.v1.rs"));
}

/// The messages in which gRPC carries the details of an error.
#[expect(unreachable_pub, reason = "generated code")]
mod rpc {
    tonic::include_proto!("google.rpc");
}
