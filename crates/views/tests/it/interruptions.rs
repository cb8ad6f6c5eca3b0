//! Whatever interrupts a view, its tables are those of one that was never interrupted.

use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold::{Append, Embedded, NewEvent, Options, Timestamp};
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

/// Which events come too late depends on all those before them.
const WINDOWS: &str = "
-- @view windows
-- @query category:item type:Added
-- @window 10 s every 5 s by :stream_id final after 5 s idle 20 s
create table added (id text, start text, events integer, primary key (id, start));
-- @on Added
insert into added select :window_key, value, 1 from json_each(:windows) where true
    on conflict do update set events = events + 1;
";

const QUESTIONS: [&str; 4] = [
    "select * from items order by id",
    "select * from added order by id, start",
    "select * from windows._late order by position, window",
    "select * from windows._clock order by key",
];

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

/// Returns a time that mostly goes on.
fn time(step: usize, cents: u8) -> Timestamp {
    let seconds = i64::try_from(step).unwrap() * 4 - i64::from(cents) / 2;
    Timestamp(1_700_000_000_000_000 + seconds * 1_000_000)
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

async fn answer(views: &Views<Embedded>, store: &Embedded) -> Vec<Vec<String>> {
    let head = store.blocking().head();
    let ask = async {
        // The definitions may not have been read yet.
        while views.list().await.len() < 2 {
            futures_util::future::ready(()).await;
            std::thread::yield_now();
            yield_once().await;
        }
        let mut all = Vec::new();
        for sql in QUESTIONS {
            let at_least = Some((head.clone(), std::time::Duration::from_secs(60)));
            all.push(lines(&views.ask(sql, at_least, AskLimits::default()).await.unwrap()));
        }
        all
    };
    match select(Box::pin(views.run()), Box::pin(ask)).await {
        Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
        Either::Right((answer, _)) => answer,
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
        let definitions = [VIEW, WINDOWS].map(|text| Definition::parse(text).unwrap());
        let open = |name: &str| Views::open(store.clone(), dir.path().join(name)).unwrap();
        pollster::block_on(async {
            let added = open("followed");
            let adding = Box::pin(async {
                for definition in &definitions {
                    added.add(definition, ViewStart::Beginning).await.unwrap();
                }
            });
            match select(Box::pin(added.run()), adding).await {
                Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
                Either::Right(((), _)) => {}
            }
            for (at, step) in steps.iter().enumerate() {
                match step {
                    Step::Added(item, cents) => {
                        let data = format!(r#"{{"price":0.{cents:02}}}"#);
                        let event = NewEvent::json("Added", data).event_time(time(at, *cents));
                        append(&store, *item, event).await;
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
