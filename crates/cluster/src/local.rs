//! The copy of a partition in a directory of this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leftfold_api::Failure;
use leftfold_io::{Disk, OsRandom, RealDisk, SystemClock};
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, OpenError, Options, StoreIdentity};

use crate::partition::{Cache, Vacancy};

/// What a directory may have that holds no copy: the lock of an opening that made nothing.
const NO_COPY: [&str; 3] = ["LOCK", "log", "index"];

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
        remove_all(&self.dir)
    }

    /// It is beside the directory of the copy, so that it can be renamed to it.
    fn vacancy(&self) -> io::Result<Option<Box<dyn Vacancy>>> {
        let Some(identity) = self.options.identity else { return Ok(None) };
        let staging = staging_of(&self.dir);
        remove_all(&staging)?;
        if !is_vacant(&self.dir)? {
            return Ok(None);
        }
        let disk = Arc::new(RealDisk::new(&staging)?);
        Ok(Some(Box::new(DirectoryVacancy { dir: self.dir.clone(), staging, disk, identity })))
    }
}

/// The place for a copy from another node.
struct DirectoryVacancy {
    dir: PathBuf,
    staging: PathBuf,
    disk: Arc<RealDisk>,
    identity: StoreIdentity,
}

impl Vacancy for DirectoryVacancy {
    fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    fn identity(&self) -> StoreIdentity {
        self.identity
    }

    fn fill(self: Box<Self>) -> io::Result<()> {
        // It may hold a lock file, and nothing else.
        if !is_vacant(&self.dir)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        remove_all(&self.dir)?;
        std::fs::rename(&self.staging, &self.dir)?;
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        RealDisk::existing(parent.unwrap_or(Path::new(".")))?.sync_dir("")
    }
}

impl Drop for DirectoryVacancy {
    fn drop(&mut self) {
        // What can't be removed now is removed before the copy is opened again.
        _ = remove_all(&self.staging);
    }
}

fn staging_of(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    dir.with_file_name(name)
}

/// Whether a directory is missing, or holds nothing of a copy.
fn is_vacant(dir: &Path) -> io::Result<bool> {
    let mut names = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        names => names?,
    };
    names.try_fold(true, |is_vacant, entry| {
        let entry = entry?;
        let name = entry.file_name();
        let is_empty = match entry.file_type()?.is_dir() {
            true => std::fs::read_dir(entry.path())?.next().is_none(),
            false => true,
        };
        Ok(is_vacant && is_empty && NO_COPY.iter().any(|known| name == *known))
    })
}

fn remove_all(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use leftfold_io::OpenMode;

    use super::*;

    const IDENTITY: StoreIdentity =
        StoreIdentity { store_id: [1; 16], incarnation: [2; 16], hash_key: [3; 16] };

    fn cache(dir: &Path) -> DirectoryCache {
        let options = Options { identity: Some(IDENTITY), ..Options::default() };
        DirectoryCache::new(dir.join("0"), options)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_takes_its_place_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        // What an opening leaves that made nothing.
        std::fs::create_dir_all(dir.path().join("0/log")).unwrap();
        std::fs::write(dir.path().join("0/LOCK"), "").unwrap();
        let vacancy = cache.vacancy().unwrap().unwrap();
        vacancy.disk().open("STORE", OpenMode::Create).unwrap();
        assert_eq!(names(&dir.path().join("0.restoring")), ["STORE"]);
        vacancy.fill().unwrap();
        assert_eq!(names(dir.path()), ["0"]);
        assert_eq!(names(&dir.path().join("0")), ["STORE"]);
        assert!(cache.vacancy().unwrap().is_none(), "there is a copy now");
    }

    #[test]
    fn an_interrupted_copy_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let vacancy = cache.vacancy().unwrap().unwrap();
        vacancy.disk().open("STORE", OpenMode::Create).unwrap();
        drop(vacancy);
        assert_eq!(names(dir.path()), Vec::<String>::new());
        // A process that was killed leaves it, and the next one removes it.
        std::fs::create_dir_all(dir.path().join("0.restoring/log")).unwrap();
        std::fs::write(dir.path().join("0.restoring/log/1.0.seg"), "half").unwrap();
        let vacancy = cache.vacancy().unwrap().unwrap();
        assert_eq!(vacancy.disk().list("log").unwrap(), Vec::<String>::new());
        drop(vacancy);
        std::fs::create_dir_all(dir.path().join("0.restoring")).unwrap();
        std::fs::create_dir_all(dir.path().join("0/log")).unwrap();
        std::fs::write(dir.path().join("0/log/1.0.seg"), "a copy").unwrap();
        assert!(cache.vacancy().unwrap().is_none());
        assert_eq!(names(dir.path()), ["0"]);
    }
}
