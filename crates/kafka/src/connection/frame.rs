//! The bytes of requests and answers.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::versions::name;
use crate::error::KafkaError;

/// The most bytes of an answer; a Fetch is bounded far below this.
const LARGEST_ANSWER: usize = 128 << 20;
/// The memory that is reserved at once for an answer. A peer must send bytes to make the client reserve more.
const RESERVED: usize = 1 << 20;

const CLIENT_ID: &str = "leftfold";

/// Encodes a request with its length and header.
pub(super) fn encode<R: Request>(
    correlation: i32,
    version: i16,
    request: &R,
) -> Result<Bytes, KafkaError> {
    let unencodable = |why: String| KafkaError::Unencodable { request: name::<R>(), why };
    let size = request.compute_size(version).map_err(|error| unencodable(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(size + 64);
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let laid_out = header
        .encode(&mut frame, R::header_version(version))
        .and_then(|()| request.encode(&mut frame, version));
    laid_out.map_err(|error| unencodable(error.to_string()))?;
    let length = i32::try_from(frame.len() - 4);
    let length = length.map_err(|_| unencodable("it is too large".to_owned()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Decodes an answer without its length.
///
/// # Errors
/// The answer violates the protocol.
pub fn decode_answer<R: Request>(
    mut answer: Bytes,
    version: i16,
) -> Result<R::Response, KafkaError> {
    let malformed = |error| KafkaError::malformed(name::<R>(), error);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(malformed)?;
    let decoded = R::Response::decode(&mut answer, version).map_err(malformed)?;
    if answer.has_remaining() {
        return Err(KafkaError::malformed(name::<R>(), "there are bytes behind its end"));
    }
    Ok(decoded)
}

/// Reads an answer and its correlation id; `None` if the stream ends or violates the protocol.
pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<(i32, Bytes)> {
    let length = usize::try_from(stream.read_i32().await.ok()?).ok()?;
    if !(4..=LARGEST_ANSWER).contains(&length) {
        return None;
    }
    let mut answer = BytesMut::with_capacity(length.min(RESERVED));
    let mut rest = stream.take(length as u64);
    while answer.len() < length {
        if rest.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let id = answer.get(..4)?.try_into().ok().map(i32::from_be_bytes)?;
    Some((id, answer.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_whole_or_not_at_all() {
        let whole = [0, 0, 0, 6, 0, 0, 0, 9, 1, 2];
        let (id, answer) = read_answer(&mut &whole[..]).await.unwrap();
        assert_eq!((id, answer.len()), (9, 6));
        assert!(read_answer(&mut &whole[..9]).await.is_none());
    }

    #[tokio::test]
    async fn lengths_out_of_bounds_are_refused() {
        for length in [-1, 0, 3, i32::MAX] {
            let bytes = length.to_be_bytes();
            assert!(read_answer(&mut &bytes[..]).await.is_none(), "{length}");
        }
    }
}
