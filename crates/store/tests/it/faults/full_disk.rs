//! What a store does while a disk is nearly full, and as soon as it is not.

use leftfold_api::{EventStore, Expected};
use leftfold_io::fake::FakeDisk;
use leftfold_store::{Compression, Options};

use crate::faults::support::{append, drive, manual, open, settle, small};

#[test]
fn small_appends_fit_though_the_zeros_of_a_segment_do_not() {
    let disk = FakeDisk::new();
    let mut options = Options::default();
    options.log.segment_bytes = 16 << 10;
    assert_eq!(options.log.preallocate, 4 << 20);
    let (store, mut writer) = manual(&disk, options).unwrap();
    disk.set_capacity(Some(disk.used() + (240 << 10)));
    // Some of the space is for the manifest and for index files.
    for n in 0..300 {
        drive(&mut writer, store.append(append("a-1", Expected::Any, n))).unwrap();
    }
    while writer.maintain() {}
    let stat = store.stat().unwrap();
    assert!(stat.segments > 3 && stat.sealed == stat.segments - 1, "{stat:?}");
    assert!(stat.maintenance_failure.is_none(), "{stat:?}");
}

/// What an opening for writing needs while it replaces `MANIFEST`. The disk is full but for this.
fn for_opening(disk: &FakeDisk) -> u64 {
    disk.bytes("MANIFEST").unwrap().len() as u64
}

#[test]
fn jobs_that_wait_for_space_are_done_when_a_caller_waits_for_them() {
    let disk = FakeDisk::new();
    let with = |compression| Options { compression, ..small() };
    let store = open(&disk, with(Compression::Off)).unwrap();
    for n in 0..50 {
        store.blocking().append(append("a-1", Expected::Any, n)).unwrap();
    }
    drop(store);
    settle(&disk, with(Compression::Off));
    disk.set_capacity(Some(disk.used() + for_opening(&disk)));
    let store = open(&disk, with(Compression::Fast)).unwrap();
    assert_eq!(store.settle().unwrap_err().code(), "disk_full");
    assert_eq!(store.stat().unwrap().maintenance_failure.unwrap().code(), "disk_full");
    assert_eq!(store.meters().maintenance_failure.unwrap().code(), "disk_full");
    disk.set_capacity(None);
    store.settle().unwrap();
    let stat = store.stat().unwrap();
    assert_eq!((stat.compressed, stat.sealed), (stat.segments - 1, stat.segments - 1));
    assert!(stat.maintenance_failure.is_none() && store.meters().maintenance_failure.is_none());
}

/// An opening seals segments itself if many are not.
#[test]
fn a_store_that_is_opened_on_a_full_disk_seals_its_segments_later() {
    let disk = FakeDisk::new();
    let (store, mut writer) = manual(&disk, small()).unwrap();
    for n in 0..100 {
        let mut appending = Box::pin(store.append(append("a-1", Expected::Any, n)));
        while crate::faults::support::poll(&mut appending).is_pending() {
            writer.write();
        }
    }
    writer.close();
    drop(store);
    disk.set_capacity(Some(disk.used() + for_opening(&disk)));
    let store = open(&disk, small()).unwrap();
    assert!(store.stat().unwrap().segments > 6);
    assert_eq!(store.settle().unwrap_err().code(), "disk_full");
    disk.set_capacity(None);
    store.settle().unwrap();
    assert_eq!(store.stat().unwrap().sealed + 1, store.stat().unwrap().segments);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}
