//! Makes a store in an empty directory from the stream of [`super::stream`]. Nothing in the stream is trusted.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, File, OpenMode, write_atomically};
use thiserror::Error;

use super::DIRECTORIES;
use super::restore::{agrees, others};
use super::stream::{FILE_HEAD, HEAD, MAGIC};
use crate::create::STORE;
use crate::format::{
    BackupFile, BackupList, ManifestEntry, ManifestHeader, StoreIdentity, crc_of, is_ours,
};
use crate::manifest::{LiveFile, MANIFEST, MANIFEST_LIMIT};
use crate::options::Identity;

/// The most files of a stream, as of a manifest.
const MAX_FILES: usize = 1 << 20;
/// The most bytes of a name.
const MAX_NAME: usize = 64;

/// A store that is being received. What is not [finished](BackupReceiver::finish) does not open as a store.
pub struct BackupReceiver {
    disk: Arc<dyn Disk>,
    /// The identity that the store must have.
    expected: Identity,
    /// The bytes of a head that has not come as a whole.
    partial: Vec<u8>,
    state: State,
    list: BackupList,
    names: HashSet<String>,
    /// Bytes of segments and index files that are announced, and have not come.
    announced: u64,
    store: Vec<u8>,
    manifest: Vec<u8>,
}

/// Why a stream does not become a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// It is not as it was sent, or was never a whole backup.
    #[error("the stream of files is damaged: {0}")]
    Damaged(String),
    /// It is of another store.
    #[error("the stream of files is of another store")]
    Foreign,
    /// The disk fails.
    #[error("{file}: {source}")]
    Io {
        /// Which file, and where.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What comes next.
enum State {
    Head,
    FileHead,
    Name { length: usize, file: u64 },
    File(Box<Incoming>),
    Checksum(Box<Incoming>),
    End,
}

/// A file that is being received.
struct Incoming {
    file: BackupFile,
    /// Where it goes; `STORE` and `MANIFEST` are held in memory.
    to: Option<Arc<dyn File>>,
    received: u64,
}

/// Counts of a received store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedBackup {
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl BackupReceiver {
    /// Receives a store of this identity into an empty directory.
    pub fn new(disk: Arc<dyn Disk>, expected: Identity) -> Self {
        let (partial, store, manifest) = (Vec::new(), Vec::new(), Vec::new());
        let (list, names) = (BackupList::default(), HashSet::new());
        let state = State::Head;
        BackupReceiver {
            disk,
            expected,
            partial,
            state,
            list,
            names,
            announced: 0,
            store,
            manifest,
        }
    }

    /// Takes the next bytes of the stream, and writes those of files.
    ///
    /// # Errors
    /// They are not what was announced, or not of this store, or damaged; the disk fails. The receiver is of no use then.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::File(_) => self.take_of_file(bytes)?,
                State::End => return Err(wrong("bytes follow its end")),
                State::Head | State::FileHead | State::Name { .. } | State::Checksum(_) => {
                    self.take_of_head(bytes)?
                }
            };
        }
        Ok(())
    }

    /// Ends a stream that has come as a whole: checks that the files are those of the manifest, and syncs all.
    pub fn finish(mut self) -> Result<ReceivedBackup, ReceiveError> {
        if !matches!(self.state, State::End) {
            return Err(wrong("it ends before its end"));
        }
        self.leave_out()?;
        self.check()?;
        for file in others(&self.list) {
            let name = &file.restored;
            let synced = self.disk.open(name, OpenMode::Write).and_then(|file| file.sync());
            synced.map_err(|error| self.failed(name, error))?;
        }
        for dir in DIRECTORIES {
            self.disk.sync_dir(dir).map_err(|error| self.failed(dir, error))?;
        }
        for (name, bytes) in [(MANIFEST, &self.manifest), (STORE, &self.store)] {
            let written = write_atomically(&*self.disk, "", name, bytes);
            written.map_err(|error| self.failed(name, error))?;
        }
        let bytes = self.list.files.iter().map(|file| file.length).sum();
        Ok(ReceivedBackup { files: self.list.files.len() as u64, bytes })
    }

    /// Removes index files that the manifest does not name: of parts that belong together one was damaged, and was
    /// found to be so when others were sent already. They are made again from the log.
    fn leave_out(&mut self) -> Result<(), ReceiveError> {
        let parsed = ManifestHeader::parse(&self.manifest, self.expected.store_id);
        let (_, entries) = parsed.map_err(|why| wrong(format!("{MANIFEST}: {why}")))?;
        let named: HashSet<_> = entries.iter().map(|entry| LiveFile::read(entry).name()).collect();
        let is_left_out = |file: &BackupFile| {
            file.restored.starts_with("index/") && !named.contains(&file.restored)
        };
        for file in self.list.files.extract_if(.., |file| is_left_out(file)) {
            let removed = self.disk.remove(&file.restored);
            removed.map_err(|source| ReceiveError::Io { file: file.restored, source })?;
        }
        Ok(())
    }

    /// Checks the identity, and that the manifest names the files that have come, with their lengths.
    fn check(&self) -> Result<(), ReceiveError> {
        let identity = StoreIdentity::parse(&self.store).map_err(wrong)?;
        let (store_id, incarnation) = (identity.header.store_id, identity.header.incarnation);
        let hash_key = identity.header.hash_key;
        if (Identity { store_id, incarnation, hash_key }) != self.expected {
            return Err(ReceiveError::Foreign);
        }
        let (_, entries) = agrees(&self.list, &identity.header, &self.manifest)
            .map_err(|why| wrong(format!("{MANIFEST}: {why}")))?;
        let files = self.list.files.iter();
        let lengths: HashMap<_, _> = files.map(|file| (&*file.restored, file.length)).collect();
        let has_length = |entry: &ManifestEntry| {
            let live = LiveFile::read(entry);
            live.is_open_segment() || lengths.get(&*live.name()) == Some(&live.length)
        };
        match entries.iter().all(has_length) {
            true => Ok(()),
            false => Err(wrong("a file has another length than its manifest says")),
        }
    }

    /// Takes bytes of a part of known size, and reads it when it is there as a whole.
    fn take_of_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReceiveError> {
        let size = match &self.state {
            State::Head => HEAD,
            State::FileHead => FILE_HEAD,
            State::Name { length, .. } => *length,
            State::Checksum(_) | State::File(_) | State::End => size_of::<u32>(),
        };
        let missing = size.saturating_sub(self.partial.len()).min(bytes.len());
        let (now, later) = bytes.split_at(missing);
        self.partial.extend_from_slice(now);
        if self.partial.len() == size {
            let part = std::mem::take(&mut self.partial);
            self.state = self.read_head(&part)?;
        }
        Ok(later)
    }

    fn read_head(&mut self, part: &[u8]) -> Result<State, ReceiveError> {
        match std::mem::replace(&mut self.state, State::End) {
            State::Head => self.begin(part),
            State::FileHead => {
                let (length, file) = part.split_first_chunk().unwrap_or((&[0; 2], &[]));
                let (length, file) = (usize::from(u16::from_le_bytes(*length)), number(file));
                match (length, file) {
                    (0, 0) => Ok(State::End),
                    (1..=MAX_NAME, _) => Ok(State::Name { length, file }),
                    _ => Err(wrong("it names a file that is none of a store")),
                }
            }
            State::Name { file, .. } => self.begin_file(part, file),
            State::Checksum(incoming) => {
                if part != incoming.file.crc.to_le_bytes() {
                    let why = format!("the checksum of {} does not match", incoming.file.restored);
                    return Err(wrong(why));
                }
                self.list.files.push(incoming.file);
                Ok(State::FileHead)
            }
            State::File(_) | State::End => Err(wrong("its parts are in no order")),
        }
    }

    fn begin(&mut self, head: &[u8]) -> Result<State, ReceiveError> {
        let Some((magic, rest)) = head.split_first_chunk::<8>() else {
            return Err(wrong("it has no head"));
        };
        if *magic != MAGIC {
            return Err(wrong("it is of another version"));
        }
        let (Some((id, rest)), expected) = (rest.split_first_chunk::<16>(), self.expected) else {
            return Err(wrong("it has no head"));
        };
        let Some((incarnation, total)) = rest.split_first_chunk::<16>() else {
            return Err(wrong("it has no head"));
        };
        if (*id, *incarnation) != (expected.store_id, expected.incarnation) {
            return Err(ReceiveError::Foreign);
        }
        (self.list.store_id, self.list.incarnation) = (*id, *incarnation);
        self.announced = number(total);
        for name in DIRECTORIES {
            let made = self.disk.create_dir(name);
            made.map_err(|error| self.failed(name, error))?;
        }
        Ok(State::FileHead)
    }

    fn begin_file(&mut self, name: &[u8], length: u64) -> Result<State, ReceiveError> {
        let name = String::from_utf8_lossy(name).into_owned();
        let is_new = self.names.insert(name.clone());
        if !is_new || self.names.len() > MAX_FILES {
            return Err(wrong("it has a file twice, or too many"));
        }
        let limit = match &*name {
            STORE => StoreIdentity::MAX_BYTES,
            MANIFEST => MANIFEST_LIMIT,
            name if name.contains('/') && is_ours(name) => self.announced,
            _ => return Err(wrong("it names a file that is none of a store")),
        };
        if length > limit {
            return Err(wrong(format!("{name} has more bytes than it may have")));
        }
        let is_held = [STORE, MANIFEST].contains(&&*name);
        let to = match is_held {
            true => None,
            false => {
                self.announced -= length;
                let opened = self.disk.open(&name, OpenMode::Create);
                Some(opened.map_err(|error| self.failed(&name, error))?)
            }
        };
        let file = BackupFile { stored: name.clone(), restored: name, length, crc: 0 };
        let incoming = Box::new(Incoming { file, to, received: 0 });
        Ok(if length == 0 { State::Checksum(incoming) } else { State::File(incoming) })
    }

    fn take_of_file<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReceiveError> {
        let State::File(mut incoming) = std::mem::replace(&mut self.state, State::End) else {
            return Err(wrong("its parts are in no order"));
        };
        let missing = incoming.file.length - incoming.received;
        let size = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
        let (now, later) = bytes.split_at(size);
        let name = &incoming.file.restored;
        match &incoming.to {
            Some(file) => {
                let written = file.write_at(now, incoming.received);
                written.map_err(|error| self.failed(name, error))?;
            }
            None if name == STORE => self.store.extend_from_slice(now),
            None => self.manifest.extend_from_slice(now),
        }
        incoming.file.crc = crc_of(incoming.file.crc, &[now]);
        incoming.received += size as u64;
        self.state = match incoming.received == incoming.file.length {
            true => State::Checksum(incoming),
            false => State::File(incoming),
        };
        Ok(later)
    }

    fn failed(&self, name: &str, source: io::Error) -> ReceiveError {
        ReceiveError::Io { file: format!("{}/{name}", self.disk.describe()), source }
    }
}

fn wrong(why: impl Into<String>) -> ReceiveError {
    ReceiveError::Damaged(why.into())
}

/// Reads a number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
