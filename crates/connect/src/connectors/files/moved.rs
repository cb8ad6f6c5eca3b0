//! Moves files that are done.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::connectors::directory::sync_directory;

/// How many files of one name a directory may have.
const MOST_OF_NAME: u32 = 10_000;

/// Moves a file into a directory. Another file of that name stays; then the new one gets a number. A file that is not
/// there any more is none to be moved.
pub(super) fn move_into(directory: &Path, file: &Path) -> io::Result<()> {
    let target = free_name(directory, file)?;
    let moved = match fs::rename(file, &target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_over(directory, file, &target)
        }
        moved => moved,
    };
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !fs::exists(file)? => {
            return Ok(());
        }
        moved => moved?,
    }
    sync_directory(directory)
}

fn free_name(directory: &Path, file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().unwrap_or_default();
    for number in 1..=MOST_OF_NAME {
        let mut numbered = name.to_owned();
        if number > 1 {
            numbered.push(format!(".{number}"));
        }
        let path = directory.join(numbered);
        match fs::symlink_metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    let name = name.to_string_lossy();
    Err(io::Error::other(format!("there are {MOST_OF_NAME} files called {name}; take them away")))
}

/// Moves a file to another file system: the copy is whole before the file is removed.
fn copy_over(directory: &Path, file: &Path, target: &Path) -> io::Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = directory.join(format!(".{name}.part"));
    let mut copy = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    io::copy(&mut File::open(file)?, &mut copy)?;
    copy.sync_all()?;
    fs::rename(&unfinished, target)?;
    sync_directory(directory)?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_same_name_stays() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = from.path().join("a.xml");
        for text in ["one", "two", "three"] {
            fs::write(&file, text).unwrap();
            move_into(to.path(), &file).unwrap();
        }
        for (name, text) in [("a.xml", "one"), ("a.xml.2", "two"), ("a.xml.3", "three")] {
            assert_eq!(fs::read_to_string(to.path().join(name)).unwrap(), text);
        }
        // It is gone already.
        move_into(to.path(), &file).unwrap();
        fs::write(&file, "four").unwrap();
        assert!(move_into(&to.path().join("none"), &file).is_err());
    }

    #[test]
    fn a_copy_to_another_file_system_is_whole() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, target) = (from.path().join("a.xml"), to.path().join("a.xml"));
        fs::write(&file, "text").unwrap();
        fs::write(to.path().join(".a.xml.part"), "left by a crash").unwrap();
        copy_over(to.path(), &file, &target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "text");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
        assert!(!file.exists());
    }
}
