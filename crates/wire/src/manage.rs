use std::time::Duration;

use leftfold_api::{Expected, Invalid, Retention, RetentionRule};

use crate::invalid::missing;
use crate::{place, query, v1};

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

/// What is kept; absent is all.
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
    /// The stream, and what is kept of it.
    pub fn into_parts(self) -> (String, Retention) {
        (self.stream, retention(self.retention))
    }
}

impl v1::SetRuleRequest {
    /// The rule.
    pub fn into_rule(self) -> Result<RetentionRule, Invalid> {
        self.rule.ok_or_else(|| missing("rule"))?.try_into()
    }
}

impl v1::DeleteStreamRequest {
    /// Asks for a stream to be deleted.
    pub fn new(stream: &str, expected: Expected, tombstone: bool) -> Self {
        v1::DeleteStreamRequest {
            stream: stream.to_owned(),
            expected: Some(expected.into()),
            tombstone,
        }
    }

    /// Where the stream is expected.
    pub fn expectation(&self) -> Expected {
        place::expected(self.expected)
    }
}

impl v1::DefineIndexRequest {
    /// The index's name and query. Without a query it is refused: an index of all events is most
    /// likely a mistake, and can be asked for by saying so.
    pub fn into_parts(self) -> Result<(String, leftfold_api::Query), Invalid> {
        let wanted = self.query.ok_or_else(|| missing("query"))?;
        Ok((self.name, query::query(Some(wanted))?))
    }
}
