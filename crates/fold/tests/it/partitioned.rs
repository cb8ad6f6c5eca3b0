//! Folds over a store of many partitions: what lies in one of them works, the rest is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use leftfold::react::{
    Cause, Handler, HandlerError, Ownership, Parked, Progress, Reaction, Reactor,
};
use leftfold::runtime::Runtime;
use leftfold::time::FakeTime;
use leftfold::timer::{Timer, timers};
use leftfold::view::{MemoryRows, RedbRows, Rows, View, ViewError, ViewRunner};
use leftfold::{
    Append, Coded, CommandContext, Commands, Decider, Delivery, EventStore, Execute, NewEvent,
    Options, Query, Read, Recorded, Subscribe, Subscription, Timestamp,
};
use leftfold_api::partition_of;
use leftfold_partitioned::Partitioned;
use parking_lot::Mutex;
use pollster::block_on;
use uuid::Uuid;

use crate::cut::{Cut, CutStore};

use crate::bank::{Deposit, Open, deposit, withdraw};

fn store() -> Arc<Partitioned> {
    Arc::new(leftfold_partitioned::create(4, 7, &Options::default()).unwrap())
}

async fn put(store: &Partitioned, stream: &str) {
    let event = NewEvent::json("Happened", "{}");
    store.append(Append::new().event(stream, event)).await.unwrap();
}

#[test]
fn commands_of_one_stream_are_executed_in_any_partition() {
    let store = store();
    block_on(async {
        for n in 0..8 {
            let account = format!("account-{n}");
            store.execute(deposit(&account, 10)).await.unwrap();
            store.execute(withdraw(&account, 4)).await.unwrap();
            let refused = store.execute(withdraw(&account, 7)).await.unwrap_err();
            assert!(refused.to_string().contains("only 6 cents are left"), "{refused}");
        }
    });
}

#[test]
fn a_command_that_reads_many_partitions_is_refused() {
    let store = store();
    let opened = block_on(store.execute(Open { account: "account-1", owner: "ada" }));
    let refused = opened.unwrap_err();
    assert!(refused.to_string().contains("must lie in one partition"), "{refused}");
}

/// How often each thing happened.
struct Counts;

impl View for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn query(&self) -> Query {
        Query::category("order")
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        let key = event.stream().as_bytes();
        let count = rows.get(key)?.map_or(0, |value| value[0]);
        rows.put(key, &[count + 1])
    }
}

#[test]
fn a_view_of_many_partitions_goes_on_where_it_was() {
    let (store, dir) = (store(), tempfile::tempdir().unwrap());
    let file = dir.path().join("counts.redb");
    block_on(async {
        for round in 1..=3 {
            for n in 0..10 {
                put(&store, &format!("order-{n}")).await;
                put(&store, &format!("customer-{n}")).await;
            }
            let view = ViewRunner::new(Counts, store.clone(), RedbRows::open(&file).unwrap());
            view.catch_up().await.unwrap();
            let rows = view.at_least(store.head().await.unwrap()).await.unwrap();
            let counts = rows.range(b"order-", b"", 100).unwrap();
            assert_eq!(counts.len(), 10);
            assert!(counts.iter().all(|(_, count)| count[..] == [round]), "{counts:?}");
        }
        // Rows of another store are noticed, though no position tells.
        let view = ViewRunner::new(Counts, another(), RedbRows::open(&file).unwrap());
        assert_eq!(view.catch_up().await.unwrap_err().code(), "view_of_other_history");
    });
}

fn another() -> Arc<Partitioned> {
    Arc::new(leftfold_partitioned::create(4, 70, &Options::default()).unwrap())
}

#[test]
fn a_view_of_one_stream_follows_the_whole_store() {
    let store = store();
    block_on(async {
        let view = ViewRunner::new(Counts, store.clone(), MemoryRows::default());
        put(&store, "order-1").await;
        view.catch_up().await.unwrap();
        put(&store, "customer-2").await;
        view.at_least(store.head().await.unwrap()).await.unwrap();
    });
}

/// The partitions that this process serves.
#[derive(Default)]
struct Served(Mutex<BTreeSet<u32>>, Event);

impl Served {
    fn set(&self, partitions: impl IntoIterator<Item = u32>) {
        *self.0.lock() = partitions.into_iter().collect();
        self.1.notify(usize::MAX);
    }
}

impl Ownership for Served {
    fn partitions(&self) -> u32 {
        4
    }

    fn serves(&self, partition: u32) -> bool {
        self.0.lock().contains(&partition)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        self.1.listen().boxed()
    }
}

/// A reactor that answers each order beside it, and notes which events it was called for.
fn answering(
    store: &Arc<Partitioned>,
    calls: &Arc<Mutex<Vec<String>>>,
) -> Reactor<Partitioned, impl Handler> {
    let calls = calls.clone();
    let answer = move |cause: Cause| {
        let stream = cause.event.stream().to_owned();
        calls.lock().push(format!("{stream}@{}", cause.event.version()));
        async move {
            let answer = NewEvent::json("Answered", "{}");
            Ok::<_, HandlerError>(Reaction::none().event(stream.replace("order", "answer"), answer))
        }
    };
    Reactor::new("answers", Query::category("order"), store.clone(), answer)
}

fn count(store: &Partitioned, query: &str) -> usize {
    block_on(store.read(Read::forward(query.parse().unwrap()).limit(10_000))).unwrap().events.len()
}

#[test]
fn a_reactor_of_many_partitions_handles_each_event_once_and_goes_on_after_a_restart() {
    let (store, calls) = (store(), Arc::default());
    block_on(async {
        // It looks like a store of one log while it has no events.
        answering(&store, &calls).catch_up().await.unwrap();
        for round in 1..=3 {
            for n in 0..10 {
                put(&store, &format!("order-{n}")).await;
            }
            let progress = answering(&store, &calls).catch_up().await.unwrap();
            assert_eq!((progress.counts.handled, progress.held_lanes), (10, 0));
            assert_eq!(count(&store, "category:answer"), round * 10);
            assert_eq!(calls.lock().len(), round * 10);
        }
    });
    // Each partition has a journal, and a checkpoint beside it.
    let journals = block_on(store.read(Read::forward(Query::category("leftfold.reactor"))));
    let journals: BTreeSet<_> =
        journals.unwrap().events.iter().map(|event| partition_of(event.stream(), 4)).collect();
    assert_eq!(journals.len(), 4);
    let of = |name: &str| Parked::<Partitioned>::reactor_of(name).to_owned();
    assert_eq!([of("{3.1}a-{b}"), of("{x}a"), of("a")], ["a-{b}", "{x}a", "a"]);
}

#[test]
fn a_reactor_serves_the_partitions_that_its_process_owns_and_follows() {
    let store = store();
    let (served, calls) =
        ([Arc::<Served>::default(), Arc::default()], [Arc::default(), Arc::default()]);
    served[0].set([0, 1]);
    served[1].set([2, 3]);
    let handled = |calls: &Arc<Mutex<Vec<String>>>| calls.lock().len();
    let stop = Arc::new(Event::new());
    let runs: Vec<_> = (0..2)
        .map(|n| {
            let reactor = answering(&store, &calls[n]).ownership(served[n].clone());
            let stop = stop.listen();
            std::thread::spawn(move || block_on(reactor.run_until(stop)).unwrap())
        })
        .collect();
    let answered = |wanted: usize| {
        let mut answers =
            block_on(store.subscribe(Subscribe::to(Query::category("answer")))).unwrap();
        let mut seen = 0;
        while seen < wanted {
            seen += usize::from(matches!(block_on(answers.next()).unwrap(), Delivery::Event(..)));
        }
    };
    block_on(async {
        for n in 0..20 {
            put(&store, &format!("order-{n}")).await;
        }
    });
    answered(20);
    let of_first = (0..20).filter(|n| partition_of(&format!("order-{n}"), 4) < 2).count();
    assert_eq!((handled(&calls[0]), handled(&calls[1])), (of_first, 20 - of_first));
    // All partitions move to the second process, the last ones while both claim them.
    served[1].set(0..4);
    served[0].set([]);
    block_on(async {
        for n in 0..20 {
            put(&store, &format!("order-{n}")).await;
        }
    });
    answered(40);
    stop.notify(usize::MAX);
    let progress: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    let handled: u64 = progress.iter().map(|progress| progress.counts.handled).sum();
    assert!(handled <= 40, "{progress:?}");
    assert_eq!(count(&store, "category:answer"), 40);
}

#[test]
fn a_runtime_that_follows_an_ownership_runs_its_reactors_without_the_lease() {
    let (store, served, calls) = (store(), Arc::<Served>::default(), Arc::default());
    served.set(0..4);
    let stop = Event::new();
    let runtime = Runtime::new(store.clone()).ownership(served.clone());
    let runtime = runtime.reactor(answering(&store, &calls));
    let stopped = stop.listen();
    let run = std::thread::spawn(move || block_on(runtime.run_until(stopped)));
    block_on(async {
        for n in 0..10 {
            put(&store, &format!("order-{n}")).await;
        }
        let answers = Query::category("answer");
        let mut answers = store.subscribe(Subscribe::to(answers)).await.unwrap();
        let mut seen = 0;
        while seen < 10 {
            seen += usize::from(matches!(answers.next().await.unwrap(), Delivery::Event(..)));
        }
    });
    stop.notify(1);
    run.join().unwrap();
    assert_eq!(count(&store, "category:leftfold.lease"), 0);
}

#[test]
fn parked_events_of_many_partitions_are_listed_and_replayed() {
    let (store, works) = (store(), Arc::new(AtomicBool::new(false)));
    let reactor = || {
        let works = works.clone();
        let handler = move |_: Cause| {
            let works = works.load(Ordering::SeqCst);
            async move { if works { Ok(()) } else { Err(HandlerError::park("it is broken")) } }
        };
        Reactor::new("mails", Query::category("order"), store.clone(), handler)
    };
    block_on(async {
        for n in 0..10 {
            put(&store, &format!("order-{n}")).await;
        }
        reactor().catch_up().await.unwrap();
        let parked = Parked::of("mails", &*store);
        assert_eq!(parked.list().await.unwrap().len(), 10);
        works.store(true, Ordering::SeqCst);
        let first = parked.list().await.unwrap().remove(0);
        parked.skip(&first).await.unwrap();
        assert_eq!(parked.replay_where(|event| event.stream != first.stream).await.unwrap(), 9);
        let progress = reactor().catch_up().await.unwrap();
        assert_eq!((progress.counts.handled, progress.held_lanes), (9, 0));
    });
}

/// Moves money between accounts of any partitions, one step for each event of its stream.
fn transfers<S: EventStore + 'static>(store: Arc<S>) -> Reactor<S, impl Handler> {
    let of = store.clone();
    let next = move |cause: Cause| {
        let store = of.clone();
        async move {
            let stream = cause.event.stream().to_owned();
            let number: u32 = stream.split('-').next_back().unwrap().parse().unwrap();
            let account = |n: u32| format!("account-{}", n % ACCOUNTS);
            let mut reaction = Reaction::none();
            let then = match cause.event.event_type() {
                "Ordered" => {
                    match reaction.decide(&cause, &*store, withdraw(account(number), 60)).await? {
                        Ok(()) => "Funded",
                        Err(_) => "Refused",
                    }
                }
                "Funded" => {
                    let deposit = deposit(account(number + 1), 60);
                    reaction
                        .decide(&cause, &*store, deposit)
                        .await?
                        .map_err(|no| HandlerError::refused(&no))?;
                    "Completed"
                }
                _ => {
                    // It tells another partition, and rests on nothing.
                    let told = NewEvent::json("Told", "{}");
                    return Ok(reaction.event(format!("letter-{}", number + 100), told));
                }
            };
            Ok::<_, HandlerError>(reaction.event(stream, NewEvent::json(then, "{}")))
        }
    };
    Reactor::new("transfers", Query::category("transfer"), store, next)
}

const ACCOUNTS: u32 = 5;

/// Orders a transfer of 60 cents from each account of 100, so that a second one of an account is refused.
async fn order_transfers(store: &Partitioned) {
    for n in 0..ACCOUNTS {
        store.execute(deposit(format!("account-{n}"), 100)).await.unwrap();
        let ordered = NewEvent::json("Ordered", "{}");
        store.append(Append::new().event(format!("transfer-{n}"), ordered)).await.unwrap();
    }
}

/// Runs something again after its process has ended at each of its appends, and checks how many events queries have.
fn check_each_cut(
    prepare: impl Fn(&Partitioned),
    run: impl Fn(Arc<CutStore>) -> BoxFuture<'static, Progress>,
    wanted: &[(&str, usize)],
) -> usize {
    let mut cuts = 0;
    for is_written in [false, true] {
        for appends in 0.. {
            let (store, cut) = (store(), Cut::after(appends, is_written));
            prepare(&store);
            let ended = cut.reached();
            let first = run(Arc::new(CutStore::new(store.clone(), cut)));
            let is_whole = matches!(block_on(select(first, ended)), Either::Left(_));
            let cut = Cut::after(i64::MAX, false);
            let last = block_on(run(Arc::new(CutStore::new(store.clone(), cut))));
            assert_eq!(last.held_lanes, 0);
            for (query, wanted) in wanted {
                assert_eq!(count(&store, query), *wanted, "{query}, cut at {appends} {is_written}");
            }
            if is_whole {
                break;
            }
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn transfers_between_partitions_happen_once_wherever_the_process_ends() {
    let cuts = check_each_cut(
        |store| block_on(order_transfers(store)),
        |store| async move { transfers(store).catch_up().await.unwrap() }.boxed(),
        &[
            ("category:account type:Withdrawn", 5),
            // The first five are the accounts' own.
            ("category:account type:Deposited", 10),
            ("category:transfer type:Funded", 5),
            ("category:transfer type:Refused", 0),
            ("category:transfer type:Completed", 5),
            ("category:letter", 5),
        ],
    );
    assert!(cuts > 40, "{cuts}");
}

#[test]
fn timers_fire_once_into_other_partitions_wherever_the_process_ends() {
    let set = |store: &Partitioned| {
        for n in 0..5 {
            let due = NewEvent::json("Due", "{}");
            let timer =
                Timer::new(format!("order-{n}"), Timestamp(1), format!("order-{}", n + 1), due);
            let (stream, event) = timer.set();
            block_on(store.append(Append::new().event(stream, event))).unwrap();
        }
    };
    let fire = |store: Arc<CutStore>| {
        let timers = timers(store).time(FakeTime::at(Timestamp(2)));
        async move { timers.catch_up().await.unwrap() }.boxed()
    };
    let wanted = [("type:Due", 5), ("type:leftfold.TimerFired", 5)];
    assert!(check_each_cut(set, fire, &wanted) > 10);
}

#[test]
fn a_reaction_that_decides_in_two_partitions_is_parked() {
    let store = store();
    let (of, mut names) = (store.clone(), (0..).map(|n| format!("account-{n}")));
    let one = names.next().unwrap();
    let other = names.find(|name| partition_of(name, 4) != partition_of(&one, 4)).unwrap();
    let decide = move |cause: Cause| {
        let (store, one, other) = (of.clone(), one.clone(), other.clone());
        async move {
            let mut reaction = Reaction::none();
            for account in [one, other] {
                reaction.decide(&cause, &*store, deposit(account, 1)).await?.unwrap();
            }
            Ok::<_, HandlerError>(reaction)
        }
    };
    block_on(async {
        put(&store, "order-1").await;
        let reactor = Reactor::new("both", Query::category("order"), store.clone(), decide);
        reactor.catch_up().await.unwrap();
        let parked = Parked::of("both", &*store).list().await.unwrap();
        assert!(parked[0].reason.contains("crosses_partitions"), "{}", parked[0].reason);
    });
    assert_eq!(count(&store, "category:account"), 0);
}

#[test]
fn a_command_stream_of_many_partitions_is_refused() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    block_on(deposits.accept(CommandContext::new(), &deposit("account-1", 3))).unwrap();
    // An id is one of all partitions.
    let issued = CommandContext::with_id(Uuid::from_u128(1));
    let refused = block_on(deposits.accept(issued, &deposit("account-1", 3))).unwrap_err();
    assert_eq!(refused.code(), "crosses_partitions");
    let time = Arc::new(FakeTime::at(Timestamp(0)));
    let ended = block_on(deposits.run(Decider::new(store.clone()), time)).unwrap_err();
    assert!(ended.to_string().contains("must lie in one partition"), "{ended}");
}

/// The journal seems to be missing where it is read, and its version is known where that is asked.
#[test]
fn a_reactor_that_begins_at_a_deposed_owner_handles_nothing_again() {
    let store = store();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let note = || {
        let calls = calls.clone();
        move |cause: Cause| {
            calls.lock().push(cause.event.stream().to_owned());
            async { Ok::<_, HandlerError>(Reaction::none()) }
        }
    };
    block_on(async {
        for n in 0..8 {
            put(&store, &format!("order-{n}")).await;
        }
        let before = store.head().await.unwrap();
        let first = Reactor::new("notes", Query::category("order"), store.clone(), note());
        first.catch_up().await.unwrap();
        let deposed = Arc::new(CutStore::deposed(store.clone(), before));
        let next = Reactor::new("notes", Query::category("order"), deposed, note());
        next.catch_up().await.unwrap();
    });
    let calls = calls.lock();
    assert_eq!(calls.len(), 8, "{calls:?}");
}
