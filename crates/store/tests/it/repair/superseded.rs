//! Two writers had the store at a time, and the earlier one wrote over the later one's frames.

use leftfold_api::{Append, Cursor, EventStore, Query, Read};
use leftfold_io::fake::FakeDisk;
use leftfold_io::{Disk, OpenMode};
use leftfold_store::{Compression, Embedded, Manual, RepairMode};

use super::support::{Truth, check, drive, event, open, read, repair};

const SEGMENT: &str = "log/0000000000000001.0.seg";

fn append(store: &Embedded, manual: &mut Manual, n: u64) {
    drive(manual, store.append(Append::new().event("s-1", event(n)))).unwrap();
}

/// Returns a store whose second writer has written these events, and what it had. The first writer's two frames
/// came late.
fn overwritten(by_second: &[u64]) -> (FakeDisk, Truth) {
    let disk = FakeDisk::new();
    let (first, mut manual) = open(&disk, Compression::Off).unwrap();
    append(&first, &mut manual, 0);
    let end = first.stat().unwrap().log_bytes;
    let file = disk.open(SEGMENT, OpenMode::Write).unwrap();
    append(&first, &mut manual, 1);
    append(&first, &mut manual, 10);
    let mut late = vec![0; (first.stat().unwrap().log_bytes - end) as usize];
    file.read_at(&mut late, end).unwrap();
    file.write_at(&vec![0; late.len()], end).unwrap();
    disk.lose_locks();
    let (second, mut of_second) = open(&disk, Compression::Off).unwrap();
    for n in by_second {
        append(&second, &mut of_second, *n);
    }
    let truth = read(&second);
    of_second.close();
    // The first one was stopped between its check and its write.
    file.write_at(&late, end).unwrap();
    file.sync().unwrap();
    drop((first, manual, second));
    assert!(open(&disk, Compression::Off).is_err());
    (disk, truth)
}

#[test]
fn frames_of_a_superseded_writer_are_put_aside_and_what_they_overwrote_is_reported() {
    for (by_second, expected) in
        [(&[19, 28][..], &[2, 3][..]), (&[19, 28, 2, 3], &[2, 3]), (&[8, 17, 2, 3], &[2, 3])]
    {
        let (disk, truth) = overwritten(by_second);
        let late = disk.bytes(SEGMENT).unwrap();
        let report = check(&disk, Compression::Off, &truth, "overwritten");
        let lost: Vec<_> = report.lost.iter().map(|event| event.position).collect();
        assert_eq!(lost, expected, "{by_second:?} {report:?}");
        let of_late = report.damaged.iter().filter(|bytes| bytes.what.contains("a later one"));
        assert!(of_late.count() > 0, "{report:?}");
        let aside = report.quarantined.iter().filter_map(|name| disk.bytes(name));
        assert!(aside.into_iter().any(|bytes| bytes == late), "{report:?}");
    }
}

/// The later writer may have written there, so the positions are not used again.
#[test]
fn frames_of_a_superseded_writer_behind_all_others_are_never_served() {
    let (disk, truth) = overwritten(&[]);
    let report = repair(&disk, RepairMode::Quarantine).unwrap();
    let lost: Vec<_> = report.lost.iter().map(|event| event.position).collect();
    assert_eq!((report.damaged.len(), lost), (2, vec![2, 3]), "{report:?}");
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    assert_eq!(read(&store), truth);
    append(&store, &mut manual, 30);
    let page = store.blocking().read(Read::forward(Query::All).after(Cursor::START)).unwrap();
    assert_eq!(page.events.last().unwrap().position(), 4);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}
