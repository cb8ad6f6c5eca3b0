use std::io;

use leftfold_io::{File, OpenMode};
use leftfold_log::{FileKind, LiveFile};

use crate::embedded::core::Core;
use leftfold_api::Failure;

impl Core {
    /// Writes a file that nothing knows of yet, and makes it last. `write` gives its length, or
    /// none if it was told to stop: then there is no file.
    pub(super) fn put_file<E: Into<PutError>>(
        &self,
        live: LiveFile,
        write: impl FnOnce(&dyn File) -> Result<Option<u64>, E>,
    ) -> Result<Option<LiveFile>, Failure> {
        let (disk, name) = (self.log.disk(), live.name());
        // Left over from an attempt that failed.
        _ = disk.remove(&name);
        let put = || -> Result<Option<u64>, PutError> {
            let file = disk.open(&name, OpenMode::Create)?;
            let Some(length) = write(&*file).map_err(Into::into)? else { return Ok(None) };
            file.sync()?;
            disk.sync_dir("index")?;
            Ok(Some(length))
        };
        match put() {
            Ok(Some(length)) => Ok(Some(LiveFile { length, ..live })),
            Ok(None) => {
                _ = disk.remove(&name);
                Ok(None)
            }
            Err(PutError::Io(error)) => Err(failed("writing an index file", &error)),
            Err(PutError::Failure(failure)) => Err(failure),
        }
    }
}

/// Why a file could not be put.
pub(super) enum PutError {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for PutError {
    fn from(error: io::Error) -> Self {
        PutError::Io(error)
    }
}

impl From<Failure> for PutError {
    fn from(failure: Failure) -> Self {
        PutError::Failure(failure)
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
    Failure::Disk { what: what.to_owned(), message: error.to_string() }
}
