//! The directory of an export: the names of its files, and what a crash leaves behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::state::StateFile;
use crate::connectors::directory::sync_directory;

/// The directory with what is not for readers; tools leave out names that begin so.
const OWN: &str = "_leftfold";
/// The digits of a file's number, so that names sort as numbers do.
const DIGITS: usize = 10;

/// Where an export is written.
#[derive(Debug, Clone)]
pub(super) struct ExportPlace {
    directory: PathBuf,
    connector: String,
}

impl ExportPlace {
    pub(super) fn new(directory: PathBuf, connector: String) -> Self {
        ExportPlace { directory, connector }
    }

    fn own(&self) -> PathBuf {
        self.directory.join(OWN)
    }

    /// Returns the directory of a partition; the export's own if it has no name.
    pub(super) fn partition(&self, partition: &str) -> PathBuf {
        match partition {
            "" => self.directory.clone(),
            partition => self.directory.join(partition),
        }
    }

    /// Returns the directory of files that are being written.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.own().join(format!("{}.unfinished", self.connector))
    }

    pub(super) fn state_file(&self) -> StateFile {
        StateFile::new(self.own().join(format!("{}.json", self.connector)))
    }

    /// Returns the name of a file.
    pub(super) fn name(&self, number: u64, extension: &str) -> String {
        format!("part-{}-{number:0DIGITS$}.{extension}", self.connector)
    }

    /// Returns the number of a file that this export has made; `None` for any other.
    fn number_of(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix("part-")?.strip_prefix(&self.connector)?.strip_prefix('-')?;
        let (number, extension) = rest.split_once('.')?;
        let is_number =
            number.len() >= DIGITS && number.bytes().all(|digit| digit.is_ascii_digit());
        let is_format =
            ["ndjson", "csv", "parquet"].iter().any(|format| extension.starts_with(format));
        number.parse().ok().filter(|_| is_number && is_format)
    }

    /// Makes the directories for the export's own files, and removes what was not finished.
    pub(super) fn prepare(&self) -> io::Result<()> {
        // The directory itself must be there: if it is not mounted, it is not made in its place.
        for directory in [self.own(), self.unfinished()] {
            if let Err(error) = fs::create_dir(&directory)
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error);
            }
        }
        sync_directory(&self.own())?;
        sync_directory(&self.directory)
    }

    /// Removes what was not finished.
    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.unfinished())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Locks the export, so that no other run, of this process or another, writes its files. `None` if one does.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let path = self.own().join(format!("{}.lock", self.connector));
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns whether there are files of the export.
    pub(super) fn has_files(&self) -> io::Result<bool> {
        let mut found = false;
        self.for_each(&mut |_, _| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Removes the files whose number is not before `next`: the state does not have them.
    pub(super) fn remove_from(&self, next: u64) -> io::Result<()> {
        self.for_each(&mut |path, number| match number >= next {
            true => fs::remove_file(path),
            false => Ok(()),
        })
    }

    fn for_each(&self, visit: &mut dyn FnMut(&Path, u64) -> io::Result<()>) -> io::Result<()> {
        let mut directories = vec![self.directory.clone()];
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let is_day = entry.file_name().to_string_lossy().starts_with("date=");
            if is_day && entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
        for directory in directories {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if let Some(number) = self.number_of(&entry.file_name().to_string_lossy()) {
                    visit(&entry.path(), number)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_export_itself_have_a_number() {
        let place = ExportPlace::new("/out".into(), "lake".to_owned());
        assert_eq!(place.name(7, "csv.gz"), "part-lake-0000000007.csv.gz");
        for extension in ["ndjson", "ndjson.gz", "csv.zst", "parquet"] {
            assert_eq!(
                place.number_of(&place.name(123_456_789_012, extension)),
                Some(123_456_789_012)
            );
        }
        for other in [
            "part-lake-2-0000000007.ndjson",
            "part-lakes-0000000007.ndjson",
            "part-lake-7.ndjson",
            "part-lake-0000000007.orc",
            "part-lake-0000000007",
            "part-0000000007.ndjson",
            "notes.csv",
        ] {
            assert_eq!(place.number_of(other), None, "{other}");
        }
    }
}
