//! The head of a request and the frame of an answer.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use thiserror::Error;

use super::versions::SupportedRequest;
use crate::connection::name;
use crate::error::KafkaError;

/// The most bytes of a client's name for itself.
pub const MAX_CLIENT_ID: usize = 1024;
/// The most tagged fields of a header; no client sends any.
const MAX_HEADER_TAGS: u32 = 16;
/// A byte for the tagged fields of the answer's header, and the fields before it.
const ANSWER_HEAD: usize = 4 + 4 + 1;

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The number of the kind of request.
    pub api_key: i16,
    /// The version of the request.
    pub version: i16,
    /// The client's number of the request, which its answer repeats.
    pub correlation_id: i32,
    /// The client's name for itself; `None` also if the server does not support the request's version.
    pub client_id: Option<String>,
}

/// The frame of a request has no head that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame ends within its head.
    #[error("the frame ends within the head of the request")]
    Truncated,
    /// The client id is longer than [`MAX_CLIENT_ID`], has a negative length, or is no UTF-8.
    #[error("expected a client id of at most {MAX_CLIENT_ID} bytes of UTF-8")]
    InvalidClientId,
    /// The tagged fields of the head are too many, or their lengths are invalid.
    #[error("expected at most {MAX_HEADER_TAGS} tagged fields in the head of the request")]
    InvalidTags,
}

impl RequestHead {
    /// Splits a frame, without its length, into the head and the body of a request.
    ///
    /// If the server does not advertise the request's version, its head ends with the correlation id: what
    /// follows is unknown, so `client_id` is `None` and the body is not to be decoded. The server can still
    /// answer such an ApiVersions request, whose answers have the same header in each version.
    ///
    /// # Errors
    /// The head is truncated, or one of its fields is out of bounds.
    pub fn split(mut frame: Bytes) -> Result<(RequestHead, Bytes), FrameError> {
        let api_key = frame.try_get_i16().map_err(|_| FrameError::Truncated)?;
        let version = frame.try_get_i16().map_err(|_| FrameError::Truncated)?;
        let correlation_id = frame.try_get_i32().map_err(|_| FrameError::Truncated)?;
        let mut head = RequestHead { api_key, version, correlation_id, client_id: None };
        let Some(request) = SupportedRequest::of(api_key).filter(|it| it.is_advertised(version))
        else {
            return Ok((head, frame));
        };
        head.client_id = client_id(&mut frame)?;
        if request.is_flexible(version) {
            skip_tags(&mut frame)?;
        }
        Ok((head, frame))
    }

    /// Returns the request's entry in the table of supported requests, or `None` if it has none.
    pub fn request(&self) -> Option<&'static SupportedRequest> {
        SupportedRequest::of(self.api_key)
    }
}

/// The length of a client id is an `int16` in each version of the header.
fn client_id(frame: &mut Bytes) -> Result<Option<String>, FrameError> {
    let length = match frame.try_get_i16().map_err(|_| FrameError::Truncated)? {
        -1 => return Ok(None),
        length => usize::try_from(length).map_err(|_| FrameError::InvalidClientId)?,
    };
    if length > MAX_CLIENT_ID {
        return Err(FrameError::InvalidClientId);
    }
    if length > frame.len() {
        return Err(FrameError::Truncated);
    }
    let text = String::from_utf8(frame.split_to(length).to_vec());
    text.map(Some).map_err(|_| FrameError::InvalidClientId)
}

fn skip_tags(frame: &mut Bytes) -> Result<(), FrameError> {
    let count = unsigned_varint(frame)?;
    if count > MAX_HEADER_TAGS {
        return Err(FrameError::InvalidTags);
    }
    for _ in 0..count {
        unsigned_varint(frame)?;
        let length = unsigned_varint(frame)? as usize;
        if length > frame.len() {
            return Err(FrameError::Truncated);
        }
        frame.advance(length);
    }
    Ok(())
}

fn unsigned_varint(frame: &mut Bytes) -> Result<u32, FrameError> {
    let mut value = 0;
    for shift in (0..u32::BITS).step_by(7) {
        let byte = u32::from(frame.try_get_u8().map_err(|_| FrameError::Truncated)?);
        value |= (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(FrameError::InvalidTags)
}

/// Encodes an answer with its length and header.
///
/// # Errors
/// [`KafkaError::Unencodable`]: the answer has a field that the version has not, or is too large.
pub fn encode_answer<A: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    answer: &A,
) -> Result<Bytes, KafkaError> {
    let unencodable = |why: String| KafkaError::Unencodable { request: name::<A>(), why };
    let size = answer.compute_size(version).map_err(|error| unencodable(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(size.saturating_add(ANSWER_HEAD));
    frame.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let laid_out = header
        .encode(&mut frame, A::header_version(version))
        .and_then(|()| answer.encode(&mut frame, version));
    laid_out.map_err(|error| unencodable(error.to_string()))?;
    let length = i32::try_from(frame.len() - 4);
    let length = length.map_err(|_| unencodable("it is too large".to_owned()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{
        ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
        RequestHeader,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::connection::decode_answer;
    use crate::serving::SUPPORTED;

    const BODY: &[u8] = b"the body";

    fn frame(api_key: i16, version: i16, client_id: Option<&'static str>, tags: i32) -> Bytes {
        let mut header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(client_id.map(StrBytes::from_static_str));
        let mut bytes = BytesMut::new();
        let header_version = ApiKey::try_from(api_key).unwrap().request_header_version(version);
        if header_version >= 2 {
            for tag in 0..tags {
                header = header.with_unknown_tagged_field(tag * 100, Bytes::from_static(b"tagged"));
            }
        }
        header.encode(&mut bytes, header_version).unwrap();
        bytes.put_slice(BODY);
        bytes.freeze()
    }

    #[test]
    fn the_head_of_every_supported_request_is_split_from_its_body() {
        for request in &SUPPORTED {
            for version in request.min..=request.max {
                for (client, tags) in [(None, 0), (Some(""), 1), (Some("a client"), 16)] {
                    let frame = frame(request.api_key(), version, client, tags);
                    let (head, body) = RequestHead::split(frame).unwrap();
                    assert_eq!((head.api_key, head.version), (request.api_key(), version));
                    assert_eq!((head.correlation_id, &body[..]), (77, BODY));
                    assert_eq!(head.client_id.as_deref(), client);
                    assert_eq!(head.request(), Some(request));
                }
            }
        }
    }

    #[test]
    fn every_truncated_head_is_refused() {
        for version in [0, 9] {
            let frame = frame(ApiKey::Metadata as i16, version, Some("a client"), 2);
            for length in 0..frame.len() - BODY.len() {
                let found = RequestHead::split(frame.slice(..length));
                assert_eq!(found, Err(FrameError::Truncated), "{length} bytes");
            }
        }
    }

    #[test]
    fn the_correlation_id_of_an_unsupported_version_is_read() {
        for (api_key, version) in [(18, 5), (18, i16::MAX), (18, -1), (0, 13), (26, 0), (-1, 0)] {
            let mut bytes = BytesMut::new();
            bytes.put_i16(api_key);
            bytes.put_i16(version);
            bytes.put_i32(-3);
            bytes.put_slice(&[0xff; 3]);
            let (head, rest) = RequestHead::split(bytes.freeze()).unwrap();
            assert_eq!((head.api_key, head.version, head.correlation_id), (api_key, version, -3));
            assert_eq!((head.client_id, rest.len()), (None, 3));
        }
    }

    #[test]
    fn fields_out_of_bounds_are_refused() {
        let split = |frame| RequestHead::split(frame).map(|_| ());
        let longest: &'static str = "x".repeat(MAX_CLIENT_ID).leak();
        let longer: &'static str = "x".repeat(MAX_CLIENT_ID + 1).leak();
        let key = ApiKey::Metadata as i16;
        assert_eq!(split(frame(key, 1, Some(longest), 0)), Ok(()));
        assert_eq!(split(frame(key, 1, Some(longer), 0)), Err(FrameError::InvalidClientId));
        assert_eq!(split(frame(key, 9, None, 17)), Err(FrameError::InvalidTags));
        let broken = |replaced: &[u8]| {
            let head = frame(key, 9, None, 0).slice(..8);
            split([&head[..], replaced].concat().into())
        };
        assert_eq!(broken(&[0xff, 0xfe, 0]), Err(FrameError::InvalidClientId));
        assert_eq!(broken(&[0, 1, 0xff, 0]), Err(FrameError::InvalidClientId));
        // A tagged field of 4 GiB, then a number of tagged fields without an end.
        assert_eq!(broken(&[0, 0, 1, 5, 255, 255, 255, 255, 15]), Err(FrameError::Truncated));
        assert_eq!(broken(&[0, 0, 128, 128, 128, 128, 128, 0]), Err(FrameError::InvalidTags));
    }

    #[test]
    fn a_client_decodes_an_answer_of_each_version() {
        let metadata = MetadataResponse::default().with_throttle_time_ms(0);
        for version in 0..=13 {
            let bytes = encode_answer(9, version, &metadata).unwrap();
            let (length, answer) = bytes.split_at(4);
            assert_eq!(i32::from_be_bytes(length.try_into().unwrap()), answer.len() as i32);
            assert_eq!(answer[..4], 9i32.to_be_bytes());
            let answer = Bytes::copy_from_slice(answer);
            decode_answer::<MetadataRequest>(answer, version).unwrap();
        }
    }

    #[test]
    fn the_header_of_an_api_versions_answer_has_no_tagged_fields() {
        let answer = ApiVersionsResponse::default().with_error_code(35);
        for version in 0..=4 {
            let bytes = encode_answer(9, version, &answer).unwrap();
            assert_eq!(bytes[8..10], 35i16.to_be_bytes(), "version {version}");
            decode_answer::<ApiVersionsRequest>(bytes.slice(4..), version).unwrap();
        }
    }

    #[test]
    fn an_answer_with_a_field_that_its_version_has_not_is_an_error() {
        let answer = MetadataResponse::default().with_cluster_authorized_operations(1);
        let error = encode_answer(1, 0, &answer).unwrap_err();
        assert!(matches!(error, KafkaError::Unencodable { .. }), "{error}");
        assert!(error.to_string().contains("MetadataResponse"), "{error}");
    }
}
