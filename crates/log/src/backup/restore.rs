use std::collections::HashSet;
use std::io;

use leftfold_io::{Disk, OpenMode, Random, write_atomically};

use super::DIRECTORIES;
use super::copy::read_checked;
use super::error::BackupError;
use super::target::{existing, first_file};
use crate::create::{LOCK, STORE};
use crate::format::{
    BackupFile, BackupList, ManifestEntry, ManifestHeader, StoreHeader, StoreIdentity,
};
use crate::manifest::{LiveFile, MANIFEST};

/// `STORE` and `MANIFEST` are held in memory; longer ones are not of this program.
const HELD_LIMIT: u64 = 64 << 20;

/// Counts of a finished restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreSummary {
    /// The store's id.
    pub store_id: [u8; 16],
    /// The incarnation that the restored store is.
    pub incarnation: [u8; 16],
    /// The number of the backup.
    pub number: u64,
    /// The last position in it.
    pub head: u64,
    /// When the backup was begun, in microseconds since 1970.
    pub time: i64,
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes a store in an empty directory from the last whole backup in another, as a new
/// incarnation; every checksum is checked. `progress` gets the bytes done and the bytes in all.
///
/// `STORE` is written last, when all else is synced: before that the directory is not a store.
pub fn restore(
    from: &dyn Disk,
    to: &dyn Disk,
    random: &dyn Random,
    mut progress: impl FnMut(u64, u64),
) -> Result<RestoreSummary, BackupError> {
    let (list, _reading) = existing(from)?;
    let (store, manifest) = (held(from, &list, STORE)?, held(from, &list, MANIFEST)?);
    let damaged = |file: &str, why: String| BackupError::damaged(&from.describe(), file, why);
    let identity = StoreIdentity::parse(&store).map_err(|why| damaged(STORE, why))?;
    let named = agrees(&list, &identity.header, &manifest);
    let (sequence, entries) = named.map_err(|why| damaged(MANIFEST, why.to_owned()))?;

    let dir = to.describe();
    refuse_full(to)?;
    let _writing = to.lock(LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => BackupError::Locked(dir.clone()),
        _ => BackupError::io(&dir, LOCK, error),
    })?;
    refuse_full(to)?;
    let reborn = identity.reborn(random.next_u128(), list.head);
    // The manifest names the incarnation, too.
    let manifest = ManifestHeader::encode(&reborn.header, sequence, &entries);
    let done = copy_all(from, to, &list, &mut progress).and_then(|()| {
        let put = |name: &str, bytes: &[u8]| {
            write_atomically(to, "", name, bytes)
                .map_err(|error| BackupError::io(&dir, name, error))
        };
        put(MANIFEST, &manifest)?;
        put(STORE, &reborn.encode())
    });
    if let Err(error) = done {
        clear(to, &list);
        return Err(error);
    }
    Ok(RestoreSummary {
        store_id: list.store_id,
        incarnation: reborn.header.incarnation,
        number: list.number,
        head: list.head,
        time: list.time,
        files: list.files.len() as u64,
        bytes: list.files.iter().map(|file| file.length).sum(),
    })
}

fn refuse_full(to: &dyn Disk) -> Result<(), BackupError> {
    match first_file(to, &[LOCK])? {
        None => Ok(()),
        Some(file) => Err(BackupError::NotEmpty { dir: to.describe(), file }),
    }
}

/// Reads and checks a small file of the backup.
fn held(from: &dyn Disk, list: &BackupList, name: &str) -> Result<Vec<u8>, BackupError> {
    let damaged = |why: &str| BackupError::damaged(&from.describe(), name, why);
    let listed = list.files.iter().find(|file| file.restored == name);
    let listed = listed.ok_or_else(|| damaged("the backup does not list it"))?;
    if listed.length > HELD_LIMIT {
        return Err(damaged("it is too long"));
    }
    let mut bytes = Vec::with_capacity(listed.length as usize);
    read_checked(from, listed, |_, piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// Checks that the manifest names exactly the files of the list; returns its number and its entries.
pub(super) fn agrees(
    list: &BackupList,
    header: &StoreHeader,
    manifest: &[u8],
) -> Result<(u64, Vec<ManifestEntry>), &'static str> {
    let (sequence, entries) = ManifestHeader::parse(manifest, header.store_id)?;
    let named: HashSet<_> = entries.iter().map(|entry| LiveFile::read(entry).name()).collect();
    let listed: HashSet<_> = others(list).map(|file| file.restored.clone()).collect();
    let store = (header.store_id, header.incarnation) == (list.store_id, list.incarnation);
    match named == listed && store {
        true => Ok((sequence, entries)),
        false => Err("it does not name the files of the backup"),
    }
}

pub(super) fn others(list: &BackupList) -> impl Iterator<Item = &BackupFile> {
    list.files.iter().filter(|file| ![STORE, MANIFEST].contains(&&*file.restored))
}

fn copy_all(
    from: &dyn Disk,
    to: &dyn Disk,
    list: &BackupList,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    let dir = to.describe();
    let failed = |name: &str, error| BackupError::io(&dir, name, error);
    for name in DIRECTORIES {
        to.create_dir(name).map_err(|error| failed(name, error))?;
    }
    let total = list.files.iter().map(|file| file.length).sum();
    let mut done = 0;
    for listed in others(list) {
        let name = &listed.restored;
        let file = to.open(name, OpenMode::Create).map_err(|error| failed(name, error))?;
        read_checked(from, listed, |at, piece| {
            file.write_at(piece, at).map_err(|error| failed(name, error))?;
            done += piece.len() as u64;
            progress(done, total);
            Ok(())
        })?;
        file.sync().map_err(|error| failed(name, error))?;
    }
    DIRECTORIES.iter().try_for_each(|dir| to.sync_dir(dir).map_err(|error| failed(dir, error)))
}

/// Removes what was copied, so that the directory is empty again.
fn clear(to: &dyn Disk, list: &BackupList) {
    // `STORE` first: without it the rest is no store. What can't be removed is in the way of the
    // next restore, which says so.
    let held = [STORE, MANIFEST].map(str::to_owned);
    let held_new = held.clone().map(|name| format!("{name}.new"));
    let names = others(list).map(|file| file.restored.clone());
    for name in held.into_iter().chain(held_new).chain(names) {
        _ = to.remove(&name);
    }
}
