//! What the store publishes, and when, with two batches in flight.

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
use crate::embedded::check::Turn;
use crate::embedded::draft::Author;
use crate::embedded::open::open;
use crate::embedded::subscription::LiveSubscription;

/// Confirms a batch when the test says so.
#[derive(Clone, Default)]
struct ManualCommit {
    submitted: Arc<Mutex<Vec<Confirmation>>>,
    confirmed: Arc<Mutex<Option<Confirmation>>>,
}

impl Commit for ManualCommit {
    fn max_in_flight(&self) -> usize {
        4
    }

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        self.submitted.lock().push(batch.confirmation());
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        Ok(self.confirmed.lock().take().map_or(Progress::Pending, Progress::Confirmed))
    }
}

/// The store's admitter. It fails the test if maintenance begins before the head is published.
struct CheckedAdmitter(Admitter);

impl Admit for CheckedAdmitter {
    type Draft = Task;
    type Receipt = Receipt;
    type Refusal = Refusal;

    fn admit(
        &mut self,
        task: Task,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Receipt, Refusal> {
        self.0.admit(task, slot, frame)
    }

    fn confirmed(&mut self, head: Head) {
        self.0.confirmed(head);
        assert!(
            !self.0.core.maintenance.run_one(&self.0.core),
            "maintenance began before the head was published"
        );
    }

    fn published(&mut self, head: Head) {
        self.0.published(head);
    }

    fn rolled(&mut self, opened: SegmentInfo) {
        self.0.rolled(opened);
    }
}

struct Fixture {
    core: Arc<Core>,
    commit: ManualCommit,
    sequencer: Sequencer<CheckedAdmitter, ManualCommit>,
    pump: Pump<CheckedAdmitter, ManualCommit>,
}

impl Fixture {
    fn new() -> Self {
        let (disk, clock) = (Arc::new(FakeDisk::new()), Arc::new(ManualClock::at(1)));
        let options = crate::embedded::Options::default();
        let (commit, random) = (ManualCommit::default(), Arc::new(SeededRandom::new(1)));
        let (opened, core, admitter) = open(disk, clock, random, options, &commit).unwrap();
        while core.maintenance.run_one(&core) {}
        let (sequencer, pump) =
            Sequencer::manual_with(&opened, CheckedAdmitter(admitter), commit.clone()).unwrap();
        Fixture { core, commit, sequencer, pump }
    }

    /// Submits an append as a batch of its own.
    fn batch(&mut self, append: Append) -> PendingOutcome<CheckedAdmitter> {
        let mut draft = Box::new(self.core.draft(append, Author::Store).unwrap());
        self.core.check(&mut draft, Turn::endless()).unwrap();
        let bytes = draft.bytes();
        let waiting =
            pollster::block_on(self.sequencer.submit(Task::Append(draft), bytes)).unwrap();
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
fn a_move_from_a_cursor_that_is_being_deleted_goes_back_to_its_caller() {
    let mut fixture = Fixture::new();
    let to = fixture.core.cursor(0);
    let moves = |expected| {
        let to = to.clone();
        event("s-1").checkpoint(CheckpointMove { name: "a".to_owned(), expected, to })
    };
    let first = fixture.batch(moves(None));
    fixture.confirm(1);
    assert!(pollster::block_on(first.outcome()).unwrap().is_ok());
    let deletion = fixture.core.checkpoint_deletion("a").unwrap();
    let deletion = fixture.batch(deletion);
    let late = fixture.batch(moves(Some(to.clone())));
    assert_eq!(fixture.core.definitions.checkpoint("a").unwrap(), Some(to));
    fixture.confirm(2);
    assert!(pollster::block_on(deletion.outcome()).unwrap().is_ok());
    assert!(pollster::block_on(late.outcome()).unwrap().is_err());
    assert_eq!(fixture.core.definitions.checkpoint("a").unwrap(), None);
}

#[test]
fn a_confirmation_publishes_no_checkpoint_move_of_the_next_batch() {
    let mut fixture = Fixture::new();
    let to = fixture.core.cursor(0);
    let moves = |name: &str| {
        event("s-1").checkpoint(CheckpointMove {
            name: name.to_owned(),
            expected: None,
            to: to.clone(),
        })
    };
    let waiting = [moves("a"), moves("b")].map(|append| fixture.batch(append));
    let checkpoint = |fixture: &Fixture, name| fixture.core.definitions.checkpoint(name).unwrap();
    assert_eq!((checkpoint(&fixture, "a"), checkpoint(&fixture, "b")), (None, None));
    fixture.confirm(1);
    assert_eq!((checkpoint(&fixture, "a"), checkpoint(&fixture, "b")), (Some(to.clone()), None));
    fixture.confirm(2);
    assert_eq!(
        (checkpoint(&fixture, "a"), checkpoint(&fixture, "b")),
        (Some(to.clone()), Some(to))
    );
    for waiting in waiting {
        assert!(pollster::block_on(waiting.outcome()).unwrap().is_ok());
    }
}

#[test]
fn a_named_index_is_filled_once_its_definition_is_in_the_head() {
    let mut fixture = Fixture::new();
    let before = ["s-1", "s-2"].map(|stream| fixture.batch(event(stream)));
    let definition = fixture
        .core
        .definition(&IndexDefinition::new("counted", Query::event_type("Counted")))
        .unwrap();
    _ = fixture.batch(definition);
    _ = fixture.batch(event("s-3"));
    fixture.confirm(2);
    assert!(fixture.core.index_infos().unwrap().is_empty());
    assert!(!fixture.core.maintenance.run_one(&fixture.core));
    fixture.confirm(3);
    assert!(!fixture.core.index_infos().unwrap()[0].ready);
    while fixture.core.maintenance.run_one(&fixture.core) {}
    fixture.confirm(4);
    let info = &fixture.core.index_infos().unwrap()[0];
    assert_eq!((info.ready, info.events), (true, 3));
    drop(before);
}

#[derive(Default)]
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_confirmation_wakes_no_subscription_for_an_event_of_the_next_batch() {
    let mut fixture = Fixture::new();
    let query = Query::stream("s-2");
    let mut live =
        LiveSubscription::start(fixture.core.clone(), None, Subscribe::to(query)).unwrap();
    assert!(matches!(live.next_blocking().unwrap(), Delivery::CaughtUp(_)));
    let woken = Arc::new(WakeFlag::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut next = Box::pin(live.next());
    assert!(next.as_mut().poll(&mut context).is_pending());
    _ = [event("s-1"), event("s-2")].map(|append| fixture.batch(append));
    fixture.confirm(1);
    assert!(!woken.0.load(Ordering::SeqCst));
    fixture.confirm(2);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(matches!(pollster::block_on(next).unwrap(), Delivery::Event(..)));
}
