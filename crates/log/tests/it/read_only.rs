//! A store whose directory can't be written.

use leftfold_io::Disk;
use leftfold_io::fake::FakeDisk;
use leftfold_log::{Direction, OpenError, WriteError};

use crate::log::{append_all, contents, numbered, open_with, options, write};

#[test]
fn a_store_that_cannot_be_written_is_read_and_nothing_is_created() {
    let disk = FakeDisk::new();
    let mut writing = write(&disk);
    let all = numbered(300, 700);
    append_all(&mut writing, &all);
    drop(writing);
    disk.open("log/leftover", leftfold_io::OpenMode::Create).unwrap();
    let before = (disk.counts().changes, disk.names());
    disk.set_read_only(true);
    let mut reading = write(&disk);
    assert!(reading.log.is_read_only());
    assert_eq!(contents(&reading.log, Direction::Forward), all);
    assert!(matches!(reading.append(&[b"one"]), Err(WriteError::ReadOnly)));
    let second = write(&disk);
    assert_eq!(contents(&second.log, Direction::Backward).len(), 300, "others may read as well");
    reading.pump.rest();
    drop((reading, second));
    assert_eq!((disk.counts().changes, disk.names()), before);
}

#[test]
fn a_reader_keeps_writers_out() {
    let disk = FakeDisk::new();
    drop(write(&disk));
    disk.set_read_only(true);
    let reading = write(&disk);
    disk.set_read_only(false);
    assert!(matches!(open_with(&disk, options()), Err(OpenError::Locked(_))));
    drop(reading);
    assert!(!write(&disk).log.is_read_only());
}

#[test]
fn an_empty_directory_that_cannot_be_written_holds_no_store() {
    let disk = FakeDisk::new();
    disk.set_read_only(true);
    assert!(matches!(open_with(&disk, options()), Err(OpenError::Io { .. })));
}
