//! Reads: their events, start and order.

use super::helpers::{all, done, event, found, numbers, page, put};
use crate::{
    Append, EventStore, JSON, NewEvent, Point, Query, Read, StreamInfo, Streams, Timestamp,
};

/// Appends ten events to three streams of two categories.
async fn ten(store: &impl EventStore) {
    for n in 1..=10u128 {
        let stream = ["a-1", "a-2", "b-1"][n as usize % 3];
        let event = event(n).tag("half", if n > 5 { "upper" } else { "lower" });
        done(store, Append::new().event(stream, event)).await;
    }
}

async fn from(store: &impl EventStore, read: Read) -> Vec<u128> {
    numbers(&page(store, read).await.events)
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn returns_every_field_of_an_event(store: &impl EventStore) {
        let said = NewEvent::json("Said", r#"{"n":1}"#)
            .event_time(Timestamp(-5))
            .tag("k", "v=w")
            .tag("leer", "")
            .tag("k", "zweiter \u{e4}")
            .correlation("order 7")
            .causation("c")
            .metadata("m");
        let said = NewEvent { schema_version: 3, ..said.id(uuid::Uuid::from_u128(9)) };
        let appended = done(store, Append::new().event("a-1", said)).await;
        let event = all(store, "*").await.remove(0);
        let position = event.position();
        assert_eq!(appended.positions, Some((position, position)));
        assert_eq!((event.stream(), event.version()), ("a-1", 0));
        assert_eq!((event.id().as_u128(), event.event_type()), (9, "Said"));
        assert_eq!(
            event.tags().collect::<Vec<_>>(),
            [("k", "v=w"), ("leer", ""), ("k", "zweiter \u{e4}")]
        );
        assert_eq!((event.correlation(), event.causation()), (Some("order 7"), Some("c")));
        assert_eq!((event.content_type(), event.schema_version()), (JSON, 3));
        assert_eq!((&event.data()[..], &event.metadata()[..]), (&br#"{"n":1}"#[..], &b"m"[..]));
        assert_eq!((event.event_time(), event.event_time_given()), (Timestamp(-5), true));
        assert!(event.commit_time() > Timestamp(0));

        let plain = NewEvent { content_type: "text/x".into(), ..NewEvent::new("Said", "") };
        done(store, Append::new().event("a-1", plain)).await;
        let event = all(store, "*").await.remove(1);
        assert_eq!((event.correlation(), event.tags().count()), (None, 0));
        assert_eq!((event.content_type(), event.data().len()), ("text/x", 0));
        assert_eq!((event.event_time(), event.event_time_given()), (event.commit_time(), false));
    }

    pub async fn reads_a_stream_a_category_a_type_a_tag_and_a_correlation(store: &impl EventStore) {
        ten(store).await;
        let other = NewEvent { event_type: "Other".into(), ..event(11) };
        done(store, Append::new().event("c", other.correlation("x"))).await;
        assert_eq!(found(store, "stream:a-2").await, [1, 4, 7, 10]);
        assert_eq!(found(store, "category:a").await, [1, 3, 4, 6, 7, 9, 10]);
        assert_eq!(found(store, "category:c").await, [11]);
        assert_eq!(found(store, "type:Other").await, [11]);
        assert_eq!(found(store, "tag:half=lower").await, [1, 2, 3, 4, 5]);
        assert_eq!(found(store, "correlation:x").await, [11]);
        assert_eq!(found(store, "stream:absent").await, [] as [u128; 0]);
        assert_eq!(found(store, "*").await, (1..=11).collect::<Vec<_>>());
    }

    pub async fn reads_in_pages_without_gap_or_repetition(store: &impl EventStore) {
        ten(store).await;
        for query in ["*", "category:a", "stream:a-*", "not tag:half=lower"] {
            let query: Query = query.parse().unwrap();
            let whole = from(store, Read::forward(query.clone())).await;
            for limit in 1..=4 {
                let (mut pieced, mut read) =
                    (Vec::new(), Read::forward(query.clone()).limit(limit));
                loop {
                    let page = page(store, read).await;
                    assert!(page.events.len() <= limit);
                    pieced.extend(numbers(&page.events));
                    if !page.more {
                        break;
                    }
                    read = Read::forward(query.clone()).limit(limit).after(page.cursor);
                }
                assert_eq!(pieced, whole);
            }
        }
    }

    pub async fn reads_backward(store: &impl EventStore) {
        ten(store).await;
        assert_eq!(from(store, Read::backward(Query::All).limit(3)).await, [10, 9, 8]);
        let query = Query::stream("a-2");
        let first = page(store, Read::backward(query.clone()).limit(3)).await;
        assert_eq!(numbers(&first.events), [10, 7, 4]);
        assert!(first.more);
        let rest = page(store, Read::backward(query.clone()).limit(3).after(first.cursor)).await;
        assert_eq!((numbers(&rest.events), rest.more), (vec![1], false));
        let nothing = page(store, Read::backward(query).after(rest.cursor)).await;
        assert_eq!((nothing.events.len(), nothing.more), (0, false));
        assert_eq!(from(store, Read::backward("stream:b* ".parse().unwrap())).await, [8, 5, 2]);
    }

    pub async fn begins_including_or_excluding_a_position(store: &impl EventStore) {
        ten(store).await;
        let (forward, backward) = (Read::forward(Query::All), Read::backward(Query::All));
        let positions: Vec<_> =
            all(store, "*").await.iter().map(|event| event.position()).collect();
        let at = Point::Position(positions[3]);
        assert_eq!(from(store, forward.clone().including(at.clone())).await[0], 4);
        assert_eq!(from(store, forward.clone().excluding(at.clone())).await[0], 5);
        assert_eq!(from(store, backward.clone().including(at.clone())).await[0], 4);
        assert_eq!(from(store, backward.clone().excluding(at)).await[0], 3);
        for far in [positions[9] + 1, positions[9] + 2, u64::MAX] {
            let far = Point::Position(far);
            assert_eq!(from(store, backward.clone().including(far.clone())).await[0], 10);
            assert_eq!(from(store, backward.clone().excluding(far)).await[0], 10);
        }
        let zero = Point::Position(0);
        assert_eq!(from(store, forward.including(zero.clone())).await.len(), 10);
        assert!(from(store, backward.including(zero)).await.is_empty());
    }

    pub async fn begins_including_or_excluding_a_version(store: &impl EventStore) {
        ten(store).await;
        let query = Query::stream("a-2");
        let (forward, backward) = (Read::forward(query.clone()), Read::backward(query));
        for at in [Point::Version(1), Point::Ordinal(1)] {
            assert_eq!(from(store, forward.clone().including(at.clone())).await, [4, 7, 10]);
            assert_eq!(from(store, forward.clone().excluding(at.clone())).await, [7, 10]);
            assert_eq!(from(store, backward.clone().including(at.clone())).await, [4, 1]);
            assert_eq!(from(store, backward.clone().excluding(at)).await, [1]);
        }
        let beyond = Point::Version(4);
        assert!(from(store, forward.including(beyond.clone())).await.is_empty());
        assert_eq!(from(store, backward.including(beyond)).await, [10, 7, 4, 1]);
    }

    pub async fn begins_including_or_excluding_a_cursor(store: &impl EventStore) {
        ten(store).await;
        let at = page(store, Read::forward(Query::All).limit(4)).await.cursor;
        let (forward, backward) = (Read::forward(Query::All), Read::backward(Query::All));
        assert_eq!(from(store, forward.clone().after(at.clone())).await[0], 5);
        assert_eq!(from(store, forward.clone().including(Point::Cursor(at.clone()))).await[0], 4);
        assert_eq!(from(store, backward.clone().including(Point::Cursor(at.clone()))).await[0], 4);
        assert_eq!(from(store, backward.after(at)).await[0], 3);
        assert_eq!(from(store, forward.after(crate::Cursor::START)).await.len(), 10);
    }

    pub async fn begins_including_or_excluding_a_commit_time(store: &impl EventStore) {
        ten(store).await;
        let events = all(store, "*").await;
        for event in &events {
            let time = event.commit_time();
            let split = |later: fn(&Timestamp, &Timestamp) -> bool| {
                let later = |event: &&crate::Recorded| later(&event.commit_time(), &time);
                let (mut yes, mut no) = (Vec::new(), Vec::new());
                for event in &events {
                    if later(&event) { &mut yes } else { &mut no }.push(event.id().as_u128());
                }
                no.reverse();
                (yes, no)
            };
            let (at_or_after, before) = split(Timestamp::ge);
            let (after, at_or_before) = split(Timestamp::gt);
            let at = Point::CommitTime(time);
            let (forward, backward) = (Read::forward(Query::All), Read::backward(Query::All));
            assert_eq!(from(store, forward.clone().including(at.clone())).await, at_or_after);
            assert_eq!(from(store, forward.excluding(at.clone())).await, after);
            assert_eq!(from(store, backward.clone().including(at.clone())).await, at_or_before);
            assert_eq!(from(store, backward.excluding(at)).await, before);
        }
    }

    pub async fn finds_by_event_time(store: &impl EventStore) {
        for (n, day) in [(1, "2026-03-03"), (2, "2026-03-01"), (3, "2026-03-02"), (4, "2026-03-02")]
        {
            let event = event(n).event_time(day.parse().unwrap());
            done(store, Append::new().event("a-1", event)).await;
        }
        assert_eq!(found(store, "time:2026-03-02..2026-03-03").await, [3, 4]);
        assert_eq!(found(store, "stream:a-1 time:2026-03-02..").await, [1, 3, 4]);
        assert_eq!(found(store, "time:..2026-03-02").await, [2]);
        assert_eq!(found(store, "not time:2026-03-02..2026-03-03").await, [1, 2]);
    }

    pub async fn combines_with_and_or_not(store: &impl EventStore) {
        ten(store).await;
        for (query, expected) in [
            ("category:a tag:half=upper", vec![6, 7, 9, 10]),
            ("stream:b-1 or tag:half=lower stream:a-1", vec![2, 3, 5, 8]),
            ("category:a not stream:a-2", vec![3, 6, 9]),
            ("not category:a", vec![2, 5, 8]),
            ("stream:a-1,b-1 tag:half=upper", vec![6, 8, 9]),
            ("(stream:a-1 or stream:b-1) not tag:half=u*", vec![2, 3, 5]),
            ("tag:half=l* category:b", vec![2, 5]),
            ("stream:b* or category:b", vec![2, 5, 8]),
            ("category:a category:b", vec![]),
        ] {
            assert_eq!(found(store, query).await, expected, "{query}");
            let mut backward = from(store, Read::backward(query.parse().unwrap())).await;
            backward.reverse();
            assert_eq!(backward, expected, "{query}, backward");
        }
    }

    pub async fn reads_its_own_writes(store: &impl EventStore) {
        for n in 1..=20 {
            let cursor = put(store, "a-1", &[n]).await.cursor;
            let read = Read::backward(Query::stream("a-1")).limit(1).at_least(cursor);
            assert_eq!(from(store, read).await, [n]);
        }
    }

    pub async fn an_empty_page_has_the_cursor_of_its_end(store: &impl EventStore) {
        ten(store).await;
        let nothing = page(store, Read::forward(Query::stream("c"))).await;
        assert_eq!((nothing.events.len(), nothing.more), (0, false));
        put(store, "c", &[11]).await;
        let next = Read::forward(Query::All).after(nothing.cursor);
        assert_eq!(from(store, next).await, [11]);
    }

    pub async fn lists_streams_by_category_in_pages(store: &impl EventStore) {
        ten(store).await;
        let names = async |category: Option<&str>, limit| {
            let (mut names, mut after) = (Vec::new(), None);
            loop {
                let category = category.map(str::to_owned);
                let page = store
                    .streams(Streams { category, after, limit, ..Streams::default() })
                    .await
                    .unwrap();
                names.extend(page.streams.into_iter().map(|stream| stream.name));
                after = Some(page.cursor);
                if !page.more {
                    return names;
                }
            }
        };
        assert_eq!(names(None, 0).await, ["a-2", "b-1", "a-1"]);
        assert_eq!(names(None, 1).await, ["a-2", "b-1", "a-1"]);
        assert_eq!(names(Some("a"), 1).await, ["a-2", "a-1"]);
        assert!(names(Some("x"), 0).await.is_empty());
    }

    pub async fn describes_a_stream(store: &impl EventStore) {
        ten(store).await;
        let info = store.stream("a-2").await.unwrap().unwrap();
        let events = all(store, "stream:a-2").await;
        let expected = StreamInfo {
            name: "a-2".into(),
            version: 3,
            first_position: events[0].position(),
            last_position: events[3].position(),
            retention: crate::Retention::default(),
            tombstoned: false,
        };
        assert_eq!(info, expected);
        assert_eq!(store.stream("absent").await.unwrap(), None);
    }
}

pub use promises::*;
