use std::io;

use super::{Crash, FakeDisk, Syncs};
use crate::{Disk, OpenMode, read_whole, write_atomically};

#[test]
fn a_power_cut_loses_unsynced_writes() {
    let disk = FakeDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(b"old", 0).unwrap();
    file.sync().unwrap();
    file.write_at(b"new", 0).unwrap();
    assert_eq!(disk.after(Crash::Forgets).bytes("a").unwrap(), b"old");
    assert_eq!(disk.after(Crash::Keeps).bytes("a").unwrap(), b"new");
}

#[test]
fn a_sync_of_a_directory_keeps_the_names_of_no_other() {
    let disk = FakeDisk::new();
    for name in ["a", "d/b"] {
        disk.open(name, OpenMode::Create).unwrap();
    }
    disk.sync_dir("d").unwrap();
    assert_eq!(disk.after(Crash::Forgets).names(), ["d/b"]);
    let found = |seed| disk.after(Crash::Tears(seed)).names();
    assert!((0..32).all(|seed| found(seed).contains(&"d/b".to_owned())));
    assert!((0..32).any(|seed| found(seed).len() == 1));
    assert!((0..32).any(|seed| found(seed).len() == 2));
}

#[test]
fn a_power_cut_keeps_a_later_name_of_one_directory_and_loses_an_earlier_one_of_another() {
    let disk = FakeDisk::new();
    for name in ["a", "d/b"] {
        disk.open(name, OpenMode::Create).unwrap();
    }
    assert!((0..32).any(|seed| disk.after(Crash::Tears(seed)).names() == ["d/b"]));
}

#[test]
fn a_renamed_file_is_that_file_whatever_a_power_cut_keeps() {
    let disk = FakeDisk::new();
    let write = |name, bytes: &[u8]| {
        let file = disk.open(name, OpenMode::Create).unwrap();
        file.write_at(bytes, 0).unwrap();
        file.sync().unwrap();
    };
    write("a.new", b"cut off");
    disk.sync_dir("").unwrap();
    disk.remove("a.new").unwrap();
    write("a.new", b"whole");
    disk.rename("a.new", "a").unwrap();
    let found: Vec<_> = (0..64).filter_map(|n| disk.after(Crash::Tears(n)).bytes("a")).collect();
    assert!(!found.is_empty() && found.iter().all(|bytes| bytes == b"whole"), "{found:?}");
}

#[test]
fn a_file_is_renamed_to_another_directory_with_a_sync_of_that() {
    let disk = FakeDisk::new();
    disk.open("d/a", OpenMode::Create).unwrap();
    disk.sync_dir("d").unwrap();
    disk.rename("d/a", "e/a").unwrap();
    assert_eq!(disk.names(), ["e/a"]);
    disk.sync_dir("d").unwrap();
    assert_eq!(disk.after(Crash::Forgets).names(), ["d/a"]);
    disk.sync_dir("e").unwrap();
    assert_eq!(disk.after(Crash::Forgets).names(), ["e/a"]);
}

#[test]
fn a_power_cut_may_keep_the_length_of_a_write_and_not_its_bytes() {
    let disk = FakeDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(&[1; 4096], 0).unwrap();
    let found = |seed| disk.after(Crash::Tears(seed)).bytes("a").unwrap();
    assert!((0..64).any(|seed| found(seed) == [0; 4096]));
}

#[test]
fn a_sync_that_lies_keeps_nothing_until_the_next() {
    let disk = FakeDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    disk.sync_dir("").unwrap();
    disk.lie_at_every(2, Syncs::Files);
    let kept = || disk.after(Crash::Forgets).bytes("a").unwrap();
    for (n, expected) in [(1, &b"1"[..]), (2, b"1"), (3, b"123"), (4, b"123")] {
        file.write_at(n.to_string().as_bytes(), n - 1).unwrap();
        file.sync().unwrap();
        assert_eq!(kept(), expected, "sync {n}");
    }
    disk.lie_at_every(1, Syncs::Directories);
    disk.open("b", OpenMode::Create).unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(disk.after(Crash::Forgets).names(), ["a"]);
}

#[test]
fn a_torn_write_keeps_some_sectors() {
    let disk = FakeDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(&[1; 16_384], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[2; 16_384], 0).unwrap();
    let mut mixed = [0, 0];
    for seed in 0..64 {
        let found = disk.after(Crash::Tears(seed)).bytes("a").unwrap();
        let is_torn = |part: &[u8]| part.contains(&1) && part.contains(&2);
        assert!(!found.chunks(512).any(is_torn));
        let is_torn_within = found.chunks(4096).any(is_torn);
        mixed[0] += usize::from(is_torn_within);
        mixed[1] += usize::from(!is_torn_within && is_torn(&found));
    }
    assert!(mixed.iter().all(|count| *count > 5), "{mixed:?} of 64 crashes tore the write");
}

#[test]
fn an_atomic_replace_is_old_or_new_wherever_the_power_is_cut() {
    for cut in 1..10 {
        let disk = FakeDisk::new();
        write_atomically(&disk, "", "m", b"old").unwrap();
        disk.cut_power_at(disk.counts().changes + cut);
        let done = write_atomically(&disk, "", "m", b"new").is_ok();
        for crash in [Crash::Forgets, Crash::Keeps, Crash::Tears(cut)] {
            let found = read_whole(&disk.after(crash), "m", 100).unwrap();
            assert!(found == b"new" || (found == b"old" && !done), "cut {cut}: {found:?}");
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_a_failing_sync_fails_once() {
    let disk = FakeDisk::new();
    let file = disk.open("a", OpenMode::Create).unwrap();
    disk.set_capacity(Some(4));
    file.write_at(b"1234", 0).unwrap();
    assert_eq!(file.write_at(b"5", 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(b"4321", 0).unwrap();
    disk.set_capacity(Some(1));
    file.set_len(3).unwrap();
    disk.fail_syncs(1);
    assert!(file.sync().is_err());
    file.sync().unwrap();
}
