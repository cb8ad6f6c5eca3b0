//! The refused records of a file, in a file beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::connectors::directory::sync_directory;
use crate::item::Reject;

/// The end of the names of files with refused records.
pub(super) const SUFFIX: &str = ".rejects.ndjson";
/// How many files with refused records there may be for one name.
const MOST_OF_NAME: u32 = 10_000;

/// Writes the refused records of one file. They appear when all are there; until then their file has another name.
pub(super) struct RejectsFile {
    directory: PathBuf,
    /// The name of the file that is read.
    name: String,
    out: Option<BufWriter<File>>,
}

impl RejectsFile {
    /// Prepares a file for refused records. It is made with the first one.
    pub(super) fn new(directory: PathBuf, name: String) -> Self {
        RejectsFile { directory, name, out: None }
    }

    /// Writes a refused record.
    pub(super) fn write(&mut self, reject: &Reject) -> io::Result<()> {
        let line = json!({
            "file": self.name,
            "line": reject.line,
            "reason": reject.reason.code(),
            "message": reject.message,
            "record": reject.record,
        });
        let out = match &mut self.out {
            Some(out) => out,
            None => {
                let made = make(&self.unfinished())?;
                self.out.insert(BufWriter::new(made))
            }
        };
        writeln!(out, "{line}")
    }

    fn unfinished(&self) -> PathBuf {
        self.directory.join(format!(".{}{SUFFIX}.part", self.name))
    }

    /// Gives the file its name, if there is one. Refused records of an earlier file of the same name stay, in their
    /// own file; those that a run before a crash has written are not written twice.
    pub(super) fn publish(mut self) -> io::Result<Option<PathBuf>> {
        let Some(mut out) = self.out.take() else { return Ok(None) };
        out.flush()?;
        out.get_ref().sync_all()?;
        let unfinished = self.unfinished();
        for number in 1..=MOST_OF_NAME {
            let name = match number {
                1 => format!("{}{SUFFIX}", self.name),
                number => format!("{}.{number}{SUFFIX}", self.name),
            };
            let path = self.directory.join(name);
            if !fs::exists(&path)? {
                fs::rename(&unfinished, &path)?;
                sync_directory(&self.directory)?;
                return Ok(Some(path));
            }
            if is_equal(&unfinished, &path)? {
                fs::remove_file(&unfinished)?;
                return Ok(Some(path));
            }
        }
        Err(io::Error::other(format!(
            "there are {MOST_OF_NAME} files with refused records of {} in {}; take them away",
            self.name,
            self.directory.display()
        )))
    }
}

impl Drop for RejectsFile {
    /// Removes what was not finished.
    fn drop(&mut self) {
        if self.out.take().is_some() {
            _ = fs::remove_file(self.unfinished());
        }
    }
}

/// Makes a file that only its owner can read: records of people are in it.
fn make(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn is_equal(a: &Path, b: &Path) -> io::Result<bool> {
    if fs::metadata(a)?.len() != fs::metadata(b)?.len() {
        return Ok(false);
    }
    let bytes = |path: &Path| Ok::<_, io::Error>(BufReader::new(File::open(path)?).bytes());
    for (a, b) in bytes(a)?.zip(bytes(b)?) {
        if a? != b? {
            return Ok(false);
        }
    }
    Ok(true)
}
