//! Appends that a server has received and not yet decoded. The decoded form may take a hundred times
//! the memory of the bytes; so a server reserves it first.

use bytes::{Buf, Bytes};
use leftfold_api::Invalid;
use prost::Message;
use tonic::Status;

use crate::codec::{Incoming, refused};
use crate::guard::Parts;
use crate::invalid::request;
use crate::v1;

/// The bytes of a [`v1::AppendRequest`] whose parts are within the limits of the protocol.
#[derive(Debug)]
pub struct ReceivedAppend {
    bytes: Bytes,
    weight: Weight,
}

/// The memory that an append takes, about, in bytes. Its contents are slices of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// At most, while it is decoded and translated.
    pub decoding: usize,
    /// Afterwards, until it is answered.
    pub decoded: usize,
}

impl ReceivedAppend {
    /// Counts the parts of an append.
    ///
    /// # Errors
    /// `too_many_events`, `too_many_tags`, `too_many_conditions`, `query_too_large`.
    pub fn new(bytes: Bytes) -> Result<Self, Invalid> {
        let parts = Parts::of(&bytes)?;
        Ok(ReceivedAppend { weight: parts.weight(bytes.len()), bytes })
    }

    /// Returns the memory that it takes.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Decodes it.
    ///
    /// # Errors
    /// `request_invalid`.
    pub fn decode(self) -> Result<v1::AppendRequest, Invalid> {
        let wrong = |error| request(format!("the append is no message of leftfold.v1: {error}"));
        v1::AppendRequest::decode(self.bytes).map_err(wrong)
    }
}

impl Incoming for ReceivedAppend {
    fn receive(bytes: &mut impl Buf) -> Result<Self, Status> {
        ReceivedAppend::new(bytes.copy_to_bytes(bytes.remaining())).map_err(refused)
    }
}

/// A [`v1::NumberedAppend`] whose append is not yet decoded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReceivedNumberedAppend {
    /// Its number in the call.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// The bytes of its append.
    #[prost(bytes = "bytes", tag = "2")]
    pub append: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_append_has_the_bytes_of_the_generated_message() {
        let event = v1::NewEvent { stream: Some("a".into()), ..v1::NewEvent::default() };
        let append = v1::AppendRequest { events: vec![event; 3], ..v1::AppendRequest::default() };
        let sent = v1::NumberedAppend { number: 7, append: Some(append.clone()) };
        let received = ReceivedNumberedAppend::decode(&sent.encode_to_vec()[..]).unwrap();
        assert_eq!(received.number, 7);
        assert_eq!(ReceivedAppend::new(received.append).unwrap().decode().unwrap(), append);
    }

    #[test]
    fn an_append_weighs_what_its_parts_take() {
        let weight = |bytes: &[u8]| ReceivedAppend::new(bytes.to_vec().into()).unwrap().weight();
        let (none, events) = (weight(&[]), weight(&[0x0a, 0].repeat(1_000)));
        assert!(events.decoding - none.decoding > 1_000 * size_of::<v1::NewEvent>());
        assert!(events.decoded < events.decoding);
        // The event without a stream is in the one before.
        let (named, name) = (weight(&[0x0a, 6, 0x0a, 4, b'a', b'b', b'c', b'd']), 4);
        assert_eq!(named.decoding - weight(&[0x0a, 0]).decoding, 6 + name);
        for part in [[0x12, 0], [0x1a, 0], [0x22, 0]] {
            assert!(weight(&part.repeat(1_000)).decoding > 1_000 * size_of::<v1::Expectation>());
        }
    }
}
