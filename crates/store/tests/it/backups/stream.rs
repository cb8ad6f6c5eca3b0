//! A backup that is sent as a stream becomes the same store, and a stream that was changed becomes none.

use std::sync::Arc;

use leftfold_api::{Append, EventStore};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{BackupReceiver, Embedded, ReceiveError, ReceivedBackup, StoreIdentity};

use super::support::{ManualStore, append, drive, event, events, open};

const HEAD: usize = 48;

/// Returns a store with sealed, closed and open segments, and its identity.
fn filled() -> (ManualStore, StoreIdentity) {
    let disk = FakeDisk::new();
    let mut store = open(&disk, true).unwrap();
    append(&mut store, 0..120);
    let bytes = disk.bytes("STORE").unwrap();
    let part = |at: usize| bytes[at..at + 16].try_into().unwrap();
    (store, StoreIdentity { store_id: part(32), incarnation: part(48), hash_key: part(64) })
}

fn stream(store: &Embedded) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sent = store.send_backup(&mut |piece| {
        bytes.extend_from_slice(&piece);
        true
    });
    sent.unwrap();
    bytes
}

fn receive(
    disk: &FakeDisk,
    identity: StoreIdentity,
    bytes: &[u8],
    piece: usize,
) -> Result<ReceivedBackup, ReceiveError> {
    let mut receiver = BackupReceiver::new(Arc::new(disk.clone()), identity);
    for piece in bytes.chunks(piece) {
        receiver.take(piece)?;
    }
    receiver.finish()
}

#[test]
fn a_stream_becomes_the_same_store_durably() {
    let ((store, _manual), identity) = filled();
    let bytes = stream(&store);
    for piece in [1, 7, bytes.len()] {
        let disk = FakeDisk::new();
        let received = receive(&disk, identity, &bytes, piece).unwrap();
        assert!(received.files > 10 && received.bytes < bytes.len() as u64, "{received:?}");
        let survived = disk.after(Crash::Forgets);
        let (copy, _copied) = open(&survived, false).unwrap();
        assert_eq!(events(&copy), events(&store));
        let origins = [&copy, &store].map(|store| store.blocking().head().origin());
        assert_eq!(origins[0], origins[1]);
        assert_eq!(copy.verify(|_, _| ()).problem_count, 0);
    }
}

#[test]
fn a_stream_goes_on_while_events_are_appended_and_segments_are_replaced() {
    let ((store, mut manual), identity) = filled();
    let before = events(&store).len();
    let (disk, mut bytes, mut next) = (FakeDisk::new(), Vec::<u8>::new(), 120);
    let sent = store.send_backup(&mut |piece| {
        let append = Append::new().event("s-0", event(next));
        drive(&mut manual, store.append(append)).unwrap();
        next += 1;
        bytes.extend_from_slice(&piece);
        true
    });
    sent.unwrap();
    receive(&disk, identity, &bytes, 1 << 20).unwrap();
    let (copy, _copied) = open(&disk, false).unwrap();
    let (found, all) = (events(&copy), events(&store));
    assert!(found.len() >= before && found.len() < all.len());
    assert_eq!(found, all[..found.len()]);
}

#[test]
fn an_index_file_that_the_manifest_does_not_name_is_left_out() {
    let ((store, _manual), identity) = filled();
    let bytes = stream(&store);
    let with = |name: &str| {
        let size = (name.len() as u16).to_le_bytes();
        // It has no bytes, and the checksum of none.
        let file = [&size[..], &[0; 8], name.as_bytes(), &[0; 4]].concat();
        [&bytes[..HEAD], &file, &bytes[HEAD..]].concat()
    };
    let (disk, name) = (FakeDisk::new(), "index/0000000000009999.0.k3");
    receive(&disk, identity, &with(name), 1 << 20).unwrap();
    assert!(!disk.names().contains(&name.to_owned()));
    assert_eq!(events(&open(&disk, false).unwrap().0), events(&store));
    let segment = with("log/0000000000009999.0.seg");
    assert!(receive(&FakeDisk::new(), identity, &segment, 1 << 20).is_err());
}

#[test]
fn a_stream_that_was_cut_or_changed_becomes_no_store() {
    let ((store, _manual), identity) = filled();
    let bytes = stream(&store);
    let refuses = |bytes: &[u8], what: &str| {
        let disk = FakeDisk::new();
        let received = receive(&disk, identity, bytes, 1 << 20);
        assert!(received.is_err(), "{what}");
        assert!(open(&disk, false).is_err(), "{what}");
    };
    for cut in (0..bytes.len()).step_by(61) {
        refuses(&bytes[..cut], &format!("cut at {cut}"));
    }
    refuses(&[&bytes[..], b"x"].concat(), "longer");
    // The announced bytes may be more than they are.
    let changed = (0..HEAD - 8).chain((HEAD..bytes.len()).step_by(61));
    for at in changed {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        refuses(&changed, &format!("changed at {at}"));
    }
}

#[test]
fn names_that_lead_elsewhere_and_more_bytes_than_announced_are_refused() {
    let ((store, _manual), identity) = filled();
    let head = &stream(&store)[..HEAD];
    let file = |name: &str, length: u64| {
        let size = (name.len() as u16).to_le_bytes();
        [head, &size, &length.to_le_bytes(), name.as_bytes()].concat()
    };
    let announced = u64::from_le_bytes(head[HEAD - 8..].try_into().unwrap());
    let check = |name: &str, length: u64, expected: &str| {
        let disk = FakeDisk::new();
        let mut receiver = BackupReceiver::new(Arc::new(disk.clone()), identity);
        let error = receiver.take(&file(name, length)).unwrap_err().to_string();
        assert_eq!(error, format!("the stream of files is damaged: {expected}"));
        assert_eq!(disk.names(), Vec::<String>::new());
    };
    for name in ["../x", "log/../x", "/etc/x", "log/a/b", "other/x", "LOCK", "BACKUP", "log/", ".."]
    {
        check(name, 1, "it names a file that is none of a store");
    }
    check(&"a".repeat(65), 1, "it names a file that is none of a store");
    let too_long = "has more bytes than it may have";
    check("log/x.seg", announced + 1, &format!("log/x.seg {too_long}"));
    check("MANIFEST", (64 << 20) + 1, &format!("MANIFEST {too_long}"));
    check("STORE", 1 << 20, &format!("STORE {too_long}"));
}

#[test]
fn a_stream_of_another_store_is_refused_at_its_head() {
    let ((store, _manual), identity) = filled();
    let bytes = stream(&store);
    let other = StoreIdentity { store_id: [9; 16], ..identity };
    let early = receive(&FakeDisk::new(), other, &bytes[..HEAD], HEAD).unwrap_err();
    assert!(matches!(early, ReceiveError::Foreign));
    let other = StoreIdentity { hash_key: [9; 16], ..identity };
    let disk = FakeDisk::new();
    let late = receive(&disk, other, &bytes, 1 << 20).unwrap_err();
    assert!(matches!(late, ReceiveError::Foreign));
    assert!(open(&disk, false).is_err());
}
