use std::sync::atomic::{AtomicUsize, Ordering};

use leftfold_api::{Append, Coded, EventStore, Query, Read, Retention};
use leftfold_io::Disk;
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{restore, verify_backup, verify_backup_on};

use super::support::{append, back_up, drive, event, events, open, open_with_threads, restored};

/// Appends, maintenance, a named index, retention and scavenging happen between the backups.
#[test]
fn each_backup_of_a_chain_restores_the_state_of_its_time() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let mut store = open(&disk, true).unwrap();
    let mut kept = 0;
    for round in 0..12u64 {
        append(&mut store, 20 * round..20 * round + 5 + round);
        let (embedded, manual) = &mut store;
        match round % 6 {
            1 => while manual.maintain() {},
            2 => drive(
                manual,
                embedded.define_index(leftfold_api::IndexDefinition::new(
                    format!("i{round}"),
                    Query::event_type("T1"),
                )),
            )
            .unwrap(),
            3 => {
                let retention = Retention::default().max_count(5);
                drive(manual, embedded.set_retention("s-1", retention)).unwrap();
            }
            4 => {
                while manual.maintain() {}
                embedded.scavenge(|_, _| ()).unwrap();
            }
            _ => _ = manual.maintain(),
        }
        let done = back_up(&store, &target).unwrap();
        assert_eq!((done.number, done.files_left_out), (round + 1, 0));
        assert_eq!(done.head, store.0.blocking().head());
        kept += done.files_kept;
        let checked = verify_backup_on(&target, |_, _| ()).unwrap();
        assert!(checked.damaged.is_empty(), "{checked:?}");
        assert_eq!(checked.files, done.files_copied + done.files_kept);
        assert_eq!(restored(&target), events(&store.0), "round {round}");
    }
    assert!(kept > 50, "{kept}");
    let again = back_up(&store, &target).unwrap();
    assert_eq!(again.files_copied, 2, "only STORE and MANIFEST are new");
    let names = target.names();
    assert!(names.contains(&"STORE.13".to_owned()) && !names.contains(&"STORE.12".to_owned()));
    assert_eq!(names.len() as u64, again.files_kept + 3, "unexpected files are left: {names:?}");
}

#[test]
fn a_restored_store_refuses_later_cursors_and_takes_appends() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..30);
    let head = back_up(&store, &target).unwrap().head;
    append(&mut store, 30..31);
    let ahead = store.0.blocking().head();

    let to = FakeDisk::new();
    super::support::restore(&target, &to).unwrap();
    let (restored, mut manual) = open(&to, false).unwrap();
    let read = |cursor| restored.blocking().read(Read::forward(Query::All).after(cursor));
    assert_eq!(read(head).unwrap().events.len(), 0);
    assert_eq!(read(ahead).unwrap_err().code(), "cursor_of_lost_history");
    let incarnation = |disk: &FakeDisk| disk.bytes("STORE").unwrap()[48..64].to_vec();
    assert_ne!(incarnation(&disk), incarnation(&to));
    let append = Append::new().event("new-1", event(1));
    let positions = drive(&mut manual, restored.append(append)).unwrap().positions;
    assert_eq!(positions, Some((31, 31)));
}

/// Two threads append while one backup after the other is made.
#[test]
fn backups_of_a_store_in_use_are_prefixes_of_its_log() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let (store, running) = (open_with_threads(&disk), AtomicUsize::new(2));
    let mut found = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (store, running) = (&store, &running);
            scope.spawn(move || {
                for n in 0..150 {
                    let append = Append::new().event(format!("t-{thread}"), event(n));
                    store.blocking().append(append).unwrap();
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        let mut last = false;
        while !last {
            last = running.load(Ordering::Acquire) == 0;
            store.backup_on(&target, |_, _| ()).unwrap();
            found.push(target.after(Crash::Forgets));
        }
    });
    let (all, last) = (events(&store), found.len() - 1);
    for (n, target) in found.iter().enumerate().filter(|(n, _)| n % 8 == 0 || *n == last) {
        let state = restored(target);
        assert!(all.starts_with(&state), "{n}: {} of {}", state.len(), all.len());
        assert!(n < last || state.len() == 300);
    }
}

#[test]
fn an_index_file_that_is_missing_or_damaged_is_left_out_and_made_again() {
    let disk = FakeDisk::new();
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..100);
    drive(
        &mut store.1,
        store.0.define_index(leftfold_api::IndexDefinition::new("old", Query::event_type("T1"))),
    )
    .unwrap();
    while store.1.maintain() {}
    let names = disk.names();
    let segment = names.iter().find(|name| name.ends_with(".idx")).unwrap();
    let past = names.iter().find(|name| name.ends_with(".k3")).unwrap();
    let before = events(&store.0);
    disk.rot(past, 5_000 % disk.bytes(past).unwrap().len() as u64, 1);
    disk.remove(segment).unwrap();
    let target = FakeDisk::new();
    let done = back_up(&store, &target).unwrap();
    assert_eq!(done.files_left_out, 2, "{names:?}");
    assert!(verify_backup_on(&target, |_, _| ()).unwrap().damaged.is_empty());
    assert_eq!(restored(&target), before);
}

#[test]
fn directories_of_the_file_system_are_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let [data, backup, other] = ["data", "deep/backup", "other"].map(|name| dir.path().join(name));
    let store = leftfold_store::Embedded::open(&data, Default::default()).unwrap();
    store.blocking().append(Append::new().event("a-1", event(7))).unwrap();
    store.backup(&backup, |_, _| ()).unwrap();
    assert!(verify_backup(&backup, |_, _| ()).unwrap().damaged.is_empty());
    restore(&backup, &other, |_, _| ()).unwrap();
    let restored = leftfold_store::Embedded::open_existing(&other, Default::default()).unwrap();
    assert_eq!(events(&restored), events(&store));
    let missing = verify_backup(dir.path().join("nowhere"), |_, _| ()).unwrap_err();
    assert_eq!(missing.code(), "backup_missing");
}
