//! The store's words as JSON, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Conflict, Cursor, Expected, Failure, IndexInfo,
    IndexOrdinal, Invalid, NewEvent, Overlap, Partitioning, Point, ReadError, Recorded, Retention,
    RetentionRule, Start, StreamInfo, Versions,
};
use serde_json::{Value, json};

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}")).to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

pub(super) fn cursor(value: &Value) -> Cursor {
    text(value).parse().unwrap()
}

pub(super) fn expected(expected: Expected) -> Value {
    match expected {
        Expected::Any => json!("any"),
        Expected::NoStream => json!("no-stream"),
        Expected::Exists => json!("exists"),
        Expected::Exactly(version) => json!(version),
    }
}

fn expected_from(value: &Value) -> Expected {
    match value.as_str() {
        Some("any") => Expected::Any,
        Some("no-stream") => Expected::NoStream,
        Some("exists") => Expected::Exists,
        _ => Expected::Exactly(number(value)),
    }
}

pub(super) fn append(append: &Append) -> Value {
    let event = |(stream, event): &(String, NewEvent)| {
        let mut value = json!({
            "stream": stream,
            "type": event.event_type,
            "data_base64": STANDARD.encode(&event.data),
            "metadata_base64": STANDARD.encode(&event.metadata),
            "content_type": event.content_type,
            "schema_version": event.schema_version,
            "tags": event.tags,
        });
        let optional = [
            ("id", event.id.map(|id| id.to_string())),
            ("event_time", event.event_time.map(|time| time.to_string())),
            ("correlation", event.correlation.clone()),
            ("causation", event.causation.clone()),
        ];
        for (name, given) in optional {
            if let Some(given) = given {
                value[name] = given.into();
            }
        }
        value
    };
    let expectation =
        |(stream, is): &(String, Expected)| json!({"stream": stream, "expected": expected(*is)});
    let checkpoint = |to: &CheckpointMove| {
        let expected = to.expected.clone().map(|cursor| cursor.to_string());
        json!({"name": to.name, "expected": expected, "to": to.to.to_string()})
    };
    let mut body = json!({
        "events": append.events().iter().map(event).collect::<Vec<_>>(),
        "expect": append.expectations().iter().map(expectation).collect::<Vec<_>>(),
        "none_after": append.conditions().iter().map(|(query, cursor)| {
            json!({"query": query.to_string(), "cursor": cursor.to_string()})
        }).collect::<Vec<_>>(),
        "checkpoints": append.moves().iter().map(checkpoint).collect::<Vec<_>>(),
    });
    if let Some(index) = append.index_of_ordinals() {
        body["ordinals_in"] = index.into();
    }
    body
}

pub(super) fn appended(value: &Value) -> Appended {
    let versions = |value: &Value| Versions {
        stream: text(&value["stream"]),
        first: number(&value["first"]),
        last: number(&value["last"]),
    };
    let ordinal = |value: &Value| {
        value.is_object().then(|| IndexOrdinal {
            partition: number(&value["partition"]).try_into().unwrap(),
            ordinal: number(&value["ordinal"]),
        })
    };
    let (positions, ordinals) = (&value["positions"], value["ordinals"].as_array());
    Appended {
        ordinals: ordinals.into_iter().flatten().map(ordinal).collect(),
        cursor: cursor(&value["cursor"]),
        positions: positions
            .is_object()
            .then(|| (number(&positions["first"]), number(&positions["last"]))),
        streams: value["streams"].as_array().unwrap().iter().map(versions).collect(),
        repeated: value["repeated"].as_bool().unwrap(),
    }
}

/// Bytes that are shown as JSON, exactly as they were, or in base64.
fn bytes(raw: &serde_json::value::RawValue, name: &str) -> Bytes {
    let fields: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(raw.get()).unwrap();
    if let Some(json) = fields.get(name) {
        return Bytes::from(json.get().to_owned());
    }
    let base64 = fields.get(&format!("{name}_base64"));
    let base64 = base64.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap());
    base64.map(|text| STANDARD.decode(text).unwrap().into()).unwrap_or_default()
}

pub(super) fn recorded(raw: &serde_json::value::RawValue) -> Recorded {
    let value: Value = serde_json::from_str(raw.get()).unwrap();
    let optional = |name: &str| value[name].as_str().map(str::to_owned);
    let given = value["event_time_given"].as_bool().unwrap_or_default();
    let tags = value["tags"].as_array().unwrap().iter().map(|tag| {
        let tag = text(tag);
        let (key, value) = tag.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    let event = NewEvent {
        id: Some(text(&value["id"]).parse().unwrap()),
        event_type: text(&value["type"]),
        event_time: given.then(|| text(&value["event_time"]).parse().unwrap()),
        correlation: optional("correlation"),
        causation: optional("causation"),
        tags: tags.collect(),
        content_type: text(&value["content_type"]),
        schema_version: number(&value["schema_version"]).try_into().unwrap(),
        metadata: bytes(raw, "metadata"),
        data: bytes(raw, "data"),
    };
    let (version, position) = (number(&value["version"]), number(&value["position"]));
    let commit_time = text(&value["commit_time"]).parse().unwrap();
    let stream = text(&value["stream"]);
    let recorded = Recorded::from_parts(&stream, version, position, commit_time, &event).unwrap();
    match value["ordinal"].as_u64() {
        Some(ordinal) => recorded.with_ordinal(ordinal),
        None => recorded,
    }
}

pub(super) fn retention(value: &Value) -> Retention {
    Retention {
        max_count: value["max_count"].as_u64(),
        max_age: value["max_age_micros"].as_u64().map(std::time::Duration::from_micros),
        truncate_before: value["truncate_before"].as_u64(),
    }
}

pub(super) fn retention_json(retention: &Retention) -> Value {
    let mut value = json!({});
    let age = retention.max_age.map(|age| age.as_micros().try_into().unwrap_or(u64::MAX));
    for (name, given) in [
        ("max_count", retention.max_count),
        ("max_age_micros", age),
        ("truncate_before", retention.truncate_before),
    ] {
        if let Some(given) = given {
            value[name] = given.into();
        }
    }
    value
}

pub(super) fn stream(value: &Value) -> StreamInfo {
    StreamInfo {
        name: text(&value["stream"]),
        version: number(&value["version"]),
        first_position: number(&value["first_position"]),
        last_position: number(&value["last_position"]),
        retention: retention(&value["retention"]),
        tombstoned: value["tombstoned"].as_bool().unwrap(),
    }
}

pub(super) fn rule(value: &Value) -> RetentionRule {
    RetentionRule {
        name: text(&value["rule"]),
        query: text(&value["query"]).parse().unwrap(),
        retention: retention(&value["retention"]),
    }
}

pub(super) fn index(value: &Value) -> IndexInfo {
    let partitions = value.get("partitions").map(|partitions| Partitioning {
        count: number(&partitions["count"]).try_into().unwrap(),
        key: text(&partitions["by"]).parse().unwrap(),
        partitioner: text(&partitions["partitioner"]).parse().unwrap(),
    });
    IndexInfo {
        partitioning: partitions,
        name: text(&value["index"]),
        query: text(&value["query"]).parse().unwrap(),
        ready: value["ready"].as_bool().unwrap(),
        events: number(&value["events"]),
    }
}

pub(super) fn place(from: Start) -> Option<(&'static str, String)> {
    let point = |point| match point {
        Point::Cursor(cursor) => format!("cursor:{cursor}"),
        Point::Position(position) => format!("position:{position}"),
        Point::Version(version) => format!("version:{version}"),
        Point::Ordinal(ordinal) => format!("ordinal:{ordinal}"),
        Point::CommitTime(time) => format!("committed:{time}"),
    };
    match from {
        Start::Outermost => None,
        Start::Including(at) => Some(("from", point(at))),
        Start::Excluding(at) => Some(("after", point(at))),
    }
}

fn conflict(code: &str, found: &Value) -> Option<Conflict> {
    let at = |value: &Value| value.as_str().map(|text| text.parse().unwrap());
    Some(match code {
        "wrong_version" => Conflict::Version {
            stream: text(&found["stream"]),
            expected: expected_from(&found["expected"]),
            actual: found["actual"].as_u64(),
        },
        "query_matched" => Conflict::Query {
            query: text(&found["query"]),
            position: number(&found["position"]),
            stream: text(&found["stream"]),
            event_type: text(&found["event_type"]),
        },
        "checkpoint_moved" => Conflict::Checkpoint {
            name: text(&found["checkpoint"]),
            expected: at(&found["expected"]),
            actual: at(&found["actual"]),
        },
        "stream_tombstoned" => Conflict::Tombstoned { stream: text(&found["stream"]) },
        _ => return None,
    })
}

fn overlap(code: &str, found: &Value) -> Option<Overlap> {
    let known =
        || (text(&found["stream"]), text(&found["id"]).parse().unwrap(), number(&found["version"]));
    match code {
        "partial_repeat" => {
            let (stream, id, version) = known();
            Some(Overlap::Partial { stream, id, version })
        }
        "event_id_reused" => {
            let (stream, id, version) = known();
            Some(Overlap::Content { stream, id, version })
        }
        _ => None,
    }
}

/// An error from its problem document, which must be one.
pub(super) fn append_error(status: u16, problem: &Value) -> AppendError {
    assert_eq!(problem["status"], status, "{problem}");
    let code = text(&problem["code"]);
    let message = text(&problem["detail"]);
    if let Some(conflict) = conflict(&code, &problem["found"]) {
        assert_eq!(conflict.to_string(), message);
        return conflict.into();
    }
    if let Some(overlap) = overlap(&code, &problem["found"]) {
        assert_eq!(overlap.to_string(), message);
        return overlap.into();
    }
    let code = leftfold_api::code(&code);
    if status < 500 {
        return Invalid::new(code, message).into();
    }
    let can_retry = problem["can_retry"].as_bool().unwrap();
    Failure::Remote { code, message, can_retry }.into()
}

pub(super) fn read_error(status: u16, problem: &Value) -> ReadError {
    match append_error(status, problem) {
        AppendError::Invalid(invalid) => invalid.into(),
        AppendError::Failure(failure) => failure.into(),
        other => panic!("{other}"),
    }
}
