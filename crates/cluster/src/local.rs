//! The copy of a partition in a directory of this machine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use leftfold_api::Failure;
use leftfold_io::{OsRandom, RealDisk, SystemClock};
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, OpenError, Options};

use crate::partition::Cache;

/// The copy of a partition in a directory.
#[derive(Debug, Clone)]
pub struct DirectoryCache {
    dir: PathBuf,
    options: Options,
}

impl DirectoryCache {
    /// Returns the copy in a directory, which holds nothing else.
    pub fn new(dir: impl Into<PathBuf>, options: Options) -> Self {
        DirectoryCache { dir: dir.into(), options }
    }
}

impl Cache for DirectoryCache {
    fn open(&self, commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError> {
        let failed = |error: io::Error| Failure::Disk {
            what: self.dir.display().to_string(),
            message: error.to_string(),
        };
        let disk = RealDisk::new(&self.dir).map_err(failed)?;
        let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let options = self.options.clone();
        Embedded::open_with(Arc::new(disk), clock, random, options, commit).map(Arc::new)
    }

    fn delete(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}
