//! Backups of a store that is in use, and stores made from them.

use std::path::Path;

use leftfold_io::{Disk, OsRandom, Random, RealDisk};
use leftfold_log::LiveFile;
use leftfold_log::backup::{self, Guide, Step};

use super::Embedded;
use super::core::Core;
use super::maintenance::Pace;
use super::open::open_file;
use leftfold_api::{BackupReport, Cursor, Origin, Timestamp};

pub use leftfold_log::backup::BackupError;

/// What checking or restoring a backup came to.
#[derive(Debug, Clone)]
pub struct BackupInfo {
    /// Which backup in its directory it is, from 1.
    pub number: u64,
    /// The last event in it.
    pub head: Cursor,
    /// When it was begun.
    pub time: Timestamp,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong: each a [`BackupError::Damaged`]. Nothing, if it was restored.
    pub damaged: Vec<BackupError>,
}

/// Copies in the background's pace.
struct Paced<'a, P> {
    core: &'a Core,
    pace: Pace<'a>,
    progress: P,
}

impl<P: FnMut(u64, u64)> Guide for Paced<'_, P> {
    fn go_on(&mut self, step: Step) -> bool {
        (self.progress)(step.done, step.total);
        self.pace.go_on(step.copied)
    }

    fn is_whole(&mut self, file: &LiveFile) -> bool {
        open_file(self.core, file).and_then(|file| file.verify(|_, _, _| ())).is_ok()
    }
}

impl Embedded {
    /// Makes a backup into a directory that is empty or holds earlier backups of this store, while
    /// the store is in use. Only what is new is copied, in the background's pace; until all of it
    /// is there, the backup before stays the last one. `progress` hears how many of how many bytes
    /// are in it.
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
}

impl Core {
    fn backup(
        &self,
        to: &dyn Disk,
        progress: impl FnMut(u64, u64),
    ) -> Result<BackupReport, BackupError> {
        // Files that are replaced meanwhile stay while somebody holds a set of which they are part.
        // One that was taken into the manifest just now may be in the later set only.
        let earlier = self.index.set.load_full();
        let others = self.log.other_files();
        let later = self.index.set.load_full();
        let mut guide = Paced { core: self, pace: self.maintenance.pace(), progress };
        let taken = self.log.backup(to, &others, &mut guide)?;
        drop((earlier, later));
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
}

/// Makes a store in an empty directory from the last backup in another. It is the same store in a
/// new incarnation: cursors of events that are not in the backup are refused as `cursor_ahead`.
/// Every checksum is checked. `progress` hears how many of how many bytes are done.
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

/// Reads all of the last backup in a directory and checks all checksums. `progress` hears how many
/// of how many bytes are done.
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
