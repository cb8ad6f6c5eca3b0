use leftfold_api::Coded;
use leftfold_io::fake::FakeDisk;
use leftfold_store::verify_backup_on;

use super::support::{append, back_up, events, open, restore, restored};

#[test]
fn every_flipped_byte_and_every_missing_file_is_noticed() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    append(&mut store, 0..30);
    while store.1.maintain() {}
    append(&mut store, 30..33);
    let target = FakeDisk::new();
    back_up(&store, &target).unwrap();
    for name in target.names() {
        for at in 0..target.bytes(&name).unwrap().len() as u64 {
            let mask = 1 << (at % 8);
            target.rot(&name, at, mask);
            let noticed = match verify_backup_on(&target, |_, _| ()) {
                Ok(checked) => checked.damaged.len() == 1,
                Err(error) => error.code() == "backup_damaged",
            };
            assert!(noticed, "{name} at {at}");
            let to = FakeDisk::new();
            assert_eq!(restore(&target, &to).unwrap_err().code(), "backup_damaged");
            assert!(to.names().is_empty(), "copied files are removed");
            target.rot(&name, at, mask);
        }
        if name != "BACKUP" {
            let copy = target.after(leftfold_io::fake::Crash::Keeps);
            leftfold_io::Disk::remove(&copy, &name).unwrap();
            assert_eq!(verify_backup_on(&copy, |_, _| ()).unwrap().damaged.len(), 1);
            assert_eq!(restore(&copy, &FakeDisk::new()).unwrap_err().code(), "backup_damaged");
            // The message says to make another backup.
            back_up(&store, &copy).unwrap();
            assert_eq!(restored(&copy), events(&store.0));
        }
    }
}

#[test]
fn a_backup_of_a_damaged_store_fails_and_the_previous_one_stays_whole() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..60);
    while store.1.maintain() {}
    let before = events(&store.0);
    back_up(&store, &target).unwrap();
    append(&mut store, 60..100);
    while store.1.maintain() {}
    let newest = disk.names().into_iter().rev().find(|name| name.ends_with(".1.seg")).unwrap();
    disk.rot(&newest, 200, 4);
    assert_eq!(back_up(&store, &target).unwrap_err().code(), "data_damaged");
    assert_eq!(restored(&target), before, "the previous backup is still whole");
}
