//! The promises of a store of one log only: one order of all events.

use super::helpers::{all, append, conflicts, done, event, found, put};
use crate::{Append, CheckpointMove, EventStore, Expected, Query};

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn an_append_spans_any_streams_and_checkpoints(store: &impl EventStore) {
        let to = put(store, "a-1", &[1]).await.cursor;
        let checkpoint = CheckpointMove { name: "reader".into(), expected: None, to: to.clone() };
        let streams = (2..=20).fold(Append::new(), |append, n| {
            append.event(format!("s-{n}"), event(n)).none_after(Query::tag("n", "x"), to.clone())
        });
        let appended = done(store, streams.checkpoint(checkpoint)).await;
        let (first, last) = appended.positions.unwrap();
        assert_eq!((last - first + 1, appended.streams.len()), (19, 19));
        assert_eq!(store.checkpoint("reader").await.unwrap(), Some(to));
        assert_eq!(found(store, "*").await, (1..=20).collect::<Vec<_>>());
    }

    pub async fn an_append_checks_any_streams(store: &impl EventStore) {
        put(store, "s-3", &[1]).await;
        let absent = |n: u128| (2..=9).filter(move |other| *other != n);
        let checked = |n| {
            let none = absent(n).fold(append("a-1", Expected::Any, &[2]), |append, n| {
                append.expect(format!("s-{n}"), Expected::NoStream)
            });
            none.expect(format!("s-{n}"), Expected::Exists)
        };
        conflicts(store, checked(4), Some(0)).await;
        done(store, checked(3)).await;
    }

    pub async fn positions_order_all_events(store: &impl EventStore) {
        let mut written = Vec::new();
        for n in 1..=9 {
            let (first, last) = put(store, &format!("s-{n}"), &[n]).await.positions.unwrap();
            assert_eq!(first, last);
            written.push(first);
        }
        let positions: Vec<_> =
            all(store, "*").await.iter().map(|event| event.position()).collect();
        assert_eq!(positions, written);
        assert!(written.is_sorted() && written[0] >= 1);
    }

    pub async fn every_cursor_is_comparable(store: &impl EventStore) {
        let mut last = store.head().await.unwrap();
        for n in 1..=9 {
            let next = put(store, &format!("s-{n}"), &[n]).await.cursor;
            assert!(next > last && next.position().is_some());
            last = next;
        }
        assert!(store.head().await.unwrap() >= last);
    }
}

pub use promises::*;
