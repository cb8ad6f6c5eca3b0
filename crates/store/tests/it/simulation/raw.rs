//! Reads the bytes of the log directly, with events that retention hides. Decodes them by `docs/format.md`
//! and not with the store's code.

use std::sync::Arc;

use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{Direction, Log, LogOptions, OpenError, ScanRange};

/// An event that was decoded from its bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) event_type: String,
    pub(crate) id: u128,
    pub(crate) scavenged: bool,
    pub(crate) data: Vec<u8>,
}

/// Reads all events on a disk.
pub(crate) fn read(disk: &FakeDisk) -> Vec<Raw> {
    read_if_any(disk).unwrap()
}

/// Reads all events on a disk, or returns `None` if there is no store.
pub(crate) fn read_if_any(disk: &FakeDisk) -> Option<Vec<Raw>> {
    let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(0)));
    let copy = Arc::new(disk.after(Crash::Keeps));
    let log = match Log::open(copy, clock, random, LogOptions::default(), false) {
        Err(OpenError::Missing(_)) => return None,
        opened => opened.unwrap_or_else(|error| panic!("{error}")).log,
    };
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let (mut scan, mut found) = (log.scan(range, Direction::Forward), Vec::new());
    while let Some(record) = scan.next().unwrap() {
        found.push(decode(record.position, &record.bytes));
    }
    Some(found)
}

fn decode(position: u64, bytes: &[u8]) -> Raw {
    let short = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let long = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let text = |from: usize, len: usize| String::from_utf8(bytes[from..from + len].into()).unwrap();
    Raw {
        position,
        stream: text(76, short(48)),
        event_type: text(76 + short(48), short(50)),
        id: u128::from_be_bytes(bytes[8..24].try_into().unwrap()),
        scavenged: short(40) & 4 != 0,
        data: bytes[bytes.len() - long(72)..].into(),
    }
}
