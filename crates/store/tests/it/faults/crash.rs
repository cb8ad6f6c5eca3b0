//! The power goes at every write and every sync of a scripted run, in four ways each.

use crate::faults::support::{append, drive, event, manual, settle, small};
use leftfold_api::{Append, CheckpointMove, Cursor, EventStore, Expected, Query, Read};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Embedded, Manual, OpenError};

/// What the run has been promised before the power went.
#[derive(Default)]
struct Promised {
    /// Events of acknowledged appends.
    events: u64,
    checkpoint: Option<Cursor>,
    index: bool,
}

/// Appends single events and groups of three, moves a checkpoint, defines an index, seals.
fn script(disk: &FakeDisk, promised: &mut Promised) -> Result<(), Box<dyn std::error::Error>> {
    let (store, mut manual) = manual(disk, small())?;
    let done = run(&store, &mut manual, promised);
    manual.close();
    done
}

fn run(
    store: &Embedded,
    manual: &mut Manual,
    promised: &mut Promised,
) -> Result<(), Box<dyn std::error::Error>> {
    for round in 0..8u128 {
        let stream = format!("s-{}", round % 3);
        drive(manual, store.append(append(&stream, Expected::Any, 10 * round)))?;
        promised.events += 1;
        let name = "reader".to_owned();
        let to = store.blocking().head();
        let checkpoint =
            CheckpointMove { name, expected: promised.checkpoint.clone(), to: to.clone() };
        let three = (1..4).fold(Append::new().checkpoint(checkpoint), |append, n| {
            append.event(format!("t-{n}"), event(10 * round + n))
        });
        drive(manual, store.append(three))?;
        promised.events += 3;
        promised.checkpoint = Some(to);
        if round == 4 {
            drive(
                manual,
                store.define_index(leftfold_api::IndexDefinition::new(
                    "third",
                    "tag:n=3 or stream:t-3".parse()?,
                )),
            )?;
            promised.events += 1;
            promised.index = true;
        }
        if round % 3 == 2 {
            manual.rest();
        }
        while round % 2 == 1 && manual.maintain() {}
    }
    Ok(())
}

fn check(disk: &FakeDisk, promised: &Promised) -> Result<(), OpenError> {
    let (store, mut manual) = manual(disk, small())?;
    while manual.maintain() {}
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
    let events = store.blocking().read(Read::forward(Query::All)).unwrap().events;
    assert!(events.len() as u64 >= promised.events, "{} of {}", events.len(), promised.events);
    assert!(events.iter().zip(1..).all(|(event, position)| event.position() == position));
    // Groups of three are whole.
    let count = |n| events.iter().filter(|event| event.stream() == format!("t-{n}")).count();
    assert!(count(1) == count(2) && count(2) == count(3));
    let checkpoint = store.blocking().checkpoint("reader").unwrap();
    let moved = checkpoint.clone().map(|cursor| cursor.to_string())
        >= promised.checkpoint.clone().map(|c| c.to_string());
    assert!(moved, "{checkpoint:?} {:?}", promised.checkpoint);
    if promised.index {
        let found = store.blocking().read(Read::forward(Query::index("third"))).unwrap();
        assert_eq!(found.events.len(), count(3));
    }
    // And it goes on.
    let appended = drive(&mut manual, store.append(append("after", Expected::NoStream, 999)));
    assert_eq!(appended.unwrap().positions.unwrap().0, events.len() as u64 + 1);
    Ok(())
}

#[test]
fn every_acknowledged_append_is_whole_and_every_other_whole_or_absent() {
    let whole = FakeDisk::new();
    let mut promised = Promised::default();
    script(&whole, &mut promised).unwrap();
    assert_eq!(promised.events, 33);
    assert!(whole.names().iter().filter(|name| name.ends_with(".idx")).count() > 1);
    let changes = whole.counts().changes;
    assert!(changes > 100, "{changes}");
    for cut in 1..=changes {
        let disk = FakeDisk::new();
        disk.cut_power_at(cut);
        let mut promised = Promised::default();
        _ = script(&disk, &mut promised);
        let tears = (0..4).map(|n| Crash::Tears(cut * 4 + n));
        for crash in [Crash::Forgets, Crash::Keeps].into_iter().chain(tears) {
            if let Err(error) = check(&disk.after(crash), &promised) {
                panic!("cut {cut}, {crash:?}: {error}");
            }
        }
    }
}

#[test]
fn an_index_file_that_is_missing_or_damaged_at_opening_is_made_again() {
    let disk = FakeDisk::new();
    let mut promised = Promised::default();
    script(&disk, &mut promised).unwrap();
    settle(&disk, small());
    let files: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".idx")).collect();
    assert!(files.len() > 2);
    for file in &files {
        leftfold_io::Disk::remove(&disk, file).unwrap();
        check(&disk.after(Crash::Keeps), &promised).unwrap();
    }
    assert!(disk.names().iter().all(|name| !name.ends_with(".idx")));
    settle(&disk, small());
    for file in disk.names().iter().filter(|name| name.ends_with(".idx")) {
        disk.rot(file, 20, 1);
        check(&disk.after(Crash::Keeps), &promised).unwrap();
    }
}

/// The process is killed, the machine is not: the system still has what was written and never
/// synced. Whatever the reopened store shows of it must be durable before it shows it.
#[test]
fn what_a_killed_process_left_unsynced_is_synced_before_anybody_rests_on_it() {
    let disk = FakeDisk::new();
    let (store, mut manual_one) = manual(&disk, small()).unwrap();
    drive(&mut manual_one, store.append(append("a", Expected::Any, 1))).unwrap();
    disk.fail_syncs(1);
    let failed = drive(&mut manual_one, store.append(append("a", Expected::Any, 2)));
    assert!(failed.is_err(), "nobody knows whether it will be found");
    drop((store, manual_one));

    let (store, mut manual_two) = manual(&disk, small()).unwrap();
    let again = drive(&mut manual_two, store.append(append("a", Expected::Any, 2))).unwrap();
    assert!(again.repeated, "it is answered from what is there");
    drop((store, manual_two));

    let (store, _manual) = manual(&disk.after(Crash::Forgets), small()).unwrap();
    let events = store.blocking().read(Read::forward(Query::stream("a"))).unwrap().events;
    assert_eq!(events.len(), 2, "what was answered is still there without the system's memory");
}

#[test]
fn a_manifest_that_is_too_old_is_refused_and_no_segment_is_lost() {
    let disk = FakeDisk::new();
    let mut promised = Promised::default();
    let (store, mut manual_one) = manual(&disk, small()).unwrap();
    drive(&mut manual_one, store.append(append("a", Expected::Any, 1))).unwrap();
    let old = disk.bytes("MANIFEST").unwrap();
    manual_one.close();
    drop(store);
    script(&disk, &mut promised).unwrap();
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
