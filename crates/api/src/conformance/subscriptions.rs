//! Subscriptions: stored events, then new ones.

use super::helpers::{all, next, put, unreadable};
use crate::{
    Coded, Cursor, Delivery, EventStore, Point, Query, Read, Start, Subscribe, Subscription,
};

async fn after(store: &impl EventStore, query: &str, cursor: Cursor) -> impl Subscription {
    store.subscribe(Subscribe::after(query.parse().unwrap(), cursor)).await.unwrap()
}

/// Begins at what comes next; a resume at the first cursor delivers the same.
async fn begins_with_the_next(store: &impl EventStore, query: Query, from: Start) {
    let page =
        store.read(Read { from: from.clone(), ..Read::forward(query.clone()) }).await.unwrap();
    assert!(page.events.is_empty());
    let subscribe = Subscribe { from, ..Subscribe::to(query.clone()) };
    let mut subscription = store.subscribe(subscribe).await.unwrap();
    let Delivery::CaughtUp(cursor) = subscription.next().await.unwrap() else {
        panic!("nothing is there yet")
    };
    put(store, "a-1", &[4, 5]).await;
    assert_eq!(next(&mut subscription, 2).await, [Some(4), Some(5)]);
    for cursor in [cursor, page.cursor] {
        let mut resumed = store.subscribe(Subscribe::after(query.clone(), cursor)).await.unwrap();
        assert_eq!(next(&mut resumed, 2).await, [Some(4), Some(5)]);
    }
}

async fn refuses_start(store: &impl EventStore, query: &Query, from: Start) {
    let read = Read { from: from.clone(), ..Read::forward(query.clone()) };
    unreadable(store, read, "start_ahead").await;
    let subscribe = Subscribe { from, ..Subscribe::to(query.clone()) };
    assert_eq!(store.subscribe(subscribe).await.err().unwrap().code(), "start_ahead");
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn delivers_history_then_a_caught_up_mark_then_new_events(store: &impl EventStore) {
        put(store, "a-1", &[1, 2]).await;
        let mut subscription = store.subscribe(Subscribe::to(Query::All)).await.unwrap();
        put(store, "a-1", &[3]).await;
        let (mut events, mut caught_up) = (Vec::new(), 0);
        put(store, "a-1", &[4]).await;
        while events.len() < 4 || caught_up == 0 {
            match next(&mut subscription, 1).await[0] {
                Some(event) => events.push(event),
                None => caught_up += 1,
            }
        }
        assert_eq!(events, [1, 2, 3, 4]);
        put(store, "a-1", &[5]).await;
        assert_eq!(next(&mut subscription, 1).await, [Some(5)]);
    }

    pub async fn resumes_exactly_at_its_cursor(store: &impl EventStore) {
        put(store, "a-1", &[1, 2, 3, 4, 5]).await;
        let mut cursor = Cursor::START;
        for n in 1..=5 {
            let mut subscription = after(store, "*", cursor).await;
            assert_eq!(next(&mut subscription, 1).await, [Some(n)]);
            cursor = subscription.cursor().to_string().parse().unwrap();
        }
        assert_eq!(next(&mut after(store, "*", cursor).await, 1).await, [None]);
    }

    pub async fn a_filtered_subscription_moves_its_cursor_past_other_events(
        store: &impl EventStore,
    ) {
        put(store, "a-1", &[1]).await;
        put(store, "Integration-1", &[2, 3, 4]).await;
        let query = "not stream:Integration*";
        let mut subscription = after(store, query, Cursor::START).await;
        assert_eq!(next(&mut subscription, 2).await, [Some(1), None]);
        // Skipped events move the cursor too.
        assert_eq!(subscription.cursor(), store.head().await.unwrap());
        put(store, "a-2", &[5]).await;
        assert_eq!(next(&mut subscription, 1).await, [Some(5)]);
    }

    /// Cut and resumed at its cursor, a subscription delivers the same as one that is not cut. So it can
    /// begin at what comes next, and not farther ahead.
    pub async fn begins_at_the_next_version_and_refuses_later_ones(store: &impl EventStore) {
        put(store, "b-1", &[1]).await;
        put(store, "a-1", &[2, 3]).await;
        let stream = Query::stream("a-1");
        let next_one = Start::Including(Point::Version(2));
        for ahead in [Start::Including(Point::Version(3)), Start::Excluding(Point::Version(2))] {
            refuses_start(store, &stream, ahead).await;
        }
        refuses_start(store, &Query::stream("c-1"), Start::Including(Point::Version(1))).await;
        begins_with_the_next(store, stream, next_one).await;
    }

    pub async fn begins_at_the_next_position_and_refuses_later_ones(store: &impl EventStore) {
        put(store, "b-1", &[1]).await;
        put(store, "a-1", &[2, 3]).await;
        let head = store.head().await.unwrap().position().unwrap();
        for ahead in [
            Start::Including(Point::Position(head + 2)),
            Start::Excluding(Point::Position(head + 1)),
        ] {
            refuses_start(store, &Query::All, ahead).await;
        }
        let from = Start::Including(Point::Position(head + 1));
        begins_with_the_next(store, Query::All, from).await;
    }

    pub async fn refuses_a_start_in_the_future(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        let last = all(store, "stream:a-1").await.last().map(|event| event.commit_time());
        let future = Point::CommitTime("9999-01-01".parse().unwrap());
        for from in [Start::Including(future.clone()), Start::Excluding(future.clone())] {
            refuses_start(store, &Query::All, from).await;
        }
        let read = Read::backward(Query::All).including(future);
        assert_eq!(store.read(read).await.unwrap().events.len(), 1);
        let from = Start::Excluding(Point::CommitTime(last.unwrap()));
        assert!(store.subscribe(Subscribe { from, ..Subscribe::to(Query::All) }).await.is_ok());
    }

    pub async fn waits_for_new_events(store: &impl EventStore) {
        let mut subscription = store.subscribe(Subscribe::to(Query::category("a"))).await.unwrap();
        assert_eq!(next(&mut subscription, 1).await, [None]);
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| pollster::block_on(next(&mut subscription, 2)));
            pollster::block_on(async {
                put(store, "b-1", &[1]).await;
                put(store, "a-1", &[2]).await;
                put(store, "a-1", &[3]).await;
            });
            assert_eq!(waiting.join().unwrap(), [Some(2), Some(3)]);
        });
    }
}

pub use promises::*;
