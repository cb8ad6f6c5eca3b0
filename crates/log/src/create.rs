use std::io;
use std::sync::Arc;

use leftfold_io::{Clock, Disk, File, Lock, OpenMode, Random, read_whole, write_atomically};
use zerocopy::IntoBytes;

use crate::error::OpenError;
use crate::format::{SegmentHeader, StoreHeader, StoreIdentity};
use crate::manifest::{FileKind, LiveFile, MANIFEST, Manifest, SegmentState};
use crate::options::Identity;
use crate::ownership::Ownership;

pub(crate) const STORE: &str = "STORE";
pub(crate) const LOCK: &str = "LOCK";

pub(crate) fn unusable(file: &str, why: impl Into<String>) -> OpenError {
    OpenError::Unusable { file: file.to_owned(), why: why.into() }
}

/// Whether a disk holds a store.
pub(crate) fn store_exists(disk: &dyn Disk) -> Result<bool, OpenError> {
    match disk.open(STORE, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::io(STORE, error)),
    }
}

/// What a process may do with an opened store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    /// Its directory can't be written: no file of it is created or changed.
    Read,
}

/// Keeps other processes, and other handles in this one, from opening the store.
pub(crate) fn lock_store(disk: &dyn Disk) -> Result<Box<dyn Lock>, OpenError> {
    disk.lock(LOCK).map_err(|error| lock_failed(disk, error))
}

/// Locks the store for writing; if its directory can't be written, against writers.
pub(crate) fn lock_as_possible(disk: &dyn Disk) -> Result<(Box<dyn Lock>, Access), OpenError> {
    let unwritable = [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied];
    match disk.lock(LOCK) {
        Ok(lock) => Ok((lock, Access::Write)),
        Err(error) if unwritable.contains(&error.kind()) && store_exists(disk)? => {
            let lock = disk.lock_shared(LOCK).map_err(|error| lock_failed(disk, error))?;
            Ok((lock, Access::Read))
        }
        Err(error) => Err(lock_failed(disk, error)),
    }
}

fn lock_failed(disk: &dyn Disk, error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(disk.describe()),
        _ => OpenError::io(LOCK, error),
    }
}

pub(crate) fn read_identity(disk: &dyn Disk) -> Result<StoreIdentity, OpenError> {
    let bytes = read_whole(disk, STORE, StoreIdentity::MAX_BYTES);
    let bytes = bytes.map_err(|error| OpenError::io(STORE, error))?;
    StoreIdentity::parse(&bytes).map_err(|why| unusable(STORE, why))
}

/// Refuses a store that is no copy of the expected one.
pub(crate) fn check_identity(
    disk: &dyn Disk,
    header: &StoreHeader,
    expected: Option<Identity>,
) -> Result<(), OpenError> {
    let StoreHeader { store_id, incarnation, hash_key, .. } = *header;
    match expected {
        Some(expected) if expected != (Identity { store_id, incarnation, hash_key }) => {
            Err(OpenError::Foreign(disk.describe()))
        }
        _ => Ok(()),
    }
}

pub(crate) fn write_identity(
    disk: &dyn Disk,
    clock: &dyn Clock,
    random: &dyn Random,
    given: Option<Identity>,
) -> Result<StoreIdentity, OpenError> {
    // A restore that was cut off leaves either.
    for (dir, what) in [("log", "segments"), ("index", "index files")] {
        let occupied = disk.list(dir).map_err(|error| OpenError::io(dir, error))?;
        if !occupied.is_empty() {
            return Err(unusable(STORE, format!("it is missing, yet there are {what}")));
        }
    }
    if disk.open(MANIFEST, OpenMode::Read).is_ok() {
        return Err(unusable(STORE, "it is missing, yet there is a MANIFEST"));
    }
    let [id, incarnation, key] = match given {
        Some(given) => [given.store_id, given.incarnation, given.hash_key].map(u128::from_le_bytes),
        None => std::array::from_fn(|_| random.next_u128()),
    };
    let header = StoreHeader::new(id, incarnation, key, clock.now_micros());
    write_atomically(disk, "", STORE, header.as_bytes())
        .map_err(|error| OpenError::io(STORE, error))?;
    Ok(StoreIdentity::new(header))
}

/// Reads the manifest. A store without one was cut off while it was being created, or has lost it:
/// its creation is finished only if no segment holds anything.
pub(crate) fn open_manifest(
    disk: &dyn Disk,
    ownership: &Arc<Ownership>,
    header: &StoreHeader,
) -> Result<(Manifest, bool), OpenError> {
    match Manifest::read(ownership.clone(), header) {
        Ok(Ok(manifest)) => Ok((manifest, false)),
        Ok(Err(why)) => Err(unusable(MANIFEST, why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let manifest = create_first_segment(disk, ownership, header)?;
            Ok((manifest, true))
        }
        Err(error) => Err(OpenError::io(MANIFEST, error)),
    }
}

fn create_first_segment(
    disk: &dyn Disk,
    ownership: &Arc<Ownership>,
    header: &StoreHeader,
) -> Result<Manifest, OpenError> {
    let failed = |error| OpenError::io("log", error);
    let first = LiveFile {
        kind: FileKind::SEGMENT,
        state: SegmentState::Open.code(),
        id: 1,
        generation: 0,
        first: 1,
        last: 0,
        length: 0,
        detail: 0,
    };
    for name in disk.list("log").map_err(failed)? {
        let name = format!("log/{name}");
        let file = disk.open(&name, OpenMode::Read).map_err(failed)?;
        if name != first.name() || file.len().map_err(failed)? > SegmentHeader::SIZE {
            return Err(unusable(MANIFEST, "it is missing, yet there are segments"));
        }
        disk.remove(&name).map_err(failed)?;
    }
    create_segment(disk, &first, header.store_id, i64::MIN).map_err(failed)?;
    let manifest = Manifest::empty(ownership.clone(), header);
    manifest.update(|files| files.push(first)).map_err(failed)?;
    Ok(manifest)
}

pub(crate) fn create_segment(
    disk: &dyn Disk,
    live: &LiveFile,
    store_id: [u8; 16],
    commit_floor: i64,
) -> io::Result<Arc<dyn File>> {
    let file = disk.open(&live.name(), OpenMode::Create)?;
    let header = SegmentHeader::new(store_id, live.id, live.first, commit_floor);
    file.write_at(header.as_bytes(), 0)?;
    file.sync()?;
    disk.sync_dir("log")?;
    Ok(file)
}
