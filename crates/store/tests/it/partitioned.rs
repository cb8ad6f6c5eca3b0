//! Runs the conformance suite against a store of many partitions, each an embedded store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leftfold_partitioned::Partitioned;
use leftfold_store::Options;

fn fresh(partitions: usize, segment_bytes: u64) -> Box<Partitioned> {
    let mut options = Options::default();
    options.log.segment_bytes = segment_bytes;
    options.log.preallocate = 4096;
    Box::new(leftfold_partitioned::create(partitions, 7, &options).unwrap())
}

mod with_two_partitions {
    leftfold_api::conformance_suite!(|| super::fresh(2, 64 << 20), partitioned);
}

/// Most events are in sealed segments.
mod with_eight_partitions_of_small_segments {
    leftfold_api::conformance_suite!(|| super::fresh(8, 300), partitioned);
}

/// With one partition the store keeps every promise of a store of one log.
mod with_one_partition {
    leftfold_api::conformance_suite!(|| super::fresh(1, 64 << 20));
}

#[test]
fn a_merged_subscription_skips_events_that_do_not_match() {
    use leftfold_api::{Append, EventStore, NewEvent, Query, Subscribe, Subscription};

    let store = fresh(4, 64 << 20);
    pollster::block_on(async {
        let mut subscription = store.subscribe(Subscribe::to(Query::category("a"))).await.unwrap();
        subscription.next().await.unwrap();
        for n in 0..8 {
            let append = Append::new().event(format!("b-{n}"), NewEvent::new("Counted", ""));
            store.append(append).await.unwrap();
        }
        subscription.advance().await.unwrap();
        assert_eq!(subscription.cursor(), store.head().await.unwrap());
    });
}
