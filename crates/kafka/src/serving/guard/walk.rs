//! The walk through a body.

use super::layout::{Encoding, Field, Kind, Shape};
use super::{Limits, Refusal, Weight};

/// What each allocation takes besides its bytes.
const ALLOCATION: usize = 32;
/// The memory of an unknown tagged field, which is kept in a map: even one alone takes a node for eleven.
const UNKNOWN_TAG: usize = 512;
/// The byte before a nullable struct that is there, and the one instead of it.
const PRESENT: u8 = 1;
const NULL: u8 = 0xff;

/// A walk through a body: what is left of it, and what the decoded message takes so far.
///
/// Its depth is the depth of the layout, whatever the body is.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    encoding: Encoding,
    limits: &'a Limits,
    decoded: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(body: &'a [u8], encoding: Encoding, limits: &'a Limits) -> Self {
        // The slices of a body share one allocation that counts them.
        Walk { rest: body, encoding, limits, decoded: 2 * ALLOCATION }
    }

    /// Walks through the whole body.
    pub(super) fn request(mut self, shape: &Shape) -> Result<Weight, Refusal> {
        self.add(shape.memory)?;
        self.structure(shape)?;
        if !self.rest.is_empty() {
            return Err(Refusal::TrailingBytes(self.rest.len()));
        }
        Ok(Weight { decoded: self.decoded })
    }

    fn structure(&mut self, shape: &Shape) -> Result<(), Refusal> {
        for field in shape.fields {
            if field.has_place(self.encoding.version) {
                self.field(field)?;
            }
        }
        if self.encoding.is_flexible { self.tagged_fields(shape) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), Refusal> {
        let Field { name, ref kind, is_nullable, .. } = *field;
        match kind {
            Kind::Struct(_) if is_nullable => match self.take(name, 1)? {
                [PRESENT] => self.value(name, kind, false),
                [NULL] => Ok(()),
                _ => Err(Refusal::InvalidLength { field: name }),
            },
            _ => self.value(name, kind, is_nullable),
        }
    }

    fn value(&mut self, name: &'static str, kind: &Kind, is_nullable: bool) -> Result<(), Refusal> {
        match kind {
            Kind::Fixed(bytes) => return self.take(name, *bytes).map(drop),
            Kind::Struct(shape) => return self.structure(shape),
            Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) => {}
        }
        let Some(length) = self.length(name, kind)? else {
            let refusal = Refusal::InvalidLength { field: name };
            return if is_nullable { Ok(()) } else { Err(refusal) };
        };
        match kind {
            Kind::Array(element) => self.array(name, element, length),
            Kind::String => self.string(name, length),
            Kind::Bytes => {
                self.take(name, length)?;
                self.add(length)
            }
            _ => self.take(name, length).map(drop),
        }
    }

    /// The decoder reserves the memory of all elements at once, so they are counted before the first.
    fn array(&mut self, name: &'static str, element: &Kind, count: usize) -> Result<(), Refusal> {
        let left = self.rest.len();
        if count > left / element.least(self.encoding).max(1) {
            return Err(Refusal::ArrayTooLong { field: name, found: count, left });
        }
        if count > 0 {
            self.add(count.saturating_mul(element.memory()).saturating_add(ALLOCATION))?;
        }
        (0..count).try_for_each(|_| self.value(name, element, false))
    }

    fn string(&mut self, name: &'static str, length: usize) -> Result<(), Refusal> {
        let limit = self.limits.string_bytes;
        if length > limit {
            return Err(Refusal::StringTooLong { field: name, found: length, limit });
        }
        let text = std::str::from_utf8(self.take(name, length)?);
        text.map_err(|_| Refusal::InvalidText { field: name })?;
        self.add(length)
    }

    fn tagged_fields(&mut self, shape: &Shape) -> Result<(), Refusal> {
        let count = self.unsigned_varint(shape.name)? as usize;
        let limit = self.limits.tags;
        if count > limit {
            return Err(Refusal::TooManyTags { name: shape.name, found: count, limit });
        }
        for _ in 0..count {
            let tag = self.unsigned_varint(shape.name)?;
            let length = self.unsigned_varint(shape.name)? as usize;
            let value = self.take(shape.name, length)?;
            match shape.fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) => self.tagged_field(field, value)?,
                None => self.add(UNKNOWN_TAG)?,
            }
        }
        Ok(())
    }

    /// The decoder ignores the length of a field that it knows, so the value must fill it.
    fn tagged_field(&mut self, field: &Field, value: &'a [u8]) -> Result<(), Refusal> {
        let invalid = Refusal::InvalidTag { field: field.name };
        if !field.is_in(self.encoding.version) {
            return Err(invalid);
        }
        let after = std::mem::replace(&mut self.rest, value);
        self.field(field)?;
        let left = std::mem::replace(&mut self.rest, after);
        if left.is_empty() { Ok(()) } else { Err(invalid) }
    }

    /// Returns the bytes of a string or the elements of an array; `None` for null.
    fn length(&mut self, name: &'static str, kind: &Kind) -> Result<Option<usize>, Refusal> {
        if self.encoding.is_flexible {
            return Ok((self.unsigned_varint(name)? as usize).checked_sub(1));
        }
        let length = match kind {
            Kind::String => self.array_of(name).map(i16::from_be_bytes)?.into(),
            _ => self.array_of(name).map(i32::from_be_bytes)?,
        };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length)
                .map(Some)
                .map_err(|_| Refusal::InvalidLength { field: name }),
        }
    }

    fn unsigned_varint(&mut self, name: &'static str) -> Result<u32, Refusal> {
        let mut value = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let [byte] = self.array_of(name)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Refusal::InvalidLength { field: name })
    }

    fn array_of<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Refusal> {
        let (bytes, rest) =
            self.rest.split_first_chunk().ok_or(Refusal::Truncated { field: name })?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, name: &'static str, length: usize) -> Result<&'a [u8], Refusal> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(Refusal::Truncated { field: name })?;
        self.rest = rest;
        Ok(bytes)
    }

    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.decoded = self.decoded.saturating_add(bytes);
        let limit = self.limits.decoded_bytes;
        if self.decoded > limit { Err(Refusal::TooLarge(limit)) } else { Ok(()) }
    }
}
