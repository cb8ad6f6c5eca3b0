//! Appends of several events, with conditions, and from what a read printed.

use serde_json::{Value, json};

use crate::binary::{run, stderr, stdout, stdout_of_input, usage_error};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn appends_several_events_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let both =
        ["append", "order-1", "Packed", "{}", "Sent", "by post", "-t", "a=b", "-e", "no-stream"];
    let appended = lines(&stdout(data, &both)).remove(0);
    assert_eq!(
        (&appended["version"], &appended["last_version"], &appended["last_position"]),
        (&json!(0), &json!(1), &json!(2))
    );
    let conflict = stderr(data, &both);
    assert!(conflict.starts_with("error[wrong_version]"), "{conflict}");
    let read = lines(&stdout(data, &["read", "tag:a=b"]));
    let shown: Vec<_> = read.iter().map(|event| (&event["type"], &event["data"])).collect();
    assert_eq!(shown, [(&json!("Packed"), &json!({})), (&json!("Sent"), &json!("by post"))]);

    let without = usage_error(data, &["append", "order-1", "Sent", "by", "post"]);
    assert!(without.contains("found post without data"), "{without}");
    assert!(without.contains("Usage: leftfold append"), "{without}");
    let id = "6fa459ea-ee8a-3ca4-894e-db77e160355e";
    let ids = usage_error(data, &["append", "order-1", "A", "1", "B", "2", "--id", id]);
    assert!(ids.contains("one --id for each of 2 events, found 1"), "{ids}");
    let table = stdout(data, &["append", "order-1", "A", "1", "B", "2", "-o", "table"]);
    assert_eq!(table, "appended: order-1 versions 2 to 3, positions 3 to 4\n");
}

#[test]
fn appends_only_if_no_event_matches_after_a_point() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let take = |point: &str| {
        run(data, &["append", "seat-7", "Taken", "{}", "--none-after", "type:Taken", point])
    };
    assert!(take("start").status.success());
    for point in ["start", "position:0"] {
        let refused = String::from_utf8(take(point).stderr).unwrap();
        assert!(refused.starts_with("error[query_matched]"), "{refused}");
    }
    let answer = take("position:1");
    let cursor = lines(&String::from_utf8(answer.stdout).unwrap()).remove(0)["cursor"].clone();
    assert!(!take("position:1").status.success());
    assert!(take(&format!("cursor:{}", cursor.as_str().unwrap())).status.success());
    for point in ["3", "version:3", "end", "position:x"] {
        let args = ["append", "seat-7", "Taken", "{}", "--none-after", "*", point];
        let refused = usage_error(data, &args);
        assert!(refused.contains("expected start, position:17 or cursor:..."), "{refused}");
    }
}

/// More events than one batch, of every kind; the copy is the same, and made once.
#[test]
fn appends_what_a_read_printed_once() {
    let dir = tempfile::tempdir().unwrap();
    let [data, copy, stream] = ["data", "copy", "stream"].map(|name| dir.path().join(name));
    for (data_text, more) in [
        ("{\"a\": \"\\n\"}", &["--metadata", "{\"by\": 1}", "--correlation", "c1"][..]),
        ("text", &["--tag", "a=b=c", "--metadata", "note", "--event-time", "2026-03-01"]),
        ("null", &["--causation", "x"]),
        ("", &[]),
        ("\"7\"", &[]),
    ] {
        stdout(&data, &[&["append", "a-1", "T", data_text][..], more].concat());
    }
    let many: String =
        (0..600).map(|n| format!("{{\"stream\":\"b-1\",\"type\":\"N\",\"data\":{n}}}\n")).collect();
    let from = ["append", "--from", "-"];
    assert_eq!(
        lines(&stdout_of_input(&data, &from, &many))[0],
        json!({"appended": 600, "repeated": 0})
    );

    let printed = stdout(&data, &["read"]);
    // A part first, so that the batches of the whole are repeated in part.
    let part: String = printed.lines().skip(1).step_by(3).map(|line| format!("{line}\n")).collect();
    let parts = part.lines().count();
    assert_eq!(
        lines(&stdout_of_input(&copy, &from, &part))[0],
        json!({"appended": parts, "repeated": 0})
    );
    let answer = lines(&stdout_of_input(&copy, &from, &printed)).remove(0);
    assert_eq!(answer, json!({"appended": 605 - parts, "repeated": parts}));
    let answer = stdout_of_input(&copy, &[&from[..], &["-o", "table"]].concat(), &printed);
    assert_eq!(answer, "0 events appended, 605 repeated\n");
    // Also in the store that they are from, where an event without a time of its own has none.
    assert_eq!(
        lines(&stdout_of_input(&data, &from, &printed))[0],
        json!({"appended": 0, "repeated": 605})
    );

    let stored = |text: &str| {
        let mut events = lines(text);
        events.sort_by_key(|event| event["id"].as_str().unwrap().to_owned());
        for event in &mut events {
            let event = event.as_object_mut().unwrap();
            for field in ["position", "version", "commit_time"] {
                event.remove(field);
            }
        }
        events
    };
    assert_eq!(stored(&stdout(&copy, &["read"])), stored(&printed));
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, &printed).unwrap();
    stdout(&stream, &["append", "c-1", "--from", file.to_str().unwrap()]);
    assert_eq!(lines(&stdout(&stream, &["read", "stream:c-1"])).len(), 605);
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.ndjson");
    let good = r#"{"stream":"a-1","type":"T","data":{}}"#;
    for (line, why) in [
        ("{", "EOF"),
        (r#"{"stream":"a-1"}"#, "missing field `type`"),
        (r#"{"type":"T"}"#, "it has no stream"),
        (r#"{"type":"T","stream":"a","id":"x"}"#, "x is not a UUID"),
        (r#"{"type":"T","stream":"a","tags":["x"]}"#, "x is not a tag"),
        (r#"{"type":"T","stream":"a","event_time":"x"}"#, "is not a time"),
        (r#"{"type":"T","stream":"a","content_type":"x","data":{"base64":"%"}}"#, "base64"),
    ] {
        std::fs::write(&file, format!("{good}\n\n{line}\n")).unwrap();
        let refused = stderr(dir.path(), &["append", "--from", file.to_str().unwrap()]);
        assert!(refused.contains("line 3") && refused.contains(why), "{line}: {refused}");
    }
    let refused = stderr(dir.path(), &["append", "--from", "nowhere.ndjson"]);
    assert!(refused.contains("nowhere.ndjson"), "{refused}");
    usage_error(dir.path(), &["append", "--from", "-", "--tag", "a=b"]);
    usage_error(dir.path(), &["append"]);
    usage_error(dir.path(), &["append", "a-1"]);
}
