//! A store that two processes use: the second is refused, or the first notices it and stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_io::{Disk, OpenMode};
use leftfold_log::{Direction, OpenError, WriteError};

use crate::log::{Writing, contents, open_with, options, write};

/// The length of a frame of one record of ten bytes.
const FRAME: u64 = 64 + 16 + 10;

fn is_replaced(result: Result<u64, WriteError>) -> bool {
    matches!(result, Err(WriteError::Replaced { .. }))
}

fn found(disk: &FakeDisk) -> Vec<Vec<u8>> {
    let writing = write(disk);
    contents(&writing.log, Direction::Forward).into_iter().map(|(_, bytes)| bytes).collect()
}

/// A writer that has appended, and another one that got in as all locks were lost.
fn two_writers(disk: &FakeDisk) -> (Writing, Writing) {
    let mut first = write(disk);
    first.append(&[b"1st, one.."]).unwrap();
    assert!(matches!(open_with(disk, options()), Err(OpenError::Locked(_))));
    disk.lose_locks();
    (first, write(disk))
}

#[test]
fn a_writer_that_lost_the_store_acknowledges_nothing_more() {
    let disk = FakeDisk::new();
    let (mut first, mut second) = two_writers(&disk);
    assert!(is_replaced(first.append(&[b"1st, two.."])));
    assert!(is_replaced(first.append(&[b"1st, three"])), "it has stopped");
    second.append(&[b"2nd, one.."]).unwrap();
    drop(second);
    // What it writes when it is closed would lie over the second one's frames.
    first.pump.rest();
    drop(first);
    let all = found(&disk);
    assert_eq!(
        (&*all[0], all.last().unwrap().as_slice()),
        (&b"1st, one.."[..], &b"2nd, one.."[..])
    );
}

#[test]
fn a_writer_that_lost_the_store_opens_no_segment_and_seals_none() {
    let disk = FakeDisk::new();
    let (mut first, mut second) = two_writers(&disk);
    second.append(&[b"2nd, one.."]).unwrap();
    let before = (disk.bytes("MANIFEST"), disk.names());
    first.log.close_segment();
    first.pump.rest();
    assert!(matches!(first.log.failure(), Some(WriteError::Replaced { .. })));
    assert!(first.log.adopt(&[]).is_err(), "nor does it replace the manifest");
    assert_eq!((disk.bytes("MANIFEST"), disk.names()), before);
}

#[test]
fn a_writer_notices_that_its_store_was_removed_or_replaced() {
    for name in ["STORE", "MANIFEST"] {
        let disk = FakeDisk::new();
        let mut writing = write(&disk);
        writing.append(&[b"one"]).unwrap();
        let bytes = disk.bytes(name).unwrap();
        disk.remove(name).unwrap();
        assert!(writing.log.adopt(&[]).is_err(), "{name} is missing");
        disk.open(name, OpenMode::Create).unwrap().write_at(&bytes, 0).unwrap();
        writing.log.close_segment();
        writing.pump.rest();
        assert!(matches!(writing.log.failure(), Some(WriteError::Replaced { .. })), "{name}");
        assert!(is_replaced(writing.append(&[b"two"])), "{name}: the copy is another file");
    }
}

/// A store in which a delayed write of the first writer came after those of the second one.
fn overwritten() -> FakeDisk {
    let disk = FakeDisk::new();
    let mut first = write(&disk);
    first.append(&[b"1st, one.."]).unwrap();
    let file = disk.open("log/0000000000000001.0.seg", OpenMode::Write).unwrap();
    // The frame that the first one would write behind its first.
    first.append(&[b"1st, two.."]).unwrap();
    let mut late = vec![0; FRAME as usize];
    file.read_at(&mut late, 64 + FRAME).unwrap();
    file.write_at(&vec![0; FRAME as usize], 64 + FRAME).unwrap();
    drop(first);
    disk.lose_locks();
    let mut second = write(&disk);
    second.append(&[b"2nd, one.."]).unwrap();
    second.append(&[b"2nd, two.."]).unwrap();
    drop(second);
    file.write_at(&late, 64 + FRAME).unwrap();
    disk
}

#[test]
fn an_event_that_a_delayed_writer_laid_over_another_is_found() {
    let disk = overwritten();
    let damaged = open_with(&disk, options()).err().unwrap().to_string();
    assert!(damaged.contains("a writer wrote here after a later one"), "{damaged}");
    assert!(damaged.contains("offset 154 (position 2)"), "{damaged}");
}

/// Processes that all locks have let in, in turns that a seed decides: what any of them acknowledged is found
/// afterwards.
#[test]
fn no_acknowledged_record_is_lost_when_the_locks_are() {
    for seed in 0..50 {
        let (disk, random) = (FakeDisk::new(), SeededRandom::new(seed));
        let (mut writers, mut acknowledged) = (vec![write(&disk)], vec![]);
        for n in 0..300 {
            if random.below(20) == 0 {
                disk.lose_locks();
                writers.push(write(&disk));
            }
            let at = random.below(writers.len() as u64) as usize;
            let writer = &mut writers[at];
            match random.below(20) {
                0 => writer.pump.rest(),
                1 => {
                    writer.log.close_segment();
                    writer.pump.rest();
                }
                2 => {
                    let closed = writer.log.segments();
                    // One that has lost the store fails here.
                    closed.iter().for_each(|segment| _ = writer.log.seal(segment.id));
                }
                _ => {
                    let record = format!("{n:0300}").into_bytes();
                    match writer.append(&[&record]) {
                        Ok(_) => acknowledged.push(record),
                        lost => assert!(is_replaced(lost) && at + 1 < writers.len(), "{seed}"),
                    }
                }
            }
        }
        writers.into_iter().rev().for_each(|writer| writer.pump.close());
        disk.lose_locks();
        assert_eq!(found(&disk), acknowledged, "seed {seed}");
    }
}
