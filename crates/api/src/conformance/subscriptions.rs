//! Subscriptions: stored events, then new ones.

use super::helpers::{next, put};
use crate::{Cursor, EventStore, From, Point, Query, Subscribe, Subscription};

async fn after(store: &impl EventStore, query: &str, cursor: Cursor) -> impl Subscription {
    store.subscribe(Subscribe::after(query.parse().unwrap(), cursor)).await.unwrap()
}

/// Subscribes at a point behind the third event, before there are three.
async fn begins_at_a_point_to_come(store: &impl EventStore, query: Query, from: From) {
    put(store, "a-1", &[1, 2]).await;
    let subscribe = Subscribe { from, ..Subscribe::to(query) };
    let mut subscription = store.subscribe(subscribe).await.unwrap();
    assert_eq!(next(&mut subscription, 1).await, [None]);
    for n in 3..=5 {
        put(store, "a-1", &[n]).await;
    }
    assert_eq!(next(&mut subscription, 2).await, [Some(4), Some(5)]);
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

    pub async fn begins_at_a_version_that_does_not_exist_yet(store: &impl EventStore) {
        let from = From::Including(Point::Version(3));
        begins_at_a_point_to_come(store, Query::stream("a-1"), from).await;
    }

    pub async fn begins_at_a_position_that_does_not_exist_yet(store: &impl EventStore) {
        begins_at_a_point_to_come(store, Query::All, From::Excluding(Point::Position(3))).await;
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
