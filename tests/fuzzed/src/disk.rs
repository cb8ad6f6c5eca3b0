//! Disks with given files.

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_io::{Clock, Disk, OpenMode, Random};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Returns a disk with these files.
pub(crate) fn with_files(files: &Files) -> FakeDisk {
    let disk = FakeDisk::new();
    for (name, bytes) in files {
        disk.open(name, OpenMode::Create).unwrap().write_at(bytes, 0).unwrap();
    }
    disk
}

/// Returns the files of a disk.
pub(crate) fn files(disk: &FakeDisk) -> Files {
    let mut files = Files::new();
    for dir in ["", "log", "index"] {
        let full =
            |name: &String| if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
        let names = disk.list(dir).unwrap();
        files.extend(names.iter().map(full).filter_map(|name| {
            let bytes = disk.bytes(&name)?;
            Some((name, bytes))
        }));
    }
    files
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(1_000_000))
}

pub(crate) fn random() -> Arc<dyn Random> {
    Arc::new(SeededRandom::new(1))
}
