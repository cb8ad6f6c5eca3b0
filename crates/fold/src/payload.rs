//! Encoded payloads.

use std::borrow::Cow;

use leftfold_api::{JSON, is_json_type};

use crate::event::WrongShape;

/// The payload of an event as it is stored: bytes, and how they are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The media type, such as `application/json`.
    pub content_type: Cow<'a, str>,
    /// The bytes.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Payload<'a> {
    /// Returns a payload of a media type.
    pub fn new(content_type: impl Into<Cow<'a, str>>, data: impl Into<Cow<'a, [u8]>>) -> Self {
        Payload { content_type: content_type.into(), data: data.into() }
    }

    /// Returns a payload in JSON.
    pub fn json(data: impl Into<Cow<'a, [u8]>>) -> Self {
        Payload::new(JSON, data)
    }

    /// Whether the media type is JSON, or one that is written in JSON.
    pub fn is_json(&self) -> bool {
        is_json_type(&self.content_type)
    }

    /// Checks the media type, for an event that is decoded from one encoding only.
    pub fn expect(&self, content_type: &'static str) -> Result<(), WrongShape> {
        match self.content_type == content_type {
            true => Ok(()),
            false => Err(WrongShape::ContentType {
                expected: content_type,
                found: self.content_type.clone().into_owned(),
            }),
        }
    }
}
