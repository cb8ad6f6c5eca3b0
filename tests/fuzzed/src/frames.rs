//! A segment of any bytes: open, closed or sealed, with its checksums unchanged or recomputed.

use std::sync::Arc;

use leftfold_log::format::{ManifestHeader, SegmentHeader, StoreHeader};
use leftfold_log::{Direction, FileKind, LiveFile, Log, Opened, Record, ScanRange};
use zerocopy::IntoBytes;

use crate::disk::{self, Files};
use crate::{seal, small_store};

const STORE_ID: u128 = 0x5eed;
/// The bytes before the segment's bytes, which say how to read it.
const MODE_BYTES: usize = 2;

const OPEN: u8 = 1;
const CLOSED: u8 = 2;
const SEALED: u8 = 3;

/// How the segment is read: its state, its compression, and whether checksums are recomputed.
struct ReadMode {
    state: u8,
    compression: u8,
    resealed: bool,
}

impl ReadMode {
    fn read(bytes: [u8; MODE_BYTES]) -> Self {
        let [state, other] = bytes;
        ReadMode { state: state % 3 + 1, compression: other & 3, resealed: other & 4 == 0 }
    }

    fn bytes(&self) -> [u8; MODE_BYTES] {
        [self.state - 1, self.compression | if self.resealed { 0 } else { 4 }]
    }
}

pub(crate) fn run(input: &[u8]) {
    let Some((mode, segment)) = input.split_first_chunk() else { return };
    let (mode, mut segment) = (ReadMode::read(*mode), segment.to_vec());
    let store_id = STORE_ID.to_le_bytes();
    // Set these, so that the fuzzer need not find them.
    seal::put(&mut segment, 16, &store_id);
    seal::put(&mut segment, 32, &1u64.to_le_bytes());
    if mode.resealed {
        seal::segment(&mut segment, store_id, 1);
    }
    let Some(opened) = open(&mode, &segment) else { return };
    let forward = scan(&opened.log, Direction::Forward);
    let backward = scan(&opened.log, Direction::Backward);
    let mut frames = Vec::new();
    let whole = opened.log.each_frame(1, |frame| frames.extend(frame.records));
    look_up(&opened.log, &forward.0);
    if mode.state != SEALED {
        assert!(whole.is_ok(), "the segment was opened: {whole:?}");
        let (mut backward, bad) = backward;
        backward.reverse();
        assert!(same(&forward, &(frames, false)) && same(&forward, &(backward, bad)));
    }
}

/// Opens a directory with the segment and an empty open segment after it.
fn open(mode: &ReadMode, segment: &[u8]) -> Option<Opened> {
    let store_id = STORE_ID.to_le_bytes();
    let footer = segment.len().saturating_sub(96);
    let last = seal::u64_at(segment, footer + 32).filter(|_| mode.state == SEALED);
    let last = last.unwrap_or(1_000);
    let live = LiveFile {
        kind: FileKind::SEGMENT,
        state: mode.state.into(),
        id: 1,
        generation: seal::u32_at(segment, 12)?,
        first: 1,
        last,
        length: segment.len() as u64,
        detail: mode.compression.into(),
    };
    let next = LiveFile { id: 2, first: last.checked_add(1)?, state: OPEN.into(), ..live };
    let next = LiveFile { generation: 0, last: 0, length: 0, detail: 0, ..next };
    let mut all = vec![live];
    all.extend((mode.state != OPEN).then_some(next));
    let mut files = Files::new();
    let header = StoreHeader::new(STORE_ID, 1, 2, 0);
    files.insert("STORE".to_owned(), header.as_bytes().to_vec());
    files.insert("MANIFEST".to_owned(), manifest(store_id, &all));
    files.insert(live.name(), segment.to_vec());
    let empty = SegmentHeader::new(store_id, 2, next.first, i64::MIN);
    all.get(1).map(|next| files.insert(next.name(), empty.as_bytes().to_vec()));
    let disk = Arc::new(disk::with_files(&files));
    let options = small_store::options().log;
    Log::open(disk, disk::clock(), disk::random(), options, false).ok()
}

/// Encodes a manifest as `docs/format.md` describes it.
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

/// Returns the records of a scan, and whether it ended with an error.
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
        let compressed = seal::u32_at(bytes, bytes.len().saturating_sub(88)) == Some(2);
        let state = match footer {
            Some(b"LFSEGEND") => SEALED,
            _ => OPEN,
        };
        let mut states = vec![state];
        states.extend((state == OPEN).then_some(CLOSED));
        for state in states {
            let compression = u8::from(state == SEALED && compressed);
            let mode = ReadMode { state, compression, resealed: true };
            seeds.push([&mode.bytes()[..], bytes].concat());
        }
    }
    seeds
}
