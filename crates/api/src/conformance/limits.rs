//! Invalid input: an error with a stable code, and no change.

use super::helpers::{append, event, put, refused, unreadable};
use crate::{
    Append, CheckpointMove, Coded, Cursor, EventStore, Expected, NewEvent, Point, Query, Read,
};

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn names_are_checked(store: &impl EventStore) {
        let long = "x".repeat(1025);
        for (name, words) in
            [("", "it is empty"), ("a\u{0}b", "control character"), (&*long, "it has 1025 bytes")]
        {
            let named = |event_type: &str| NewEvent::new(event_type, "");
            let error = refused(store, append(name, Expected::Any, &[1]), "name_invalid").await;
            assert!(error.to_string().contains(words), "{error}");
            refused(store, Append::new().event("a", named(name)), "name_invalid").await;
            let correlated = Append::new().event("a", event(1).correlation(name));
            refused(store, correlated, "name_invalid").await;
            let caused = Append::new().event("a", event(1).causation(name));
            refused(store, caused, "name_invalid").await;
            let checked = Append::new().event("a", event(1)).expect(name, Expected::Any);
            refused(store, checked, "name_invalid").await;
            assert_eq!(store.stream(name).await.unwrap_err().code(), "name_invalid");
            assert_eq!(store.checkpoint(name).await.unwrap_err().code(), "name_invalid");
        }
        refused(store, append("$mine", Expected::Any, &[1]), "name_reserved").await;
        refused(store, Append::new().event("a", NewEvent::new("$Mine", "")), "name_reserved").await;
        let checkpoint = CheckpointMove { name: "$c".into(), expected: None, to: Cursor::START };
        refused(store, Append::new().checkpoint(checkpoint), "name_reserved").await;
        let longest = "\u{e4}".repeat(512);
        put(store, &longest, &[1]).await;
        assert!(store.stream(&longest).await.unwrap().is_some());
    }

    pub async fn tags_are_checked(store: &impl EventStore) {
        for (key, value, code) in [
            ("", "v", "tag_invalid"),
            ("a=b", "v", "tag_invalid"),
            ("a", "\n", "name_invalid"),
            ("a", &"x".repeat(1023), "name_invalid"),
        ] {
            refused(store, Append::new().event("a", event(1).tag(key, value)), code).await;
        }
        let twice = event(1).tag("a", "1").tag("a", "1");
        refused(store, Append::new().event("a", twice), "tag_invalid").await;
        let many = (0..101).fold(event(1), |event, n| event.tag("t", n.to_string()));
        refused(store, Append::new().event("a", many), "too_many_tags").await;
    }

    pub async fn sizes_are_checked(store: &impl EventStore) {
        let sized = |bytes: usize| NewEvent::new("Large", vec![0; bytes]);
        let error = Append::new().event("a", sized((16 << 20) + 1));
        let error = refused(store, error, "event_too_large").await;
        assert!(error.to_string().contains("at most 16777216 are allowed"), "{error}");
        let five = (0..5).fold(Append::new(), |append, _| append.event("a", sized(14 << 20)));
        refused(store, five, "append_too_large").await;
        let many = (0..10_001).fold(Append::new(), |append, n| append.event("a", event(n)));
        refused(store, many, "too_many_events").await;
        let conditions = (0..10_001).fold(Append::new().event("a", event(1)), |append, n| {
            append.expect(format!("s{n}-a"), Expected::Any)
        });
        refused(store, conditions, "too_many_conditions").await;
        let large = store.append(Append::new().event("a", sized((16 << 20) - 100))).await.unwrap();
        let position = large.positions.unwrap().0;
        assert_eq!(large.positions, Some((position, position)));
        let page = store.read(Read::forward(Query::All)).await.unwrap();
        assert_eq!(page.events[0].data().len(), (16 << 20) - 100);
    }

    pub async fn an_empty_or_contradictory_append_is_refused(store: &impl EventStore) {
        refused(store, Append::new(), "append_empty").await;
        let only_checked = Append::new().expect("a", Expected::NoStream);
        refused(store, only_checked, "append_empty").await;
        let code = "append_contradictory";
        refused(store, append("a", Expected::Any, &[1, 1]), code).await;
        let twice = append("a", Expected::Any, &[1]).expect("a", Expected::NoStream);
        refused(store, twice, code).await;
        let to = CheckpointMove { name: "c".into(), expected: None, to: Cursor::START };
        refused(store, Append::new().checkpoint(to.clone()).checkpoint(to), code).await;
    }

    pub async fn cursors_are_checked(store: &impl EventStore) {
        let cursor = put(store, "a", &[1]).await.cursor;
        let mut bytes = cursor.to_bytes();
        bytes[12] += 1;
        let ahead = Cursor::from_bytes(&bytes).unwrap();
        bytes[1] ^= 1;
        let foreign = Cursor::from_bytes(&bytes).unwrap();
        for (cursor, code) in [(ahead, "cursor_ahead"), (foreign, "cursor_foreign")] {
            unreadable(store, Read::forward(Query::All).after(cursor.clone()), code).await;
            unreadable(store, Read::forward(Query::All).at_least(cursor.clone()), code).await;
            let guarded = append("a", Expected::Any, &[2]).none_after(Query::All, cursor.clone());
            refused(store, guarded, code).await;
            let to = CheckpointMove { name: "c".into(), expected: None, to: cursor };
            refused(store, Append::new().checkpoint(to), code).await;
        }
    }

    pub async fn reads_are_checked(store: &impl EventStore) {
        put(store, "a", &[1]).await;
        unreadable(store, Read::forward(Query::All).limit(0), "limit_invalid").await;
        let version = Read::forward(Query::All).including(Point::Version(0));
        unreadable(store, version, "version_needs_stream").await;
        let ordinal = Read::forward(Query::category("a")).including(Point::Ordinal(0));
        unreadable(store, ordinal, "ordinal_needs_index").await;
        unreadable(store, Read::forward(Query::index("none")), "index_unknown").await;
    }
}

pub use promises::*;
