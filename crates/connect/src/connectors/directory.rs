//! Directories of connectors that read or write files.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use super::ConnectorError;

/// Runs work that waits for a disk on a thread of its own.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConnectorError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        ConnectorError::unavailable(format_args!("the work on files was ended: {error}"))
    })
}

/// Makes the entries of a directory durable: files that were made in it or moved into it.
pub(crate) fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Checks that files can be made in a directory, by making one and removing it.
pub(crate) fn check_writable(directory: &Path) -> Result<String, String> {
    let shown = directory.display();
    let about = fs::metadata(directory).map_err(|error| format!("{shown}: {error}"))?;
    if !about.is_dir() {
        return Err(format!("{shown} is no directory"));
    }
    let probe = directory.join(format!(".leftfold-check-{}.tmp", std::process::id()));
    let made = OpenOptions::new().write(true).create(true).truncate(true).open(&probe);
    let removed = made.and_then(|_| fs::remove_file(&probe));
    removed.map_err(|error| format!("no file can be made in {shown}: {error}"))?;
    Ok(format!("{shown} can be written"))
}
