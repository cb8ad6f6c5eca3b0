//! The log on a fake disk: what it preserves, what it cuts off, what it refuses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Admit, Direction, Durability, FrameBuilder, Head, Log, LogOptions, OpenError, Opened,
    PendingOutcome, Pump, ReadError, ScanRange, SegmentInfo, Sequencer, Slot, WriteError,
};

/// Admits every draft as it is: each byte string a record whose time is its length.
pub(crate) struct Plain;

impl Admit for Plain {
    type Draft = Vec<Vec<u8>>;
    type Receipt = u64;
    type Refusal = ();

    fn admit(
        &mut self,
        draft: Self::Draft,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<u64, ()> {
        if draft.is_empty() {
            return Err(());
        }
        draft.iter().for_each(|record| frame.record(record.len() as i64, record));
        Ok(slot.position)
    }

    fn confirmed(&mut self, _head: Head) {}
    fn rolled(&mut self, _opened: SegmentInfo) {}
}

pub(crate) fn options() -> LogOptions {
    LogOptions { segment_bytes: 100_000, preallocate: 4096, ..LogOptions::default() }
}

pub(crate) fn open_with(disk: &FakeDisk, options: LogOptions) -> Result<Opened, OpenError> {
    let clock = Arc::new(ManualClock::at(1_000));
    Log::open(Arc::new(disk.clone()), clock, Arc::new(SeededRandom::new(1)), options, true)
}

pub(crate) struct Writing {
    pub(crate) log: Log,
    pub(crate) sequencer: Sequencer<Plain>,
    pub(crate) pump: Pump<Plain>,
}

pub(crate) fn write(disk: &FakeDisk) -> Writing {
    let opened = open_with(disk, options()).unwrap();
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    Writing { log: opened.log, sequencer, pump }
}

impl Writing {
    fn hand_in(&self, records: &[&[u8]]) -> PendingOutcome<Plain> {
        let draft: Vec<_> = records.iter().map(|record| record.to_vec()).collect();
        let bytes = draft.iter().map(|record| record.len() + 16).sum();
        pollster::block_on(self.sequencer.submit(draft, bytes)).unwrap()
    }

    pub(crate) fn append(&mut self, records: &[&[u8]]) -> Result<u64, WriteError> {
        let waiting = self.hand_in(records);
        self.pump.turn();
        pollster::block_on(waiting.outcome()).map(|admitted| admitted.unwrap())
    }
}

pub(crate) fn contents(log: &Log, direction: Direction) -> Vec<(u64, Vec<u8>)> {
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let mut scan = log.scan(range, direction);
    let mut found = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        found.push((record.position, record.bytes.to_vec()));
    }
    found
}

pub(crate) fn numbered(count: u64, len: usize) -> Vec<(u64, Vec<u8>)> {
    (1..=count).map(|n| (n, format!("{n:0len$}").into_bytes())).collect()
}

pub(crate) fn append_all(writing: &mut Writing, records: &[(u64, Vec<u8>)]) {
    for (position, record) in records {
        assert_eq!(writing.append(&[record]).unwrap(), *position);
    }
}

#[test]
fn reads_back_over_many_segments_sealed_and_not_in_both_directions() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    let all = numbered(1_000, 700);
    append_all(&mut writing, &all);
    for step in ["closed", "sealed", "reopened"] {
        assert!(writing.log.segments().len() > 5);
        assert_eq!(contents(&writing.log, Direction::Forward), all, "{step}");
        let backward: Vec<_> = all.iter().rev().cloned().collect();
        assert_eq!(contents(&writing.log, Direction::Backward), backward, "{step}");
        let mut fetcher = writing.log.fetcher();
        for n in (1..=1000).step_by(37).chain([1000, 1, 500]) {
            let record = fetcher.get(n).unwrap().unwrap();
            assert_eq!((record.position, record.bytes.to_vec()), all[n as usize - 1]);
        }
        assert!(fetcher.get(0).unwrap().is_none());
        assert!(fetcher.get(1001).unwrap().is_none());
        drop(fetcher);
        if step == "closed" {
            writing.log.segments().iter().for_each(|s| writing.log.seal(s.id).unwrap());
            assert!(writing.log.segments().iter().all(|s| s.sealed != s.active));
        } else if step == "sealed" {
            writing.pump.close();
            drop((writing.log, writing.sequencer));
            writing = write(&disk);
        }
    }
}

#[test]
fn one_turn_is_one_write_and_one_sync_for_all_drafts_that_wait() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    writing.append(&[b"first"]).unwrap();
    let before = disk.counts();
    let waiting: VecDeque<_> = (0..100).map(|_| writing.hand_in(&[b"a", b"b"])).collect();
    writing.pump.turn();
    let after = disk.counts();
    assert_eq!((after.syncs - before.syncs, after.writes - before.writes), (1, 2));
    for (n, waiting) in waiting.into_iter().enumerate() {
        let position = pollster::block_on(waiting.outcome()).unwrap().unwrap();
        assert_eq!(position, 2 + 2 * n as u64);
    }
}

#[test]
fn a_refused_draft_takes_no_position_and_leaves_no_byte() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    let refused = writing.hand_in(&[]);
    let taken = writing.hand_in(&[b"x"]);
    writing.pump.turn();
    assert_eq!(pollster::block_on(refused.outcome()).unwrap(), Err(()));
    assert_eq!(pollster::block_on(taken.outcome()).unwrap(), Ok(1));
    assert_eq!(contents(&writing.log, Direction::Forward), [(1, b"x".to_vec())]);
}

#[test]
fn nothing_is_read_before_its_sync() {
    let disk = FakeDisk::new();
    let opened = open_with(&disk, options()).unwrap();
    let sequencer = Sequencer::start(&opened, Plain).unwrap();
    disk.syncs().shut();
    let waiting = pollster::block_on(sequencer.submit(vec![b"x".to_vec()], 17)).unwrap();
    disk.syncs().wait_until_blocked();
    assert_eq!(contents(&opened.log, Direction::Forward), []);
    disk.syncs().open();
    assert_eq!(pollster::block_on(waiting.outcome()).unwrap(), Ok(1));
    assert_eq!(contents(&opened.log, Direction::Forward), [(1, b"x".to_vec())]);
}

#[test]
fn a_relaxed_log_answers_before_the_sync_and_reads_only_what_is_synced() {
    let disk = FakeDisk::new();
    let durability = Durability::Relaxed(Duration::from_secs(3600));
    let opened = open_with(&disk, LogOptions { durability, ..options() }).unwrap();
    let (sequencer, mut pump) = Sequencer::manual(&opened, Plain).unwrap();
    let waiting = pollster::block_on(sequencer.submit(vec![b"x".to_vec()], 17)).unwrap();
    pump.turn();
    assert_eq!(pollster::block_on(waiting.outcome()).unwrap(), Ok(1));
    assert_eq!(contents(&opened.log, Direction::Forward), []);
    pump.rest();
    assert_eq!(contents(&opened.log, Direction::Forward), [(1, b"x".to_vec())]);
}

#[test]
fn recovers_from_a_torn_last_frame_and_never_revives_what_came_after_it() {
    let mut cut_short = 0;
    for seed in 0..300 {
        let disk = FakeDisk::new();
        let mut writing = write(&disk);
        append_all(&mut writing, &numbered(5, 900));
        // Three frames in one batch, of which the power cut leaves some sectors.
        let waiting: Vec<_> = (0..3).map(|_| writing.hand_in(&[&[7; 900]])).collect();
        disk.cut_power_at(disk.counts().changes + 2 + seed % 2);
        writing.pump.turn();
        assert!(pollster::block_on(waiting.into_iter().next().unwrap().outcome()).is_err());

        let disk = disk.after(Crash::Tears(seed));
        let mut writing = write(&disk);
        let found = contents(&writing.log, Direction::Forward);
        assert_eq!(found[..5], numbered(5, 900));
        assert!(found[5..].iter().all(|(_, record)| record == &[7; 900]));
        cut_short += u64::from(found.len() < 8);
        let next = writing.append(&[&[8; 900]]).unwrap();
        assert_eq!(next, found.len() as u64 + 1);
        drop(writing);
        // Another crash: a frame of the old batch must not stand behind the new one.
        let writing = write(&disk.after(Crash::Forgets));
        assert_eq!(contents(&writing.log, Direction::Forward).len() as u64, next);
    }
    assert!(cut_short > 100, "only {cut_short} of 300 crashes tore the batch");
}

fn damaged(disk: &FakeDisk) -> String {
    match open_with(disk, options()).err().unwrap() {
        error @ OpenError::Damaged(_) => error.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_flipped_bit_below_the_synced_mark_is_refused_with_file_offset_and_position() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(3, 100));
    drop(writing);
    // The header has 64 bytes; a frame 64, a record's prefix 16, the record 100.
    for (at, position) in [(70, 1), (64 + 90, 1), (64 + 180 + 100, 2)] {
        let rotten = disk.after(Crash::Keeps);
        rotten.rot("log/0000000000000001.0.seg", at, 0x10);
        let before = rotten.bytes("log/0000000000000001.0.seg");
        let sentence = damaged(&rotten);
        let offset = 64 + (position - 1) * 180;
        let expected =
            format!("0000000001.0.seg is damaged at offset {offset} (position {position})");
        assert!(sentence.contains(&expected), "{sentence}");
        assert_eq!(rotten.bytes("log/0000000000000001.0.seg"), before, "nothing was changed");
    }
}

#[test]
fn the_last_frame_is_guarded_by_the_mark_that_is_written_when_the_log_goes_idle() {
    let name = "log/0000000000000001.0.seg";
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(3, 100));
    let busy = disk.after(Crash::Keeps);
    busy.rot(name, 64 + 2 * 180 + 100, 1);
    let opened = open_with(&busy, options()).unwrap();
    assert_eq!(contents(&opened.log, Direction::Forward), numbered(2, 100), "taken for torn");

    writing.pump.rest();
    let idle = disk.after(Crash::Keeps);
    idle.rot(name, 64 + 2 * 180 + 100, 1);
    assert!(damaged(&idle).contains("position 3"));
}

#[test]
fn damage_in_a_sealed_segment_is_found_when_it_is_read() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(300, 700));
    writing.log.seal(1).unwrap();
    disk.rot("log/0000000000000001.0.seg", 50_000, 4);
    let mut scan =
        writing.log.scan(ScanRange { from: 1, to: 300, times: None }, Direction::Forward);
    let error = loop {
        match scan.next() {
            Ok(record) => assert!(record.is_some()),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("log/0000000000000001.0.seg is damaged at offset 4"), "{error}");
    assert!(writing.log.each_frame(1, |_| ()).is_err());
    assert!(writing.log.each_frame(2, |_| ()).is_ok());
}

#[test]
fn damage_is_reported_at_its_offset_wherever_the_read_began() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    let record = [7; 100];
    for _ in 0..50 {
        writing.append(&[&record]).unwrap();
    }
    // Each frame has 64 bytes of header and a record of 16 and 100 bytes.
    let (header, frame) = (64, 64 + 16 + 100);
    disk.rot("log/0000000000000001.0.seg", header + 30 * frame + 90, 1);
    for from in [1, 20, 31] {
        let range = ScanRange { from, to: 40, times: None };
        let mut scan = writing.log.scan(range, Direction::Forward);
        for position in from..31 {
            assert_eq!(scan.next().unwrap().unwrap().position, position);
        }
        for _again in 0..2 {
            let ReadError::Damaged(damage) = scan.next().unwrap_err() else {
                panic!("the disk works")
            };
            assert_eq!((damage.position, damage.offset), (31, header + 30 * frame + 64));
        }
    }
}

#[test]
fn a_failed_sync_is_never_retried() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    writing.append(&[b"kept"]).unwrap();
    disk.fail_syncs(1);
    let error = writing.append(&[b"lost?"]).unwrap_err().to_string();
    assert!(error.starts_with("writing failed (syncing the log: this sync fails"), "{error}");
    assert!(writing.append(&[b"after"]).is_err());
    writing.pump.rest();
    assert_eq!(contents(&writing.log, Direction::Forward), [(1, b"kept".to_vec())]);
    drop(writing);
    assert_eq!(write(&disk.after(Crash::Forgets)).append(&[b"again"]).unwrap(), 2);
}

#[test]
fn a_relaxed_writer_syncs_with_its_next_turn_if_it_is_asked_to() {
    let disk = FakeDisk::new();
    let durability = Durability::Relaxed(std::time::Duration::from_secs(3_600));
    let Ok(opened) = open_with(&disk, LogOptions { durability, ..options() }) else {
        panic!("a new log")
    };
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    let mut writing = Writing { log: opened.log, sequencer, pump };
    writing.append(&[b"1"]).unwrap();
    writing.append(&[b"2"]).unwrap();
    assert_eq!(writing.log.head().position, 0);
    writing.log.sync_soon();
    writing.append(&[b"3"]).unwrap();
    assert_eq!(writing.log.head().position, 3);
    writing.append(&[b"4"]).unwrap();
    assert_eq!(writing.log.head().position, 3);
}

#[test]
fn a_full_disk_leaves_the_log_readable_and_appends_go_on_when_there_is_space() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(10, 300));
    disk.set_capacity(Some(disk.used() + 100));
    let large = vec![1; 5_000];
    let error = writing.append(&[&large]).unwrap_err().to_string();
    assert!(error.starts_with("the disk is full"), "{error}");
    for _ in 0..3 {
        assert!(matches!(writing.append(&[b"refused"]), Err(WriteError::DiskFull { .. })));
        writing.pump.rest();
        assert!(matches!(writing.log.failure(), Some(WriteError::DiskFull { .. })));
    }
    assert_eq!(contents(&writing.log, Direction::Forward), numbered(10, 300));

    // What was admitted before is written now; what was refused since is not.
    disk.set_capacity(None);
    writing.pump.rest();
    assert!(writing.log.failure().is_none());
    let mut expected = numbered(10, 300);
    expected.push((11, large));
    assert_eq!(contents(&writing.log, Direction::Forward), expected);
    assert_eq!(writing.append(&[b"x"]).unwrap(), 12);
    drop(writing);
    expected.push((12, b"x".to_vec()));
    assert_eq!(contents(&write(&disk).log, Direction::Forward), expected);
}

#[test]
fn what_was_acknowledged_early_becomes_durable_though_the_disk_is_full() {
    let disk = FakeDisk::new();
    let durability = Durability::Relaxed(Duration::from_secs(3_600));
    let Ok(opened) = open_with(&disk, LogOptions { durability, ..options() }) else {
        panic!("a new log")
    };
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    let mut writing = Writing { log: opened.log, sequencer, pump };
    writing.append(&[b"acknowledged"]).unwrap();
    disk.set_capacity(Some(disk.used()));
    assert!(writing.append(&[&[1; 20_000]]).is_err());
    assert_eq!(writing.log.head().position, 0);
    writing.pump.rest();
    assert_eq!(writing.log.head().position, 1);
    assert!(writing.log.stalled().is_some());
    let after = disk.after(Crash::Forgets);
    after.set_capacity(None);
    assert_eq!(contents(&write(&after).log, Direction::Forward), [(1, b"acknowledged".to_vec())]);
}

#[test]
fn a_disk_that_is_full_for_a_new_segment_refuses_appends_until_there_is_space() {
    let disk = FakeDisk::new();
    // The zeros behind a closed segment's frames would be space for the next one.
    let options = LogOptions { segment_bytes: 3_000, preallocate: 0, ..options() };
    let Ok(opened) = open_with(&disk, options) else { panic!("the disk has space") };
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    let mut writing = Writing { log: opened.log, sequencer, pump };
    append_all(&mut writing, &numbered(6, 400));
    disk.set_capacity(Some(disk.used()));
    for _ in 0..3 {
        assert!(matches!(writing.append(&[&[2; 2_000]]), Err(WriteError::DiskFull { .. })));
        writing.pump.rest();
    }
    disk.set_capacity(None);
    assert_eq!(writing.append(&[b"x"]).unwrap(), 7);
    assert!(writing.log.failure().is_none());
    drop(writing);
    let mut expected = numbered(6, 400);
    expected.push((7, b"x".to_vec()));
    assert_eq!(contents(&write(&disk).log, Direction::Forward), expected);
}

#[test]
fn without_a_descriptor_for_a_new_segment_appends_are_refused_until_there_is_one() {
    let disk = FakeDisk::new();
    let Ok(opened) = open_with(&disk, LogOptions { segment_bytes: 3_000, ..options() }) else {
        panic!("the disk is empty")
    };
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    let mut writing = Writing { log: opened.log, sequencer, pump };
    append_all(&mut writing, &numbered(6, 400));
    disk.refuse_opens(Some(""));
    for _ in 0..3 {
        let refused = writing.append(&[&[2; 2_000]]);
        assert!(matches!(refused, Err(WriteError::OutOfDescriptors { .. })), "{refused:?}");
        writing.pump.rest();
        let waits = writing.log.failure();
        assert!(matches!(waits, Some(WriteError::OutOfDescriptors { .. })), "{waits:?}");
    }
    assert_eq!(contents(&writing.log, Direction::Forward), numbered(6, 400));
    disk.refuse_opens(None);
    assert_eq!(writing.append(&[b"x"]).unwrap(), 7);
    assert!(writing.log.failure().is_none());
    drop(writing);
    let mut expected = numbered(6, 400);
    expected.push((7, b"x".to_vec()));
    assert_eq!(contents(&write(&disk).log, Direction::Forward), expected);
}

#[test]
fn an_append_for_which_there_is_space_needs_none_for_zeros() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(10, 300));
    // More than the zeros that were written so far.
    let large = vec![1; 2 * options().preallocate as usize];
    disk.set_capacity(Some(disk.used() + large.len() as u64));
    assert_eq!(writing.append(&[&large]).unwrap(), 11);
}

#[test]
fn a_crash_on_a_full_disk_leaves_acknowledged_records() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    append_all(&mut writing, &numbered(10, 300));
    disk.set_capacity(Some(disk.used() + 100));
    assert!(writing.append(&[&[1; 5_000]]).is_err());
    for crash in [Crash::Forgets, Crash::Keeps] {
        let after = disk.after(crash);
        after.set_capacity(None);
        let mut writing = write(&after);
        let found = contents(&writing.log, Direction::Forward);
        assert_eq!(found[..10], numbered(10, 300));
        let next = found.len() as u64 + 1;
        assert_eq!(writing.append(&[b"x"]).unwrap(), next);
    }
}

#[test]
fn after_a_power_cut_at_any_write_acknowledged_records_are_there_and_others_whole_or_absent() {
    let run = |disk: &FakeDisk| -> u64 {
        let Ok(opened) = open_with(disk, LogOptions { segment_bytes: 3_000, ..options() }) else {
            return 0;
        };
        let Ok((sequencer, pump)) = Sequencer::manual(&opened, Plain) else { return 0 };
        let mut writing = Writing { log: opened.log, sequencer, pump };
        let mut acknowledged = 0;
        for (n, record) in numbered(30, 400) {
            if writing.append(&[&record]).is_err() {
                break;
            }
            acknowledged = n;
            if n % 7 == 0 {
                writing.pump.rest();
                _ = writing.log.seal(n / 7);
            }
        }
        writing.pump.close();
        acknowledged
    };
    let whole = FakeDisk::new();
    assert_eq!(run(&whole), 30);
    for cut in 1..=whole.counts().changes {
        let disk = FakeDisk::new();
        disk.cut_power_at(cut);
        let acknowledged = run(&disk);
        for crash in [Crash::Forgets, Crash::Keeps, Crash::Tears(cut), Crash::Tears(cut + 7919)] {
            let after = disk.after(crash);
            let opened = open_with(&after, options())
                .unwrap_or_else(|error| panic!("cut {cut}, {crash:?}: {error}"));
            let found = contents(&opened.log, Direction::Forward);
            assert!(found.len() as u64 >= acknowledged, "cut {cut}, {crash:?}");
            assert_eq!(found, numbered(30, 400)[..found.len()], "cut {cut}, {crash:?}");
        }
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let disk = FakeDisk::new();
    let first = open_with(&disk, options()).unwrap();
    let error = open_with(&disk, options()).err().unwrap().to_string();
    assert!(error.contains("is open in another process"), "{error}");
    drop(first);
    open_with(&disk, options()).unwrap();
}

#[test]
fn finds_positions_by_commit_time_and_blocks_by_record_time() {
    let disk = FakeDisk::new();
    let clock = Arc::new(ManualClock::at(0));
    let random = Arc::new(SeededRandom::new(1));
    let opened = Log::open(Arc::new(disk), clock.clone(), random, options(), true).unwrap();
    let (sequencer, pump) = Sequencer::manual(&opened, Plain).unwrap();
    let mut writing = Writing { log: opened.log, sequencer, pump };
    for n in 1..=500 {
        clock.advance(if n % 2 == 0 { 20 } else { -10 });
        // A record's time is its length here: it grows.
        writing.append(&[&vec![1; 500 + n]]).unwrap();
    }
    // Commit times: 0, 10, 10, 20, 20, ... they never go back.
    assert_eq!(writing.log.position_at_commit_time(i64::MIN).unwrap(), 1);
    assert_eq!(writing.log.position_at_commit_time(10).unwrap(), 2);
    assert_eq!(writing.log.position_at_commit_time(11).unwrap(), 4);
    assert_eq!(writing.log.position_at_commit_time(i64::MAX).unwrap(), 501);
    for direction in [Direction::Forward, Direction::Backward] {
        let range = ScanRange { from: 1, to: 500, times: Some((800, 810)) };
        let mut scan = writing.log.scan(range, direction);
        let (mut wanted, mut read) = (0, 0);
        while let Some(record) = scan.next().unwrap() {
            read += 1;
            wanted += u64::from((800..810).contains(&record.time));
        }
        assert_eq!(wanted, 10, "{direction:?}");
        assert!(read < 100, "{direction:?} read {read} of 500 records");
    }
}
