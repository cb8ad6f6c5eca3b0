//! Command streams: each command is handled once, refusals included; stashed commands keep their
//! order and expire.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use event_listener::Event as Signal;
use leftfold::commands::Handle;
use leftfold::time::{FakeTime, Time};
use leftfold::{
    Coded, Command, CommandContext, Commands, Decider, Embedded, Entities, Event, Execute, Outcome,
    Query, Read, Recordable, Recorded, State, StreamState, Timestamp, Wait,
};
use pollster::block_on;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::{Account, Bank, Deposit, Refused, Withdraw, deposit, put, store, withdraw};

#[derive(Debug, Clone, PartialEq, Event)]
enum Shop {
    Created,
    Added { item: String },
    Closed,
}

#[derive(Debug, Default)]
struct Cart {
    created: bool,
    closed: bool,
    items: Vec<String>,
}

impl State for Cart {
    type Event = Shop;
    fn apply(&mut self, event: &Shop) {
        match event {
            Shop::Created => self.created = true,
            Shop::Added { item } => self.items.push(item.clone()),
            Shop::Closed => self.closed = true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("the cart is closed")]
struct Closed;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Do {
    Create,
    Add(String),
    Close,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct AtCart {
    cart: String,
    what: Do,
}

impl Command for AtCart {
    type Event = Shop;
    type Error = Closed;
    type Reads = StreamState<Cart>;

    fn reads(&self) -> StreamState<Cart> {
        StreamState::of(&self.cart)
    }

    fn waits(&self, cart: &Cart) -> Option<Wait> {
        let creates = matches!(self.what, Do::Create);
        (!cart.created && !creates).then(|| Wait::at_most(Duration::from_secs(60)))
    }

    fn decide(&self, cart: &Cart) -> Result<Vec<Shop>, Closed> {
        match &self.what {
            _ if cart.closed => Err(Closed),
            Do::Create if cart.created => Ok(vec![]),
            Do::Create => Ok(vec![Shop::Created]),
            Do::Add(item) => Ok(vec![Shop::Added { item: item.clone() }]),
            Do::Close => Ok(vec![Shop::Closed]),
        }
    }
}

impl Recordable for AtCart {}
impl Recordable for Deposit {}
impl Recordable for Withdraw {}

fn at(cart: &str, what: Do) -> AtCart {
    AtCart { cart: cart.into(), what }
}

fn add(cart: &str, item: impl Into<String>) -> AtCart {
    at(cart, Do::Add(item.into()))
}

fn id(nth: u128) -> CommandContext {
    CommandContext::with_id(Uuid::from_u128(nth))
}

type Shared = Arc<Embedded>;

/// Returns a clock that shows the time of the store's clock.
fn time() -> FakeTime {
    FakeTime::at(Timestamp(1_000_000))
}

/// Runs a runner while `other` runs.
fn while_running<C: Recordable, R: Send>(
    commands: &Commands<C, Shared>,
    handler: impl Handle<C>,
    time: &FakeTime,
    other: impl FnOnce() -> R,
) -> R {
    let stop = Signal::new();
    let stopped = stop.listen();
    thread::scope(|scope| {
        let time: Arc<dyn Time> = Arc::new(time.clone());
        let runner = scope.spawn(move || {
            block_on(commands.run_until(handler, time, stopped)).unwrap();
        });
        let answer = other();
        stop.notify(usize::MAX);
        runner.join().unwrap();
        answer
    })
}

fn all(store: &Embedded, query: Query) -> Vec<Recorded> {
    store.blocking().read(Read::forward(query)).unwrap().events
}

fn types(store: &Embedded, query: Query) -> Vec<String> {
    all(store, query).iter().map(|event| event.event_type().to_owned()).collect()
}

fn items(store: &Shared, cart: &str) -> Vec<String> {
    block_on(Decider::new(store).load(&StreamState::<Cart>::of(cart))).unwrap().items
}

/// Waits until a query has yielded `count` events.
fn until(store: &Embedded, query: Query, count: usize) {
    let mut subscription = store.blocking().subscribe(leftfold::Subscribe::to(query)).unwrap();
    for _ in 0..count {
        while let leftfold::Delivery::CaughtUp(_) = subscription.next_blocking().unwrap() {}
    }
}

#[test]
fn a_command_is_accepted_at_once_and_handled_later() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    let accepted = block_on(deposits.accept(id(1), &deposit("account-1", 5))).unwrap();
    assert!(!accepted.repeated);
    assert_eq!(block_on(deposits.outcome_now(accepted.id)).unwrap(), None);
    let outcome = while_running(&deposits, Decider::new(store.clone()), &time(), || {
        block_on(deposits.outcome(accepted.id)).unwrap()
    });
    let Outcome::Done(events) = outcome else { panic!("{outcome:?}") };
    assert_eq!((events[0].version, &events[0].event), (0, &Bank::Deposited { cents: 5 }));
    assert_eq!(block_on(deposits.outcome_now(accepted.id)).unwrap(), Some(Outcome::Done(events)));
    assert_eq!(types(&store, deposits.outcomes()), ["CommandDone"]);
    let again = block_on(deposits.accept(id(1), &deposit("account-1", 5))).unwrap();
    assert!(again.repeated);
}

#[test]
fn a_refusal_is_an_outcome_and_never_changes() {
    let store = store();
    let withdrawals = Commands::<Withdraw, _>::new("withdrawals", store.clone()).unwrap();
    let entities = || Entities::<Account, _>::new(Decider::new(store.clone()));
    let refused = Outcome::Refused(Refused::Insufficient { cents: 0 });
    let first = while_running(&withdrawals, entities(), &time(), || {
        block_on(withdrawals.execute(id(1), &withdraw("account-1", 5))).unwrap()
    });
    assert_eq!(first, refused);
    // A new command would succeed now, but this one was already refused.
    block_on(store.execute(deposit("account-1", 5))).unwrap();
    let (again, other) = while_running(&withdrawals, entities(), &time(), || {
        let command = withdraw("account-1", 5);
        let again = block_on(withdrawals.execute(id(1), &command)).unwrap();
        (again, block_on(withdrawals.execute(id(2), &command)).unwrap())
    });
    assert_eq!(again, refused);
    assert!(matches!(other, Outcome::Done(_)), "{other:?}");
    assert_eq!(types(&store, withdrawals.outcomes()), ["CommandRefused", "CommandDone"]);
}

#[test]
fn an_unreadable_command_or_event_fails_and_blocks_no_other() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    put(&store, "deposits.sent-account-1", "CommandAccepted", r#"{"amount":"many"}"#);
    put(&store, "account-2", "Deposited", r#"{"cents":"many"}"#);
    let outcome = while_running(&deposits, Decider::new(store.clone()), &time(), || {
        let broken = block_on(deposits.execute(id(1), &deposit("account-2", 5))).unwrap();
        let fine = block_on(deposits.execute(id(2), &deposit("account-1", 5))).unwrap();
        (broken, fine)
    });
    let (Outcome::Failed { code, .. }, Outcome::Done(_)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(code, "event_undecodable");
    let unread = all(&store, Query::stream("deposits.sent-account-1"))[0].id();
    let outcome = block_on(deposits.outcome(unread)).unwrap();
    assert!(matches!(outcome, Outcome::Failed { code, .. } if code == "command_undecodable"));
    let mut outcomes = types(&store, deposits.outcomes());
    outcomes.sort();
    assert_eq!(outcomes, ["CommandDone", "CommandFailed", "CommandFailed"]);
}

#[test]
fn execute_answers_waits_because_it_can_not_stash() {
    let answer = block_on(store().execute(add("cart-1", "tea"))).unwrap_err();
    assert_eq!((answer.code(), answer.can_retry()), ("command_waits", true));
}

/// A command that is always refused, with an error that JSON cannot represent if `pairs` is set.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Never {
    pairs: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum No {
    Plainly,
    InPairs(std::collections::BTreeMap<(u8, u8), u8>),
}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl std::error::Error for No {}

impl Command for Never {
    type Event = Bank;
    type Error = No;
    type Reads = ();
    fn reads(&self) {}
    fn decide(&self, (): &()) -> Result<Vec<leftfold::Emit<Bank>>, No> {
        Err(if self.pairs { No::InPairs([((1, 2), 3)].into()) } else { No::Plainly })
    }
}

impl Recordable for Never {}

#[test]
fn a_refusal_that_can_not_be_encoded_or_decoded_fails_with_a_code() {
    let store = store();
    let nevers = Commands::<Never, _>::new("nevers", store.clone()).unwrap();
    let code = |outcome| match outcome {
        Outcome::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    };
    while_running(&nevers, Decider::new(store.clone()), &time(), || {
        let unwritten = block_on(nevers.execute(id(1), &Never { pairs: true })).unwrap();
        assert_eq!(code(unwritten), "refusal_unencodable");
        let plain = block_on(nevers.execute(id(2), &Never { pairs: false })).unwrap();
        assert!(matches!(plain, Outcome::Refused(No::Plainly)), "{plain:?}");
    });
    // A program whose refusals are of another type.
    let others = Commands::<AtCart, _>::new("nevers", store.clone()).unwrap();
    let unread = block_on(others.outcome_now(Uuid::from_u128(2))).unwrap().unwrap();
    let Outcome::Failed { code, .. } = unread else { panic!("{unread:?}") };
    assert_eq!(code, "refusal_undecodable");
}

#[test]
fn stashed_commands_are_handled_in_order_after_a_restart() {
    let store = store();
    let carts = Commands::<AtCart, _>::new("carts", store.clone()).unwrap();
    for nth in 0..5 {
        block_on(carts.accept(id(nth), &add("cart-1", nth.to_string()))).unwrap();
    }
    let entities = || Entities::<Cart, _>::new(Decider::new(store.clone()));
    // Stash the commands, then end the process.
    while_running(&carts, entities(), &time(), || {
        until(&store, Query::event_type("CommandStashed"), 5);
    });
    assert_eq!(items(&store, "cart-1"), [""; 0]);
    while_running(&carts, entities(), &time(), || {
        block_on(carts.execute(id(10), &at("cart-1", Do::Create))).unwrap();
        block_on(carts.execute(id(11), &add("cart-1", "5"))).unwrap();
    });
    assert_eq!(items(&store, "cart-1"), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(types(&store, Query::event_type("CommandUnstashed")).len(), 5);
}

#[test]
fn an_event_of_another_process_wakes_a_stashed_command() {
    let store = store();
    let carts = Commands::<AtCart, _>::new("carts", store.clone()).unwrap();
    while_running(&carts, Decider::new(store.clone()), &time(), || {
        let accepted = block_on(carts.accept(id(1), &add("cart-1", "tea"))).unwrap();
        until(&store, Query::event_type("CommandStashed"), 1);
        put(&store, "cart-1", "Created", "{}");
        let outcome = block_on(carts.outcome(accepted.id)).unwrap();
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    });
    assert_eq!(items(&store, "cart-1"), ["tea"]);
}

#[test]
fn a_stashed_command_expires_at_its_deadline() {
    let store = store();
    let carts = Commands::<AtCart, _>::new("carts", store.clone()).unwrap();
    let time = time();
    let handler = || Decider::new(store.clone());
    while_running(&carts, handler(), &time, || {
        for nth in 0..2 {
            block_on(carts.accept(id(nth), &add("cart-1", "tea"))).unwrap();
        }
        until(&store, Query::event_type("CommandStashed"), 2);
        time.advance(Duration::from_secs(59));
        let other = block_on(carts.execute(id(9), &at("cart-2", Do::Create))).unwrap();
        assert!(matches!(other, Outcome::Done(_)));
        assert_eq!(block_on(carts.outcome_now(Uuid::from_u128(0))).unwrap(), None);
    });
    // The deadline survives a restart.
    while_running(&carts, handler(), &time, || {
        time.advance(Duration::from_secs(1));
        assert_eq!(block_on(carts.outcome(Uuid::from_u128(0))).unwrap(), Outcome::Expired);
        assert_eq!(block_on(carts.outcome(Uuid::from_u128(1))).unwrap(), Outcome::Expired);
        block_on(carts.execute(id(10), &at("cart-1", Do::Create))).unwrap();
    });
    assert_eq!(items(&store, "cart-1"), [""; 0]);
}

#[test]
fn the_stash_is_bounded() {
    let store = store();
    let carts = Commands::<AtCart, _>::new("carts", store.clone()).unwrap();
    for nth in 0..=leftfold::commands::STASH as u128 {
        block_on(carts.accept(id(nth), &add("cart-1", "tea"))).unwrap();
    }
    let last = Uuid::from_u128(leftfold::commands::STASH as u128);
    let outcome = while_running(&carts, Decider::new(store.clone()), &time(), || {
        block_on(carts.outcome(last)).unwrap()
    });
    let Outcome::Failed { code, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(code, "stash_full");
}

#[test]
fn a_runner_stops_when_another_one_takes_over() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    let other: Arc<dyn Time> = Arc::new(time());
    let handler = Decider::new(store.clone());
    let mut old = Box::pin(deposits.run(handler, other));
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(old.as_mut().poll(noop).is_pending());
    while_running(&deposits, Decider::new(store.clone()), &time(), || {
        for nth in 0..200 {
            block_on(deposits.execute(id(nth), &deposit(format!("account-{nth}"), 5))).unwrap();
        }
    });
    let ended = block_on(old).unwrap_err();
    assert!(ended.to_string().contains("another runner"), "{ended}");
    assert_eq!(all(&store, deposits.outcomes()).len(), 200);
    assert_eq!(all(&store, Query::event_type("Deposited")).len(), 200);
}

#[test]
fn a_name_with_a_dash_is_refused() {
    let refused = Commands::<Deposit, _>::new("my-deposits", store()).err().unwrap();
    assert_eq!(refused.code, "name_invalid");
}

/// Polls a future `times` times, then drops it: a crash between two steps.
fn poll_times(future: impl Future, times: usize) {
    let mut future = pin!(future);
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        thread::yield_now();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send { nth: u128, cart: u8, what: u8 },
    Run(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u128..40, 0u8..3, 0u8..8).prop_map(|(nth, cart, what)| Step::Send { nth, cart, what }),
        1 => (1usize..400).prop_map(Step::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_command_has_one_outcome_after_any_crashes(steps in prop::collection::vec(step(), 5..60)) {
        let store = store();
        let carts = Commands::<AtCart, _>::new("carts", store.clone()).unwrap();
        let entities = || Entities::<Cart, _>::new(Decider::new(store.clone()));
        let time = time();
        let mut accepted: Vec<(u128, u8, u8)> = Vec::new();
        for step in steps {
            match step {
                Step::Send { nth, cart, what } => {
                    // The same id is the same command.
                    let known = accepted.iter().find(|(known, ..)| *known == nth).copied();
                    let (_, cart, what) = known.unwrap_or((nth, cart, what));
                    let command = match what {
                        0 => at(&format!("cart-{cart}"), Do::Create),
                        1 => at(&format!("cart-{cart}"), Do::Close),
                        _ => add(&format!("cart-{cart}"), nth.to_string()),
                    };
                    block_on(carts.accept(id(nth), &command)).unwrap();
                    if known.is_none() {
                        accepted.push((nth, cart, what));
                    }
                }
                Step::Run(times) => {
                    let time: Arc<dyn Time> = Arc::new(time.clone());
                    poll_times(carts.run(entities(), time), times);
                }
            }
        }
        while_running(&carts, entities(), &time, || {
            for cart in 0..3 {
                let create = at(&format!("cart-{cart}"), Do::Create);
                block_on(carts.execute(id(100 + cart), &create)).unwrap();
            }
            for (nth, ..) in &accepted {
                block_on(carts.outcome(Uuid::from_u128(*nth))).unwrap();
            }
        });
        prop_assert_eq!(all(&store, carts.outcomes()).len(), accepted.len() + 3);
        for cart in 0..3u8 {
            let found = items(&store, &format!("cart-{cart}"));
            let wanted: Vec<_> = accepted
                .iter()
                .filter(|(_, of, what)| *of == cart && *what > 1)
                .map(|(nth, ..)| nth.to_string())
                .filter(|item| found.contains(item))
                .collect();
            // Each at most once, and in the order of acceptance.
            prop_assert_eq!(&found, &wanted);
            if !accepted.iter().any(|(_, of, what)| *of == cart && *what == 1) {
                let adds = accepted.iter().filter(|(_, of, what)| *of == cart && *what > 1);
                prop_assert_eq!(found.len(), adds.count());
            }
        }
    }
}
