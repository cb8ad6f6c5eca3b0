//! Repeats: idempotence by stream and event id.

use super::helpers::{all, append, done, event, found, put, refused};
use crate::{Append, Appended, CheckpointMove, Cursor, EventStore, Expected, NewEvent, Query};

/// Repeats an append: it gets the first answer, and nothing is written.
async fn again(store: &impl EventStore, first: Appended, append: Append) {
    let head = store.head().await.unwrap();
    let second = done(store, append).await;
    assert_eq!(second, Appended { repeated: true, ..first });
    assert_eq!(store.head().await.unwrap(), head);
}

async fn repeated(store: &impl EventStore, expected: Expected, append_of: &[u128]) {
    let same = append("a-1", expected, append_of);
    let first = done(store, same.clone()).await;
    again(store, first, same).await;
}

async fn in_part(store: &impl EventStore, expected: Expected) {
    done(store, append("a-1", expected, &[7, 8])).await;
    let error = refused(store, append("a-1", expected, &[7, 8, 9]), "partial_repeat").await;
    assert!(error.to_string().contains("repeats only a part"), "{error}");
}

async fn other_content(store: &impl EventStore, expected: Expected) {
    done(store, append("a-1", expected, &[7])).await;
    let other = NewEvent { data: "other".into(), ..event(7) };
    let other = Append::new().event("a-1", other).expect("a-1", expected);
    let error = refused(store, other, "event_id_reused").await;
    assert!(error.to_string().contains("with other content"), "{error}");
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn any_repeated_answers_as_the_first_time(store: &impl EventStore) {
        repeated(store, Expected::Any, &[1, 2]).await;
        let events = all(store, "stream:a-1").await;
        let [first, second] = [0, 1].map(|at: usize| events[at].position());
        put(store, "a-1", &[3]).await;
        let third = done(store, append("a-1", Expected::Any, &[1, 2])).await;
        assert_eq!((third.positions, third.repeated), (Some((first, second)), true));
    }

    pub async fn exists_repeated_answers_as_the_first_time(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        repeated(store, Expected::Exists, &[2, 3]).await;
    }

    pub async fn no_stream_repeated_answers_as_the_first_time(store: &impl EventStore) {
        repeated(store, Expected::NoStream, &[1, 2]).await;
    }

    pub async fn exactly_repeated_answers_as_the_first_time(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        repeated(store, Expected::Exactly(0), &[2, 3]).await;
    }

    pub async fn exactly_repeated_after_others_answers_as_the_first_time(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let same = append("a-1", Expected::Exactly(0), &[2, 3]);
        let first = done(store, same.clone()).await;
        put(store, "a-1", &[4]).await;
        put(store, "a-2", &[5]).await;
        again(store, first, same).await;
    }

    pub async fn any_repeated_in_part_is_refused(store: &impl EventStore) {
        in_part(store, Expected::Any).await;
        refused(store, append("a-1", Expected::Any, &[6, 7]), "partial_repeat").await;
    }

    pub async fn exists_repeated_in_part_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        in_part(store, Expected::Exists).await;
    }

    pub async fn no_stream_repeated_in_part_is_refused(store: &impl EventStore) {
        in_part(store, Expected::NoStream).await;
    }

    pub async fn exactly_repeated_in_part_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        in_part(store, Expected::Exactly(0)).await;
    }

    pub async fn any_with_a_known_id_and_other_content_is_refused(store: &impl EventStore) {
        other_content(store, Expected::Any).await;
    }

    pub async fn exists_with_a_known_id_and_other_content_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        other_content(store, Expected::Exists).await;
    }

    pub async fn no_stream_with_a_known_id_and_other_content_is_refused(store: &impl EventStore) {
        other_content(store, Expected::NoStream).await;
    }

    pub async fn exactly_with_a_known_id_and_other_content_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        other_content(store, Expected::Exactly(0)).await;
    }

    pub async fn any_repeated_in_another_order_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        refused(store, append("a-1", Expected::Any, &[2, 1]), "partial_repeat").await;
        put(store, "a-1", &[3]).await;
        refused(store, append("a-1", Expected::Any, &[1, 3]), "partial_repeat").await;
    }

    /// A hint of the caller: it saves look-ups, and changes no answer that it may rely on.
    pub async fn what_repeats_as_a_whole_is_found_by_its_first_event(store: &impl EventStore) {
        let whole = |ids: &[u128]| append("a-1", Expected::Any, ids).repeats_whole();
        put(store, "a-1", &[1]).await;
        let first = done(store, whole(&[2, 3, 4])).await;
        put(store, "a-1", &[5]).await;
        again(store, first, whole(&[2, 3, 4])).await;
        assert!(done(store, whole(&[3, 4])).await.repeated, "a part of one");
        refused(store, whole(&[4, 6]), "partial_repeat").await;
        let other = NewEvent { data: "other".into(), ..event(2) };
        let other = Append::new().event("a-1", other).repeats_whole();
        refused(store, other, "event_id_reused").await;
        assert!(!done(store, whole(&[6, 7])).await.repeated);
        assert_eq!(found(store, "stream:a-1").await, [1, 2, 3, 4, 5, 6, 7]);
    }

    pub async fn events_of_two_appends_are_no_repeat_of_one(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        put(store, "a-1", &[2]).await;
        put(store, "b-1", &[9]).await;
        put(store, "a-1", &[3, 4]).await;
        for ids in [&[1, 2][..], &[2, 3]] {
            for expected in [Expected::Any, Expected::Exactly(3), Expected::NoStream] {
                refused(store, append("a-1", expected, ids), "partial_repeat").await;
            }
        }
        assert!(done(store, append("a-1", Expected::Any, &[3, 4])).await.repeated);
        assert!(done(store, append("a-1", Expected::Any, &[4])).await.repeated, "a part of one");
        let two = Append::new().event("b-1", event(9)).event("a-1", event(3));
        refused(store, two, "partial_repeat").await;
    }

    /// A handler that reads the version again and retries does not double its event.
    pub async fn exactly_that_holds_does_not_write_a_stored_id_again(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        let first = done(store, append("a-1", Expected::Exactly(1), &[3])).await;
        again(store, first, append("a-1", Expected::Exactly(2), &[3])).await;
        refused(store, append("a-1", Expected::Exactly(2), &[3, 4]), "partial_repeat").await;
        let other = NewEvent { data: "other".into(), ..event(3) };
        let other = Append::new().event("a-1", other).expect("a-1", Expected::Exactly(2));
        refused(store, other, "event_id_reused").await;
        assert_eq!(found(store, "stream:a-1").await, [1, 2, 3]);
    }

    pub async fn a_repeat_is_answered_before_any_expectation(store: &impl EventStore) {
        let first = done(store, append("a-1", Expected::Any, &[1])).await;
        put(store, "a-1", &[2]).await;
        for expected in [Expected::NoStream, Expected::Exactly(7), Expected::Exactly(1)] {
            again(store, first.clone(), append("a-1", expected, &[1])).await;
        }
    }

    pub async fn the_same_id_in_another_stream_is_another_event(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        assert!(!put(store, "a-2", &[1]).await.repeated);
        assert_eq!(found(store, "*").await, [1, 1]);
    }

    pub async fn events_without_ids_are_never_repeats(store: &impl EventStore) {
        for n in 0..3 {
            let append = Append::new().event("a-1", NewEvent::new("Ticked", "same"));
            let appended = done(store, append).await;
            assert_eq!((appended.streams[0].first, appended.repeated), (n, false));
        }
        let ids = found(store, "stream:a-1").await;
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    }

    pub async fn none_after_ignores_its_own_events_in_a_repeat(store: &impl EventStore) {
        let same =
            append("a-1", Expected::Any, &[1]).none_after(Query::stream("a-1"), Cursor::START);
        let first = done(store, same.clone()).await;
        again(store, first, same).await;
    }

    pub async fn a_checkpoint_move_is_not_made_twice(store: &impl EventStore) {
        let to = put(store, "in", &[1]).await.cursor;
        let later = put(store, "in", &[2]).await.cursor;
        let checkpoint = |expected, to| CheckpointMove { name: "reader".into(), expected, to };
        let same = append("a-reader", Expected::Any, &[3]).checkpoint(checkpoint(None, to.clone()));
        let first = done(store, same.clone()).await;
        done(store, Append::new().checkpoint(checkpoint(Some(to), later.clone()))).await;
        again(store, first, same).await;
        assert_eq!(store.checkpoint("reader").await.unwrap(), Some(later));
    }

    pub async fn several_streams_repeated_answer_as_the_first_time(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let same = Append::new()
            .event("a-1", event(2))
            .event("b-1", event(3))
            .event("c-1", event(4))
            .event("a-1", event(5))
            .expect("a-1", Expected::Exactly(0))
            .expect("b-1", Expected::NoStream)
            .expect("d-1", Expected::NoStream);
        let first = done(store, same.clone()).await;
        put(store, "d-1", &[6]).await;
        again(store, first, same).await;
    }

    pub async fn several_streams_of_which_one_repeats_are_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let append = Append::new().event("a-1", event(1)).event("b-1", event(2));
        refused(store, append.clone(), "partial_repeat").await;
        refused(store, append.expect("b-1", Expected::Exists), "partial_repeat").await;
    }

    pub async fn a_repeat_is_recognized_by_the_given_fields_only(store: &impl EventStore) {
        let same = Append::new().event("a-1", event(1));
        let first = done(store, same.clone()).await;
        // Without an event time, the commit time is used, which differs in the repeat.
        again(store, first, same).await;
        let timed = Append::new().event("a-1", event(1).event_time(crate::Timestamp(5)));
        refused(store, timed, "event_id_reused").await;
    }
}

pub use promises::*;
