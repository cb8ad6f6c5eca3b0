use std::collections::BTreeMap;

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use kafka_protocol::protocol::Request;

use crate::error::KafkaError;

/// Returns the newest version of a request that this client sends by default.
fn newest_wanted(key: i16) -> i16 {
    match ApiKey::try_from(key) {
        // The next version identifies topics by id instead of name.
        Ok(ApiKey::Produce | ApiKey::Fetch | ApiKey::Metadata) => 12,
        // The next version batches several keys in one request.
        Ok(ApiKey::FindCoordinator | ApiKey::AddPartitionsToTxn) => 3,
        _ => i16::MAX,
    }
}

/// The range of versions of each request that a broker supports.
#[derive(Debug, Default)]
pub(super) struct Versions(pub(super) BTreeMap<i16, (i16, i16)>);

impl Versions {
    /// Returns what every broker supports before its versions are known.
    pub(super) fn first() -> Self {
        Versions([(ApiVersionsRequest::KEY, (0, 0))].into())
    }

    /// Returns the newest version that both sides support.
    pub(super) fn newest<R: Request>(&self) -> Result<i16, KafkaError> {
        let least = R::VERSIONS.min;
        self.within::<R>(least, R::VERSIONS.max.min(newest_wanted(R::KEY)))
    }

    /// Returns this version if both sides support it.
    pub(super) fn exactly<R: Request>(&self, version: i16) -> Result<i16, KafkaError> {
        self.within::<R>(version.max(R::VERSIONS.min), version.min(R::VERSIONS.max))
    }

    fn within<R: Request>(&self, least: i16, greatest: i16) -> Result<i16, KafkaError> {
        let (from, to) = self.0.get(&R::KEY).copied().unwrap_or((0, -1));
        let best = to.min(greatest);
        if best >= from.max(least) {
            return Ok(best);
        }
        Err(KafkaError::Version { request: name::<R>(), least, greatest })
    }
}

/// Returns the name of a request or an answer, such as `ProduceRequest`.
pub(crate) fn name<R>() -> &'static str {
    let full = std::any::type_name::<R>();
    full.rsplit("::").next().unwrap_or(full)
}
