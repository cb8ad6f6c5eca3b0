//! A mistake of a client that is so common that it is understood.

use bytes::{Buf, Bytes};
use leftfold_kafka::serving::ApiKey;

/// The first version of Metadata with compact lengths.
const COMPACT: i16 = 9;
/// The versions of Metadata that ask for the rights on the cluster.
const WITH_RIGHTS: std::ops::RangeInclusive<i16> = 8..=10;
/// What librdkafka leaves for the length of a list that it does not send.
const LEFT: &[u8] = &[0; 4];

/// Returns the body of a request, as it is meant.
///
/// librdkafka asks for all topics by an empty list whose length has four bytes, though it has one since version 9. Kafka
/// ignores the three bytes that are too many at the end; then the flags behind the list are misread.
pub(super) fn mended(key: ApiKey, version: i16, mut body: Bytes) -> Bytes {
    let flags = if WITH_RIGHTS.contains(&version) { 3 } else { 2 };
    let (is_compact, no_tags) = (version >= COMPACT, 1);
    let is_too_long = body.len() == LEFT.len() + flags + no_tags;
    if matches!(key, ApiKey::Metadata) && is_compact && is_too_long && body.starts_with(LEFT) {
        body.advance(LEFT.len() - 1);
    }
    body
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::MetadataRequest;
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;

    /// What librdkafka sends for all topics.
    fn sent(version: i16) -> (MetadataRequest, Bytes) {
        let asked = MetadataRequest::default().with_topics(None);
        let asked = asked.with_allow_auto_topic_creation(true);
        let asked = asked.with_include_topic_authorized_operations(true);
        let mut body = LEFT[1..].to_vec();
        asked.encode(&mut body, version).unwrap();
        (asked, body.into())
    }

    #[test]
    fn librdkafka_asks_for_all_topics() {
        for version in COMPACT..=13 {
            let (asked, body) = sent(version);
            let mut body = mended(ApiKey::Metadata, version, body);
            assert_eq!(MetadataRequest::decode(&mut body, version).unwrap(), asked);
            assert!(body.is_empty());
        }
    }

    #[test]
    fn other_requests_stay_as_they_are() {
        let (_, body) = sent(13);
        assert_eq!(mended(ApiKey::Fetch, 13, body.clone()), body);
        for version in COMPACT..=13 {
            let asked = MetadataRequest::default().with_topics(None);
            let mut right = Vec::new();
            asked.encode(&mut right, version).unwrap();
            assert_eq!(mended(ApiKey::Metadata, version, right.clone().into()), right);
        }
    }
}
