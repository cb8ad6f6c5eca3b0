//! Events become rows.

use leftfold::NewEvent;
use leftfold_views::{ApplyError, Rows};

use crate::support::{ask, cursor, definition, event, of, rows_after, view};

#[test]
fn parameters_take_what_the_event_has() {
    let new = NewEvent::json("E", r#"{"a":{"b":[1.50]},"t":true}"#)
        .tag("k", "v")
        .correlation("c")
        .metadata(&br#"{"user":{"name":"Ann"}}"#[..]);
    let rows = rows_after(
        "insert into t values (:data.a.b.0, :tags.k, :correlation);
         insert into t values (:stream, :stream_id, :type);
         insert into t values (:version, :position, :meta.user.name);
         insert into t values (:data.t, :data.none, :tags.none);
         insert into t values (:data.a, :commit_time, :event_time);",
        &[of(7, "a-x-1", new)],
        "select a, b, c from t order by rowid",
    );
    assert_eq!(
        rows,
        [
            "1.50 | v | c",
            "a-x-1 | x-1 | E",
            "6 | 7 | Ann",
            "1 | null | null",
            r#"{"b":[1.50]} | 2023-11-14T22:13:20.000007Z | 2023-11-14T22:13:20.000007Z"#,
        ]
    );
}

#[test]
fn rows_and_cursor_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let view = definition(&view("insert into u values (:data.id, :data.n);"));
    let mut rows = Rows::open(&path, &view).unwrap();
    assert_eq!(rows.saved().unwrap(), None);
    rows.apply(&[event(1, r#"{"id":"1","n":1}"#)], None, &cursor(1)).unwrap();
    // The second event has an id that is there.
    let batch = [event(2, r#"{"id":"2","n":2}"#), event(3, r#"{"id":"1","n":3}"#)];
    let error = rows.apply(&batch, Some(&cursor(1)), &cursor(3)).unwrap_err();
    let ApplyError::Event { before: 1, position: 3, line: 6, reason, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(reason.contains("UNIQUE constraint failed"), "{reason}");
    assert_eq!(ask(&path, "select id from u"), ["1"]);
    assert_eq!(rows.saved().unwrap(), Some(cursor(1)));
    rows.apply(&batch[..1], Some(&cursor(1)), &cursor(2)).unwrap();
    // Another process still stands at the first event.
    assert_eq!(rows.apply(&batch[..1], Some(&cursor(1)), &cursor(2)), Err(ApplyError::Overtaken));
    drop(rows);
    let rows = Rows::open(&path, &view).unwrap();
    assert_eq!(rows.saved().unwrap(), Some(cursor(2)));
}

#[test]
fn tables_of_another_definition_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    drop(Rows::open(&path, &definition(&view("insert into t (a) values (1);"))).unwrap());
    let other = Rows::open(&path, &definition(&view("insert into t (a) values (2);")));
    assert_eq!(other.err(), Some(ApplyError::OtherDefinition));
}

#[test]
fn what_fails_is_noted_where_the_view_skips_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let text = view("insert into t (a) values (:data.id);\ninsert into u values (:data.id, 1);");
    let view = definition(&text.replace("-- @query", "-- @on_error skip\n-- @query"));
    let mut rows = Rows::open(&path, &view).unwrap();
    let events = [r#"{"id":"1"}"#, r#"{"id":"1"}"#, "no json", r#"{"id":"2"}"#];
    let events: Vec<_> = (1..).zip(events).map(|(at, data)| event(at, data)).collect();
    rows.apply(&events, None, &cursor(4)).unwrap();
    assert_eq!(ask(&path, "select a from t"), ["1", "2"]);
    let errors = ask(&path, "select position, stream, version, type, reason from _errors");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("2 | a-1 | 1 | E | line 8: UNIQUE constraint failed"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("3 | a-1 | 2 | E | line 6: its payload is no JSON"),
        "{errors:?}"
    );
}
