//! Makes events of rows.

use leftfold_api::{Expected, Limits, NewEvent, Timestamp, names};
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::rows::OutboxRow;
use super::stream::StreamTemplate;

/// A row as an event.
#[derive(Debug, Clone)]
pub(super) struct RowEvent {
    pub(super) stream: String,
    pub(super) event: NewEvent,
    /// The version of the stream's last event before this one; -1 if it is the first.
    pub(super) expected: Option<i64>,
}

impl RowEvent {
    /// Makes the event of a row; the error is a sentence.
    pub(super) fn of(row: &OutboxRow, template: &StreamTemplate) -> Result<Self, String> {
        let column = |value: &Option<String>, name: &str| {
            value.clone().ok_or_else(|| format!("its column {name} is null"))
        };
        let id = column(&row.id, "id")?;
        let id: Uuid = id.parse().map_err(|_| "its column id is no UUID".to_owned())?;
        let aggregate_type = column(&row.aggregate_type, "aggregatetype")?;
        let stream = template.render(&aggregate_type, &column(&row.aggregate_id, "aggregateid")?);
        // Those of Leftfold itself say which connectors there are, and more.
        if names::is_bookkeeping(&stream) {
            return Err(format!("the stream {stream} belongs to the store itself"));
        }
        let payload = row.payload.clone().ok_or_else(|| match row.bytes {
            0 => "its column payload is null; expected JSON".to_owned(),
            bytes => format!("its payload has {bytes} bytes, more than an event may have"),
        })?;
        serde_json::from_str::<IgnoredAny>(&payload)
            .map_err(|error| format!("its payload is no JSON: {error}"))?;
        let mut event = NewEvent::json(column(&row.event_type, "type")?, payload).id(id);
        event.event_time = row.event_micros.map(Timestamp);
        event.check(&stream, &Limits::default()).map_err(|error| error.to_string())?;
        if row.expected.is_some_and(|expected| expected < -1) {
            return Err("its expected_version is below -1, which is that of no events".to_owned());
        }
        Ok(RowEvent { stream, event, expected: row.expected })
    }

    /// Returns the state of the stream that is expected before an append in which `before` events of the stream are in
    /// front of this one; `None` if no state is right.
    pub(super) fn expected_before(&self, before: usize) -> Option<Expected> {
        let Some(expected) = self.expected else { return Some(Expected::Any) };
        match expected.checked_sub(i64::try_from(before).ok()?)? {
            -1 => Some(Expected::NoStream),
            version => u64::try_from(version).ok().map(Expected::Exactly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OutboxRow {
        OutboxRow {
            xid: None,
            seq: 1,
            id: Some(Uuid::from_u128(7).to_string()),
            aggregate_type: Some("order".to_owned()),
            aggregate_id: Some("1".to_owned()),
            event_type: Some("Paid".to_owned()),
            payload: Some("{}".to_owned()),
            bytes: 2,
            expected: Some(4),
            event_micros: Some(1_000_000),
        }
    }

    fn refusal(change: impl Fn(&mut OutboxRow)) -> String {
        let mut row = row();
        change(&mut row);
        RowEvent::of(&row, &StreamTemplate::default()).unwrap_err()
    }

    #[test]
    fn a_row_is_an_event() {
        let made = RowEvent::of(&row(), &StreamTemplate::default()).unwrap();
        assert_eq!((made.stream.as_str(), made.event.event_type.as_str()), ("order-1", "Paid"));
        assert_eq!(made.event.id, Some(Uuid::from_u128(7)));
        assert_eq!(made.event.event_time, Some(Timestamp(1_000_000)));
        assert_eq!(made.expected_before(0), Some(Expected::Exactly(4)));
        assert_eq!(made.expected_before(5), Some(Expected::NoStream));
        assert_eq!(made.expected_before(6), None);
    }

    #[test]
    fn a_row_that_is_no_event_is_refused_with_a_sentence() {
        for (refused, part) in [
            (refusal(|row| row.id = Some("7".to_owned())), "no UUID"),
            (refusal(|row| row.aggregate_id = None), "aggregateid is null"),
            (refusal(|row| row.event_type = Some(String::new())), "event type"),
            (refusal(|row| row.event_type = Some("$Paid".to_owned())), "begins with $"),
            (refusal(|row| row.aggregate_type = Some("$index".to_owned())), "the store itself"),
            (
                refusal(|row| row.aggregate_type = Some("leftfold.connector".to_owned())),
                "belongs to the store itself",
            ),
            (refusal(|row| row.payload = Some("{".to_owned())), "no JSON"),
            (refusal(|row| (row.payload, row.bytes) = (None, 0)), "payload is null"),
            (refusal(|row| (row.payload, row.bytes) = (None, 1 << 30)), "more than an event"),
            (refusal(|row| row.expected = Some(-2)), "below -1"),
            (refusal(|row| row.event_micros = Some(i64::MAX)), "out of range"),
        ] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
