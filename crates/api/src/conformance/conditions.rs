//! Conditions of appends.

use super::helpers::{append, conflicts, done, event, found, put, refused};
use crate::{
    Append, AppendError, CheckpointMove, Coded, Conflict, Cursor, EventStore, Expected, Query,
    Versions,
};

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn any_writes_to_an_absent_stream(store: &impl EventStore) {
        let appended = put(store, "a-1", &[1, 2]).await;
        // Where a log begins is its own affair.
        let first = appended.positions.unwrap().0;
        assert_eq!(appended.positions, Some((first, first + 1)));
        let versions = Versions { stream: "a-1".into(), first: 0, last: 1 };
        assert_eq!((appended.streams, appended.repeated), (vec![versions], false));
        assert_eq!(found(store, "stream:a-1").await, [1, 2]);
    }

    pub async fn any_writes_to_a_stream_with_events(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        assert_eq!(put(store, "a-1", &[2]).await.streams[0].first, 1);
    }

    pub async fn no_stream_writes_to_an_absent_stream(store: &impl EventStore) {
        put(store, "a-2", &[1]).await;
        let appended = done(store, append("a-1", Expected::NoStream, &[2])).await;
        assert_eq!(appended.streams[0].first, 0);
    }

    pub async fn no_stream_conflicts_with_a_stream_with_events(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        conflicts(store, append("a-1", Expected::NoStream, &[3]), Some(1)).await;
    }

    pub async fn exists_conflicts_with_an_absent_stream(store: &impl EventStore) {
        conflicts(store, append("a-1", Expected::Exists, &[1]), None).await;
    }

    pub async fn exists_writes_to_a_stream_with_events(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        done(store, append("a-1", Expected::Exists, &[2])).await;
        assert_eq!(found(store, "stream:a-1").await, [1, 2]);
    }

    pub async fn exactly_writes_after_its_version(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        let appended = done(store, append("a-1", Expected::Exactly(1), &[3, 4])).await;
        assert_eq!((appended.streams[0].first, appended.streams[0].last), (2, 3));
    }

    pub async fn exactly_conflicts_with_an_absent_stream(store: &impl EventStore) {
        conflicts(store, append("a-1", Expected::Exactly(0), &[1]), None).await;
    }

    pub async fn exactly_conflicts_with_a_stream_at_a_later_version(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3]).await;
        conflicts(store, append("a-1", Expected::Exactly(0), &[4]), Some(2)).await;
    }

    pub async fn exactly_conflicts_with_a_stream_at_an_earlier_version(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        conflicts(store, append("a-1", Expected::Exactly(1), &[2]), Some(0)).await;
        conflicts(store, append("a-1", Expected::Exactly(u64::MAX), &[2]), Some(0)).await;
    }

    pub async fn a_stream_that_is_only_checked_can_refuse_the_append(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let with =
            |stream: &str, expected| Append::new().event("b-1", event(9)).expect(stream, expected);
        conflicts(store, with("a-1", Expected::NoStream), Some(0)).await;
        conflicts(store, with("a-1", Expected::Exactly(1)), Some(0)).await;
        conflicts(store, with("c-1", Expected::Exists), None).await;
        let right = with("a-1", Expected::Exactly(0)).expect("c-1", Expected::NoStream);
        done(store, right.expect("d-1", Expected::Any)).await;
        assert_eq!(found(store, "*").await, [1, 9]);
    }

    pub async fn none_after_refuses_and_names_the_first_match(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let first = done(store, Append::new().event("b-1", event(2).tag("seat", "7"))).await;
        done(store, Append::new().event("b-2", event(3).tag("seat", "7"))).await;
        let guarded =
            append("b-3", Expected::Any, &[4]).none_after(Query::tag("seat", "7"), Cursor::START);
        match refused(store, guarded, "query_matched").await {
            AppendError::Conflict(Conflict::Query { position, stream, event_type, .. }) => {
                assert_eq!((&*stream, &*event_type), ("b-1", "Counted"));
                assert_eq!(Some((position, position)), first.positions);
            }
            other => panic!("{other}"),
        }
    }

    pub async fn none_after_checks_only_events_after_its_cursor(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let read = put(store, "a-2", &[2]).await.cursor;
        let guarded =
            |n, cursor| append("a-3", Expected::Any, &[n]).none_after(Query::category("a"), cursor);
        done(store, guarded(3, read.clone())).await;
        refused(store, guarded(4, read), "query_matched").await;
        done(store, guarded(5, store.head().await.unwrap())).await;
    }

    pub async fn none_after_accepts_negative_queries(store: &impl EventStore) {
        put(store, "Integration-1", &[1]).await;
        let guarded = |n, query: &str| {
            append("b-1", Expected::Any, &[n]).none_after(query.parse().unwrap(), Cursor::START)
        };
        done(store, guarded(2, "not stream:Integration*")).await;
        refused(store, guarded(3, "not stream:Integration*"), "query_matched").await;
        refused(store, guarded(4, "stream:Integ*"), "query_matched").await;
        done(store, guarded(5, "type:Absent not stream:x*")).await;
    }

    pub async fn a_checkpoint_moves_only_from_where_it_is_expected(store: &impl EventStore) {
        let first = put(store, "a-1", &[1]).await.cursor;
        let second = put(store, "a-1", &[2]).await.cursor;
        let to = |expected, to| CheckpointMove { name: "reader".into(), expected, to };
        done(store, append("out-reader", Expected::Any, &[3]).checkpoint(to(None, first.clone())))
            .await;
        assert_eq!(store.checkpoint("reader").await.unwrap(), Some(first.clone()));
        done(
            store,
            append("out-reader", Expected::Any, &[4])
                .checkpoint(to(Some(first.clone()), second.clone())),
        )
        .await;
        let zombie =
            append("out-reader", Expected::Any, &[5]).checkpoint(to(Some(first), second.clone()));
        match refused(store, zombie, "checkpoint_moved").await {
            AppendError::Conflict(Conflict::Checkpoint { actual, .. }) => {
                assert_eq!(actual, Some(second.clone()));
            }
            other => panic!("{other}"),
        }
        assert_eq!(store.checkpoint("reader").await.unwrap(), Some(second));
        assert_eq!(store.checkpoint("another").await.unwrap(), None);
    }

    pub async fn a_checkpoint_moves_without_events(store: &impl EventStore) {
        let to = put(store, "a-1", &[1]).await.cursor;
        let checkpoint = CheckpointMove { name: "reader".into(), expected: None, to: to.clone() };
        let moved = done(store, Append::new().checkpoint(checkpoint.clone())).await;
        assert_eq!((moved.positions, moved.streams), (None, vec![]));
        assert_eq!(store.checkpoint("reader").await.unwrap(), Some(to.clone()));
        refused(store, Append::new().checkpoint(checkpoint), "checkpoint_moved").await;
        let checked = Append::new()
            .checkpoint(CheckpointMove { name: "r-1".into(), expected: None, to })
            .expect("a-1", Expected::NoStream);
        conflicts(store, checked, Some(0)).await;
        assert_eq!(store.checkpoint("r-1").await.unwrap(), None);
    }

    pub async fn a_conflict_writes_nothing_anywhere(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let append = Append::new()
            .event("b-1", event(2))
            .event("a-1", event(3))
            .event("c-1", event(4))
            .expect("a-1", Expected::NoStream);
        conflicts(store, append, Some(0)).await;
        assert_eq!(found(store, "*").await, [1]);
        assert_eq!(store.stream("b-1").await.unwrap(), None);
    }

    pub async fn appends_to_several_streams_take_one_run_of_positions(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let append = Append::new()
            .event("b-1", event(2))
            .event("a-1", event(3))
            .event("b-1", event(4))
            .expect("a-1", Expected::Exactly(0))
            .expect("b-1", Expected::NoStream);
        let appended = done(store, append).await;
        let (first, last) = appended.positions.unwrap();
        assert!(first > 1 && last == first + 2);
        let versions = appended.streams.iter().map(|v| (&*v.stream, v.first, v.last));
        assert_eq!(versions.collect::<Vec<_>>(), [("b-1", 0, 1), ("a-1", 1, 1)]);
        assert_eq!(found(store, "*").await, [1, 2, 3, 4]);
    }

    pub async fn one_of_many_writers_wins_each_version(store: &impl EventStore) {
        const WRITERS: u128 = 16;
        const ROUNDS: u64 = 20;
        let won = std::sync::Mutex::new(vec![0; ROUNDS as usize]);
        std::thread::scope(|threads| {
            for writer in 0..WRITERS {
                let won = &won;
                threads.spawn(move || {
                    for round in 0..ROUNDS {
                        let expected =
                            round.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
                        let id = (writer << 64) | (u128::from(round) + 1);
                        match pollster::block_on(store.append(append("cart-1", expected, &[id]))) {
                            Ok(appended) => {
                                assert_eq!(appended.streams[0].first, round);
                                won.lock().unwrap()[round as usize] += 1;
                            }
                            Err(AppendError::Conflict(Conflict::Version { actual, .. })) => {
                                assert!(actual.is_some_and(|actual| actual >= round), "{actual:?}");
                            }
                            Err(other) => panic!("{other}"),
                        }
                        // A writer continues once one of the writers has won this round.
                        let last = pollster::block_on(store.stream("cart-1")).unwrap();
                        assert!(last.is_some_and(|info| info.version >= round));
                    }
                });
            }
        });
        assert_eq!(won.into_inner().unwrap(), vec![1; ROUNDS as usize]);
        assert_eq!(found(store, "stream:cart-1").await.len() as u64, ROUNDS);
    }

    pub async fn a_deleted_checkpoint_is_not_set_and_begins_anew(store: &impl EventStore) {
        let unknown = |error: AppendError| assert_eq!(error.code(), "checkpoint_unknown");
        unknown(store.delete_checkpoint("mails").await.unwrap_err());
        let to = put(store, "a-1", &[1]).await.cursor;
        let moved = |expected| CheckpointMove { name: "mails".into(), expected, to: to.clone() };
        for _ in 0..2 {
            done(store, Append::new().checkpoint(moved(None))).await;
            store.delete_checkpoint("mails").await.unwrap();
            assert_eq!(store.checkpoint("mails").await.unwrap(), None);
            assert_eq!(store.checkpoints(None, 10).await.unwrap(), []);
            unknown(store.delete_checkpoint("mails").await.unwrap_err());
            // A reader that was not told must not set it again.
            let late = Append::new().checkpoint(moved(Some(to.clone())));
            assert_eq!(store.append(late).await.unwrap_err().code(), "checkpoint_moved");
        }
        assert_eq!(store.delete_checkpoint("").await.unwrap_err().code(), "name_invalid");
    }

    pub async fn checkpoints_are_listed_by_name(store: &impl EventStore) {
        assert_eq!(store.checkpoints(None, 10).await.unwrap(), []);
        let to = put(store, "a-1", &[1]).await.cursor;
        for name in ["readers/2", "mails", "readers/10"] {
            let moved = CheckpointMove { name: name.into(), expected: None, to: to.clone() };
            done(store, Append::new().checkpoint(moved)).await;
        }
        let names = async |after: Option<&str>, limit| {
            let found = store.checkpoints(after.map(str::to_owned), limit).await.unwrap();
            assert!(found.iter().all(|found| found.cursor == to));
            found.into_iter().map(|found| found.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 10).await, ["mails", "readers/10", "readers/2"]);
        assert_eq!(names(None, 2).await, ["mails", "readers/10"]);
        assert_eq!(names(Some("readers/10"), 2).await, ["readers/2"]);
        assert_eq!(names(Some("m"), 1).await, ["mails"]);
    }
}

pub use promises::*;
