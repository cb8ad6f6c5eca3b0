//! What the server and the client say to each other: the messages of `leftfold.v1`, and what they
//! mean in the words of the store.
//!
//! The protocol is in `proto/leftfold/v1/`, with a comment on every field; [`v1`] is made of it. The
//! other modules turn the store's types into messages and back. Whatever a message may hold, turning
//! it gives a value or an error with a code.
//!
//! Neither the server's nor the client's public face shows anything of this crate.

mod admin;
mod append;
mod codec;
mod event;
mod invalid;
mod manage;
mod packed;
mod pipeline;
mod place;
mod problem;
mod query;
mod read;
mod subscribe;

pub use append::{answer, result};
pub use codec::{WireCodec, WireDecoder, WireEncoder};
pub use event::recorded;
pub use packed::PackedEvents;
pub use pipeline::{APPEND_MANY, EncodedAppend, PipelineCodec, encode};
pub use place::{cursor, cursors, optional_cursor};
pub use problem::{from_status, to_status};
pub use read::{append_page, page_part};
pub use subscribe::{deliveries, delivery_part};

/// The trailer that holds an error's code.
pub const CODE_TRAILER: &str = "leftfold-code";

/// Bytes that a message of events is filled up to: large enough that its cost is shared by hundreds
/// of events, small enough that a thousand of them on their way are no burden.
pub const MESSAGE_BYTES: usize = 128 << 10;

/// Bytes of the largest message that either side takes, unless told otherwise: an append as large as
/// the store allows, with room for what stands around its events, so that one that is too large is
/// refused by the store, in its words.
pub const MAX_MESSAGE: usize = 96 << 20;

/// The messages and services.
pub mod v1 {
    tonic::include_proto!("leftfold.v1");
}

/// How gRPC carries an error's details.
#[expect(unreachable_pub, reason = "made by a generator")]
mod rpc {
    tonic::include_proto!("google.rpc");
}
