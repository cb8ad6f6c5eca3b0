use std::time::Duration;

use leftfold_api::{
    Expected, IndexDefinition, Invalid, PartitionKey, Partitioner, Partitioning, Retention,
    RetentionRule,
};

use crate::invalid::missing;
use crate::{point, query, v1};

impl From<Retention> for v1::Retention {
    fn from(retention: Retention) -> Self {
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        v1::Retention {
            max_count: retention.max_count,
            max_age: retention.max_age.map(micros),
            truncate_before: retention.truncate_before,
        }
    }
}

/// Reads retention settings; an absent message drops nothing.
pub(crate) fn retention(sent: Option<v1::Retention>) -> Retention {
    let sent = sent.unwrap_or_default();
    Retention {
        max_count: sent.max_count,
        max_age: sent.max_age.map(Duration::from_micros),
        truncate_before: sent.truncate_before,
    }
}

impl From<&RetentionRule> for v1::Rule {
    fn from(rule: &RetentionRule) -> Self {
        v1::Rule {
            name: rule.name.clone(),
            query: Some(v1::Query::from(&rule.query)),
            retention: Some(rule.retention.into()),
        }
    }
}

impl TryFrom<v1::Rule> for RetentionRule {
    type Error = Invalid;

    fn try_from(rule: v1::Rule) -> Result<Self, Invalid> {
        let query = query::query(rule.query)?;
        Ok(RetentionRule { name: rule.name, query, retention: retention(rule.retention) })
    }
}

impl v1::SetRetentionRequest {
    /// Returns the stream and its retention.
    pub fn into_parts(self) -> (String, Retention) {
        (self.stream, retention(self.retention))
    }
}

impl v1::SetRuleRequest {
    /// Returns the rule.
    ///
    /// # Errors
    /// `request_invalid`, and those of a query.
    pub fn into_rule(self) -> Result<RetentionRule, Invalid> {
        self.rule.ok_or_else(|| missing("rule"))?.try_into()
    }
}

impl v1::DeleteStreamRequest {
    /// Makes the request to delete a stream.
    pub fn new(stream: &str, expected: Expected, tombstone: bool) -> Self {
        v1::DeleteStreamRequest {
            stream: stream.to_owned(),
            expected: Some(expected.into()),
            tombstone,
        }
    }

    /// Returns the expected state of the stream.
    pub fn expectation(&self) -> Expected {
        point::expected(self.expected)
    }
}

impl From<&IndexDefinition> for v1::DefineIndexRequest {
    fn from(definition: &IndexDefinition) -> Self {
        v1::DefineIndexRequest {
            name: definition.name.clone(),
            query: Some(v1::Query::from(&definition.query)),
            partitioning: definition.partitioning.clone().map(v1::Partitioning::from),
        }
    }
}

impl TryFrom<v1::DefineIndexRequest> for IndexDefinition {
    type Error = Invalid;

    /// Refuses a request without a query: an index of all events is most likely a mistake, and the
    /// query `*` asks for it.
    fn try_from(request: v1::DefineIndexRequest) -> Result<Self, Invalid> {
        let wanted = request.query.ok_or_else(|| missing("query"))?;
        let partitioning = request.partitioning.map(partitioning).transpose()?;
        Ok(IndexDefinition { name: request.name, query: query::query(Some(wanted))?, partitioning })
    }
}

impl From<Partitioning> for v1::Partitioning {
    fn from(partitioning: Partitioning) -> Self {
        use v1::partitioning::Key;
        let key = match partitioning.key {
            PartitionKey::Stream => Some(Key::Stream(v1::Everything {})),
            PartitionKey::StreamId => Some(Key::StreamId(v1::Everything {})),
            PartitionKey::StoreKey => Some(Key::StoreKey(v1::Everything {})),
            PartitionKey::Behind(prefix) => Some(Key::Behind(prefix)),
            PartitionKey::Tag(key) => Some(Key::Tag(key)),
            // A key that this protocol can't say is refused by the receiver.
            _ => None,
        };
        let partitioner = match partitioning.partitioner {
            Partitioner::Murmur2 => v1::Partitioner::Murmur2.into(),
            Partitioner::Crc32 => v1::Partitioner::Crc32.into(),
            _ => UNKNOWN_PARTITIONER,
        };
        v1::Partitioning { count: partitioning.count, key, partitioner }
    }
}

/// Stands for a partitioner that this protocol can't say, which the receiver refuses.
const UNKNOWN_PARTITIONER: i32 = -1;

/// Reads how an index's events are spread over partitions.
pub(crate) fn partitioning(sent: v1::Partitioning) -> Result<Partitioning, Invalid> {
    use v1::partitioning::Key;
    let key = match sent.key.ok_or_else(|| missing("key of the partitions"))? {
        Key::Stream(_) => PartitionKey::Stream,
        Key::StreamId(_) => PartitionKey::StreamId,
        Key::StoreKey(_) => PartitionKey::StoreKey,
        Key::Behind(prefix) => PartitionKey::Behind(prefix),
        Key::Tag(key) => PartitionKey::Tag(key),
    };
    use v1::Partitioner::{Crc32, Murmur2, Unspecified};
    let partitioner = match v1::Partitioner::try_from(sent.partitioner) {
        Ok(Unspecified | Murmur2) => Partitioner::Murmur2,
        Ok(Crc32) => Partitioner::Crc32,
        Err(_) => return Err(missing("partitioner that is known")),
    };
    Ok(Partitioning { count: sent.count, key, partitioner })
}
