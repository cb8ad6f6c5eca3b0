use leftfold_io::Disk;

use super::copy::read_checked;
use super::error::BackupError;
use super::target::existing;

/// The result of checking a backup.
#[derive(Debug, Clone, Default)]
pub struct BackupCheck {
    /// The store's id.
    pub store_id: [u8; 16],
    /// The incarnation of the store that made the backup.
    pub incarnation: [u8; 16],
    /// Its number in its directory, from 1.
    pub number: u64,
    /// The last position in it.
    pub head: u64,
    /// When it was begun, in microseconds since 1970.
    pub time: i64,
    /// Files whose every byte was read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong; each is a [`BackupError::Damaged`].
    pub damaged: Vec<BackupError>,
}

/// Reads all of the last whole backup in a directory and checks all checksums. `progress` hears how
/// many of how many bytes are done.
pub fn verify(
    dir: &dyn Disk,
    mut progress: impl FnMut(u64, u64),
) -> Result<BackupCheck, BackupError> {
    let (list, _reading) = existing(dir)?;
    let (store_id, number, head, time) = (list.store_id, list.number, list.head, list.time);
    let incarnation = list.incarnation;
    let mut checked =
        BackupCheck { store_id, incarnation, number, head, time, ..BackupCheck::default() };
    let total = list.files.iter().map(|file| file.length).sum();
    let mut done = 0;
    for file in &list.files {
        let outcome = read_checked(dir, file, |_, piece| {
            done += piece.len() as u64;
            progress(done, total);
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(damaged @ BackupError::Damaged { .. }) => checked.damaged.push(damaged),
            Err(error) => return Err(error),
        }
        checked.files += 1;
        checked.bytes += file.length;
    }
    Ok(checked)
}
