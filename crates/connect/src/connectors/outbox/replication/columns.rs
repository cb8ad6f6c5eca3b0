//! The columns of an outbox as they are replicated.

use std::time::Duration;

use jiff::Timestamp;

use super::super::super::ConnectorError;
use super::super::rows::{MOST_PAYLOAD, OutboxRow};
use super::pgoutput::{Relation, Value};

/// Where the columns of an outbox are in its rows.
#[derive(Debug)]
pub(super) struct OutboxColumns {
    pub(super) relation: u32,
    count: usize,
    id: usize,
    aggregate_type: usize,
    aggregate_id: usize,
    event_type: usize,
    payload: usize,
    expected: usize,
    event_time: usize,
    seq: usize,
}

impl OutboxColumns {
    /// Finds the columns of a table.
    ///
    /// # Errors
    /// One is missing.
    pub(super) fn of(relation: &Relation) -> Result<Self, ConnectorError> {
        let find = |name: &str| {
            relation.columns.iter().position(|column| column == name).ok_or_else(|| {
                ConnectorError::unusable(format!(
                    "the publication has no column {name} of the outbox: run the SQL of `leftfold outbox init`, or publish \
                     all columns, then resume the connector"
                ))
            })
        };
        Ok(OutboxColumns {
            relation: relation.id,
            count: relation.columns.len(),
            id: find("id")?,
            aggregate_type: find("aggregatetype")?,
            aggregate_id: find("aggregateid")?,
            event_type: find("type")?,
            payload: find("payload")?,
            expected: find("expected_version")?,
            event_time: find("event_time")?,
            seq: find("leftfold_seq")?,
        })
    }

    /// Makes the row of its values. One that was cut has no payload; `length` is that of its message.
    pub(super) fn row(&self, values: &[Value], length: usize) -> OutboxRow {
        let text = |at: usize| match values.get(at) {
            Some(Value::Text(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        };
        let is_cut = values.len() < self.count || matches!(values.last(), Some(Value::Cut(_)));
        let payload = match values.get(self.payload) {
            Some(Value::Text(bytes)) if bytes.len() > MOST_PAYLOAD => None,
            _ => text(self.payload).filter(|_| !is_cut),
        };
        let bytes = match values.get(self.payload) {
            _ if is_cut => length,
            Some(Value::Text(bytes)) => bytes.len(),
            _ => 0,
        };
        OutboxRow {
            xid: None,
            seq: text(self.seq).and_then(|seq| seq.parse().ok()).unwrap_or_default(),
            id: text(self.id),
            aggregate_type: text(self.aggregate_type),
            aggregate_id: text(self.aggregate_id),
            event_type: text(self.event_type),
            payload,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            expected: text(self.expected).and_then(|expected| expected.parse().ok()),
            event_micros: text(self.event_time).map(|time| micros_of(&time)),
        }
    }
}

/// Returns the microseconds from 1970 to a time as PostgreSQL writes it in UTC. One that is none for a store is the last one.
fn micros_of(text: &str) -> i64 {
    let parsed: Option<Timestamp> = text.parse().ok();
    parsed.map_or(i64::MAX, Timestamp::as_microsecond)
}

/// Returns how long before it was sent a transaction was committed. Both times are the server's.
pub(super) fn age(sent_micros: i64, committed_micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(sent_micros.saturating_sub(committed_micros)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_postgresql_writes_it() {
        assert_eq!(micros_of("1970-01-01 00:00:01+00"), 1_000_000);
        assert_eq!(micros_of("2026-11-30 10:26:28.123456+00"), 1_796_034_388_123_456);
        for wrong in
            ["infinity", "-infinity", "12345-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"]
        {
            assert_eq!(micros_of(wrong), i64::MAX, "{wrong}");
        }
    }
}
