//! A commit that confirms when the test says so, and an admit that shows what it publishes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Admit, Batch, Commit, Confirmation, Direction, FrameBuilder, FrameView, Head, Keep, Log,
    LogOptions, Opened, Outcome, PendingOutcome, Progress, Pump, ScanRange, SegmentInfo, Sequencer,
    Slot, Tail, WriteError,
};
use parking_lot::{Condvar, Mutex};

/// What the other end of the commit has received, and what it will answer.
#[derive(Default)]
pub(crate) struct Remote {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether batches are confirmed without a sync, and empty frames take a position.
    is_elsewhere: bool,
    submitted: Vec<Confirmation>,
    answers: VecDeque<Result<Progress, WriteError>>,
    waker: Option<Waker>,
    polls: u64,
}

impl Remote {
    /// The batches that were submitted so far, as the writer predicts them.
    pub(crate) fn submitted(&self) -> Vec<Confirmation> {
        self.state.lock().submitted.clone()
    }

    pub(crate) fn wait_for_batches(&self, count: usize) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.submitted.len() < count);
    }

    /// Confirms all batches up to this one, at the predicted positions.
    pub(crate) fn confirm(&self, batch: usize) {
        let confirmation = self.submitted()[batch - 1];
        self.answer(Ok(Progress::Confirmed(confirmation)));
    }

    pub(crate) fn answer(&self, answer: Result<Progress, WriteError>) {
        let mut state = self.state.lock();
        state.answers.push_back(answer);
        let waker = state.waker.clone().expect("the writer was started");
        drop(state);
        waker.wake();
    }

    /// Returns one that confirms without a sync.
    pub(crate) fn elsewhere() -> Arc<Self> {
        let remote = Remote::default();
        remote.state.lock().is_elsewhere = true;
        Arc::new(remote)
    }

    pub(crate) fn polls(&self) -> u64 {
        self.state.lock().polls
    }
}

/// At most three batches in flight.
pub(crate) struct HeldCommit(pub(crate) Arc<Remote>);

impl Commit for HeldCommit {
    fn max_in_flight(&self) -> usize {
        3
    }

    fn syncs(&self) -> bool {
        !self.0.state.lock().is_elsewhere
    }

    fn positions_of_empty(&self) -> u64 {
        u64::from(self.0.state.lock().is_elsewhere)
    }

    fn start(&mut self, waker: Waker) {
        self.0.state.lock().waker = Some(waker);
    }

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        assert!(!batch.frames.is_empty());
        let mut state = self.0.state.lock();
        if !state.is_elsewhere {
            let expected =
                state.submitted.last().map_or((1, 1), |last| (last.batch + 1, last.position + 1));
            assert_eq!((batch.number, batch.first), expected);
        }
        state.submitted.push(batch.confirmation());
        self.0.changed.notify_all();
        Ok(Progress::Pending)
    }

    fn poll(&mut self, _tail: &mut Tail) -> Result<Progress, WriteError> {
        let mut state = self.0.state.lock();
        state.polls += 1;
        state.answers.pop_front().unwrap_or(Ok(Progress::Pending))
    }
}

/// A draft that begins with this passes over the positions up to the number that follows.
pub(crate) const PASS_OVER: &str = "pass over ";

/// A draft that gets a frame without a record.
pub(crate) const EMPTY: &str = "empty";

/// Publishes the text of each draft as a fact when it is confirmed; refuses empty drafts.
pub(crate) struct Facts {
    log: Log,
    pending: VecDeque<(u64, String)>,
    confirmed: Vec<String>,
    published: Arc<Mutex<Vec<String>>>,
}

impl Admit for Facts {
    type Draft = String;
    type Receipt = u64;
    type Refusal = ();

    fn admit(
        &mut self,
        draft: String,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<u64, ()> {
        if draft.is_empty() {
            return Err(());
        }
        if let Some(last) = draft.strip_prefix(PASS_OVER) {
            frame.pass_over(last.parse().unwrap());
            return Ok(slot.position);
        }
        if draft == EMPTY {
            frame.extension(9, b"no record");
            return Ok(slot.position);
        }
        frame.record(0, draft.as_bytes());
        self.pending.push_back((slot.ticket, draft));
        Ok(slot.position)
    }

    fn confirmed(&mut self, head: Head) {
        assert!(self.log.head().ticket < head.ticket, "the head is published after the facts");
        let count = self.pending.partition_point(|(ticket, _)| *ticket <= head.ticket);
        self.confirmed.extend(self.pending.drain(..count).map(|(_, fact)| fact));
    }

    fn published(&mut self, head: Head) {
        assert_eq!(self.log.head(), head);
        self.published.lock().append(&mut self.confirmed);
    }

    fn rolled(&mut self, _opened: SegmentInfo) {
        assert!(self.pending.is_empty(), "nothing is in flight when a segment is closed");
    }
}

/// A log whose commit is held.
pub(crate) struct Held {
    pub(crate) log: Log,
    pub(crate) remote: Arc<Remote>,
    pub(crate) published: Arc<Mutex<Vec<String>>>,
    pub(crate) sequencer: Sequencer<Facts, HeldCommit>,
    /// None if the writer has a thread.
    pub(crate) pump: Option<Pump<Facts, HeldCommit>>,
}

pub(crate) fn open(segment_bytes: u64) -> Opened {
    open_on(&Arc::new(FakeDisk::new()), segment_bytes, Keep::Whole)
}

pub(crate) fn open_on(disk: &Arc<FakeDisk>, segment_bytes: u64, keep: Keep) -> Opened {
    let clock = Arc::new(ManualClock::at(1_000));
    let options = LogOptions {
        segment_bytes,
        keep,
        preallocate: 4096,
        // Only what wakes the writer's thread gives it turns.
        idle: Duration::from_secs(3600),
        ..LogOptions::default()
    };
    let random = Arc::new(SeededRandom::new(1));
    Log::open(disk.clone(), clock, random, options, true).unwrap()
}

impl Held {
    pub(crate) fn pumped() -> Self {
        Self::pumped_on(&open(1 << 20))
    }

    pub(crate) fn pumped_on(opened: &Opened) -> Self {
        Self::pumped_with(opened, Arc::new(Remote::default()))
    }

    pub(crate) fn pumped_with(opened: &Opened, remote: Arc<Remote>) -> Self {
        let facts = facts(opened);
        let published = facts.published.clone();
        let commit = HeldCommit(remote.clone());
        let (sequencer, pump) = Sequencer::manual_with(opened, facts, commit).unwrap();
        Held { log: opened.log.clone(), remote, published, sequencer, pump: Some(pump) }
    }

    pub(crate) fn threaded() -> Self {
        let opened = open(1 << 20);
        let (remote, facts) = (Arc::new(Remote::default()), facts(&opened));
        let published = facts.published.clone();
        let sequencer = Sequencer::start_with(&opened, facts, HeldCommit(remote.clone())).unwrap();
        Held { log: opened.log, remote, published, sequencer, pump: None }
    }

    pub(crate) fn submit(&self, draft: &str) -> Answer {
        let waiting = pollster::block_on(self.sequencer.submit(draft.to_owned(), draft.len() + 16));
        Answer::new(waiting.unwrap())
    }

    /// Submits a draft and gives the writer a turn, so that it is a batch of its own.
    pub(crate) fn batch(&mut self, draft: &str) -> Answer {
        let answer = self.submit(draft);
        self.turn();
        answer
    }

    pub(crate) fn turn(&mut self) {
        self.pump.as_mut().unwrap().turn();
    }

    /// The events that a reader sees, and the facts that are published: they must be the same.
    pub(crate) fn visible(&self) -> Vec<String> {
        let range = ScanRange { from: 1, to: u64::MAX, times: None };
        let mut scan = self.log.scan(range, Direction::Forward);
        let mut found = Vec::new();
        while let Some(record) = scan.next().unwrap() {
            found.push(String::from_utf8(record.bytes.to_vec()).unwrap());
        }
        assert_eq!(found.len() as u64, self.log.head().position);
        assert_eq!(found, *self.published.lock());
        let mut frames = 0;
        for segment in self.log.segments() {
            // A mark is a frame without a record.
            let count = |frame: FrameView| frames += u64::from(!frame.records.is_empty());
            self.log.each_frame(segment.id, count).unwrap();
        }
        assert_eq!(frames, self.log.head().ticket, "no frame of an unconfirmed batch is read");
        found
    }
}

fn facts(opened: &Opened) -> Facts {
    let published = Arc::default();
    Facts { log: opened.log.clone(), pending: VecDeque::new(), confirmed: Vec::new(), published }
}

/// An answer that the test can look at without waiting.
pub(crate) struct Answer(std::pin::Pin<Box<dyn Future<Output = Outcome<Facts>>>>);

impl Answer {
    fn new(waiting: PendingOutcome<Facts>) -> Self {
        Answer(Box::pin(waiting.outcome()))
    }

    pub(crate) fn now(&mut self) -> Option<Outcome<Facts>> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    pub(crate) fn wait(self) -> Outcome<Facts> {
        pollster::block_on(self.0)
    }

    pub(crate) fn is_pending(&mut self) -> bool {
        self.now().is_none()
    }

    #[track_caller]
    pub(crate) fn assert_written(&mut self, position: u64) {
        assert_eq!(self.now().unwrap().unwrap(), Ok(position));
    }

    #[track_caller]
    pub(crate) fn error(&mut self) -> String {
        self.now().unwrap().unwrap_err().to_string()
    }
}
