//! What a server needs to speak Kafka's protocol to clients, without a socket and without a store: the versions it
//! supports, the head of a request, the guard that bounds what decoding it takes, the frame of an answer, and the
//! coordinator of consumer groups.

pub mod frame;
pub mod groups;
pub mod guard;
pub mod versions;

pub use frame::{FrameError, RequestHead, encode_answer};
pub use kafka_protocol::messages::ApiKey;
pub use versions::{SUPPORTED, SupportedRequest};
