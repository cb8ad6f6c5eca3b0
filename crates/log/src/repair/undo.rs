use std::sync::Arc;

use leftfold_io::Disk;

use super::record::{self, Outcome, QUARANTINE, Record};
use super::transaction::{Transaction, finish_pending, last_repair, stage_before};
use super::{Repair, pending};
use crate::create::lock_store;
use crate::error::OpenError;

/// The result of undoing a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The number of files that were put back.
    pub restored: usize,
    /// The files to which those of the repair were moved.
    pub quarantined: Vec<String>,
}

/// Whether a repair was cut off while it replaced files.
pub fn is_interrupted(disk: &dyn Disk) -> Result<bool, OpenError> {
    Ok(pending(disk).map_err(failed)?.is_some())
}

/// Finishes a repair that was cut off; returns its outcome if there is one.
pub fn finish_interrupted(disk: &dyn Disk) -> Result<Option<Outcome>, OpenError> {
    if !is_interrupted(disk)? {
        return Ok(None);
    }
    let _lock = lock_store(disk)?;
    Ok(finish_pending(disk).map_err(failed)?.map(|record| record.outcome))
}

/// Restores the files as they were before the last repair that was not undone. Refuses if the store has
/// other events since, or if any of the files is not there any more, neither in its place nor aside.
pub fn undo(disk: Arc<dyn Disk>) -> Result<Undone, OpenError> {
    let lock = lock_store(&*disk)?;
    finish_pending(&*disk).map_err(failed)?;
    let Some(record) = last_repair(&*disk).map_err(failed)? else {
        return Err(OpenError::CannotUndo("there is none in the quarantine".to_owned()));
    };
    let repair = Repair::locked(disk.clone(), lock)?;
    refuse_growth(&repair, &record)?;
    let mut change = Transaction::begin(&*disk).map_err(failed)?;
    let kept = stage_before(&mut change, &record).map_err(failed)?;
    let kept = kept.map_err(OpenError::CannotUndo)?;
    let restored = record.before.len() - kept.len();
    let outcome = Outcome { head: record.outcome.head, ..Outcome::default() };
    let is_kept = |name: &str| kept.iter().any(|kept| kept == name);
    let quarantined = change.commit(is_kept, Some(record.number), outcome).map_err(failed)?;
    Ok(Undone { restored, quarantined })
}

/// Events that were appended after the repair would be lost.
fn refuse_growth(repair: &Repair, record: &Record) -> Result<(), OpenError> {
    let Some(last) = repair.segments().last().copied() else { return Ok(()) };
    let head = repair.salvage(&last, i64::MIN)?.last;
    match head > record.outcome.head {
        false => Ok(()),
        true => Err(OpenError::CannotUndo(format!(
            "the store has {} events since then",
            head - record.outcome.head
        ))),
    }
}

/// Removes all that repairs have put aside; returns the number of files.
pub fn forget(disk: &dyn Disk) -> Result<usize, OpenError> {
    let _lock = lock_store(disk)?;
    if is_interrupted(disk)? {
        return Err(OpenError::RepairInterrupted);
    }
    let mut names = disk.list(QUARANTINE).map_err(failed)?;
    // The records go first: what is left of an interrupted removal can't be taken for a repair.
    names.sort_by_key(|name| !record::is_record(name));
    for name in &names {
        disk.remove(&format!("{QUARANTINE}/{name}")).map_err(failed)?;
    }
    if !names.is_empty() {
        disk.sync_dir(QUARANTINE).map_err(failed)?;
    }
    Ok(names.len())
}

fn failed(error: std::io::Error) -> OpenError {
    OpenError::io(QUARANTINE, error)
}
