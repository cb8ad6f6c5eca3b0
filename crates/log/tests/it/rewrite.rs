//! Rewritten segments: what is read, what a crash leaves, and readers of the old generation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_io::Disk;
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{
    Admit, Compression, Direction, Edit, Edited, FrameBuilder, Head, Log, LogOptions, OpenError,
    Opened, Record, RewriteError, ScanRange, SegmentInfo, Sequencer, Slot,
};

/// Admits every draft as one record whose time is its length.
struct Plain;

impl Admit for Plain {
    type Draft = Vec<u8>;
    type Receipt = u64;
    type Refusal = ();

    fn admit(
        &mut self,
        draft: Vec<u8>,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<u64, ()> {
        frame.append_id(u128::from(slot.position));
        frame.extension(7, &slot.position.to_le_bytes());
        // Every fifth frame has no record, as one that only moves a checkpoint.
        if !draft.len().is_multiple_of(5) {
            frame.record(draft.len() as i64, &draft);
        }
        Ok(slot.position)
    }

    fn confirmed(&mut self, _head: Head) {}
    fn rolled(&mut self, _opened: SegmentInfo) {}
}

fn open(disk: &FakeDisk) -> Result<Opened, OpenError> {
    let options = LogOptions { segment_bytes: 30_000, preallocate: 4096, ..LogOptions::default() };
    let clock = Arc::new(ManualClock::at(1_000));
    Log::open(Arc::new(disk.clone()), clock, Arc::new(SeededRandom::new(1)), options, true)
}

/// A log of a few sealed segments and an open one.
fn filled(disk: &FakeDisk) -> Log {
    let opened = open(disk).unwrap();
    let (sequencer, mut pump) = Sequencer::manual(&opened, Plain).unwrap();
    for n in 0..600u32 {
        let record = format!("{{\"order\":{n},\"customer\":\"{}\"}}", n % 7);
        let record = record.repeat(1 + n as usize % 9).into_bytes();
        let bytes = record.len() + 32;
        let waiting = pollster::block_on(sequencer.submit(record, bytes)).unwrap();
        pump.turn();
        pollster::block_on(waiting.outcome()).unwrap().unwrap();
    }
    pump.close();
    for segment in opened.log.segments().iter().filter(|segment| !segment.active) {
        opened.log.seal(segment.id).unwrap();
    }
    opened.log
}

/// Replaces every record whose position divides, if by anything.
struct Emptying(Option<u64>);

impl Edit for Emptying {
    fn edit(&mut self, record: &Record) -> Edited {
        match self.0 {
            Some(n) if record.position.is_multiple_of(n) => Edited::Replaced(b"gone".to_vec()),
            _ => Edited::Kept,
        }
    }

    fn may_train(&self, _record: &Record) -> bool {
        true
    }

    fn go_on(&mut self, _bytes: u64) -> bool {
        true
    }
}

type Contents = Vec<(u64, i64, i64, Vec<u8>)>;

fn contents(log: &Log, direction: Direction) -> Contents {
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let mut scan = log.scan(range, direction);
    let mut found = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        found.push((record.position, record.commit_time, record.time, record.bytes.to_vec()));
    }
    found
}

/// All that a log says, by every way of reading.
fn all_of(log: &Log) -> Contents {
    let forward = contents(log, Direction::Forward);
    let mut backward = contents(log, Direction::Backward);
    backward.reverse();
    assert_eq!(forward, backward);
    let mut fetcher = log.fetcher();
    for (position, _, _, bytes) in forward.iter().rev() {
        assert_eq!(fetcher.get(*position).unwrap().unwrap().bytes, bytes);
    }
    forward
}

type FrameOf = (u64, Vec<(u16, Vec<u8>)>, [u8; 16]);

fn frames(log: &Log) -> Vec<FrameOf> {
    let mut found = Vec::new();
    for segment in log.segments() {
        let mut note = |frame: leftfold_log::FrameView| {
            let extensions = frame.extensions().map(|e| (e.kind, e.value.to_vec())).collect();
            let header = &frame.header;
            if !header.is_mark() {
                found.push((header.first_position.get(), extensions, header.append_id));
            }
        };
        log.each_frame(segment.id, &mut note).unwrap();
    }
    found
}

fn sealed(log: &Log) -> Vec<u64> {
    log.segments().iter().filter(|segment| segment.sealed).map(|segment| segment.id).collect()
}

#[test]
fn a_compressed_segment_has_the_content_of_the_plain_one_and_is_shorter() {
    for compression in [Compression::Fast, Compression::Small, Compression::Off] {
        let disk = FakeDisk::new();
        let log = filled(&disk);
        let (before, frames_before) = (all_of(&log), frames(&log));
        assert!(sealed(&log).len() > 2);
        for segment in sealed(&log) {
            let rewritten = log.rewrite(segment, compression, &mut Emptying(None)).unwrap();
            assert_eq!(rewritten.replaced, 0);
            assert_eq!(rewritten.after < rewritten.before, compression != Compression::Off);
        }
        assert!(all_of(&log) == before && frames(&log) == frames_before);
        log.unlock();
        drop(log);
        let log = open(&disk).unwrap().log;
        assert!(all_of(&log) == before && frames(&log) == frames_before, "{compression:?}");
    }
}

#[test]
fn generations_follow_each_other_and_replaced_records_keep_their_positions() {
    let disk = FakeDisk::new();
    let log = filled(&disk);
    let before = all_of(&log);
    for (round, compression) in
        (1..).zip([Compression::Fast, Compression::Off, Compression::Small, Compression::Fast])
    {
        for segment in sealed(&log) {
            log.rewrite(segment, compression, &mut Emptying((round > 1).then_some(3))).unwrap();
        }
        let expected: Contents = before
            .iter()
            .cloned()
            .map(|mut record| {
                let last_sealed =
                    log.segments().iter().rfind(|segment| segment.sealed).unwrap().last;
                if round > 1 && record.0 % 3 == 0 && record.0 <= last_sealed {
                    record.3 = b"gone".to_vec();
                }
                record
            })
            .collect();
        assert_eq!(all_of(&log), expected);
        let names = Disk::list(&disk, "log").unwrap();
        assert_eq!(names.len(), log.segments().len(), "old generations are removed: {names:?}");
    }
}

#[test]
fn the_old_generation_is_removed_after_its_last_reader() {
    let disk = FakeDisk::new();
    let log = filled(&disk);
    let before = contents(&log, Direction::Forward);
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let mut scan = log.scan(range, Direction::Forward);
    let mut found = vec![scan.next().unwrap().unwrap().bytes.to_vec()];
    log.rewrite(1, Compression::Small, &mut Emptying(Some(2))).unwrap();
    let names = |disk: &FakeDisk| Disk::list(disk, "log").unwrap();
    assert!(names(&disk).contains(&"0000000000000001.0.seg".to_owned()));
    while let Some(record) = scan.next().unwrap() {
        found.push(record.bytes.to_vec());
    }
    let in_chunk = |i: usize| before[i].0 <= 100;
    assert!((0..found.len()).filter(|i| in_chunk(*i)).all(|i| found[i] == before[i].3));
    drop(scan);
    assert!(!names(&disk).contains(&"0000000000000001.0.seg".to_owned()));
}

#[test]
fn a_stopped_rewrite_leaves_the_segment_as_it_was() {
    struct Stopping(u64);
    impl Edit for Stopping {
        fn edit(&mut self, _: &Record) -> Edited {
            Edited::Replaced(Vec::new())
        }
        fn may_train(&self, _: &Record) -> bool {
            true
        }
        fn go_on(&mut self, bytes: u64) -> bool {
            self.0 = self.0.saturating_sub(bytes);
            self.0 > 0
        }
    }
    let disk = FakeDisk::new();
    let log = filled(&disk);
    let (before, names) = (all_of(&log), Disk::list(&disk, "log").unwrap());
    let stopped = log.rewrite(2, Compression::Fast, &mut Stopping(20_000));
    assert!(matches!(stopped, Err(RewriteError::Stopped)));
    assert_eq!(all_of(&log), before);
    assert_eq!(Disk::list(&disk, "log").unwrap(), names);
    let active = log.segments().last().unwrap().id;
    let refused = log.rewrite(active, Compression::Fast, &mut Stopping(1));
    assert!(matches!(refused, Err(RewriteError::NotSealed(_))));
}

#[test]
fn a_crash_at_any_write_or_sync_leaves_the_old_or_the_new_generation() {
    let (mut olds, mut news) = (0, 0);
    for at in 0.. {
        let mut reached = false;
        for crash in [Crash::Forgets, Crash::Keeps, Crash::Tears(at), Crash::Tears(at + 1_000)] {
            let disk = FakeDisk::new();
            let log = filled(&disk);
            let before = all_of(&log);
            disk.cut_power_at(disk.counts().changes + at);
            let done = log.rewrite(2, Compression::Small, &mut Emptying(Some(3)));
            reached |= done.is_err();
            drop(log);
            let disk = disk.after(crash);
            let after = all_of(&open(&disk).unwrap().log);
            let changed = |record: &(u64, i64, i64, Vec<u8>)| record.3 == b"gone";
            if after.iter().any(changed) {
                news += 1;
                assert_eq!(after.len(), before.len());
            } else {
                olds += 1;
                assert!(done.is_err());
                assert_eq!(after, before);
            }
        }
        if !reached {
            break;
        }
    }
    assert!(olds > 10 && news > 0, "{olds} {news}");
}

#[test]
fn a_manifest_older_than_the_generations_is_refused_and_nothing_is_removed() {
    let disk = FakeDisk::new();
    let log = filled(&disk);
    let old = disk.bytes("MANIFEST").unwrap();
    log.rewrite(2, Compression::Fast, &mut Emptying(None)).unwrap();
    log.unlock();
    drop(log);
    let names = Disk::list(&disk, "log").unwrap();
    leftfold_io::write_atomically(&disk, "", "MANIFEST", &old).unwrap();
    let refused = open(&disk).err().unwrap();
    assert!(refused.to_string().contains("0000000000000002.0.seg"), "{refused}");
    assert_eq!(Disk::list(&disk, "log").unwrap(), names);
}

#[test]
fn any_flipped_bit_of_a_compressed_segment_is_detected_or_changes_nothing() {
    let disk = FakeDisk::new();
    let log = filled(&disk);
    log.rewrite(1, Compression::Small, &mut Emptying(None)).unwrap();
    let before = all_of(&log);
    log.unlock();
    drop(log);
    let name = "log/0000000000000001.1.seg";
    let bytes = disk.bytes(name).unwrap();
    let read = |log: &Log| -> Result<Contents, leftfold_log::ReadError> {
        log.each_frame(1, |_| {})?;
        let mut scan =
            log.scan(ScanRange { from: 1, to: u64::MAX, times: None }, Direction::Forward);
        let mut found = Vec::new();
        while let Some(record) = scan.next()? {
            found.push((record.position, record.commit_time, record.time, record.bytes.to_vec()));
        }
        Ok(found)
    };
    for at in (0..bytes.len()).step_by(bytes.len() / 997 + 1).chain(bytes.len() - 200..bytes.len())
    {
        disk.rot(name, at as u64, 1 << (at % 8));
        let log = open(&disk).unwrap().log;
        assert!(read(&log).is_err(), "byte {at} of {} was flipped", bytes.len());
        disk.rot(name, at as u64, 1 << (at % 8));
    }
    assert_eq!(all_of(&open(&disk).unwrap().log), before);
}
