//! Replaces files of a store so that nothing is ever destroyed.
//!
//! New files are written into the quarantine, and every file that is to be replaced or removed is copied
//! there whole. When all of that is synced, the record is written: from then on the change is finished
//! whatever is cut off, by renaming the new files into their places. Before, no file of the store has
//! changed. Undoing is another change, back to the files of the record.

use std::collections::BTreeMap;
use std::io;

use leftfold_io::{Disk, OpenMode, write_atomically};

use super::record::{
    self, FileBefore, FileSum, Outcome, QUARANTINE, Record, aside_name, done_name, pending_name,
    staged_name,
};
use crate::create::STORE;
use crate::manifest::MANIFEST;

/// The directories of a store's files.
const DIRECTORIES: [&str; 2] = ["log", "index"];

/// Returns the names of all files of a store.
pub(super) fn store_files(disk: &dyn Disk) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for name in disk.list("")? {
        if [STORE, MANIFEST].contains(&&*name) {
            names.push(name);
        }
    }
    for dir in DIRECTORIES {
        names.extend(disk.list(dir)?.iter().map(|name| format!("{dir}/{name}")));
    }
    Ok(names)
}

/// A change that is being prepared.
pub struct Transaction<'a> {
    disk: &'a dyn Disk,
    number: u64,
    staged: Vec<(String, FileSum)>,
}

impl<'a> Transaction<'a> {
    /// Begins a change; removes what an earlier one has left that was never recorded.
    pub(super) fn begin(disk: &'a dyn Disk) -> io::Result<Self> {
        disk.create_dir(QUARANTINE)?;
        for dir in DIRECTORIES {
            disk.create_dir(dir)?;
        }
        let number = record::done(disk)?.last().map_or(1, |last| last + 1);
        // Copies of files that are still in their places.
        for name in disk.list(QUARANTINE)? {
            if name.starts_with(&format!("{number:04}.")) {
                disk.remove(&format!("{QUARANTINE}/{name}"))?;
            }
        }
        Ok(Transaction { disk, number, staged: Vec::new() })
    }

    /// Writes the content that a file is to have.
    pub(super) fn stage(&mut self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let file = self.disk.open(&staged_name(self.number, name), OpenMode::Create)?;
        let mut sum = FileSum::of(&[]);
        for part in parts {
            file.write_at(part, sum.length)?;
            sum.length += part.len() as u64;
            sum.crc = crate::format::crc_of(sum.crc, &[part]);
        }
        file.sync()?;
        self.staged.push((name.to_owned(), sum));
        Ok(())
    }

    /// Copies the content that a file is to have, and returns its sum.
    pub(super) fn stage_copy(&mut self, name: &str, from: &str) -> io::Result<FileSum> {
        let sum = copy(self.disk, from, &staged_name(self.number, name))?;
        self.staged.push((name.to_owned(), sum));
        Ok(sum)
    }

    /// Puts files aside, records the change and makes it. Files of the store that are neither staged nor
    /// `kept` are removed. Returns the names of what was put aside.
    pub(super) fn commit(
        self,
        kept: impl Fn(&str) -> bool,
        undoes: Option<u64>,
        outcome: Outcome,
    ) -> io::Result<Vec<String>> {
        let Transaction { disk, number, mut staged } = self;
        // The two that make a store of the others come last.
        staged.sort_by_key(|(name, _)| (name == MANIFEST, name == STORE, name.clone()));
        let mut before = Vec::new();
        for name in store_files(disk)? {
            let is_aside = staged.iter().any(|(put, _)| *put == name) || !kept(&name);
            let sum = match is_aside {
                true => copy(disk, &name, &aside_name(number, &name))?,
                false => FileSum::read(disk, &name, |_, _| Ok(()))?,
            };
            before.push(FileBefore { name, sum, is_aside });
        }
        disk.sync_dir(QUARANTINE)?;
        let record = Record { number, undoes, outcome, before, after: staged };
        write_atomically(disk, QUARANTINE, &pending_name(number), &record.encode())?;
        finish(disk, &record)?;
        let aside = record.before.iter().filter(|file| file.is_aside);
        Ok(aside.map(|file| aside_name(number, &file.name)).collect())
    }
}

/// Copies a file durably; the copy is read again and compared.
fn copy(disk: &dyn Disk, from: &str, to: &str) -> io::Result<FileSum> {
    let file = disk.open(to, OpenMode::Create)?;
    let sum = FileSum::read(disk, from, |piece, at| file.write_at(piece, at))?;
    file.sync()?;
    match FileSum::read(disk, to, |_, _| Ok(()))? == sum {
        true => Ok(sum),
        false => Err(io::Error::other(format!("{to} is not what was copied from {from}"))),
    }
}

/// Makes a recorded change, or what is left to do of it.
pub(super) fn finish(disk: &dyn Disk, record: &Record) -> io::Result<()> {
    for (name, sum) in &record.after {
        let staged = staged_name(record.number, name);
        match FileSum::read(disk, &staged, |_, _| Ok(())) {
            Ok(found) if found == *sum => disk.rename(&staged, name)?,
            Ok(_) => return Err(io::Error::other(format!("{staged} is damaged"))),
            // It is in its place already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if FileSum::read(disk, name, |_, _| Ok(()))? != *sum {
                    return Err(io::Error::other(format!("{staged} is missing")));
                }
            }
            Err(error) => return Err(error),
        }
    }
    sync_all(disk)?;
    for name in record.removed() {
        match disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_all(disk)?;
    disk.rename(&pending_name(record.number), &done_name(record.number))?;
    disk.sync_dir(QUARANTINE)
}

fn sync_all(disk: &dyn Disk) -> io::Result<()> {
    DIRECTORIES.iter().chain(&["", QUARANTINE]).try_for_each(|dir| disk.sync_dir(dir))
}

/// Finishes the change that was interrupted, if there is one; returns its record.
pub(super) fn finish_pending(disk: &dyn Disk) -> io::Result<Option<Record>> {
    let Some(number) = record::pending(disk)? else { return Ok(None) };
    let record = Record::load(disk, &pending_name(number))?;
    finish(disk, &record)?;
    Ok(Some(record))
}

/// Returns the record of the last repair that was not undone.
pub(super) fn last_repair(disk: &dyn Disk) -> io::Result<Option<Record>> {
    let mut undone = Vec::new();
    for number in record::done(disk)?.into_iter().rev() {
        let record = Record::load(disk, &done_name(number))?;
        match record.undoes {
            Some(repair) => undone.push(repair),
            None if !undone.contains(&number) => return Ok(Some(record)),
            None => {}
        }
    }
    Ok(None)
}

/// Stages the files that the store had before a repair. Returns the names of those that it has now, or
/// says in a sentence why that is not possible.
pub(super) fn stage_before(
    change: &mut Transaction<'_>,
    record: &Record,
) -> io::Result<Result<Vec<String>, String>> {
    let disk = change.disk;
    let mut now = BTreeMap::new();
    for name in store_files(disk)? {
        let sum = FileSum::read(disk, &name, |_, _| Ok(()))?;
        now.insert(name, sum);
    }
    let mut kept = Vec::new();
    for FileBefore { name, sum, is_aside } in &record.before {
        if now.get(name) == Some(sum) {
            kept.push(name.clone());
        } else if *is_aside {
            let aside = aside_name(record.number, name);
            match change.stage_copy(name, &aside) {
                Ok(copied) if copied == *sum => {}
                Ok(_) => return Ok(Err(format!("{aside} is damaged"))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Err(format!("{aside} is missing")));
                }
                Err(error) => return Err(error),
            }
        } else {
            return Ok(Err(format!("{name} has changed since")));
        }
    }
    Ok(Ok(kept))
}
