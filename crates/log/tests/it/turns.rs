//! What a caller that writes on its own thread waits for, and what it leaves to the writer's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Admit, FrameBuilder, Head, Log, LogOptions, Opened, PendingOutcome, SegmentInfo, Sequencer,
    Slot,
};
use parking_lot::{Condvar, Mutex};

/// A place where a new segment must wait until the test lets it through.
#[derive(Default)]
struct Gate {
    /// The names of the threads that came, and whether they may go on.
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.0.push(std::thread::current().name().unwrap_or_default().to_owned());
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |(_, open)| !*open);
    }

    fn wait_for_a_thread(&self) {
        self.changed.wait_while(&mut self.state.lock(), |(threads, _)| threads.is_empty());
    }

    fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

struct Gated(Arc<Gate>);

impl Admit for Gated {
    type Draft = ();
    type Receipt = u64;
    type Refusal = ();

    fn admit(&mut self, _: (), slot: Slot, frame: &mut FrameBuilder<'_>) -> Result<u64, ()> {
        frame.record(0, &[1; 800]);
        Ok(slot.position)
    }

    fn confirmed(&mut self, _head: Head) {}
    fn rolled(&mut self, _opened: SegmentInfo) {}

    fn before_roll(&mut self) {
        self.0.pass();
    }
}

fn open() -> (Opened, Sequencer<Gated>, Arc<Gate>) {
    let options = LogOptions {
        segment_bytes: 2_000,
        preallocate: 0,
        // Only what wakes the writer's thread gives it a turn.
        idle: Duration::from_secs(3600),
        ..LogOptions::default()
    };
    let (clock, random) = (Arc::new(ManualClock::at(1)), Arc::new(SeededRandom::new(1)));
    let opened = Log::open(Arc::new(FakeDisk::new()), clock, random, options, true).unwrap();
    let gate = Arc::new(Gate::default());
    let sequencer = Sequencer::start(&opened, Gated(gate.clone())).unwrap();
    (opened, sequencer, gate)
}

fn submit_here(sequencer: &Sequencer<Gated>) -> PendingOutcome<Gated> {
    pollster::block_on(sequencer.submit_here((), 816)).unwrap()
}

#[test]
fn a_caller_that_finds_the_segment_full_leaves_its_draft_to_the_writers_thread() {
    let (opened, sequencer, gate) = open();
    for position in 1..=2 {
        let waiting = submit_here(&sequencer);
        assert_eq!(pollster::block_on(waiting.outcome()).unwrap(), Ok(position));
    }
    // Both return though a new segment must wait.
    let full = submit_here(&sequencer);
    gate.wait_for_a_thread();
    let next = submit_here(&sequencer);
    assert_eq!((opened.log.segments().len(), opened.log.head().position), (1, 2));
    gate.open();
    for (waiting, position) in [(full, 3), (next, 4)] {
        assert_eq!(pollster::block_on(waiting.outcome()).unwrap(), Ok(position));
    }
    assert_eq!(gate.state.lock().0, ["leftfold-writer"]);
}

#[test]
fn a_caller_leaves_it_to_the_writers_thread_to_close_a_segment_that_is_to_be_closed() {
    let (opened, sequencer, gate) = open();
    opened.log.close_segment();
    let waiting = submit_here(&sequencer);
    assert_eq!(pollster::block_on(waiting.outcome()).unwrap(), Ok(1));
    gate.wait_for_a_thread();
    gate.open();
    while opened.log.segments().len() < 2 {
        let moved = opened.log.listen();
        if opened.log.segments().len() < 2 {
            pollster::block_on(moved);
        }
    }
    assert_eq!(gate.state.lock().0, ["leftfold-writer"]);
}
