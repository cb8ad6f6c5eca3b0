//! Imports into stores with events of their own.

use leftfold_api::{Append, Coded, Expected, NewEvent};
use leftfold_io::fake::FakeDisk;

use super::source;
use super::support::{
    Line, NOW, assert_sound, begin, feed, import, kept, line, open_now, refused, versions,
};

fn store_with_events() -> FakeDisk {
    let disk = FakeDisk::new();
    let append = Append::new().event("own-1", NewEvent::new("Own", ""));
    open_now(&disk).blocking().append(append).unwrap();
    disk
}

#[test]
fn events_join_a_store_with_others_at_new_commit_times() {
    let (lines, disk) = (source(), store_with_events());
    let report = import(&disk, &lines);
    assert!(!report.keeps_commit_times);
    assert_eq!((report.imported, report.repeated, report.holes), (2 + 6, 0, 5 + 6 + 6));
    assert_eq!(report.left_out.values().sum::<u64>(), 4, "{report:?}");
    let (copy, store) = (FakeDisk::new(), open_now(&disk));
    import(&copy, &lines);
    let of_users = |store| {
        let mut kept: Vec<_> = kept(store).into_iter().map(|(kept, _)| kept).collect();
        kept.retain(|kept| kept.is_of_user());
        kept
    };
    assert_eq!(of_users(&store), of_users(&open_now(&copy)));
    assert!(kept(&store).iter().all(|(_, time)| time.0 == NOW));
    assert_eq!(store.blocking().stream("b-1").unwrap().unwrap().version, 5);
    assert_sound(&store);
    drop(store);
    let again = import(&disk, &lines);
    assert_eq!((again.imported, again.repeated, again.holes), (0, 8, 0));
}

#[test]
fn something_else_at_the_version_of_an_event_stops_the_import() {
    let good = [Line::Event(line(1, "a-1", 0)), Line::Event(line(3, "a-1", 2))];
    let disk = store_with_events();
    import(&disk, &good);
    let mut other = line(1, "a-1", 0);
    other.event.data = "other".into();
    let mut same_id = line(4, "a-1", 3);
    same_id.event = line(1, "a-1", 0).event;
    for (bad, words) in [
        (other, "version 0 of stream a-1"),
        (line(2, "a-1", 1), "the placeholder of a dropped event"),
        (line(2, "own-1", 0), "of type Own"),
        (same_id, "version 3 of stream a-1"),
    ] {
        let mut import = begin(&disk).unwrap();
        let fed = feed(&mut import, &[Line::Event(bad.clone())]);
        let error = fed.and_then(|()| import.finish()).unwrap_err();
        assert_eq!(error.code(), "import_conflict", "{bad:?}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let bad = line(2, "own-1", 0);
    let (code, _, report) = refused(&disk, &[Line::Event(line(1, "new-1", 0)), Line::Event(bad)]);
    assert_eq!((code, report.imported), ("import_conflict", 1));
    assert_eq!(versions(&open_now(&disk), "new-1"), [0]);
}

#[test]
fn a_copy_that_got_events_of_its_own_is_merged_into() {
    let (lines, disk) = (source(), FakeDisk::new());
    let first = &lines[..6];
    import(&disk, first);
    let own =
        Append::new().event("e-1", NewEvent::new("Own", "")).expect("e-1", Expected::NoStream);
    open_now(&disk).blocking().append(own).unwrap();
    let report = import(&disk, &lines);
    assert!(!report.keeps_commit_times);
    assert_eq!(report.repeated, 6);
    assert_eq!(report.imported, 2);
    assert_sound(&open_now(&disk));
}
