//! Cuts the power at every write and every sync of a scripted run, with several kinds of crash each.

use crate::faults::support::{append, drive, event, manual, settle, small};
use leftfold_api::{Append, CheckpointMove, Cursor, EventStore, Expected, Query, Read};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Embedded, Manual, OpenError};

/// The acknowledged effects of a run before the power was cut.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// The number of events of acknowledged appends.
    events: u64,
    checkpoint: Option<Cursor>,
    index: bool,
}

/// Appends single events and groups of three, moves a checkpoint, defines an index, seals.
pub(crate) fn script(
    disk: &FakeDisk,
    acknowledged: &mut Acknowledged,
) -> Result<(), Box<dyn std::error::Error>> {
    let (store, mut manual) = manual(disk, small())?;
    let done = run(&store, &mut manual, acknowledged);
    manual.close();
    done
}

fn run(
    store: &Embedded,
    manual: &mut Manual,
    acknowledged: &mut Acknowledged,
) -> Result<(), Box<dyn std::error::Error>> {
    for round in 0..8u128 {
        let stream = format!("s-{}", round % 3);
        drive(manual, store.append(append(&stream, Expected::Any, 10 * round)))?;
        acknowledged.events += 1;
        let name = "reader".to_owned();
        let to = store.blocking().head();
        let checkpoint =
            CheckpointMove { name, expected: acknowledged.checkpoint.clone(), to: to.clone() };
        let three = (1..4).fold(Append::new().checkpoint(checkpoint), |append, n| {
            append.event(format!("t-{n}"), event(10 * round + n))
        });
        drive(manual, store.append(three))?;
        acknowledged.events += 3;
        acknowledged.checkpoint = Some(to);
        if round == 4 {
            drive(
                manual,
                store.define_index(leftfold_api::IndexDefinition::new(
                    "third",
                    "tag:n=3 or stream:t-3".parse()?,
                )),
            )?;
            acknowledged.events += 1;
            acknowledged.index = true;
        }
        if round % 3 == 2 {
            manual.rest();
        }
        while round % 2 == 1 && manual.maintain() {}
    }
    Ok(())
}

pub(crate) fn check(disk: &FakeDisk, acknowledged: &Acknowledged) -> Result<(), OpenError> {
    let (store, mut manual) = manual(disk, small())?;
    while manual.maintain() {}
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
    let events = store.blocking().read(Read::forward(Query::System)).unwrap().events;
    assert!(
        events.len() as u64 >= acknowledged.events,
        "{} of {}",
        events.len(),
        acknowledged.events
    );
    assert!(events.iter().zip(1..).all(|(event, position)| event.position() == position));
    // Appends of three events are whole.
    let count = |n| events.iter().filter(|event| event.stream() == format!("t-{n}")).count();
    assert!(count(1) == count(2) && count(2) == count(3));
    let checkpoint = store.blocking().checkpoint("reader").unwrap();
    let moved = checkpoint.clone().map(|cursor| cursor.to_string())
        >= acknowledged.checkpoint.clone().map(|c| c.to_string());
    assert!(moved, "{checkpoint:?} {:?}", acknowledged.checkpoint);
    if acknowledged.index {
        let found = store.blocking().read(Read::forward(Query::index("third"))).unwrap();
        assert_eq!(found.events.len(), count(3));
    }
    // The store takes further appends.
    let appended = drive(&mut manual, store.append(append("after", Expected::NoStream, 999)));
    assert_eq!(appended.unwrap().positions.unwrap().0, events.len() as u64 + 1);
    Ok(())
}

#[test]
fn every_acknowledged_append_is_whole_and_every_other_whole_or_absent() {
    let whole = FakeDisk::new();
    let mut acknowledged = Acknowledged::default();
    script(&whole, &mut acknowledged).unwrap();
    assert_eq!(acknowledged.events, 33);
    assert!(whole.names().iter().filter(|name| name.ends_with(".idx")).count() > 1);
    let changes = whole.counts().changes;
    assert!(changes > 100, "{changes}");
    for cut in 1..=changes {
        let disk = FakeDisk::new();
        disk.cut_power_at(cut);
        let mut acknowledged = Acknowledged::default();
        _ = script(&disk, &mut acknowledged);
        let tears = (0..4).map(|n| Crash::Tears(cut * 4 + n));
        for crash in [Crash::Forgets, Crash::Keeps].into_iter().chain(tears) {
            if let Err(error) = check(&disk.after(crash), &acknowledged) {
                panic!("cut {cut}, {crash:?}: {error}");
            }
        }
    }
}

#[test]
fn an_index_file_that_is_missing_or_damaged_at_opening_is_made_again() {
    let disk = FakeDisk::new();
    let mut acknowledged = Acknowledged::default();
    script(&disk, &mut acknowledged).unwrap();
    settle(&disk, small());
    let files: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".idx")).collect();
    assert!(files.len() > 2);
    for file in &files {
        leftfold_io::Disk::remove(&disk, file).unwrap();
        check(&disk.after(Crash::Keeps), &acknowledged).unwrap();
    }
    assert!(disk.names().iter().all(|name| !name.ends_with(".idx")));
    settle(&disk, small());
    for file in disk.names().iter().filter(|name| name.ends_with(".idx")) {
        disk.rot(file, 20, 1);
        check(&disk.after(Crash::Keeps), &acknowledged).unwrap();
    }
}

/// A process is killed while the machine keeps running, so unsynced writes are still readable. The reopened
/// store must sync them before any answer depends on them.
#[test]
fn unsynced_writes_of_a_killed_process_are_synced_before_any_answer() {
    let disk = FakeDisk::new();
    let (store, mut manual_one) = manual(&disk, small()).unwrap();
    drive(&mut manual_one, store.append(append("a", Expected::Any, 1))).unwrap();
    disk.fail_syncs(1);
    let failed = drive(&mut manual_one, store.append(append("a", Expected::Any, 2)));
    assert!(failed.is_err(), "the outcome of this append is unknown");
    drop((store, manual_one));

    let (store, mut manual_two) = manual(&disk, small()).unwrap();
    let again = drive(&mut manual_two, store.append(append("a", Expected::Any, 2))).unwrap();
    assert!(again.repeated, "the answer comes from the stored event");
    drop((store, manual_two));

    let (store, _manual) = manual(&disk.after(Crash::Forgets), small()).unwrap();
    let events = store.blocking().read(Read::forward(Query::stream("a"))).unwrap().events;
    assert_eq!(events.len(), 2, "the answered events survive a loss of the system's memory");
}

#[test]
fn an_outdated_manifest_is_refused_and_no_segment_is_lost() {
    let disk = FakeDisk::new();
    let mut acknowledged = Acknowledged::default();
    let (store, mut manual_one) = manual(&disk, small()).unwrap();
    drive(&mut manual_one, store.append(append("a", Expected::Any, 1))).unwrap();
    let old = disk.bytes("MANIFEST").unwrap();
    manual_one.close();
    drop(store);
    script(&disk, &mut acknowledged).unwrap();
    settle(&disk, small());
    let names = disk.names();
    let new = disk.bytes("MANIFEST").unwrap();
    leftfold_io::write_atomically(&disk, "", "MANIFEST", &old).unwrap();
    let refused = manual(&disk, small()).err().unwrap().to_string();
    let words = ["is too old", "is damaged"];
    assert!(words.iter().any(|words| refused.contains(words)), "{refused}");
    let segments = |names: &[String]| names.iter().filter(|n| n.ends_with(".seg")).count();
    assert_eq!(segments(&disk.names()), segments(&names), "nothing was removed");
    leftfold_io::write_atomically(&disk, "", "MANIFEST", &new).unwrap();
    let (store, _manual) = manual(&disk, small()).unwrap();
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}
