//! The directories of clusters, below the system's temporary directory.
//!
//! A running cluster holds a lock on its directory. An unlocked directory was left by a process that
//! is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::error::BrokerError;
use crate::process;

/// The time for which logs of finished clusters are kept.
const KEEP_LOGS: Duration = Duration::from_secs(24 * 3600);

/// A cluster's directory, locked while the cluster runs.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    _lock: File,
}

pub(crate) fn root() -> PathBuf {
    std::env::temp_dir().join("leftfold-kafka")
}

impl Directory {
    /// Creates a new directory, after cleaning up those of finished clusters.
    pub(crate) fn create() -> Result<Self, BrokerError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = root();
        sweep(&root);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(&root.join(format!("{}-{number}", std::process::id())))
    }

    /// Locks this directory, creating it if needed.
    pub(crate) fn at(path: &Path) -> Result<Self, BrokerError> {
        fs::create_dir_all(path).map_err(BrokerError::at(path))?;
        let lock = File::create(path.join("lock")).map_err(BrokerError::at(path))?;
        lock.try_lock().map_err(|_| BrokerError::Running(path.to_owned()))?;
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }
}

/// Kills nodes whose cluster is gone and deletes their data, and after a day their logs.
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

pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten();
    found.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
