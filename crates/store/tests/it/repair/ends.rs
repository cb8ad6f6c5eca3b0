//! Where a segment ends that no manifest in place knows.

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_io::{Disk, write_atomically};
use leftfold_store::{Compression, Embedded, Manual, RepairMode};

use super::support::{Truth, drive, open, read, repair};

fn append(store: &Embedded, manual: &mut Manual, data: Vec<u8>) -> bool {
    let append = Append::new().event("s-1", NewEvent::new("T", data));
    drive(manual, store.append(append)).is_ok()
}

/// Opens what a crash has left, appends something short, and returns what is there.
fn go_on(disk: &FakeDisk) -> Truth {
    let (store, mut manual) = open(disk, Compression::Off).unwrap();
    assert!(append(&store, &mut manual, vec![2; 20]));
    let truth = read(&store);
    manual.close();
    truth
}

/// The power is cut while a segment is closed, after its new manifest was written and before that was put in
/// place. The segment then goes on, and the manifest is lost: the one that was not put in place is wrong.
#[test]
fn a_manifest_that_was_never_put_in_place_closes_no_segment() {
    let mut unplaced = 0;
    for cut in 1..40 {
        let disk = FakeDisk::new();
        let (store, mut manual) = open(&disk, Compression::Off).unwrap();
        assert!(append(&store, &mut manual, vec![1; 1_500]));
        disk.cut_power_at(disk.counts().changes + cut);
        // It does not fit into the segment.
        append(&store, &mut manual, vec![1; 1_500]);
        drop((store, manual));
        let disk = disk.after(Crash::Keeps);
        let Some(left) = disk.bytes("MANIFEST.new").filter(|bytes| bytes.len() >= 192) else {
            continue;
        };
        let truth = go_on(&disk);
        // An opening writes its own over it; one of an earlier release left it there.
        write_atomically(&disk, "", "MANIFEST.new", &left).unwrap();
        unplaced += 1;
        let damages: [&dyn Fn(&FakeDisk); 2] =
            [&|disk| disk.rot("MANIFEST", 3, 1), &|disk| disk.remove("MANIFEST").unwrap()];
        for damage in damages {
            let damaged = disk.after(Crash::Keeps);
            damage(&damaged);
            let report = repair(&damaged, RepairMode::Quarantine).unwrap();
            assert!(report.lost.is_empty() && report.damaged.is_empty(), "{cut}: {report:?}");
            let (store, _manual) = open(&damaged, Compression::Off).unwrap();
            assert_eq!(store.verify(|_, _| ()).problem_count, 0, "{cut}");
            assert_eq!(read(&store), truth, "{cut}");
        }
    }
    assert!(unplaced > 0);
}

/// A closed segment is damaged, and the manifest that knows where it ends is lost. Its last event ends with
/// zeros, like the space behind it.
#[test]
fn zeros_at_the_end_of_a_damaged_segment_belong_to_its_last_event() {
    let disk = FakeDisk::new();
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    let zeros = |first: u8| [vec![first; 100], vec![0; 300]].concat();
    while disk.bytes("log/0000000000000002.0.seg").is_none() {
        assert!(append(&store, &mut manual, zeros(1)));
    }
    let mut truth = read(&store);
    manual.close();
    drop(store);
    let disk = disk.after(Crash::Keeps);
    disk.rot("log/0000000000000001.0.seg", 70, 1);
    disk.remove("MANIFEST").unwrap();
    let report = repair(&disk, RepairMode::Quarantine).unwrap();
    let lost: Vec<_> = report.lost.iter().map(|event| event.position).collect();
    assert_eq!(lost, [1], "{report:?}");
    truth.remove(&1);
    let (store, _manual) = open(&disk, Compression::Off).unwrap();
    assert_eq!(read(&store), truth);
}
