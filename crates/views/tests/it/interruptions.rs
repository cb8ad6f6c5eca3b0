//! Whatever interrupts a view, its tables are those of one that was never interrupted.

use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold::{Append, Embedded, NewEvent, Options};
use leftfold_views::{AskLimits, Definition, ViewStart, Views};
use proptest::prelude::*;

use crate::support::lines;

const VIEW: &str = "
-- @view items
-- @query category:item
create table items (id text primary key, total text, events integer);
-- @on Added
insert into items values (:stream_id, :data.price, 1)
    on conflict (id) do update set total = dec_add(total, excluded.total), events = events + 1;
-- @on Removed
delete from items where id = :stream_id;
";

/// What happens: an event for one of four items, or the run of the views is dropped after some polls.
#[derive(Debug, Clone)]
enum Step {
    Added(u8, u8),
    Removed(u8),
    Interrupted(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4u8, 0..100u8).prop_map(|(item, cents)| Step::Added(item, cents)),
        1 => (0..4u8).prop_map(Step::Removed),
        2 => (0..40u8).prop_map(Step::Interrupted),
    ];
    proptest::collection::vec(step, 1..40)
}

async fn append(store: &Embedded, item: u8, event: NewEvent) {
    use leftfold::EventStore;
    store.append(Append::new().event(format!("item-{item}"), event)).await.unwrap();
}

/// Polls a run of the views a number of times, and drops it.
async fn run_for(views: &Views<Embedded>, polls: u8) {
    let mut left = u32::from(polls) * 20;
    let over = std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        left = left.saturating_sub(1);
        match left {
            0 => std::task::Poll::Ready(()),
            _ => std::task::Poll::Pending,
        }
    });
    _ = views.run_until(over).await;
}

async fn answer(views: &Views<Embedded>, store: &Embedded) -> Vec<String> {
    let head = store.blocking().head();
    let ask = async {
        // The definitions may not have been read yet.
        while views.list().await.is_empty() {
            futures_util::future::ready(()).await;
            std::thread::yield_now();
            yield_once().await;
        }
        let at_least = Some((head, std::time::Duration::from_secs(60)));
        views.ask("select * from items order by id", at_least, AskLimits::default()).await
    };
    match select(Box::pin(views.run()), Box::pin(ask)).await {
        Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
        Either::Right((answer, _)) => lines(&answer.unwrap()),
    }
}

async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut polled, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_view_that_was_interrupted_equals_a_fresh_one(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
        let store = Arc::new(store);
        let definition = Definition::parse(VIEW).unwrap();
        let open = |name: &str| Views::open(store.clone(), dir.path().join(name)).unwrap();
        pollster::block_on(async {
            let added = open("followed");
            let adding = Box::pin(added.add(&definition, ViewStart::Beginning));
            match select(Box::pin(added.run()), adding).await {
                Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
                Either::Right((added, _)) => _ = added.unwrap(),
            }
            for step in &steps {
                match step {
                    Step::Added(item, cents) => {
                        let data = format!(r#"{{"price":0.{cents:02}}}"#);
                        append(&store, *item, NewEvent::json("Added", data)).await;
                    }
                    Step::Removed(item) => append(&store, *item, NewEvent::json("Removed", "{}")).await,
                    // As after a crash: nothing in memory is left.
                    Step::Interrupted(polls) => run_for(&open("followed"), *polls).await,
                }
            }
            let (followed, fresh) = (open("followed"), open("fresh"));
            prop_assert_eq!(answer(&followed, &store).await, answer(&fresh, &store).await);
            Ok(())
        })?;
    }
}
