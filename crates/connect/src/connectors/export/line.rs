//! An event as a line of NDJSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_api::Recorded;
use serde::Serialize;
use serde_json::value::RawValue;

/// The fields of an event, as `leftfold read` prints them. All are always there, so that tools find the same columns in
/// each file.
#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    id: String,
    r#type: &'a str,
    event_time: String,
    commit_time: String,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    tags: Vec<String>,
    metadata: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    /// Data that is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// Writes an event. JSON is kept as it was written, number by number, on one line.
pub(super) fn write(event: &Recorded, out: &mut Vec<u8>) -> Result<(), String> {
    let (data, metadata) = (event.data(), event.metadata());
    let json = serde_json::from_slice::<&RawValue>(&data).ok();
    let is_other = json.is_none() && !data.is_empty();
    let line = Line {
        position: event.position(),
        stream: event.stream(),
        version: event.version(),
        id: event.id().to_string(),
        r#type: event.event_type(),
        event_time: event.event_time().to_string(),
        commit_time: event.commit_time().to_string(),
        correlation: event.correlation(),
        causation: event.causation(),
        tags: event.tags().map(|(key, value)| format!("{key}={value}")).collect(),
        metadata: serde_json::from_slice(&metadata).ok(),
        data: json,
        data_base64: is_other.then(|| STANDARD.encode(&*data)),
    };
    let begin = out.len();
    serde_json::to_writer(&mut *out, &line).map_err(|error| error.to_string())?;
    // In JSON a line break can only be between values; in texts it is escaped.
    for byte in out.iter_mut().skip(begin) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;
    use leftfold_fold::react::Cause;

    use super::*;

    fn line(event: NewEvent) -> String {
        let mut out = Vec::new();
        write(&Cause::of_new("order-1", event).event, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_kept_number_by_number_on_one_line() {
        let data = "{\n  \"total\": 0.10000000000000000555,\r\n  \"note\": \"a\\nb\"\n}";
        let text = line(NewEvent::json("Paid", data));
        assert!(text.contains("{   \"total\": 0.10000000000000000555,"), "{text}");
        assert!(text.contains("\"a\\nb\"") && text.lines().count() == 1, "{text}");
        assert!(text.contains("\"correlation\":null"), "{text}");
    }

    #[test]
    fn data_that_is_no_json_is_base64() {
        assert!(
            line(NewEvent::json("Paid", "{")).contains("\"data\":null,\"data_base64\":\"ew==\"")
        );
        assert!(line(NewEvent::json("Paid", "")).ends_with("\"data\":null}\n"));
    }
}
