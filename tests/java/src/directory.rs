//! The directories of servers, below the system's temporary directory.
//!
//! Running servers hold a lock on their directory. An unlocked directory was left by a process that
//! is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::JavaError;
use crate::process;

/// The time for which logs of finished servers are kept.
const KEEP_LOGS: Duration = Duration::from_secs(24 * 3600);

/// A directory with one directory for each server, locked while they run.
#[derive(Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Creates a new directory of a family, such as `leftfold-kafka`, after cleaning up those of finished servers.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create(family: &str) -> Result<Self, JavaError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = std::env::temp_dir().join(family);
        sweep(&root);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(&root.join(format!("{}-{number}", std::process::id())))
    }

    /// Locks this directory, creating it if needed.
    ///
    /// # Errors
    /// It can't be created, or servers run in it.
    pub fn at(path: &Path) -> Result<Self, JavaError> {
        fs::create_dir_all(path).map_err(JavaError::at(path))?;
        let lock = File::create(path.join("lock")).map_err(JavaError::at(path))?;
        lock.try_lock().map_err(|_| JavaError::Running(path.to_owned()))?;
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }
}

/// Kills servers whose program is gone and deletes their data, and after a day their logs.
///
/// Files that cannot be deleted are left for the next time.
fn sweep(root: &Path) {
    for cluster in entries(root) {
        let Ok(lock) = File::open(cluster.join("lock")) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        for node in entries(&cluster) {
            process::kill_stale(&node);
            _ = fs::remove_dir_all(node.join("data"));
        }
        let age = lock.metadata().and_then(|found| found.modified()).map(|at| at.elapsed());
        if matches!(age, Ok(Ok(age)) if age > KEEP_LOGS) {
            _ = fs::remove_dir_all(&cluster);
        }
    }
}

/// Returns what is in a directory.
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten();
    found.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
