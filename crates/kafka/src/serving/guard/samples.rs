//! Sample requests, made from the layouts; for tests.

use std::any::Any;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Request;

use super::layout::{Encoding, Field, Kind, Shape};
use super::requests;
use crate::serving::versions::SupportedRequest;

/// The number of the first unknown tagged field; no known one has a number so large.
const FIRST_UNKNOWN_TAG: u32 = 100;

/// How a sample is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// The elements of each array.
    pub elements: usize,
    /// The unknown tagged fields of each struct, in versions with tagged fields.
    pub unknown_tags: u32,
    /// What differs from a populated request.
    pub change: Option<Change>,
}

/// A change to a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// All that can be null is null.
    AllNull,
    /// The field of this number, among those with a length, is null, even if it cannot be.
    Null(usize),
    /// The array of this number claims this many elements.
    Elements(usize, i32),
}

/// A sample of a request.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The body of the request.
    pub body: Vec<u8>,
    /// The field that [`Change::Null`] or [`Change::Elements`] changed, and whether it can be null.
    pub changed: Option<(&'static str, bool)>,
}

/// Makes a sample, or returns `None` if the server does not decode the version.
pub fn sample(api_key: i16, version: i16, plan: Plan) -> Option<Sample> {
    let request = SupportedRequest::of(api_key).filter(|request| request.is_decoded(version))?;
    let encoding = Encoding { version, is_flexible: request.is_flexible(version) };
    let mut writer = Writer {
        body: Vec::new(),
        encoding,
        plan,
        values: 0,
        lengths: 0,
        arrays: 0,
        changed: None,
    };
    writer.structure(requests::shape(api_key)?);
    Some(Sample { body: writer.body, changed: writer.changed })
}

/// Decodes a body that the guard accepted; returns the message and the bytes behind its end.
///
/// # Errors
/// The decoder's error, or that the request is unknown.
pub fn decode(api_key: i16, version: i16, body: Bytes) -> Result<(Box<dyn Any>, Bytes), String> {
    requests::with_request(api_key, Decode { version, body })
        .unwrap_or_else(|| Err("the request is unknown".to_owned()))
}

/// Decodes a body that the guard accepted, and encodes the message again.
///
/// # Errors
/// The error of the decoder or the encoder, or that the request is unknown.
pub fn recode(api_key: i16, version: i16, body: Bytes) -> Result<Bytes, String> {
    requests::with_request(api_key, Recode { version, body })
        .unwrap_or_else(|| Err("the request is unknown".to_owned()))
}

/// A function of the type of a request.
pub(super) trait Visit {
    type Answer;

    fn visit<R: Request + 'static>(self) -> Self::Answer;
}

struct Decode {
    version: i16,
    body: Bytes,
}

impl Visit for Decode {
    type Answer = Result<(Box<dyn Any>, Bytes), String>;

    fn visit<R: Request + 'static>(mut self) -> Self::Answer {
        let message = R::decode(&mut self.body, self.version).map_err(|error| error.to_string())?;
        Ok((Box::new(message), self.body))
    }
}

struct Recode {
    version: i16,
    body: Bytes,
}

impl Visit for Recode {
    type Answer = Result<Bytes, String>;

    fn visit<R: Request + 'static>(mut self) -> Self::Answer {
        let message = R::decode(&mut self.body, self.version).map_err(|error| error.to_string())?;
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes, self.version).map_err(|error| error.to_string())?;
        Ok(bytes.freeze())
    }
}

/// Writes the body of a sample.
struct Writer {
    body: Vec<u8>,
    encoding: Encoding,
    plan: Plan,
    /// The values written so far, each of which is different.
    values: u8,
    /// The fields with a length so far.
    lengths: usize,
    /// The arrays so far.
    arrays: usize,
    changed: Option<(&'static str, bool)>,
}

impl Writer {
    fn structure(&mut self, shape: &Shape) {
        for field in shape.fields {
            if field.has_place(self.encoding.version) {
                self.field(field);
            }
        }
        if self.encoding.is_flexible {
            self.tagged_fields(shape);
        }
    }

    fn tagged_fields(&mut self, shape: &Shape) {
        let is_known = |field: &&Field| field.tag.is_some() && field.is_in(self.encoding.version);
        let known: Vec<&Field> = shape.fields.iter().filter(is_known).collect();
        self.unsigned_varint(known.len() as u32 + self.plan.unknown_tags);
        for field in known {
            let before = std::mem::take(&mut self.body);
            self.field(field);
            let value = std::mem::replace(&mut self.body, before);
            self.tagged_field(field.tag.unwrap_or_default(), &value);
        }
        for n in 0..self.plan.unknown_tags {
            self.tagged_field(FIRST_UNKNOWN_TAG + 50 * n, &vec![7; n as usize]);
        }
    }

    fn tagged_field(&mut self, tag: u32, value: &[u8]) {
        self.unsigned_varint(tag);
        self.unsigned_varint(value.len() as u32);
        self.body.extend_from_slice(value);
    }

    fn field(&mut self, field: &Field) {
        let Field { name, ref kind, is_nullable, .. } = *field;
        match kind {
            Kind::Struct(_) if is_nullable => {
                if self.is_null(name, true) {
                    return self.body.push(0xff);
                }
                self.body.push(1);
            }
            _ => {}
        }
        self.value(name, kind, is_nullable);
    }

    fn value(&mut self, name: &'static str, kind: &Kind, is_nullable: bool) {
        match kind {
            // It may be a boolean.
            Kind::Fixed(1) => self.body.push(1),
            Kind::Fixed(length) => self.bytes(*length),
            Kind::Struct(shape) => self.structure(shape),
            Kind::Array(element) => self.array(name, element, is_nullable),
            Kind::String | Kind::Bytes | Kind::Records => {
                if self.is_null(name, is_nullable) {
                    return self.length(kind, -1);
                }
                let length = usize::from(self.values % 5) + 1;
                self.length(kind, length as i32);
                self.bytes(length);
            }
        }
    }

    fn array(&mut self, name: &'static str, element: &Kind, is_nullable: bool) {
        let number = self.arrays;
        self.arrays += 1;
        let kind = Kind::Array(&Kind::String);
        if self.is_null(name, is_nullable) {
            return self.length(&kind, -1);
        }
        let claimed = match self.plan.change {
            Some(Change::Elements(changed, claimed)) if changed == number => {
                self.changed = Some((name, is_nullable));
                claimed
            }
            _ => self.plan.elements as i32,
        };
        self.length(&kind, claimed);
        for _ in 0..self.plan.elements {
            self.value(name, element, false);
        }
    }

    /// Returns whether the next field with a length is null.
    fn is_null(&mut self, name: &'static str, is_nullable: bool) -> bool {
        let number = self.lengths;
        self.lengths += 1;
        match self.plan.change {
            Some(Change::AllNull) => is_nullable,
            Some(Change::Null(changed)) if changed == number => {
                self.changed = Some((name, is_nullable));
                true
            }
            _ => false,
        }
    }

    /// Writes a length; -1 is null.
    fn length(&mut self, kind: &Kind, length: i32) {
        match kind {
            _ if self.encoding.is_flexible => self.unsigned_varint(length.wrapping_add(1) as u32),
            Kind::String => self.body.extend_from_slice(&(length as i16).to_be_bytes()),
            _ => self.body.extend_from_slice(&length.to_be_bytes()),
        }
    }

    /// Writes ASCII that is different each time.
    fn bytes(&mut self, length: usize) {
        for _ in 0..length {
            self.values = (self.values + 1) % 90;
            self.body.push(b'!' + self.values);
        }
    }

    fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.body.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.body.push(value as u8);
    }
}
