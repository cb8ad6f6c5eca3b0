use std::sync::Arc;

use leftfold_api::Coded;
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_io::{Disk, OpenMode};
use leftfold_store::{Embedded, Options, verify_backup_on};

use super::support::{append, back_up, events, open, restore, restored};

fn put(disk: &FakeDisk, name: &str) {
    disk.open(name, OpenMode::Create).unwrap().write_at(b"mine", 0).unwrap();
}

#[test]
fn a_directory_with_foreign_files_is_refused_and_unchanged() {
    let disk = FakeDisk::new();
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..30);
    for name in ["holiday.jpg", "log/0000000000000001.0.seg", "MANIFEST", "STORE.1", "index/x"] {
        let target = FakeDisk::new();
        put(&target, name);
        let refused = back_up(&store, &target).unwrap_err();
        assert_eq!(refused.code(), "backup_foreign", "{refused}");
        assert!(refused.to_string().contains(name), "{refused}");
        assert_eq!(target.names(), [name]);
    }
    let refused = back_up(&store, &disk).unwrap_err();
    assert_eq!(refused.code(), "backup_foreign", "the store's own directory");
}

#[test]
fn files_beside_a_backup_are_never_removed() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    append(&mut store, 0..5);
    let target = FakeDisk::new();
    back_up(&store, &target).unwrap();
    put(&target, "README");
    append(&mut store, 5..9);
    back_up(&store, &target).unwrap();
    assert!(target.names().contains(&"README".to_owned()));
}

#[test]
fn backups_of_another_store_incarnation_or_later_state_are_not_continued() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..20);
    let earlier = disk.after(Crash::Keeps);
    append(&mut store, 20..30);
    back_up(&store, &target).unwrap();
    let state = events(&store.0);

    let random = Arc::new(SeededRandom::new(77));
    let other = FakeDisk::new();
    let clock = Arc::new(ManualClock::at(1));
    let other = Embedded::open_manual(Arc::new(other), clock, random, Options::default()).unwrap();
    let restored_disk = FakeDisk::new();
    restore(&target, &restored_disk).unwrap();
    let reborn = open(&restored_disk, false).unwrap();
    let copied = open(&earlier, false).unwrap();
    for (store, word) in [(other, "another store"), (reborn, "incarnation"), (copied, "later")] {
        let refused = back_up(&store, &target).unwrap_err();
        assert_eq!(refused.code(), "backup_foreign");
        assert!(refused.to_string().contains(word), "{refused}");
        assert_eq!(restored(&target), state);
    }
}

#[test]
fn a_backup_directory_is_locked_while_it_is_used() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    append(&mut store, 0..5);
    let target = FakeDisk::new();
    back_up(&store, &target).unwrap();
    let held = target.lock("LOCK").unwrap();
    assert_eq!(back_up(&store, &target).unwrap_err().code(), "backup_locked");
    assert_eq!(verify_backup_on(&target, |_, _| ()).unwrap_err().code(), "backup_locked");
    assert_eq!(restore(&target, &FakeDisk::new()).unwrap_err().code(), "backup_locked");
    drop(held);
    back_up(&store, &target).unwrap();
}

#[test]
fn restore_needs_a_backup_and_an_empty_directory() {
    let disk = FakeDisk::new();
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..5);
    let (target, to) = (FakeDisk::new(), FakeDisk::new());
    assert_eq!(restore(&target, &to).unwrap_err().code(), "backup_missing");
    assert_eq!(verify_backup_on(&disk, |_, _| ()).unwrap_err().code(), "backup_missing");
    back_up(&store, &target).unwrap();
    put(&to, "index/notes");
    let refused = restore(&target, &to).unwrap_err();
    assert_eq!(refused.code(), "restore_not_empty");
    assert!(refused.to_string().contains("index/notes"), "{refused}");
    assert_eq!(to.names(), ["index/notes"]);
    assert_eq!(restore(&target, &disk).unwrap_err().code(), "restore_not_empty");
}
