//! Produce before version 3, which had no record batches. It is advertised, because librdkafka takes a broker without it for
//! an old one; all that it says is refused.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use leftfold_kafka::ResponseError;

/// The most topics, and the most partitions of one, of a request.
const MOST: usize = 10_000;

/// Returns the answer to a request, without its length: each partition is refused with `UNSUPPORTED_VERSION`. `None` if the
/// request is malformed.
pub(in crate::kafka) fn refuse(
    correlation_id: i32,
    version: i16,
    mut body: Bytes,
) -> Option<Bytes> {
    let mut answer = BytesMut::new();
    answer.put_i32(correlation_id);
    // How many replicas acknowledge, and how long that may take.
    body.try_get_i16().ok()?;
    body.try_get_i32().ok()?;
    let topics = count(&mut body)?;
    answer.put_i32(topics as i32);
    for _ in 0..topics {
        let name = text(&mut body)?;
        answer.put_i16(name.len() as i16);
        answer.put_slice(&name);
        let partitions = count(&mut body)?;
        answer.put_i32(partitions as i32);
        for _ in 0..partitions {
            answer.put_i32(body.try_get_i32().ok()?);
            answer.put_i16(ResponseError::UnsupportedVersion.code());
            answer.put_i64(-1);
            if version >= 2 {
                answer.put_i64(-1);
            }
            let bytes = usize::try_from(body.try_get_i32().ok()?).ok()?;
            (bytes <= body.len()).then(|| body.advance(bytes))?;
        }
    }
    if version >= 1 {
        answer.put_i32(0);
    }
    body.is_empty().then(|| answer.freeze())
}

/// Takes the number of elements of an array, which take four bytes each at least.
fn count(body: &mut Bytes) -> Option<usize> {
    let count = usize::try_from(body.try_get_i32().ok()?).ok()?;
    (count <= MOST && count <= body.len() / 4).then_some(count)
}

fn text(body: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(body.try_get_i16().ok()?).ok()?;
    (length <= body.len()).then(|| body.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Bytes {
        let mut body = BytesMut::new();
        body.put_i16(-1);
        body.put_i32(1_000);
        body.put_i32(1);
        body.put_i16(5);
        body.put_slice(b"order");
        body.put_i32(2);
        for partition in [3, 4] {
            body.put_i32(partition);
            body.put_i32(7);
            body.put_slice(b"message");
        }
        body.freeze()
    }

    #[test]
    fn each_partition_is_refused() {
        for (version, bytes) in [(0, 4 + 4 + 7 + 4 + 2 * 14), (1, 51), (2, 67)] {
            let answer = refuse(9, version, request()).unwrap();
            assert_eq!(answer.len(), bytes, "{version}");
            assert_eq!(answer[19..25], [0, 0, 0, 3, 0, 35]);
        }
    }

    #[test]
    fn malformed_requests_have_no_answer() {
        let whole = request();
        for length in 0..whole.len() {
            assert_eq!(refuse(9, 2, whole.slice(..length)), None, "{length}");
        }
        assert_eq!(refuse(9, 2, [&whole[..], b"x"].concat().into()), None);
        let hostile = [&whole[..6], &[0x7f, 0xff, 0xff, 0xff]].concat();
        assert_eq!(refuse(9, 2, hostile.into()), None);
    }
}
