//! Two batches in flight: what the store publishes of them, and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use leftfold_api::{
    Append, CheckpointMove, Delivery, IndexDefinition, NewEvent, Query, Subscribe, Subscription,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Batch, Commit, Confirmation, PendingOutcome, Progress, Pump, Sequencer, Tail, WriteError,
};
use parking_lot::Mutex;

use super::*;
use crate::embedded::draft::Author;
use crate::embedded::open::open;
use crate::embedded::subscription::LiveSubscription;

/// Confirms a batch when the test says so.
#[derive(Clone, Default)]
struct HeldCommit {
    submitted: Arc<Mutex<Vec<Confirmation>>>,
    confirmed: Arc<Mutex<Option<Confirmation>>>,
}

impl Commit for HeldCommit {
    const MAX_IN_FLIGHT: usize = 4;

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        self.submitted.lock().push(batch.confirmation());
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        Ok(self.confirmed.lock().take().map_or(Progress::Pending, Progress::Confirmed))
    }
}

/// The store's admitter; no work in the background may begin before the head is published.
struct Watched(Admitter);

impl Admit for Watched {
    type Draft = Box<Draft>;
    type Receipt = Written;
    type Refusal = Bounce;

    fn admit(
        &mut self,
        draft: Box<Draft>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Written, Bounce> {
        self.0.admit(draft, slot, frame)
    }

    fn confirmed(&mut self, head: Head) {
        self.0.confirmed(head);
        assert!(
            !self.0.core.maintenance.step(&self.0.core),
            "work began before the head was published"
        );
    }

    fn published(&mut self, head: Head) {
        self.0.published(head);
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        self.0.rolled(opened);
    }
}

struct Held {
    core: Arc<Core>,
    commit: HeldCommit,
    sequencer: Sequencer<Watched, HeldCommit>,
    pump: Pump<Watched, HeldCommit>,
}

impl Held {
    fn new() -> Self {
        let (disk, clock) = (Arc::new(FakeDisk::new()), Arc::new(ManualClock::at(1)));
        let options = crate::embedded::Options::default();
        let (opened, core, admitter) =
            open(disk, clock, Arc::new(SeededRandom::new(1)), options).unwrap();
        while core.maintenance.step(&core) {}
        let commit = HeldCommit::default();
        let (sequencer, pump) =
            Sequencer::manual_with(&opened, Watched(admitter), commit.clone()).unwrap();
        Held { core, commit, sequencer, pump }
    }

    /// Submits an append as a batch of its own.
    fn batch(&mut self, append: Append) -> PendingOutcome<Watched> {
        let mut draft = Box::new(self.core.draft(append, Author::Store).unwrap());
        self.core.check(&mut draft).unwrap();
        let bytes = draft.bytes();
        let waiting = pollster::block_on(self.sequencer.submit(draft, bytes)).unwrap();
        self.pump.turn();
        waiting
    }

    fn confirm(&mut self, batch: usize) {
        *self.commit.confirmed.lock() = self.commit.submitted.lock().get(batch - 1).copied();
        self.pump.turn();
    }
}

fn event(stream: &str) -> Append {
    Append::new().event(stream, NewEvent::new("Counted", ""))
}

#[test]
fn a_confirmation_publishes_no_checkpoint_move_of_the_next_batch() {
    let mut held = Held::new();
    let to = held.core.cursor(0);
    let moves = |name: &str| {
        event("s-1").checkpoint(CheckpointMove {
            name: name.to_owned(),
            expected: None,
            to: to.clone(),
        })
    };
    let waiting = [moves("a"), moves("b")].map(|append| held.batch(append));
    let checkpoint = |held: &Held, name| held.core.definitions.checkpoint(name).unwrap();
    assert_eq!((checkpoint(&held, "a"), checkpoint(&held, "b")), (None, None));
    held.confirm(1);
    assert_eq!((checkpoint(&held, "a"), checkpoint(&held, "b")), (Some(to.clone()), None));
    held.confirm(2);
    assert_eq!((checkpoint(&held, "a"), checkpoint(&held, "b")), (Some(to.clone()), Some(to)));
    for waiting in waiting {
        assert!(pollster::block_on(waiting.outcome()).unwrap().is_ok());
    }
}

#[test]
fn a_named_index_is_filled_once_its_definition_is_in_the_head() {
    let mut held = Held::new();
    let before = ["s-1", "s-2"].map(|stream| held.batch(event(stream)));
    let definition = held
        .core
        .definition(&IndexDefinition::new("counted", Query::event_type("Counted")))
        .unwrap();
    _ = held.batch(definition);
    _ = held.batch(event("s-3"));
    held.confirm(2);
    assert!(held.core.index_infos().unwrap().is_empty());
    assert!(!held.core.maintenance.step(&held.core));
    held.confirm(3);
    assert!(!held.core.index_infos().unwrap()[0].ready);
    while held.core.maintenance.step(&held.core) {}
    held.confirm(4);
    let info = &held.core.index_infos().unwrap()[0];
    assert_eq!((info.ready, info.events), (true, 3));
    drop(before);
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_confirmation_wakes_no_subscription_for_an_event_of_the_next_batch() {
    let mut held = Held::new();
    let query = Query::stream("s-2");
    let mut live = LiveSubscription::start(held.core.clone(), None, Subscribe::to(query)).unwrap();
    assert!(matches!(live.next_blocking().unwrap(), Delivery::CaughtUp(_)));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut next = Box::pin(live.next());
    assert!(next.as_mut().poll(&mut context).is_pending());
    _ = [event("s-1"), event("s-2")].map(|append| held.batch(append));
    held.confirm(1);
    assert!(!woken.0.load(Ordering::SeqCst));
    held.confirm(2);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(matches!(pollster::block_on(next).unwrap(), Delivery::Event(..)));
}
