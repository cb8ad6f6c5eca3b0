//! Retention: which events reads return, and that nothing else changes.

use std::time::Duration;

use super::helpers::{all, append, conflicts, done, event, found, page, put, refused, says};
use crate::{
    Append, AppendError, Coded, Conflict, Delivery, EventStore, Expected, NewEvent, Point, Query,
    Read, Retention, RetentionRule, Subscribe, Subscription,
};

fn rule(name: &str, query: &str, retention: Retention) -> RetentionRule {
    RetentionRule { name: name.to_owned(), query: query.parse().unwrap(), retention }
}

fn count(events: u64) -> Retention {
    Retention::default().max_count(events)
}

/// Returns retention that drops every event that was there before the retention was set.
fn nothing() -> Retention {
    Retention::default().max_age(Duration::from_micros(1))
}

async fn backward(store: &impl EventStore, query: &str) -> Vec<u128> {
    let read = Read::backward(query.parse().unwrap());
    super::helpers::numbers(&page(store, read).await.events)
}

async fn deleted(store: &impl EventStore, stream: &str) {
    store.delete_stream(stream, Expected::Any).await.unwrap();
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn a_maximal_count_keeps_the_newest_at_once(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3, 4]).await;
        put(store, "b-1", &[5]).await;
        store.set_retention("a-1", count(2)).await.unwrap();
        for query in ["stream:a-1", "category:a", "type:Counted not stream:b-1"] {
            assert_eq!(found(store, query).await, [3, 4], "{query}");
            assert_eq!(backward(store, query).await, [4, 3], "{query}");
        }
        put(store, "a-1", &[6]).await;
        assert_eq!(found(store, "type:Counted").await, [4, 5, 6]);
        let info = store.stream("a-1").await.unwrap().unwrap();
        assert_eq!((info.version, info.retention, info.is_deleted()), (4, count(2), false));
    }

    pub async fn a_maximal_age_counts_from_the_commit_time(store: &impl EventStore) {
        let old = event(1).event_time(crate::Timestamp(0));
        done(store, Append::new().event("a-1", old)).await;
        let hour = Retention::default().max_age(Duration::from_secs(3600));
        store.set_retention("a-1", hour).await.unwrap();
        assert_eq!(found(store, "stream:a-1").await, [1]);
        store.set_retention("a-1", nothing()).await.unwrap();
        assert_eq!(found(store, "stream:a-1").await, []);
    }

    pub async fn truncation_hides_older_versions_and_renumbers_none(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3, 4]).await;
        store.set_retention("a-1", Retention::default().truncate_before(2)).await.unwrap();
        assert_eq!(found(store, "stream:a-1").await, [3, 4]);
        let versions: Vec<_> =
            all(store, "stream:a-1").await.iter().map(|event| event.version()).collect();
        assert_eq!(versions, [2, 3]);
        let read = Read::forward(Query::stream("a-1"));
        for (from, expected) in [(0, vec![3, 4]), (2, vec![3, 4]), (3, vec![4]), (4, vec![])] {
            let read = read.clone().including(Point::Version(from));
            let events = page(store, read).await.events;
            assert_eq!(super::super::helpers::numbers(&events), expected, "from {from}");
        }
        let ordinal = read.clone().excluding(Point::Ordinal(2));
        let events = page(store, ordinal).await.events;
        assert_eq!(super::super::helpers::numbers(&events), [4]);
    }

    pub async fn retention_does_not_bring_back_deleted_events(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3]).await;
        store.delete_stream("a-1", Expected::Any).await.unwrap();
        for retention in [count(2), Retention::default(), Retention::default().truncate_before(1)] {
            store.set_retention("a-1", retention).await.unwrap();
            assert!(found(store, "stream:a-1").await.is_empty(), "{retention:?}");
        }
        put(store, "a-1", &[4]).await;
        assert_eq!(found(store, "stream:a-1").await, [4]);
        store.delete_stream("a-1", Expected::Any).await.unwrap();
        assert!(found(store, "category:a").await.is_empty());
    }

    pub async fn retention_that_keeps_nothing_is_refused(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let all = Retention::default();
        for retention in [
            all.max_count(0),
            all.max_age(std::time::Duration::ZERO),
            all.truncate_before(u64::MAX),
        ] {
            let error = store.set_retention("a-1", retention).await.unwrap_err();
            assert_eq!(error.code(), "retention_invalid");
        }
        assert_eq!(found(store, "stream:a-1").await, [1]);
    }

    pub async fn retention_is_replaced_as_a_whole(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3]).await;
        store.set_retention("a-1", Retention::default().truncate_before(2)).await.unwrap();
        store.set_retention("a-1", count(3)).await.unwrap();
        // Older events are visible again, unless the store was scavenged in the meantime.
        let found = found(store, "stream:a-1").await;
        assert!(found.ends_with(&[3]), "{found:?}");
        let kept = store.stream("a-1").await.unwrap().unwrap().retention;
        assert_eq!(kept, count(3));
        let error = store.set_retention("a-1", count(0)).await.unwrap_err();
        says(&error, "retention_invalid");
        let error = store.set_retention("$x", count(1)).await.unwrap_err();
        says(&error, "name_reserved");
    }

    pub async fn a_deleted_stream_continues_its_versions(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        deleted(store, "a-1").await;
        assert_eq!(found(store, "category:a").await, []);
        assert!(store.stream("a-1").await.unwrap().unwrap().is_deleted());
        let appended = put(store, "a-1", &[3]).await;
        assert_eq!((appended.streams[0].first, appended.streams[0].last), (2, 2));
        assert_eq!(found(store, "category:a").await, [3]);
        let info = store.stream("a-1").await.unwrap().unwrap();
        assert!(!info.is_deleted() && !info.tombstoned);
    }

    pub async fn a_deleted_stream_answers_conditions_as_before(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        deleted(store, "a-1").await;
        conflicts(store, append("a-1", Expected::NoStream, &[3]), Some(1)).await;
        conflicts(store, append("a-1", Expected::Exactly(0), &[3]), Some(1)).await;
        done(store, append("a-1", Expected::Exactly(1), &[3])).await;
        done(store, append("a-1", Expected::Exists, &[4])).await;
        let checked = append("b-1", Expected::Any, &[5]).expect("a-1", Expected::Exactly(3));
        done(store, checked).await;
    }

    pub async fn a_deletion_checks_its_expectation(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        for (stream, expected, found) in [
            ("a-1", Expected::Exactly(0), Some(1)),
            ("a-1", Expected::NoStream, Some(1)),
            ("b-1", Expected::Any, None),
            ("b-1", Expected::NoStream, None),
        ] {
            match store.delete_stream(stream, expected).await {
                Err(AppendError::Conflict(Conflict::Version { actual, .. })) => {
                    assert_eq!(actual, found, "{stream} {expected}");
                }
                other => panic!("{stream} {expected}: {other:?}"),
            }
        }
        store.delete_stream("a-1", Expected::Exactly(1)).await.unwrap();
        assert_eq!(super::found(store, "stream:a-1").await, []);
        let error = store.tombstone_stream("a-1", Expected::Exactly(5)).await.unwrap_err();
        says(&error, "wrong_version");
    }

    pub async fn a_tombstone_refuses_all_later_appends(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        store.tombstone_stream("a-1", Expected::Exactly(1)).await.unwrap();
        assert_eq!(found(store, "category:a").await, []);
        for expected in [Expected::Any, Expected::Exists, Expected::NoStream, Expected::Exactly(1)]
        {
            refused(store, append("a-1", expected, &[3]), "stream_tombstoned").await;
        }
        let checked = append("b-1", Expected::Any, &[4]).expect("a-1", Expected::Exists);
        refused(store, checked, "stream_tombstoned").await;
        let info = store.stream("a-1").await.unwrap().unwrap();
        assert!(info.tombstoned && info.is_deleted() && info.version == 1);
        for error in [
            store.set_retention("a-1", count(1)).await.unwrap_err(),
            store.delete_stream("a-1", Expected::Any).await.unwrap_err(),
            store.tombstone_stream("a-1", Expected::Any).await.unwrap_err(),
        ] {
            says(&error, "stream_tombstoned");
        }
        let repeat = done(store, append("a-1", Expected::Any, &[1, 2])).await;
        assert!(repeat.repeated);
    }

    pub async fn a_stream_without_events_can_get_a_tombstone(store: &impl EventStore) {
        store.tombstone_stream("a-1", Expected::NoStream).await.unwrap();
        refused(store, append("a-1", Expected::NoStream, &[1]), "stream_tombstoned").await;
        assert_eq!(store.stream("a-1").await.unwrap(), None);
        put(store, "a-2", &[1]).await;
    }

    pub async fn repeats_of_hidden_events_get_the_first_answer(store: &impl EventStore) {
        let first = done(store, append("a-1", Expected::NoStream, &[1, 2])).await;
        let later = done(store, append("a-1", Expected::Exactly(1), &[3])).await;
        deleted(store, "a-1").await;
        let rest = append("c-1", Expected::Any, &[9]);
        done(store, rest).await;
        for (again, answer) in [
            (append("a-1", Expected::NoStream, &[1, 2]), &first),
            (append("a-1", Expected::Any, &[1, 2]), &first),
            (append("a-1", Expected::Exactly(1), &[3]), &later),
            (append("a-1", Expected::Exists, &[3]), &later),
        ] {
            let repeat = done(store, again).await;
            assert_eq!((repeat.positions, repeat.repeated), (answer.positions, true));
        }
        refused(store, append("a-1", Expected::Any, &[3, 4]), "partial_repeat").await;
        let other = NewEvent { data: "other".into(), ..event(2) };
        refused(store, Append::new().event("a-1", other), "event_id_reused").await;
    }

    pub async fn conditions_see_events_that_retention_hides(store: &impl EventStore) {
        let tagged = event(1).tag("owner", "7").event_time(crate::Timestamp(5));
        let appended = done(store, Append::new().event("a-1", tagged)).await;
        let first = appended.positions.unwrap().0;
        deleted(store, "a-1").await;
        put(store, "z-1", &[8]).await;
        for query in [
            "tag:owner=7",
            "tag:owner=*",
            "stream:a-1",
            "type:Counted not stream:z*",
            "time:1970-01-01..1970-01-02",
        ] {
            let query: Query = query.parse().unwrap();
            let guarded =
                append("b-1", Expected::Any, &[2]).none_after(query, crate::Cursor::START);
            match refused(store, guarded, "query_matched").await {
                AppendError::Conflict(Conflict::Query { position, stream, event_type, .. }) => {
                    assert_eq!((position, &*stream, &*event_type), (first, "a-1", "Counted"));
                }
                other => panic!("{other}"),
            }
        }
    }

    pub async fn a_rule_hides_what_its_query_yields_until_it_is_dropped(store: &impl EventStore) {
        let noisy = |n| event(n).tag("level", "debug");
        for n in [1, 3] {
            done(store, Append::new().event("a-1", noisy(n))).await;
            put(store, "a-1", &[n + 1]).await;
        }
        let debug = rule("debug", "tag:level=debug", nothing());
        store.set_retention_rule(debug.clone()).await.unwrap();
        assert_eq!(found(store, "stream:a-1").await, [2, 4]);
        assert_eq!(store.retention_rules().await.unwrap(), [debug]);
        let other = rule("debug", "tag:level=trace", nothing());
        store.set_retention_rule(other.clone()).await.unwrap();
        assert_eq!(store.retention_rules().await.unwrap(), [other]);
        store.drop_retention_rule("debug").await.unwrap();
        assert_eq!(store.retention_rules().await.unwrap(), []);
        let error = store.drop_retention_rule("debug").await.unwrap_err();
        says(&error, "rule_unknown");
    }

    pub async fn a_rule_counts_by_stream(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3]).await;
        put(store, "a-2", &[4]).await;
        put(store, "b-1", &[5, 6, 7]).await;
        store.set_retention_rule(rule("as", "category:a", count(2))).await.unwrap();
        assert_eq!(found(store, "type:Counted").await, [2, 3, 4, 5, 6, 7]);
        store.set_retention("a-1", count(1)).await.unwrap();
        assert_eq!(found(store, "type:Counted").await, [3, 4, 5, 6, 7]);
    }

    pub async fn invalid_retention_rules_are_refused(store: &impl EventStore) {
        store.define_index(crate::IndexDefinition::new("i", Query::category("a"))).await.unwrap();
        for (wrong, code) in [
            (rule("r", "*", Retention::default()), "retention_invalid"),
            (rule("r", "*", Retention::default().truncate_before(1)), "retention_invalid"),
            (rule("r", "tag:a=b", count(1)), "retention_invalid"),
            (rule("r", "index:i", nothing()), "retention_invalid"),
            (rule("r", "stream:a", count(0)), "retention_invalid"),
            (rule("", "*", nothing()), "name_invalid"),
            (rule("$r", "*", nothing()), "name_reserved"),
        ] {
            let error = store.set_retention_rule(wrong.clone()).await.unwrap_err();
            says(&error, code);
        }
        for n in 0..100 {
            store.set_retention_rule(rule(&format!("r{n}"), "type:x", nothing())).await.unwrap();
        }
        let error = store.set_retention_rule(rule("r", "*", nothing())).await.unwrap_err();
        says(&error, "too_many_rules");
        store.set_retention_rule(rule("r7", "type:y", nothing())).await.unwrap();
    }

    pub async fn subscriptions_skip_dropped_events(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3]).await;
        put(store, "b-1", &[4]).await;
        store.set_retention("a-1", count(1)).await.unwrap();
        let mut subscription =
            store.subscribe(Subscribe::to("type:Counted".parse().unwrap())).await.unwrap();
        let mut delivered = Vec::new();
        while let Delivery::Event(event, _) = subscription.next().await.unwrap() {
            delivered.push(event.id().as_u128());
        }
        assert_eq!(delivered, [3, 4]);
        put(store, "a-1", &[5]).await;
        match subscription.next().await.unwrap() {
            Delivery::Event(event, _) => assert_eq!(event.id().as_u128(), 5),
            other => panic!("{other:?}"),
        }
    }

    pub async fn system_events_are_exempt_from_retention(store: &impl EventStore) {
        store.define_index(crate::IndexDefinition::new("i", Query::category("a"))).await.unwrap();
        put(store, "a-1", &[1]).await;
        put(store, "leftfold.reactor-r", &[2]).await;
        store.set_retention_rule(rule("users", "*", nothing())).await.unwrap();
        assert_eq!(found(store, "stream:a-1,leftfold.reactor-r").await, [2]);
        store.set_retention_rule(rule("users", "system:true", nothing())).await.unwrap();
        assert!(found(store, "stream:leftfold.reactor-r").await.is_empty());
        let kinds: Vec<_> = all(store, "system:true")
            .await
            .iter()
            .map(|event| event.event_type().to_owned())
            .collect();
        assert_eq!(kinds, ["$IndexDefined", "$RetentionRuleDefined", "$RetentionRuleDefined"]);
    }
}

pub use promises::*;
