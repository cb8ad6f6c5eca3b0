//! A store's directory with damaged files.
//!
//! Without new checksums, everything that is served must be what was written. The log may end
//! earlier if its unsealed tail was truncated; all other damage must be an error. With new
//! checksums the store cannot notice the damage; then only a panic is a failure.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use leftfold_api::{Append, NewEvent, Query, Read, ReadError, Recorded};
use leftfold_io::fake::FakeDisk;
use leftfold_store::{Embedded, Manual};

use crate::disk::{self, Files};
use crate::seal;
use crate::small_store::{self, drive};

/// The most changes to the files in one input.
const MAX_CHANGES: usize = 16;
/// The most jobs of maintenance that are done.
const MAX_MAINTENANCE_JOBS: usize = 100;

/// What a user sees of an event.
type EventFields = (u64, String, u64, String, u128, Vec<u8>, Vec<String>);

fn fields(event: &Recorded) -> EventFields {
    let tags = event.tags().map(|(key, value)| format!("{key}={value}"));
    let tags = tags.chain(event.correlation().map(str::to_owned)).collect();
    (
        event.position(),
        event.stream().to_owned(),
        event.version(),
        event.event_type().to_owned(),
        event.id().as_u128(),
        event.data().to_vec(),
        tags,
    )
}

/// The queries; each is answered by another part of the store.
const QUERIES: [&str; 8] = [
    "*",
    "stream:a-1",
    "category:a tag:third=1",
    "correlation:flow-2 or tag:third=0",
    "index:thirds",
    "not stream:a-0",
    "type:Count*",
    "stream:a-0 time:1970-01-01..",
];

pub(crate) fn run(input: &[u8]) {
    let Some((mode, changes)) = input.split_first() else { return };
    let resealed = mode & 1 == 1;
    let small = small_store::get();
    let mut files = small.files.clone();
    Changes { rest: changes }.apply(&mut files);
    if resealed {
        seal::all(&mut files, small.store_id);
    }
    let Ok((store, mut manual)) = open(&files) else { return };
    let mut done = 0;
    while done < MAX_MAINTENANCE_JOBS && manual.maintain() {
        done += 1;
    }
    _ = store.stat();
    let answers: Vec<_> = QUERIES.iter().map(|query| read(&store, query)).collect();
    if !resealed {
        compare(&answers);
    }
    _ = store.verify(|_, _| ());
    append_again(&store, &mut manual);
    manual.close();
}

fn open(files: &Files) -> Result<(Embedded, Manual), leftfold_store::OpenError> {
    let disk: Arc<FakeDisk> = Arc::new(disk::with_files(files));
    Embedded::open_manual(disk, disk::clock(), disk::random(), small_store::options())
}

/// Reads all pages; returns the events and how the read ended.
fn read(store: &Embedded, query: &str) -> (Vec<EventFields>, Result<(), ReadError>) {
    let query: Query = query.parse().unwrap();
    let mut found = Vec::new();
    let mut read = Read::forward(query.clone());
    loop {
        match store.blocking().read(read) {
            Err(error) => return (found, Err(error)),
            Ok(page) => {
                found.extend(page.events.iter().map(fields));
                if !page.more {
                    return (found, Ok(()));
                }
                read = Read::forward(query.clone()).after(page.cursor);
            }
        }
    }
}

/// Returns the answers of the undamaged store.
fn original() -> &'static Vec<Vec<EventFields>> {
    static ORIGINAL: OnceLock<Vec<Vec<EventFields>>> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let (store, _manual) = open(&small_store::get().files).unwrap();
        let answer = |query: &&str| {
            let (events, end) = read(&store, query);
            end.unwrap();
            events
        };
        QUERIES.iter().map(answer).collect()
    })
}

/// Checks that the answers are prefixes of the original ones.
fn compare(answers: &[(Vec<EventFields>, Result<(), ReadError>)]) {
    let whole: BTreeMap<u64, &EventFields> =
        original()[0].iter().map(|event| (event.0, event)).collect();
    let head = answers[0].0.last().map_or(0, |event| event.0);
    for ((query, original), (events, end)) in QUERIES.iter().zip(original()).zip(answers) {
        for event in events {
            assert_eq!(whole.get(&event.0), Some(&event), "{query}");
        }
        assert!(original.starts_with(events), "{query}: some events are missing");
        let left_out = original.get(events.len()).is_some_and(|next| next.0 <= head);
        assert!(!(end.is_ok() && left_out), "{query} ends early without an error");
    }
}

/// Appends to the store; an append must answer, whatever the damage is.
fn append_again(store: &Embedded, manual: &mut Manual) {
    let append = Append::new().event("a-1", NewEvent::new("Counted", "again"));
    let call = leftfold_api::EventStore::append(store, append);
    drive(manual, async { Ok::<_, ()>(call.await.is_ok()) });
    _ = read(store, "stream:a-1");
}

/// Decodes changes from the fuzzer's bytes.
struct Changes<'a> {
    rest: &'a [u8],
}

impl Changes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes([self.byte()?, self.byte()?])))
    }

    fn apply(&mut self, files: &mut Files) {
        let names: Vec<String> = files.keys().cloned().collect();
        for _ in 0..MAX_CHANGES {
            if self.change(&names, files).is_none() {
                return;
            }
        }
    }

    /// Makes one change; returns `None` at the end of the bytes.
    fn change(&mut self, names: &[String], files: &mut Files) -> Option<()> {
        let kind = self.byte()?;
        let name = &names[usize::from(self.byte()?) % names.len()];
        let at = self.number()?;
        let Some(bytes) = files.get_mut(name) else { return Some(()) };
        let at = at % (bytes.len() + 1);
        match kind % 8 {
            0 => seal::put(bytes, at, &[self.byte()?]),
            1 => seal::put(bytes, at, &[0xff; 8][..usize::from(self.byte()? % 9)]),
            2 => seal::put(bytes, at, &[0; 64][..usize::from(self.byte()? % 65)]),
            3 => bytes.truncate(at),
            4 => bytes.resize(bytes.len() + at, self.byte()?),
            5 => {
                let from = usize::from(self.byte()?) % names.len();
                let (other, length) = (self.number()?, self.number()?);
                let source = files.get(&names[from]).cloned().unwrap_or_default();
                let source = source.get(other % (source.len() + 1)..).unwrap_or_default();
                let piece = &source[..length.min(source.len())];
                files.get_mut(name).into_iter().for_each(|bytes| seal::put(bytes, at, piece));
            }
            6 => {
                let length = usize::from(self.byte()?).min(self.rest.len());
                let (piece, rest) = self.rest.split_at(length);
                seal::put(bytes, at, piece);
                self.rest = rest;
            }
            _ => _ = files.remove(name),
        }
        Some(())
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let files = small_store::get().files.len() as u8;
    let mut seeds = vec![vec![0], vec![1]];
    for file in 0..files {
        seeds.push(vec![0, 0, file, 90, 0, 17]);
        seeds.push(vec![1, 1, file, 90, 0, 4]);
        seeds.push(vec![0, 3, file, 200, 1]);
        seeds.push(vec![1, 5, file, 70, 0, file + 1, 70, 0, 40, 0]);
        seeds.push(vec![0, 7, file, 0, 0]);
    }
    seeds
}
