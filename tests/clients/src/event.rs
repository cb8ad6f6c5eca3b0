//! The lines that the programs print: one JSON object each.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What a client did or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `{"delivered": {"partition": P, "offset": O, "key": K, "n": N}}`: a record was acknowledged. Some
    /// libraries do not tell which one.
    Delivered {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// The number in the record's value.
        n: Option<u64>,
    },
    /// `{"record": {...}}`: a record was read.
    Record(Record),
    /// `{"assigned": [P, ...]}`: a member got partitions; with cooperative rebalancing only the new ones.
    Assigned(Vec<i32>),
    /// `{"revoked": [P, ...]}`: a member lost partitions.
    Revoked(Vec<i32>),
    /// `{"committed": {"P": O, ...}}`: offsets were committed.
    Committed(BTreeMap<i32, i64>),
    /// `{"closed": true}`: a member left its group.
    Closed,
    /// `{"done": COUNT}`: a command did all it was asked for.
    Done,
    /// `{"ok": OFFSET}`: the conditional record was written.
    Written(i64),
    /// `{"error": NAME, "code": C, "message": TEXT}`, as the library shows it.
    Failed {
        /// The library's name of the error.
        name: String,
        /// Kafka's code of it, if the library tells.
        code: Option<i64>,
        /// The text.
        message: String,
    },
}

/// A record that a client has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<String>,
    /// The value.
    pub value: Option<String>,
    /// Milliseconds since 1970; Kafka's tools may not tell it.
    pub timestamp: Option<i64>,
    /// The headers.
    pub headers: BTreeMap<String, String>,
}

impl Record {
    /// Returns the number in the value `{"n": NUMBER}`, or the value if it is a number.
    pub fn number(&self) -> Option<u64> {
        let value: Value = serde_json::from_str(self.value.as_deref()?).ok()?;
        value.get("n").unwrap_or(&value).as_u64()
    }
}

impl Event {
    /// Reads a line of a program in Python, JavaScript or Go; `None` if it is none.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let (name, value) = line.as_object()?.iter().next()?;
        Some(match name.as_str() {
            "delivered" => Event::Delivered {
                partition: partition(value.get("partition")?)?,
                offset: value.get("offset")?.as_i64()?,
                n: value.get("n").and_then(Value::as_u64),
            },
            "record" => Event::Record(record(value.as_object()?)?),
            "assigned" => Event::Assigned(partitions(value)?),
            "revoked" => Event::Revoked(partitions(value)?),
            "committed" => Event::Committed(offsets(value.as_object()?)?),
            "closed" => Event::Closed,
            "done" => Event::Done,
            "ok" => Event::Written(value.as_i64()?),
            _ => failure(line.as_object()?)?,
        })
    }
}

/// Reads an error. The order of its fields differs between languages.
fn failure(fields: &Map<String, Value>) -> Option<Event> {
    Some(Event::Failed {
        name: fields.get("error")?.as_str()?.to_owned(),
        code: fields.get("code").and_then(Value::as_i64),
        message: fields.get("message")?.as_str()?.to_owned(),
    })
}

fn record(fields: &Map<String, Value>) -> Option<Record> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let headers = fields.get("headers")?.as_object()?.iter();
    Some(Record {
        partition: partition(fields.get("partition")?)?,
        offset: fields.get("offset")?.as_i64()?,
        key: text(fields.get("key")?),
        value: text(fields.get("value")?),
        timestamp: fields.get("timestamp")?.as_i64(),
        headers: headers
            .map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect::<Option<_>>()?,
    })
}

pub(crate) fn partition(value: &Value) -> Option<i32> {
    value.as_i64()?.try_into().ok()
}

fn partitions(value: &Value) -> Option<Vec<i32>> {
    value.as_array()?.iter().map(partition).collect()
}

fn offsets(fields: &Map<String, Value>) -> Option<BTreeMap<i32, i64>> {
    fields.iter().map(|(number, offset)| Some((number.parse().ok()?, offset.as_i64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_all_programs() {
        let delivered = Event::Delivered { partition: 3, offset: 19, n: Some(7) };
        let line = r#"{"delivered": {"partition": 3, "offset": 19, "key": "k", "n": 7}}"#;
        assert_eq!(Event::parse(line), Some(delivered));
        let committed = Event::Committed(BTreeMap::from([(1, 5)]));
        assert_eq!(Event::parse(r#"{"committed":{"1":5}}"#), Some(committed));
        // Go sorts the fields by name.
        let line = r#"{"code":87,"error":"INVALID_RECORD","message":"no"}"#;
        let Some(Event::Failed { code: Some(87), .. }) = Event::parse(line) else { panic!() };
        assert_eq!(Event::parse("a line of a log"), None);
        assert_eq!(Event::parse(r#"{"level": "warning"}"#), None);
    }

    #[test]
    fn finds_the_number_of_a_record() {
        let line = r#"{"record": {"partition": 0, "offset": 1, "key": null, "value": "{\"n\": 4}",
            "timestamp": 9, "headers": {"a": "b"}}}"#;
        let Some(Event::Record(record)) = Event::parse(line) else { panic!() };
        assert_eq!((record.number(), record.key), (Some(4), None));
    }
}
