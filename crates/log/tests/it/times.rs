//! Positions by commit time, over many segments.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Admit, Direction, FrameBuilder, Head, Log, LogOptions, Pump, ScanRange, SegmentInfo, Sequencer,
    Slot,
};

/// A draft is the length of its record; 0 is a frame with an extension and no record.
struct Lengths;

impl Admit for Lengths {
    type Draft = usize;
    type Receipt = ();
    type Refusal = ();

    fn admit(&mut self, length: usize, _: Slot, frame: &mut FrameBuilder<'_>) -> Result<(), ()> {
        match length {
            0 => frame.extension(1, &[7; 300]),
            length => frame.record(0, &vec![1; length]),
        }
        Ok(())
    }

    fn confirmed(&mut self, _head: Head) {}
    fn rolled(&mut self, _opened: SegmentInfo) {}
}

struct Writing {
    disk: FakeDisk,
    clock: Arc<ManualClock>,
    log: Log,
    sequencer: Sequencer<Lengths>,
    pump: Pump<Lengths>,
}

impl Writing {
    fn new(segment_bytes: u64) -> Self {
        let (disk, clock) = (FakeDisk::new(), Arc::new(ManualClock::at(0)));
        let options = LogOptions { segment_bytes, preallocate: 0, ..LogOptions::default() };
        let random = Arc::new(SeededRandom::new(1));
        let opened =
            Log::open(Arc::new(disk.clone()), clock.clone(), random, options, true).unwrap();
        let (sequencer, pump) = Sequencer::manual(&opened, Lengths).unwrap();
        Writing { disk, clock, log: opened.log, sequencer, pump }
    }

    fn append(&mut self, length: usize) {
        let bytes = if length == 0 { 308 } else { length + 16 };
        drop(pollster::block_on(self.sequencer.submit(length, bytes)).unwrap());
        self.pump.turn();
    }
}

/// The position and commit time of every record.
fn records(log: &Log) -> Vec<(u64, i64)> {
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let mut scan = log.scan(range, Direction::Forward);
    let mut found = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        found.push((record.position, record.commit_time));
    }
    found
}

#[test]
fn finds_the_same_position_as_a_look_at_every_record() {
    for seed in 0..60 {
        let random = SeededRandom::new(seed);
        let mut writing = Writing::new(1_500);
        for _ in 0..100 {
            // Equal times within and across segments, and segments without a record.
            writing.clock.advance(random.below(4) as i64 * 5 - 5);
            let runs = if random.one_in(10) { 8 } else { 1 };
            let length = if runs > 1 || random.one_in(5) { 0 } else { 50 + random.below(600) };
            (0..runs).for_each(|_| writing.append(length as usize));
        }
        for segment in writing.log.segments() {
            if random.one_in(2) {
                writing.log.seal(segment.id).unwrap();
            }
        }
        let all = records(&writing.log);
        let last = all.last().map_or(0, |(_, time)| *time);
        for time in (-10..last + 10).chain([i64::MIN, i64::MAX]) {
            let expected = all.iter().find(|(_, commit)| *commit >= time);
            let expected = expected.map_or(all.len() as u64 + 1, |(position, _)| *position);
            let found = writing.log.position_at_commit_time(time).unwrap();
            assert_eq!(found, expected, "seed {seed}, time {time}");
        }
    }
}

#[test]
fn reads_the_tables_of_a_few_segments_out_of_many() {
    let mut writing = Writing::new(1_500);
    for _ in 0..1_000 {
        writing.clock.advance(10);
        writing.append(1_000);
    }
    let segments = writing.log.segments();
    assert_eq!(segments.len(), 1_000);
    segments.iter().for_each(|segment| writing.log.seal(segment.id).unwrap());
    let before = writing.disk.counts().reads;
    assert_eq!(writing.log.position_at_commit_time(7_505).unwrap(), 751);
    let reads = writing.disk.counts().reads - before;
    // A table takes two reads, and ten of them tell a thousand segments apart.
    assert!(reads <= 25, "{reads} reads");
}
