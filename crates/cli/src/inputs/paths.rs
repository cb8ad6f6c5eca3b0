//! Turns the paths of a command line into inputs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// One file, or standard input.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

/// An input that could not be read, and why.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    pub(crate) error: anyhow::Error,
}

/// The inputs of a command in the order they are read, and the paths that lead to none.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) list: Vec<Input>,
    /// The bytes of all inputs; `None` if one of them is a pipe.
    pub(crate) bytes: Option<u64>,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Inputs {
    /// Finds the inputs: `-` is standard input, a folder all files in it, and a path that does not exist a pattern
    /// if it has `*`, `?` or `[`. Folders and patterns are sorted by path.
    pub(crate) fn find(paths: &[PathBuf]) -> Inputs {
        let mut inputs = Inputs { bytes: Some(0), ..Inputs::default() };
        for path in paths {
            if path.as_os_str() == "-" {
                inputs.list.push(Input::Stdin);
                inputs.bytes = None;
                continue;
            }
            if let Err(error) = inputs.add(path) {
                inputs.unreadable.push(Unreadable { name: path.display().to_string(), error });
            }
        }
        inputs
    }

    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let about = match std::fs::metadata(path) {
            Ok(about) => about,
            Err(error) => match path.to_str() {
                Some(pattern) if pattern.contains(['*', '?', '[']) => {
                    return self.add_matches(pattern);
                }
                // A member of an archive: the part before the mark is a file.
                Some(text) if archive_of(text).is_some_and(Path::is_file) => {
                    self.list.push(Input::File(path.to_owned()));
                    return Ok(());
                }
                _ => return Err(error.into()),
            },
        };
        if about.is_dir() {
            return self.add_folder(path);
        }
        match about.is_file() {
            true => self.bytes = self.bytes.map(|bytes| bytes + about.len()),
            false => self.bytes = None,
        }
        self.list.push(Input::File(path.to_owned()));
        Ok(())
    }

    fn add_matches(&mut self, pattern: &str) -> anyhow::Result<()> {
        let matches = glob::glob(pattern).context("the pattern cannot be used")?;
        let mut paths: Vec<PathBuf> = matches.collect::<Result<_, _>>()?;
        if paths.is_empty() {
            bail!("no file matches this pattern");
        }
        paths.sort();
        self.add_all(paths);
        Ok(())
    }

    /// Adds the files of a folder and of the folders in it; names that begin with a point are left out.
    fn add_folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                // A link to a folder is not followed: it could lead back.
                match entry.file_type()?.is_dir() {
                    true => open.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        files.retain(|file| !file.is_dir());
        if files.is_empty() {
            bail!("the folder has no files");
        }
        files.sort();
        self.add_all(files);
        Ok(())
    }

    fn add_all(&mut self, paths: Vec<PathBuf>) {
        for path in paths {
            if let Err(error) = self.add(&path) {
                self.unreadable.push(Unreadable { name: path.display().to_string(), error });
            }
        }
    }
}

/// The mark between an archive's path and a member's name.
pub(super) const MEMBER: char = '!';

/// Returns the archive of a path such as `files.zip!march.xml`.
fn archive_of(path: &str) -> Option<&Path> {
    path.split_once(MEMBER).map(|(archive, _)| Path::new(archive))
}
