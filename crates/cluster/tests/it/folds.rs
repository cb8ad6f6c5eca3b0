//! Reactors on the nodes of a cluster: each serves the partitions that its node owns.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use event_listener::Event as Signal;
use futures_util::future::select;
use leftfold_api::{Append, EventStore, NewEvent, Query, Read, partition_of};
use leftfold_cluster::many::PartitionedStore;
use leftfold_cluster::store::ClusterStore;
use leftfold_fold::react::{Cause, Guarantee, Handler, HandlerError, Parked, Reaction, Reactor};
use leftfold_fold::{Command, Decider, Entities, Event, Execute, ExecuteError, State, StreamState};
use parking_lot::Mutex;
use pollster::block_on;

use crate::many::Spread;
use crate::nodes::PATIENCE;

type Store = PartitionedStore<ClusterStore>;

const ACCOUNTS: u32 = 12;

#[derive(Debug, PartialEq, Event)]
#[event(crate = "leftfold_fold")]
enum Bank {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

#[derive(Default)]
struct Account(u64);

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, event: &Bank) {
        match event {
            Bank::Deposited { cents } => self.0 += cents,
            Bank::Withdrawn { cents } => self.0 -= cents,
        }
    }
}

struct Deposit(String, u64);

impl Command for Deposit {
    type Event = Bank;
    type Error = Infallible;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.0)
    }

    fn decide(&self, _: &Account) -> Result<Vec<Bank>, Infallible> {
        Ok(vec![Bank::Deposited { cents: self.1 }])
    }
}

#[derive(Debug)]
struct Withdraw(String, u64);

#[derive(Debug, thiserror::Error)]
#[error("only {0} cents are left")]
struct Insufficient(u64);

impl Command for Withdraw {
    type Event = Bank;
    type Error = Insufficient;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.0)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Insufficient> {
        match account.0 < self.1 {
            true => Err(Insufficient(account.0)),
            false => Ok(vec![Bank::Withdrawn { cents: self.1 }]),
        }
    }
}

fn account(n: u32) -> String {
    format!("account-{}", n % ACCOUNTS)
}

/// Moves money between accounts of any partitions, one step for each event of its stream.
fn transfers(store: &Arc<Store>, calls: &Arc<AtomicUsize>) -> Reactor<Store, impl Handler> {
    let (of, calls) = (store.clone(), calls.clone());
    let next = move |cause: Cause| {
        let store = of.clone();
        calls.fetch_add(1, Ordering::SeqCst);
        async move {
            let stream = cause.event.stream().to_owned();
            let number: u32 = stream.split('-').next_back().unwrap().parse().unwrap();
            let mut reaction = Reaction::none();
            let then = match cause.event.event_type() {
                "Ordered" => {
                    let withdraw = Withdraw(account(number), 60);
                    match reaction.decide(&cause, &*store, withdraw).await? {
                        Ok(()) => "Funded",
                        Err(_) => "Refused",
                    }
                }
                "Funded" => {
                    let Ok(()) =
                        reaction.decide(&cause, &*store, Deposit(account(number + 1), 1)).await?;
                    "Completed"
                }
                _ => return Ok(reaction),
            };
            Ok::<_, HandlerError>(reaction.event(stream, NewEvent::json(then, "{}")))
        }
    };
    Reactor::new("transfers", Query::category("transfer"), store.clone(), next)
        .ownership(store.clone())
}

/// A reactor that runs on a thread until it is stopped or killed.
struct Running {
    stop: Arc<Signal>,
    kill: Arc<Signal>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start<H: Handler>(reactor: Reactor<Store, H>) -> Self {
        let (stop, kill) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (stopped, killed) = (stop.listen(), kill.listen());
        let thread = std::thread::spawn(move || {
            block_on(async {
                let run = async { drop(reactor.run_until(stopped).await.unwrap()) };
                select(std::pin::pin!(run), killed).await;
            });
        });
        Running { stop, kill, thread }
    }

    fn stop(self) {
        self.stop.notify(1);
        self.thread.join().unwrap();
    }

    /// Ends it wherever it is, as a crash does.
    fn kill(self) {
        self.kill.notify(1);
        self.thread.join().unwrap();
    }
}

fn order_transfers(store: &Store, round: u32) {
    for n in 0..ACCOUNTS {
        let stream = format!("transfer-{round}-{n}");
        block_on(store.append(Append::new().event(stream, NewEvent::json("Ordered", "{}"))))
            .unwrap();
    }
}

/// Waits until a query has this many events. Otherwise says what a reactor has parked.
fn wait_for(store: &Store, reactor: &str, query: &str, wanted: usize) {
    let end = Instant::now() + PATIENCE;
    while count(store, query) < wanted && Instant::now() < end {
        std::thread::yield_now();
    }
    let parked = block_on(Parked::of(reactor, store).list()).unwrap();
    assert!(count(store, query) >= wanted, "expected {wanted} events {query}; parked: {parked:?}");
}

fn wait_until(holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

fn count(store: &Store, query: &str) -> usize {
    let head = block_on(store.head()).unwrap();
    let read = Read::forward(query.parse().unwrap()).limit(10_000).at_least(head);
    block_on(store.read(read)).unwrap().events.len()
}

#[test]
fn transfers_between_partitions_happen_once_while_owners_change_and_a_node_s_reactor_is_killed() {
    let mut spread = Spread::through_the_first();
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let calls = Arc::default();
    for n in 0..ACCOUNTS {
        block_on(stores[0].execute(Deposit(account(n), 100))).unwrap();
    }
    let mut running = stores.each_ref().map(|store| Running::start(transfers(store, &calls)));
    for round in 0..4 {
        order_transfers(&stores[round as usize % 2], round);
        // The partitions of one parity move while their reactors work, and one node's reactor is killed.
        spread.hand_over_half(u64::from(round));
        let killed = round as usize % 2;
        let next = Running::start(transfers(&stores[killed], &calls));
        std::mem::replace(&mut running[killed], next).kill();
    }
    // In each account there is enough for one transfer.
    let all = 4 * ACCOUNTS as usize;
    let orders = ACCOUNTS as usize;
    wait_for(&stores[0], "transfers", "category:transfer type:Completed,Refused", all);
    running.into_iter().for_each(Running::stop);
    for (query, wanted) in [
        ("category:account type:Withdrawn", orders),
        ("category:account type:Deposited", 2 * orders),
        ("category:transfer type:Funded", orders),
        ("category:transfer type:Completed", orders),
        ("category:transfer type:Refused", all - orders),
    ] {
        assert_eq!(count(&stores[1], query), wanted, "{query}");
    }
    let (calls, events) = (calls.load(Ordering::SeqCst), count(&stores[0], "category:transfer"));
    eprintln!("the handlers were called {calls} times for {events} events");
    assert!(calls >= events, "{calls} {events}");
}

#[test]
fn commands_on_any_node_are_decided_on_the_last_state_while_owners_change() {
    let mut spread = Spread::through_the_first();
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let names: Arc<Vec<String>> = Arc::new((0..ACCOUNTS).map(account).collect());
    for name in &*names {
        block_on(stores[0].execute(Deposit(name.clone(), 100))).unwrap();
    }
    // The entities of each node have the states in memory, which are stale when the other node has written.
    let spend = |store: &Arc<Store>| {
        let entities = Entities::<Account, _>::new(Decider::new(store.clone()).attempts(1_000));
        let names = names.clone();
        std::thread::spawn(move || {
            let (mut done, mut refused) = (0, 0);
            for n in 0..60 * names.len() {
                let withdraw = Withdraw(names[n % names.len()].clone(), 1);
                match block_on(entities.execute(withdraw)) {
                    Err(ExecuteError::Refused(Insufficient(0))) => refused += 1,
                    answer => {
                        answer.unwrap();
                        done += 1;
                    }
                }
            }
            (done, refused)
        })
    };
    let threads = stores.each_ref().map(spend);
    for round in 0..4 {
        spread.hand_over_half(round);
    }
    let [one, other] = threads.map(|thread| thread.join().unwrap());
    // Of 120 attempts for each account 100 had money.
    let all = ACCOUNTS as usize;
    assert_eq!((one.0 + other.0, one.1 + other.1), (100 * all, 20 * all));
    assert_eq!(count(&stores[0], "type:Withdrawn"), 100 * all);
}

#[test]
fn an_effect_that_happens_at_most_once_is_begun_by_one_node() {
    let mut spread = Spread::through_the_first();
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let calls = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let mails = |store: &Arc<Store>| {
        let calls = calls.clone();
        let mail = move |cause: Cause| {
            *calls.lock().entry(cause.event.stream().to_owned()).or_default() += 1;
            async move {
                let sent = NewEvent::json("Sent", "{}");
                let stream = cause.event.stream().replace("order", "mail");
                Ok::<_, HandlerError>(Reaction::none().event(stream, sent))
            }
        };
        Reactor::new("mails", Query::category("order"), store.clone(), mail)
            .guarantee(Guarantee::AtMostOnce)
            .ownership(store.clone())
    };
    let running = stores.each_ref().map(|store| Running::start(mails(store)));
    for round in 0..4 {
        for n in 0..16 {
            let append =
                Append::new().event(format!("order-{round}-{n}"), NewEvent::json("Placed", "{}"));
            block_on(stores[0].append(append)).unwrap();
        }
        spread.hand_over_half(round);
    }
    // What is interrupted is parked, not repeated.
    wait_for(&stores[1], "mails", "category:mail or type:leftfold.Parked", 64);
    running.into_iter().for_each(Running::stop);
    assert!(calls.lock().values().all(|calls| *calls == 1), "{:?}", calls.lock());
    let parked = block_on(Parked::of("mails", &*stores[0]).list()).unwrap().len();
    assert_eq!(count(&stores[0], "category:mail") + parked, 64);
}

#[test]
fn a_node_s_reactor_is_called_only_for_partitions_that_its_node_owns() {
    let mut spread = Spread::through_the_first();
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let handled = [Arc::new(Mutex::new(Vec::new())), Arc::default()];
    let notes = |n: usize| {
        let handled: Arc<Mutex<Vec<u32>>> = handled[n].clone();
        let note = move |cause: Cause| {
            handled.lock().push(partition_of(cause.event.stream(), 8));
            async move {
                let stream = cause.event.stream().replace("order", "note");
                let noted = NewEvent::json("Noted", "{}");
                Ok::<_, HandlerError>(Reaction::none().event(stream, noted))
            }
        };
        Reactor::new("notes", Query::category("order"), stores[n].clone(), note)
            .ownership(stores[n].clone())
    };
    let put = |round: usize| {
        for n in 0..24 {
            let append = Append::new().event(format!("order-{n}"), NewEvent::json("Placed", "{}"));
            block_on(stores[round % 2].append(append)).unwrap();
        }
    };
    put(0);
    let reactors = [0, 1].map(notes);
    let of_first = reactors[0].status();
    let running = reactors.map(Running::start);
    wait_for(&stores[0], "notes", "category:note", 24);
    assert!(handled[0].lock().iter().all(|partition| partition % 2 == 0));
    assert!(handled[1].lock().iter().all(|partition| partition % 2 == 1));
    wait_until(|| of_first.now().caught_up);
    // Node b gets the partitions of node a, whose reactor then serves none.
    spread.hand_over_half(0);
    wait_until(|| !of_first.now().caught_up);
    handled.iter().for_each(|handled| handled.lock().clear());
    put(1);
    wait_for(&stores[0], "notes", "category:note", 48);
    running.into_iter().for_each(Running::stop);
    assert!(handled[0].lock().is_empty(), "{:?}", handled[0].lock());
    assert_eq!(handled[1].lock().len(), 24);
}
