//! A segment of any bytes: open, closed or sealed, its checksums as they are or set right.

use std::sync::Arc;

use leftfold_log::format::{ManifestHeader, SegmentHeader, StoreHeader};
use leftfold_log::{Direction, FileKind, LiveFile, Log, Opened, Record, ScanRange};
use zerocopy::IntoBytes;

use crate::disk::{self, Files};
use crate::{seal, small_store};

const STORE_ID: u128 = 0x5eed;
/// Stands before the segment's bytes: how they are to be taken.
const HOW_BYTES: usize = 2;

const OPEN: u8 = 1;
const CLOSED: u8 = 2;
const SEALED: u8 = 3;

/// How the segment is read: its state, its packing, and whether checksums are set right.
struct How {
    state: u8,
    packing: u8,
    sealed_again: bool,
}

impl How {
    fn read(bytes: [u8; HOW_BYTES]) -> Self {
        let [state, other] = bytes;
        How { state: state % 3 + 1, packing: other & 3, sealed_again: other & 4 == 0 }
    }

    fn bytes(&self) -> [u8; HOW_BYTES] {
        [self.state - 1, self.packing | if self.sealed_again { 0 } else { 4 }]
    }
}

pub(crate) fn run(input: &[u8]) {
    let Some((how, segment)) = input.split_first_chunk() else { return };
    let (how, mut segment) = (How::read(*how), segment.to_vec());
    let store_id = STORE_ID.to_le_bytes();
    // The fuzzer need not find out these by itself.
    seal::put(&mut segment, 16, &store_id);
    seal::put(&mut segment, 32, &1u64.to_le_bytes());
    if how.sealed_again {
        seal::segment(&mut segment, store_id, 1);
    }
    let Some(opened) = open(&how, &segment) else { return };
    let forward = scan(&opened.log, Direction::Forward);
    let backward = scan(&opened.log, Direction::Backward);
    let mut frames = Vec::new();
    let whole = opened.log.each_frame(1, |frame| frames.extend(frame.records));
    look_up(&opened.log, &forward.0);
    if how.state != SEALED {
        assert!(whole.is_ok(), "the segment was opened: {whole:?}");
        let (mut backward, bad) = backward;
        backward.reverse();
        assert!(same(&forward, &(frames, false)) && same(&forward, &(backward, bad)));
    }
}

/// A directory with the segment and, behind it, an empty open one.
fn open(how: &How, segment: &[u8]) -> Option<Opened> {
    let store_id = STORE_ID.to_le_bytes();
    let footer = segment.len().saturating_sub(96);
    let last = seal::u64_at(segment, footer + 32).filter(|_| how.state == SEALED);
    let last = last.unwrap_or(1_000);
    let live = LiveFile {
        kind: FileKind::SEGMENT,
        state: how.state.into(),
        id: 1,
        generation: seal::u32_at(segment, 12)?,
        first: 1,
        last,
        length: segment.len() as u64,
        detail: how.packing.into(),
    };
    let next = LiveFile { id: 2, first: last.checked_add(1)?, state: OPEN.into(), ..live };
    let next = LiveFile { generation: 0, last: 0, length: 0, detail: 0, ..next };
    let mut all = vec![live];
    all.extend((how.state != OPEN).then_some(next));
    let mut files = Files::new();
    let header = StoreHeader::new(STORE_ID, 1, 2, 0);
    files.insert("STORE".to_owned(), header.as_bytes().to_vec());
    files.insert("MANIFEST".to_owned(), manifest(store_id, &all));
    files.insert(live.name(), segment.to_vec());
    let empty = SegmentHeader::new(store_id, 2, next.first, i64::MIN);
    all.get(1).map(|next| files.insert(next.name(), empty.as_bytes().to_vec()));
    let disk = Arc::new(disk::holding(&files));
    let options = small_store::options().log;
    Log::open(disk, disk::clock(), disk::random(), options, false).ok()
}

/// Laid out as `docs/format.md` says.
fn manifest(store_id: [u8; 16], files: &[LiveFile]) -> Vec<u8> {
    let mut bytes = ManifestHeader::encode(store_id, 1, &[]);
    seal::put(&mut bytes, 12, &(files.len() as u32).to_le_bytes());
    for file in files {
        let start = bytes.len();
        bytes.extend_from_slice(&file.kind.0.to_le_bytes());
        bytes.extend_from_slice(&file.state.to_le_bytes());
        bytes.extend_from_slice(&file.generation.to_le_bytes());
        for number in [file.id, file.first, file.last, file.length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&file.detail.to_le_bytes());
        bytes.resize(start + 64, 0);
    }
    seal::manifest(&mut bytes);
    bytes
}

/// What a scan gives, and whether it ended with an error.
fn scan(log: &Log, direction: Direction) -> (Vec<Record>, bool) {
    let mut scan = log.scan(ScanRange { from: 1, to: u64::MAX, times: None }, direction);
    let mut found: Vec<Record> = Vec::new();
    loop {
        match scan.next() {
            Ok(Some(record)) => {
                if let Some(last) = found.last() {
                    let on = match direction {
                        Direction::Forward => last.position < record.position,
                        Direction::Backward => last.position > record.position,
                    };
                    assert!(on, "{} comes after {}", record.position, last.position);
                }
                found.push(record);
            }
            Ok(None) => return (found, false),
            Err(_) => return (found, true),
        }
    }
}

fn look_up(log: &Log, found: &[Record]) {
    let mut fetcher = log.fetcher();
    for record in found.iter().rev().step_by(3).chain(found.iter().step_by(2)) {
        if let Ok(Some(again)) = fetcher.get(record.position) {
            assert_eq!(again.bytes, record.bytes);
        }
        _ = log.position_at_commit_time(record.commit_time);
    }
    for position in [0, 1, u64::MAX] {
        _ = fetcher.get(position);
        _ = log.position_at_commit_time(position as i64);
    }
    let times = Some((i64::MIN, 0));
    let mut early = log.scan(ScanRange { from: 2, to: u64::MAX, times }, Direction::Forward);
    while let Ok(Some(_)) = early.next() {}
}

fn same((some, failed): &(Vec<Record>, bool), (others, other): &(Vec<Record>, bool)) -> bool {
    let key = |record: &Record| (record.position, record.time, record.bytes.clone());
    failed == other && some.iter().map(key).eq(others.iter().map(key))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let segments = small_store::get().files.iter().filter(|(name, _)| name.ends_with(".seg"));
    let mut seeds = Vec::new();
    for (_, bytes) in segments {
        let footer = bytes.len().checked_sub(96).and_then(|at| bytes.get(at..at + 8));
        let packed = seal::u32_at(bytes, bytes.len().saturating_sub(88)) == Some(2);
        let state = match footer {
            Some(b"LFSEGEND") => SEALED,
            _ => OPEN,
        };
        let mut states = vec![state];
        states.extend((state == OPEN).then_some(CLOSED));
        for state in states {
            let packing = u8::from(state == SEALED && packed);
            let how = How { state, packing, sealed_again: true };
            seeds.push([&how.bytes()[..], bytes].concat());
        }
    }
    seeds
}
