use std::collections::BTreeMap;

use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Request;

use super::error::WireError;

/// The newest version of a request that this client sends unless told otherwise.
fn newest_wanted(key: i16) -> i16 {
    match ApiKey::try_from(key) {
        // From the next one on, topics are numbered.
        Ok(ApiKey::Produce | ApiKey::Fetch | ApiKey::Metadata) => 12,
        // From the next one on, requests are for many at once.
        Ok(ApiKey::FindCoordinator | ApiKey::AddPartitionsToTxn) => 3,
        _ => i16::MAX,
    }
}

/// Which versions of each request a broker understands.
#[derive(Debug, Default)]
pub(super) struct Versions(pub(super) BTreeMap<i16, (i16, i16)>);

impl Versions {
    /// The newest version that both sides want.
    pub(super) fn newest<R: Request>(&self) -> Result<i16, WireError> {
        let least = R::VERSIONS.min;
        self.within::<R>(least, R::VERSIONS.max.min(newest_wanted(R::KEY)))
    }

    /// Exactly this version.
    pub(super) fn exactly<R: Request>(&self, version: i16) -> Result<i16, WireError> {
        self.within::<R>(version.max(R::VERSIONS.min), version.min(R::VERSIONS.max))
    }

    fn within<R: Request>(&self, least: i16, greatest: i16) -> Result<i16, WireError> {
        let (from, to) = self.0.get(&R::KEY).copied().unwrap_or((0, -1));
        let best = to.min(greatest);
        if best >= from.max(least) {
            return Ok(best);
        }
        Err(WireError::Version { request: name::<R>(), least, greatest })
    }
}

/// The request's name, as in `ProduceRequest`.
pub(super) fn name<R>() -> &'static str {
    let full = std::any::type_name::<R>();
    full.rsplit("::").next().unwrap_or(full)
}
