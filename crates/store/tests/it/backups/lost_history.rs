//! Cursors of the history that a restored store has lost: the store has grown beyond it, so the position
//! alone does not tell.

use leftfold_api::{
    Append, CheckpointMove, Coded, Cursor, EventStore, NewEvent, Query, Read, Streams, Subscribe,
};
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::restore_on;

use super::support::{ManualStore, append, back_up, drive, open};

const LOST: &str = "cursor_of_lost_history";

/// Gives a cursor to every call that takes one; returns the code of each refusal.
fn use_everywhere((store, manual): &mut ManualStore, cursor: &Cursor) -> Vec<Option<&'static str>> {
    let at = || cursor.clone();
    let refusal = |refused: Option<&dyn Coded>| refused.map(|error| error.code());
    let read = |read: Read| refusal(store.blocking().read(read).err().as_ref().map(|e| e as _));
    let mut refusals = vec![
        read(Read::forward(Query::All).after(at())),
        read(Read::backward(Query::All).after(at())),
        read(Read { at_least: Some(at()), ..Read::forward(Query::All) }),
    ];
    let subscription = store.blocking().subscribe(Subscribe::after(Query::All, at()));
    refusals.push(refusal(subscription.err().as_ref().map(|e| e as _)));
    let streams = Streams { after: Some(at()), ..Streams::default() };
    let streams = drive(manual, store.streams(streams));
    refusals.push(refusal(streams.err().as_ref().map(|e| e as _)));
    let name = format!("at-{cursor}");
    let appends = [
        Append::new().checkpoint(CheckpointMove { name, expected: None, to: at() }),
        Append::new()
            .event("new-1", NewEvent::new("New", ""))
            .none_after(Query::tag("x", "y"), at()),
    ];
    for append in appends {
        refusals.push(refusal(drive(manual, store.append(append)).err().as_ref().map(|e| e as _)));
    }
    refusals
}

fn restored(target: &FakeDisk, seed: u64) -> (FakeDisk, ManualStore) {
    let disk = FakeDisk::new();
    restore_on(target, &disk, &SeededRandom::new(seed), |_, _| ()).unwrap();
    let store = open(&disk, false).unwrap();
    (disk, store)
}

/// Returns the cursor as a release without incarnations wrote it.
fn old_form(cursor: &Cursor) -> Cursor {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&cursor.origin().store);
    bytes.extend_from_slice(&cursor.position().unwrap().to_be_bytes());
    Cursor::from_bytes(&bytes).unwrap()
}

#[test]
fn every_call_refuses_a_cursor_of_the_lost_history_and_takes_one_of_the_shared() {
    let target = FakeDisk::new();
    let mut store = open(&FakeDisk::new(), true).unwrap();
    append(&mut store, 0..30);
    let shared = back_up(&store, &target).unwrap().head;
    append(&mut store, 30..33);
    let lost = store.0.blocking().head();
    for form in [lost.clone(), old_form(&lost)] {
        assert!(use_everywhere(&mut store, &form).iter().all(Option::is_none));
    }

    let (disk, mut store) = restored(&target, 2);
    append(&mut store, 40..60);
    let own = store.0.blocking().head();
    for reopened in [false, true] {
        if reopened {
            let (embedded, manual) = store;
            manual.close();
            drop(embedded);
            store = open(&disk, false).unwrap();
        }
        for cursor in [&lost, &old_form(&lost)] {
            let refusals = use_everywhere(&mut store, cursor);
            assert!(refusals.iter().all(|code| *code == Some(LOST)), "{refusals:?}");
        }
        for cursor in [&shared, &old_form(&shared), &own] {
            let refusals = use_everywhere(&mut store, cursor);
            assert!(
                refusals.iter().all(|code| code.is_none() || *code == Some("checkpoint_moved")),
                "{refusals:?}"
            );
        }
    }
    let next = store.0.blocking().read(Read::forward(Query::category("s")).after(shared)).unwrap();
    assert_eq!(next.events.len(), 20);
}

/// Restores a backup of a restored store, and two stores from one backup.
#[test]
fn a_store_knows_all_its_ancestors_and_no_sibling() {
    let (first, second) = (FakeDisk::new(), FakeDisk::new());
    let mut store = open(&FakeDisk::new(), true).unwrap();
    append(&mut store, 0..30);
    let shared = back_up(&store, &first).unwrap().head;
    append(&mut store, 30..33);
    let lost = store.0.blocking().head();

    let (_, mut child) = restored(&first, 3);
    append(&mut child, 40..50);
    let shared_later = back_up(&child, &second).unwrap().head;
    append(&mut child, 50..55);
    let lost_later = child.0.blocking().head();

    let (_, mut grandchild) = restored(&second, 4);
    append(&mut grandchild, 60..90);
    let code = |store: &ManualStore, cursor: &Cursor| {
        let read = Read::forward(Query::All).after(cursor.clone());
        store.0.blocking().read(read).err().map(|error| error.code())
    };
    for cursor in [&shared, &shared_later] {
        assert_eq!(code(&grandchild, cursor), None);
    }
    for cursor in [&lost, &lost_later] {
        assert_eq!(code(&grandchild, cursor), Some(LOST));
    }
    // The first store does not know its descendants.
    append(&mut store, 33..90);
    assert_eq!(code(&store, &shared_later), Some(LOST));
    // The position alone would pass: the grandchild shares it with its parent.
    assert!(lost.position() < shared_later.position());
}
