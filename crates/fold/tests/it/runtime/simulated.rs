//! Two processes with one runtime, which are killed at any point, under the simulator.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use leftfold::react::{Cause, HandlerError, Reaction};
use leftfold::runtime::Runtime;
use leftfold::testing::{Domain, Running, Simulation, World, running};
use leftfold::{Append, EventStore, NewEvent, Query};
use leftfold_io::fake::SeededRandom;
use parking_lot::Mutex;

/// One of this number of polls kills a process.
const KILLS: u64 = 150;
/// One of this number of polls looks whether all is done.
const LOOKS: u64 = 20;
/// The number of actions of users.
const TURNS: u64 = 12;
const SEEDS: u64 = 30;

/// Every question is answered once, by whichever of two processes holds the lease.
#[derive(Default)]
struct Answers {
    /// The actions that have ended, also those that a crash has ended.
    ended: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

/// The counts of all runs.
#[derive(Default)]
struct Counts {
    kills: AtomicU64,
    shutdowns: AtomicU64,
    holders: Mutex<BTreeMap<String, u64>>,
}

/// Counts an action when it is dropped.
struct Ended(Arc<AtomicU64>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A process that is killed and started again at random.
struct Restarted {
    start: Box<dyn Fn() -> Running>,
    process: Running,
    random: Arc<SeededRandom>,
    counts: Arc<Counts>,
}

impl Future for Restarted {
    type Output = Result<(), String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.random.one_in(KILLS) {
            self.counts.kills.fetch_add(1, Ordering::SeqCst);
            self.process = (self.start)();
        }
        self.process.as_mut().poll(context)
    }
}

/// Whether users have ended and each durable question has an answer.
fn is_done(ended: &AtomicU64, world: &Arc<leftfold::testing::SimStore>) -> bool {
    let count = |event_type| world.look(Query::event_type(event_type)).len();
    ended.load(Ordering::SeqCst) == TURNS && count("Asked") == count("Answered")
}

impl Answers {
    fn process(&self, world: &World) -> Running {
        let (store, time, random) = (world.store(), world.time(), world.random());
        let (ended, counts) = (self.ended.clone(), self.counts.clone());
        let reactor =
            world.reactor("answers", Query::event_type("Asked"), |cause: Cause| async move {
                let answer = NewEvent::json("Answered", cause.event.data());
                Ok::<_, HandlerError>(Reaction::none().event(cause.event.stream(), answer))
            });
        let start = move || {
            let runtime = Runtime::new(store.clone())
                .time(time.clone())
                .random(random.clone())
                .reactor(reactor.clone());
            // Some end in an orderly way, the others run until all is done.
            let (store, random, ended) = (store.clone(), random.clone(), ended.clone());
            let counts = counts.clone();
            let shutdown = std::future::poll_fn(move |context| {
                context.waker().wake_by_ref();
                if random.one_in(KILLS) {
                    counts.shutdowns.fetch_add(1, Ordering::SeqCst);
                    return Poll::Ready(());
                }
                match random.one_in(LOOKS) && is_done(&ended, &store) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            running(async move { Ok::<_, String>(runtime.run_until(shutdown).await) })
        };
        let (ended, store) = (self.ended.clone(), world.store());
        let start_again = start.clone();
        // A process that has ended in an orderly way is started again.
        let process = move || -> Running {
            let (ended, store, start) = (ended.clone(), store.clone(), start_again.clone());
            Box::pin(async move {
                while !is_done(&ended, &store) {
                    start().await?;
                }
                Ok(())
            })
        };
        let (random, counts) = (world.random(), self.counts.clone());
        let first = process();
        Box::pin(Restarted { start: Box::new(process), process: first, random, counts })
    }
}

impl Domain for Answers {
    fn runs(&self, world: &World) -> Vec<Running> {
        vec![self.process(world), self.process(world)]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, ended) = (world.store(), Ended(self.ended.clone()));
        running(async move {
            let _ended = ended;
            let asked = NewEvent::json("Asked", turn.to_string());
            store.append(Append::new().event(format!("talk-{}", turn % 3), asked)).await
        })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        let [asked, answered] = ["Asked", "Answered"].map(|event_type| {
            let mut data: Vec<_> = world
                .read(Query::event_type(event_type))
                .iter()
                .map(|event| event.data().to_vec())
                .collect();
            data.sort();
            data
        });
        let mut holders = self.counts.holders.lock();
        for held in world.read(Query::event_type("leftfold.LeaseHeld")) {
            *holders.entry(String::from_utf8_lossy(&held.data()).into_owned()).or_default() += 1;
        }
        match asked == answered {
            true => Ok(()),
            false => Err(format!("{} of {} were answered", answered.len(), asked.len())),
        }
    }
}

#[test]
fn kills_lost_renewals_and_take_overs_lose_and_double_nothing() {
    let counts = Arc::new(Counts::default());
    let make = || Answers { ended: Arc::default(), counts: counts.clone() };
    let tally = Simulation::of(make).seeds(SEEDS).turns(TURNS).run();
    let tally = tally.unwrap_or_else(|failed| panic!("{failed}"));
    if tally.runs == SEEDS {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        assert!(tally.crashes > SEEDS && count(&counts.kills) > SEEDS, "{tally:?}");
        assert!(count(&counts.shutdowns) > SEEDS);
        // Each run ends with another holder than the others.
        assert!(counts.holders.lock().len() as u64 > SEEDS);
    }
}
