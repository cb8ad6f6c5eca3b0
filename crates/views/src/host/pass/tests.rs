use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use leftfold::{Append, Embedded, NewEvent, Options};
use leftfold_fold::time::SystemTime;
use pollster::block_on;
use proptest::prelude::*;

use super::*;

/// Small, so that small histories reach them.
const LIMITS: PassLimits = PassLimits {
    block: 4,
    waiting: 8,
    waiting_bytes: 1 << 20,
    near: 50,
    patience: Duration::from_millis(5),
};
const QUERIES: [&str; 6] =
    ["category:a", "category:b", "type:Put", "*", "system:true", "category:a not type:Put"];

struct World {
    _dir: tempfile::TempDir,
    store: Arc<Embedded>,
    passes: Passes<Embedded>,
}

impl World {
    fn new(limits: PassLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(dir.path(), Options::default()).unwrap());
        let passes = Passes::with_limits(store.clone(), Arc::new(SystemTime), limits);
        World { _dir: dir, store, passes }
    }

    /// Appends events whose streams and types take turns.
    fn append(&self, count: usize) {
        let append = (0..count).fold(Append::new(), |append, n| {
            let stream = ["a-1", "b-1", "c-1"][n % 3];
            append.event(stream, NewEvent::new(["Put", "Cut"][n / 3 % 2], ""))
        });
        self.store.blocking().append(append).unwrap();
    }

    fn join(&self, query: &str, cursor: Cursor) -> Passenger<Embedded> {
        let subscribe = Subscribe::after(query.parse().unwrap(), cursor);
        block_on(self.passes.follow(subscribe)).unwrap()
    }

    /// Returns what a subscription that shares nothing delivers.
    fn alone(&self, query: &str) -> Vec<Seen> {
        let subscribe = Subscribe::to(query.parse().unwrap());
        let subscription = block_on(EventStore::subscribe(&*self.store, subscribe)).unwrap();
        block_on(rest(subscription))
    }
}

/// The position of an event, and the cursor behind it.
type Seen = (u64, Cursor);

/// Returns what a subscription delivers until it has caught up.
async fn rest(mut subscription: impl Subscription) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        match subscription.next().await.unwrap() {
            Delivery::Event(event, at) => seen.push((event.position(), at)),
            Delivery::CaughtUp(_) => return seen,
        }
    }
}

/// Polls for the next delivery once, and drops the future.
fn poll(subscription: &mut impl Subscription) -> Poll<Delivery> {
    let mut context = Context::from_waker(Waker::noop());
    Box::pin(subscription.next()).poll_unpin(&mut context).map(Result::unwrap)
}

/// Returns how many events were read for a member of a pass.
fn waiting(passenger: &Passenger<Embedded>) -> usize {
    let At::Shared(member) = &passenger.at else { panic!("it is in no pass") };
    member.waiting()
}

/// What happens to one of the views, or to the store.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    /// It takes so many deliveries, and joins first if it is in no pass.
    Take(usize, usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (1..40usize).prop_map(Step::Append),
        4 => (0..6usize, 0..30usize).prop_map(|(view, count)| Step::Take(view, count)),
        1 => (0..6usize).prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_view_gets_what_it_would_get_alone(
        steps in steps(),
        queries in proptest::collection::vec(proptest::sample::select(&QUERIES[..]), 6),
    ) {
        let world = World::new(LIMITS);
        world.append(100);
        let mut seen = vec![Vec::<Seen>::new(); queries.len()];
        let mut joined = BTreeMap::new();
        let resume = |seen: &[Seen]| seen.last().map_or(Cursor::START, |(_, at)| at.clone());
        for step in steps {
            match step {
                Step::Append(count) => world.append(count),
                Step::Leave(view) => _ = joined.remove(&view),
                Step::Take(view, count) => {
                    let join = || world.join(queries[view], resume(&seen[view]));
                    let subscription = joined.entry(view).or_insert_with(join);
                    let taken = (0..count).map(|_| poll(subscription));
                    let mut has_caught_up = false;
                    for delivery in taken.filter_map(|delivery| match delivery {
                        Poll::Ready(delivery) => Some(delivery),
                        Poll::Pending => None,
                    }) {
                        match delivery {
                            Delivery::Event(event, at) => seen[view].push((event.position(), at)),
                            Delivery::CaughtUp(_) => has_caught_up = true,
                        }
                    }
                    if has_caught_up {
                        // The mark comes once; whoever waits for it at the end joins again.
                        joined.remove(&view);
                    }
                }
            }
        }
        // All come to the end together: those that are in a pass, and those that join again. A mark that somebody
        // who reads alone gets may be of before the last append.
        joined.retain(|_, subscription| matches!(subscription.at, At::Shared(_)));
        let last = queries.iter().enumerate().map(|(view, query)| {
            rest(joined.remove(&view).unwrap_or_else(|| world.join(query, resume(&seen[view]))))
        });
        let last = block_on(join_all(last.collect::<Vec<_>>()));
        for ((query, mut seen), last) in queries.iter().zip(seen).zip(last) {
            seen.extend(last);
            prop_assert_eq!(seen, world.alone(query), "{}", query);
        }
    }
}

#[test]
fn a_member_that_stands_still_is_left_behind_with_a_bounded_number_of_events() {
    let world = World::new(LIMITS);
    world.append(300);
    let mut slow = world.join("*", Cursor::START);
    let Ok(Delivery::Event(first, at)) = block_on(slow.next()) else { panic!("an event") };
    let other = world.join("type:Put", Cursor::START);
    assert_eq!(block_on(rest(other)), world.alone("type:Put"));
    let waiting = waiting(&slow);
    assert!((1..LIMITS.waiting + LIMITS.block).contains(&waiting), "{waiting}");
    let mut seen = vec![(first.position(), at)];
    seen.extend(block_on(rest(slow)));
    assert_eq!(seen, world.alone("*"));
}

#[test]
fn a_member_that_goes_away_is_not_waited_for_and_not_read_for() {
    let world = World::new(PassLimits { patience: Duration::from_secs(3_600), ..LIMITS });
    world.append(100);
    let slow = world.join("*", Cursor::START);
    let mut other = world.join("type:Put", Cursor::START);
    // The other one takes all that may be read; whether a poll is ready depends on the store's threads.
    while waiting(&slow) < LIMITS.waiting || waiting(&other) > 0 || other.ready().is_some() {
        _ = poll(&mut other);
    }
    let mut next = Box::pin(other.next());
    let mut context = Context::from_waker(Waker::noop());
    assert!(next.poll_unpin(&mut context).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(move || drop(slow));
        let next = block_on(next).unwrap();
        assert!(matches!(next, Delivery::Event(..)));
    });
    let At::Shared(member) = &other.at else { panic!("it is in no pass") };
    assert_eq!(member.queries(), ["type:Put".parse().unwrap()]);
}

#[test]
fn members_share_a_pass_from_nearly_the_same_place_and_begin_others_elsewhere() {
    let world = World::new(LIMITS);
    world.append(200);
    let at = |position: usize| world.alone("*")[position - 1].1.clone();
    let open = || world.passes.open.lock().iter().filter(|pass| pass.strong_count() > 0).count();
    let members = [
        world.join("*", at(10)),
        world.join("category:b", at(60)),
        world.join("type:Put", Cursor::START),
        world.join("*", at(199)),
        world.join("category:a", at(150)),
    ];
    assert_eq!(open(), 2);
    drop(members);
    assert_eq!(open(), 0);
    for (query, cursor) in [("*", at(200)), ("index:none", Cursor::START)] {
        let subscribe = Subscribe::after(query.parse().unwrap(), cursor);
        _ = block_on(world.passes.follow(subscribe));
        assert_eq!(open(), 0, "{query}");
    }
}

/// A query hides bookkeeping, also where it shares a pass with one that shows it.
#[test]
fn what_a_query_hides_stays_hidden_in_a_pass() {
    let world = World::new(PassLimits::default());
    world.append(5);
    let of_view = Append::new().event("leftfold.view-a", NewEvent::new("Put", ""));
    world.store.blocking().append(of_view).unwrap();
    world.append(5);
    let queries = ["*", "system:true", "type:Put"];
    let members = queries.map(|query| world.join(query, Cursor::START));
    let seen = block_on(join_all(members.map(rest)));
    for (query, seen) in queries.into_iter().zip(seen) {
        assert_eq!(seen, world.alone(query), "{query}");
    }
}

#[test]
fn a_cursor_that_the_store_does_not_know_is_refused_at_once() {
    let (world, other) = (World::new(LIMITS), World::new(LIMITS));
    world.append(10);
    other.append(10);
    _ = world.join("*", Cursor::START);
    let foreign = other.alone("*")[4].1.clone();
    let ahead = Cursor::at(world.alone("*")[4].1.origin(), 50);
    for (cursor, code) in [(foreign, "cursor_foreign"), (ahead, "cursor_ahead")] {
        let follow = world.passes.follow(Subscribe::after(Query::All, cursor));
        let Err(ReadError::Invalid(refused)) = block_on(follow) else { panic!("{code}") };
        assert_eq!(refused.code, code);
    }
}
