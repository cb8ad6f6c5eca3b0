//! The requests that a server supports, and their versions.

use kafka_protocol::messages::ApiKey;

/// A request that the server supports, and the versions that it advertises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedRequest {
    /// The kind of request.
    pub key: ApiKey,
    /// The oldest advertised version.
    pub min: i16,
    /// The newest advertised version.
    pub max: i16,
}

impl SupportedRequest {
    const fn new(key: ApiKey, min: i16, max: i16) -> Self {
        SupportedRequest { key, min, max }
    }

    /// Returns the request of this API key, or `None` if the server does not support it.
    pub fn of(api_key: i16) -> Option<&'static SupportedRequest> {
        SUPPORTED.iter().find(|request| request.api_key() == api_key)
    }

    /// Returns the number of the API key.
    pub const fn api_key(&self) -> i16 {
        self.key as i16
    }

    /// Returns whether the server advertises the version.
    pub fn is_advertised(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Returns whether the server decodes the version. It answers all others with `UNSUPPORTED_VERSION`.
    pub fn is_decoded(&self, version: i16) -> bool {
        let oldest = match self.key {
            ApiKey::Produce => OLDEST_DECODED_PRODUCE,
            ApiKey::SaslHandshake => OLDEST_DECODED_HANDSHAKE,
            _ => self.min,
        };
        self.is_advertised(version) && version >= oldest
    }

    /// Returns whether the version has tagged fields, in its header and in its body, and compact lengths.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.key.request_header_version(version) >= FLEXIBLE_HEADER
    }
}

/// The first version of a request's header with tagged fields.
const FLEXIBLE_HEADER: i16 = 2;
/// The first version of Produce with record batches. The older ones are only advertised: librdkafka takes a
/// broker without them for an old one and switches off compression and idempotence.
const OLDEST_DECODED_PRODUCE: i16 = 3;
/// The first version of SaslHandshake behind which requests prove who the client is, not bare bytes. The older one is
/// only advertised: librdkafka takes a broker without it for one that has no handshake, and gives up.
const OLDEST_DECODED_HANDSHAKE: i16 = 1;

/// The supported requests, in the order of their API keys.
///
/// Produce stops at version 12, because version 13 names topics by id only.
pub const SUPPORTED: [SupportedRequest; 30] = [
    SupportedRequest::new(ApiKey::Produce, 0, 12),
    SupportedRequest::new(ApiKey::Fetch, 4, 17),
    SupportedRequest::new(ApiKey::ListOffsets, 1, 10),
    SupportedRequest::new(ApiKey::Metadata, 0, 13),
    SupportedRequest::new(ApiKey::OffsetCommit, 2, 9),
    SupportedRequest::new(ApiKey::OffsetFetch, 1, 9),
    SupportedRequest::new(ApiKey::FindCoordinator, 0, 6),
    SupportedRequest::new(ApiKey::JoinGroup, 0, 9),
    SupportedRequest::new(ApiKey::Heartbeat, 0, 4),
    SupportedRequest::new(ApiKey::LeaveGroup, 0, 5),
    SupportedRequest::new(ApiKey::SyncGroup, 0, 5),
    SupportedRequest::new(ApiKey::DescribeGroups, 0, 6),
    SupportedRequest::new(ApiKey::ListGroups, 0, 5),
    SupportedRequest::new(ApiKey::SaslHandshake, 0, 1),
    SupportedRequest::new(ApiKey::ApiVersions, 0, 4),
    SupportedRequest::new(ApiKey::CreateTopics, 2, 7),
    SupportedRequest::new(ApiKey::DeleteTopics, 1, 6),
    SupportedRequest::new(ApiKey::DeleteRecords, 0, 2),
    SupportedRequest::new(ApiKey::InitProducerId, 0, 5),
    SupportedRequest::new(ApiKey::OffsetForLeaderEpoch, 2, 4),
    SupportedRequest::new(ApiKey::DescribeAcls, 1, 3),
    SupportedRequest::new(ApiKey::DescribeConfigs, 1, 4),
    SupportedRequest::new(ApiKey::AlterConfigs, 0, 2),
    SupportedRequest::new(ApiKey::SaslAuthenticate, 0, 2),
    SupportedRequest::new(ApiKey::CreatePartitions, 0, 3),
    SupportedRequest::new(ApiKey::DeleteGroups, 0, 2),
    SupportedRequest::new(ApiKey::IncrementalAlterConfigs, 0, 1),
    SupportedRequest::new(ApiKey::OffsetDelete, 0, 0),
    SupportedRequest::new(ApiKey::DescribeCluster, 0, 2),
    SupportedRequest::new(ApiKey::DescribeTopicPartitions, 0, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoded_version_is_one_that_the_codec_knows() {
        for request in &SUPPORTED {
            let known = request.key.valid_versions();
            for version in (i16::MIN..i16::MAX).filter(|version| request.is_decoded(*version)) {
                assert!((known.min..=known.max).contains(&version), "{request:?} {version}");
            }
            assert!(request.is_decoded(request.max), "{request:?}");
        }
    }

    #[test]
    fn only_what_librdkafka_looks_for_is_advertised_but_not_decoded() {
        for request in &SUPPORTED {
            let refused =
                (request.min..=request.max).filter(|version| !request.is_decoded(*version));
            let expected: &[i16] = match request.key {
                ApiKey::Produce => &[0, 1, 2],
                ApiKey::SaslHandshake => &[0],
                _ => &[],
            };
            assert_eq!(refused.collect::<Vec<_>>(), expected, "{request:?}");
        }
    }

    #[test]
    fn each_request_is_listed_once_and_found_by_its_key() {
        assert!(SUPPORTED.is_sorted_by(|one, next| one.api_key() < next.api_key()));
        for request in &SUPPORTED {
            assert_eq!(SupportedRequest::of(request.api_key()), Some(request));
        }
        for unknown in [-1, ApiKey::EndTxn as i16, i16::MAX] {
            assert_eq!(SupportedRequest::of(unknown), None);
        }
    }
}
