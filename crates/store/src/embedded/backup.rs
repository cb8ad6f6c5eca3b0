//! Makes backups of a store in use, and restores stores from them.

use std::path::Path;

use leftfold_io::{Disk, OsRandom, Random, RealDisk};
use leftfold_log::LiveFile;
use leftfold_log::backup::{self, Guide, Sink, Step};

use super::Embedded;
use super::core::Core;
use super::maintenance::Throttle;
use super::open::open_file;
use leftfold_api::{BackupReport, Cursor, Origin, Timestamp};

pub use leftfold_log::backup::{BackupError, BackupReceiver, ReceiveError, ReceivedBackup};

/// A backup that was verified or restored.
#[derive(Debug, Clone)]
pub struct BackupInfo {
    /// The number of the backup in its directory, from 1.
    pub number: u64,
    /// The cursor of the last event in the backup.
    pub head: Cursor,
    /// When the backup was begun.
    pub time: Timestamp,
    /// The number of its files.
    pub files: u64,
    /// The bytes of its files.
    pub bytes: u64,
    /// The damage that was found, each a [`BackupError::Damaged`]. Empty after a restore.
    pub damaged: Vec<BackupError>,
}

/// Guides a backup: reports its progress and limits its speed.
struct BackupGuide<'a, P> {
    core: &'a Core,
    throttle: Throttle<'a>,
    progress: P,
}

/// Guides a backup that is sent: its receiver limits its speed.
struct SendGuide<'a>(&'a Core);

impl Guide for SendGuide<'_> {
    fn go_on(&mut self, _step: Step) -> bool {
        !self.0.maintenance.is_closing()
    }

    fn is_whole(&mut self, file: &LiveFile) -> bool {
        is_whole(self.0, file)
    }
}

fn is_whole(core: &Core, file: &LiveFile) -> bool {
    open_file(core, file).and_then(|file| file.verify_in_chunks(|_| ())).is_ok()
}

impl<P: FnMut(u64, u64)> Guide for BackupGuide<'_, P> {
    fn go_on(&mut self, step: Step) -> bool {
        (self.progress)(step.done, step.total);
        self.throttle.wait(step.copied)
    }

    fn is_whole(&mut self, file: &LiveFile) -> bool {
        is_whole(self.core, file)
    }
}

impl Embedded {
    /// Backs up the store, which may be in use, to a directory that is empty or holds earlier backups of
    /// this store. Copies only new files, at the speed of maintenance. Until all files are copied, the
    /// previous backup stays the last one. `progress` gets the bytes that are done, and of all.
    pub fn backup(
        &self,
        to: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<BackupReport, BackupError> {
        let to = RealDisk::new(&to).map_err(|error| cannot_use(to.as_ref(), error))?;
        self.backup_on(&to, progress)
    }

    /// [`Embedded::backup`] to any disk.
    pub fn backup_on(
        &self,
        to: &dyn Disk,
        progress: impl FnMut(u64, u64),
    ) -> Result<BackupReport, BackupError> {
        self.core.backup(to, progress)
    }

    /// Sends a backup, piece by piece, to a [`BackupReceiver`], which makes a store of the same identity of it. The files are
    /// held until this returns; appends go on.
    ///
    /// # Errors
    /// The sink returned false, the store is being closed, or it can't be read.
    pub fn send_backup(&self, sink: Sink<'_>) -> Result<(), BackupError> {
        self.core.send_backup(sink)
    }
}

impl Core {
    fn backup(
        &self,
        to: &dyn Disk,
        progress: impl FnMut(u64, u64),
    ) -> Result<BackupReport, BackupError> {
        let mut guide = BackupGuide { core: self, throttle: self.maintenance.throttle(), progress };
        let taken = self.holding_others(|others| self.log.backup(to, others, &mut guide))?;
        Ok(BackupReport {
            number: taken.number,
            head: self.cursor(taken.head),
            files_copied: taken.files_copied,
            bytes_copied: taken.bytes_copied,
            files_kept: taken.files_kept,
            bytes_kept: taken.bytes_kept,
            files_left_out: taken.files_left_out,
        })
    }

    fn send_backup(&self, sink: Sink<'_>) -> Result<(), BackupError> {
        let mut guide = SendGuide(self);
        self.holding_others(|others| self.log.send_backup(others, &mut guide, sink)).map(drop)
    }

    /// Does something with the live files that are not segments. They stay on the disk meanwhile.
    fn holding_others<T>(&self, work: impl FnOnce(&[LiveFile]) -> T) -> T {
        // A replaced file stays on the disk while a reader holds an index set with it. A file that has
        // just been added to the manifest may be in the later set only.
        let earlier = self.index.set.load_full();
        let others = self.log.other_files();
        let later = self.index.set.load_full();
        let done = work(&others);
        drop((earlier, later));
        done
    }
}

/// Restores the last backup of a directory to an empty directory, and checks every checksum. The result
/// is a new incarnation of the same store: cursors of events that are not in the backup are refused as
/// `cursor_ahead`. `progress` gets the bytes that are done, and of all.
pub fn restore(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    progress: impl FnMut(u64, u64),
) -> Result<BackupInfo, BackupError> {
    let from = existing(from.as_ref())?;
    let to = RealDisk::new(&to).map_err(|error| cannot_use(to.as_ref(), error))?;
    restore_on(&from, &to, &OsRandom, progress)
}

/// [`restore`] from and to any disk.
pub fn restore_on(
    from: &dyn Disk,
    to: &dyn Disk,
    random: &dyn Random,
    progress: impl FnMut(u64, u64),
) -> Result<BackupInfo, BackupError> {
    let restored = backup::restore(from, to, random, progress)?;
    Ok(BackupInfo {
        number: restored.number,
        head: Cursor::at(Origin::new(&restored.store_id, &restored.incarnation), restored.head),
        time: Timestamp(restored.time),
        files: restored.files,
        bytes: restored.bytes,
        damaged: Vec::new(),
    })
}

/// Reads the last backup of a directory and checks every checksum. `progress` gets the bytes that are
/// done, and of all.
pub fn verify_backup(
    dir: impl AsRef<Path>,
    progress: impl FnMut(u64, u64),
) -> Result<BackupInfo, BackupError> {
    verify_backup_on(&existing(dir.as_ref())?, progress)
}

/// [`verify_backup`] on any disk.
pub fn verify_backup_on(
    dir: &dyn Disk,
    progress: impl FnMut(u64, u64),
) -> Result<BackupInfo, BackupError> {
    let checked = backup::verify(dir, progress)?;
    Ok(BackupInfo {
        number: checked.number,
        head: Cursor::at(Origin::new(&checked.store_id, &checked.incarnation), checked.head),
        time: Timestamp(checked.time),
        files: checked.files,
        bytes: checked.bytes,
        damaged: checked.damaged,
    })
}

fn existing(dir: &Path) -> Result<RealDisk, BackupError> {
    RealDisk::existing(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => BackupError::Missing(dir.display().to_string()),
        _ => cannot_use(dir, error),
    })
}

fn cannot_use(dir: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io { file: dir.display().to_string(), source: source.into() }
}
