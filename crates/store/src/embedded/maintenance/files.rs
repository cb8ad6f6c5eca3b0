use std::io;

use leftfold_io::{File, OpenMode};
use leftfold_log::format::FEATURE_FINGERPRINTS;
use leftfold_log::{FileKind, LiveFile};

use crate::embedded::core::Core;
use leftfold_api::Failure;

impl Core {
    /// Creates and syncs an index file that no manifest lists yet. `content` writes it and returns its length, or
    /// `None` if it was stopped; the file is then removed.
    pub(super) fn write_file<E: Into<WriteFileError>>(
        &self,
        live: LiveFile,
        content: impl FnOnce(&dyn File) -> Result<Option<u64>, E>,
    ) -> Result<Option<LiveFile>, Failure> {
        let (disk, name) = (self.log.disk(), live.name());
        // A failed attempt may have left the file.
        _ = disk.remove(&name);
        let write = || -> Result<Option<u64>, WriteFileError> {
            let file = disk.open(&name, OpenMode::Create)?;
            let Some(length) = content(&*file).map_err(Into::into)? else { return Ok(None) };
            file.sync()?;
            disk.sync_dir("index")?;
            self.log.use_feature(FEATURE_FINGERPRINTS)?;
            Ok(Some(length))
        };
        match write() {
            Ok(Some(length)) => Ok(Some(LiveFile { length, ..live })),
            Ok(None) => {
                _ = disk.remove(&name);
                Ok(None)
            }
            Err(error) => {
                // On a full disk others need the space.
                _ = disk.remove(&name);
                Err(match error {
                    WriteFileError::Io(error) => failed("writing an index file", &error),
                    WriteFileError::Failure(failure) => failure,
                })
            }
        }
    }
}

/// Why a file could not be written.
pub(super) enum WriteFileError {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for WriteFileError {
    fn from(error: io::Error) -> Self {
        WriteFileError::Io(error)
    }
}

impl From<Failure> for WriteFileError {
    fn from(failure: Failure) -> Self {
        WriteFileError::Failure(failure)
    }
}

pub(super) fn live_file(
    kind: FileKind,
    id: u64,
    generation: u32,
    [first, last]: [u64; 2],
) -> LiveFile {
    LiveFile { kind, state: 0, id, generation, first, last, length: 0, detail: 0 }
}

pub(super) fn failed(what: &'static str, error: &io::Error) -> Failure {
    Failure::of_disk(what, error)
}
