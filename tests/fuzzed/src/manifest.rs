//! A manifest of any bytes, in a directory whose other files are intact.

use std::sync::Arc;

use leftfold_log::format::ManifestHeader;
use leftfold_log::{Direction, Log, ScanRange};

use crate::{disk, seal, small_store};

pub(crate) fn run(input: &[u8]) {
    let small = small_store::get();
    let mut bytes = input.to_vec();
    seal::put(&mut bytes, 16, &small.store_id);
    seal::manifest(&mut bytes);
    if let Ok((sequence, entries)) = ManifestHeader::parse(&bytes, small.store_id) {
        let again = ManifestHeader::encode(small.store_id, sequence, &entries);
        assert!(ManifestHeader::parse(&again, small.store_id).is_ok());
    }
    let mut files = small.files.clone();
    files.insert("MANIFEST".to_owned(), bytes);
    let disk = Arc::new(disk::with_files(&files));
    let options = small_store::options().log;
    let Ok(opened) = Log::open(disk, disk::clock(), disk::random(), options, false) else { return };
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    for direction in [Direction::Forward, Direction::Backward] {
        let mut scan = opened.log.scan(range, direction);
        while let Ok(Some(_)) = scan.next() {}
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![small_store::get().files["MANIFEST"].clone()]
}
