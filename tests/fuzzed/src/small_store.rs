//! A small store with every feature: sealed segments that are uncompressed, compressed or scavenged, an
//! open segment with a tail, a named index with a backfill, retention, and checkpoints.

use std::sync::{Arc, OnceLock};

use leftfold_api::{Append, CheckpointMove, Cursor, NewEvent, Query, Retention};
use leftfold_io::fake::FakeDisk;
use leftfold_store::{Compression, Embedded, Manual, Options};

use crate::disk::{self, Files};
use crate::seal::put;

pub(crate) fn options() -> Options {
    let mut options = Options {
        compression: Compression::Fast,
        index_cache_bytes: 1 << 20,
        head_cache: 100,
        ..Options::default()
    };
    options.log.segment_bytes = 3_000;
    options.log.preallocate = 256;
    options.log.cache_bytes = 1 << 20;
    options.log.open_files = 16;
    options
}

/// The files of the store, and its id.
pub(crate) struct SmallStore {
    pub(crate) files: Files,
    pub(crate) store_id: [u8; 16],
}

pub(crate) fn get() -> &'static SmallStore {
    static STORE: OnceLock<SmallStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let disk = FakeDisk::new();
        write(&disk, Compression::Fast, 0..25);
        write(&disk, Compression::Off, 25..40);
        let files = disk::files(&disk);
        let mut store_id = [0; 16];
        put(&mut store_id, 0, &files["STORE"][32..48]);
        SmallStore { files, store_id }
    })
}

/// Opens a store, appends, runs all maintenance, and closes it.
fn write(disk: &FakeDisk, compression: Compression, numbers: std::ops::Range<u128>) {
    let options = Options { compression, ..options() };
    let disk = Arc::new(disk.clone());
    let opened = Embedded::open_manual(disk, disk::clock(), disk::random(), options);
    let (store, mut manual) = opened.unwrap();
    for n in numbers {
        drive(&mut manual, store_append(&store, n));
        if n == 10 {
            let retention = Retention::default().max_count(3);
            drive(&mut manual, leftfold_api::EventStore::set_retention(&store, "a-1", retention));
        }
        if n == 12 {
            let query = Query::tag("third", "1");
            drive(
                &mut manual,
                leftfold_api::EventStore::define_index(
                    &store,
                    leftfold_api::IndexDefinition::new("thirds", query),
                ),
            );
        }
    }
    while manual.maintain() {}
    store.scavenge(|_, _| {}).unwrap();
    while manual.maintain() {}
    manual.rest();
    manual.close();
}

async fn store_append(store: &Embedded, n: u128) -> Result<(), leftfold_api::AppendError> {
    let event = NewEvent::json("Counted", format!(r#"{{"n":{n},"text":"some words"}}"#))
        .id(uuid::Uuid::from_u128(n + 1))
        .tag("third", (n % 3).to_string())
        .correlation(format!("flow-{}", n % 4));
    let mut append = Append::new().event(format!("a-{}", n % 3), event);
    if n == 5 {
        let name = "reader".to_owned();
        append = append.checkpoint(CheckpointMove { name, expected: None, to: Cursor::START });
    }
    leftfold_api::EventStore::append(store, append).await.map(drop)
}

/// Runs a call to its end; runs the writer and maintenance whenever it waits.
pub(crate) fn drive<T, E: std::fmt::Debug>(
    manual: &mut Manual,
    call: impl Future<Output = Result<T, E>>,
) -> T {
    use std::task::{Context, Poll, Waker};
    let mut call = std::pin::pin!(call);
    loop {
        if let Poll::Ready(ready) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return ready.unwrap();
        }
        manual.write();
        manual.maintain();
    }
}
