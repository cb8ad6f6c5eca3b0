//! A store that two processes use, and one whose directory can't be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::faults::support::{append, open, small};
use leftfold_api::{Coded, Expected, Query, Read};
use leftfold_io::fake::FakeDisk;
use leftfold_io::{Disk, OpenMode};
use leftfold_store::{Embedded, Options, verify_backup};

fn events(store: &Embedded, stream: &str) -> usize {
    store.blocking().read(Read::forward(Query::stream(stream))).unwrap().events.len()
}

#[test]
fn a_second_process_is_refused_though_the_file_lock_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(dir.path(), Options::default()).unwrap();
    first.blocking().append(append("a-1", Expected::Any, 1)).unwrap();
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let second = Embedded::open(dir.path(), Options::default()).err().unwrap();
    assert_eq!(second.code(), "store_locked");
    // An earlier release would get in, so the first one stops.
    let error = first.seal().unwrap_err();
    assert_eq!(error.code(), "store_replaced");
    assert!(error.to_string().contains("its file LOCK was moved"), "{error}");
    let error = first.blocking().append(append("a-1", Expected::Any, 2)).unwrap_err();
    assert_eq!(error.code(), "store_replaced");
    assert_eq!(first.failure().unwrap().code(), "store_replaced");
    drop(first);
    let again = Embedded::open(dir.path(), Options::default()).unwrap();
    assert_eq!((events(&again, "a-1"), again.verify(|_, _| ()).problem_count), (1, 0));
}

#[test]
fn verify_finds_an_event_that_another_writer_has_overwritten() {
    let disk = FakeDisk::new();
    let first = open(&disk, Options::default()).unwrap();
    first.blocking().append(append("a-1", Expected::Any, 1)).unwrap();
    let file = disk.open("log/0000000000000001.0.seg", OpenMode::Write).unwrap();
    let end = first.stat().unwrap().log_bytes;
    first.blocking().append(append("a-1", Expected::Any, 2)).unwrap();
    let mut late = vec![0; (first.stat().unwrap().log_bytes - end) as usize];
    file.read_at(&mut late, end).unwrap();
    file.write_at(&vec![0; late.len()], end).unwrap();
    disk.lose_locks();
    let second = open(&disk, Options::default()).unwrap();
    second.blocking().append(append("b-1", Expected::Any, 1)).unwrap();
    assert_eq!(second.verify(|_, _| ()).problem_count, 0);
    // The first one was stopped between its check and its write.
    file.write_at(&late, end).unwrap();
    let verified = second.verify(|_, _| ());
    let found = verified.problems.iter().any(|problem| problem.message.contains("a later one"));
    assert!(found, "{:?}", verified.problems);
}

#[test]
fn a_store_that_cannot_be_written_is_read_verified_and_backed_up() {
    let disk = FakeDisk::new();
    let store = open(&disk, small()).unwrap();
    for n in 0..100 {
        store.blocking().append(append("a-1", Expected::Any, n)).unwrap();
    }
    store.close();
    let before = (disk.counts().changes, disk.names());
    disk.set_read_only(true);
    let store = open(&disk, Options { create: false, ..small() }).unwrap();
    assert!(store.is_read_only());
    assert_eq!(events(&store, "a-1"), 100);
    assert_eq!(store.stat().unwrap().events, 100);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
    let backup = FakeDisk::new();
    store.backup_on(&backup, |_, _| ()).unwrap();
    store.settle().unwrap();
    let error = store.blocking().append(append("a-1", Expected::Any, 1_000)).unwrap_err();
    assert_eq!(error.code(), "store_read_only");
    assert!(error.to_string().contains("mount it for writing"), "{error}");
    store.close();
    assert_eq!((disk.counts().changes, disk.names()), before);
}

fn modes(dir: &Path) -> Vec<(String, u32)> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        if entry.file_type().unwrap().is_dir() {
            assert_eq!(mode, 0o700, "{:?}", entry.path());
            found.extend(modes(&entry.path()));
        } else {
            found.push((entry.path().display().to_string(), mode));
        }
    }
    found
}

#[test]
fn stores_and_backups_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup, restored) =
        (dir.path().join("data"), dir.path().join("backup"), dir.path().join("restored"));
    let store = Embedded::open(&data, small()).unwrap();
    for n in 0..100 {
        store.blocking().append(append("a-1", Expected::Any, n)).unwrap();
    }
    store.settle().unwrap();
    store.backup(&backup, |_, _| ()).unwrap();
    verify_backup(&backup, |_, _| ()).unwrap();
    leftfold_store::restore(&backup, &restored, |_, _| ()).unwrap();
    let found = modes(dir.path());
    assert!(found.len() > 10 && found.iter().all(|(_, mode)| *mode == 0o600), "{found:?}");
    assert_eq!(store.mode_warning(), None);
    store.close();
    // As an earlier release, or an administrator, has left it.
    for (path, mode) in [(data.clone(), 0o755), (data.join("STORE"), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let store = Embedded::open(&data, small()).unwrap();
    let warning = store.mode_warning().unwrap();
    assert!(warning.contains("STORE has mode 0644, expected 0600; run: chmod -R go="), "{warning}");
    let mode = fs::metadata(data.join("STORE")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "it is not changed");
}
