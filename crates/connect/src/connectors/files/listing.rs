//! Finds the files that are there.

use std::fs;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

use super::rejects;
use super::settings::FilesSettings;
use super::stamp::Stamp;

/// The most files that are looked at: more take too long to look at each time.
const MOST_FILES: usize = 100_000;
/// The ends of names of files that are still being written.
const UNFINISHED: [&str; 5] = [".tmp", ".part", ".partial", ".filepart", "~"];
/// What makes a path a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// The files that are there.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of their last change.
    pub(super) files: Vec<FoundFile>,
    /// Why some could not be looked at.
    pub(super) failure: Option<String>,
}

impl FoundFile {
    /// Returns the path as the ledger has it.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Returns the deepest directory that holds all files of a pattern.
pub(super) fn root_of(watch: &str) -> PathBuf {
    let path = Path::new(watch);
    if !watch.contains(WILD) {
        return path.to_owned();
    }
    let is_plain =
        |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(WILD);
    path.components().take_while(is_plain).collect()
}

/// Lists the files of a pattern, or of a directory. The error is a sentence.
pub(super) fn list(settings: &FilesSettings) -> Result<Listing, String> {
    let root = root_of(&settings.watch);
    let shown = root.display();
    // A pattern in a directory that is not there, perhaps not mounted, would match nothing.
    let about = fs::metadata(&root).map_err(|error| format!("{shown}: {error}"))?;
    if !about.is_dir() {
        return Err(format!("{shown} is no directory; name a directory or a pattern to watch"));
    }
    let pattern = match settings.watch.contains(WILD) {
        true => settings.watch.clone(),
        false => format!("{}/*", settings.watch.trim_end_matches('/')),
    };
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::default() };
    let matches = glob::glob_with(&pattern, options).map_err(|error| format!("watch: {error}"))?;
    let mut listing = Listing::default();
    for path in matches {
        match path.map_err(|error| error.to_string()) {
            Ok(path) if is_left_out(settings, &path) => {}
            Ok(path) => listing.add(path),
            Err(error) => _ = listing.failure.get_or_insert(error),
        }
        if listing.files.len() > MOST_FILES {
            return Err(format!(
                "more than {MOST_FILES} files match {}; take some away, or let done files be moved",
                settings.watch
            ));
        }
    }
    listing.files.sort_by(|a, b| (a.stamp.modified, &a.path).cmp(&(b.stamp.modified, &b.path)));
    Ok(listing)
}

impl Listing {
    fn add(&mut self, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(about) if about.is_file() => {
                self.files.push(FoundFile { path, stamp: Stamp::of(&about) });
            }
            Ok(_) => {}
            // Taken away, or a link to nothing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                self.failure.get_or_insert(format!("{}: {error}", path.display()));
            }
        }
    }
}

/// Whether a file is still being written, or is one of the connector's own.
fn is_left_out(settings: &FilesSettings, path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return true };
    let own = [&settings.done_directory, &settings.rejects_directory];
    let mut own = own.into_iter().flatten();
    // A directory for what is done may be the one that is watched only for the rejects, whose names tell.
    let root = root_of(&settings.watch);
    name.starts_with('.')
        || UNFINISHED.iter().any(|end| name.ends_with(end))
        || name.ends_with(rejects::SUFFIX)
        || own.any(|own| *own != root && path.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_pattern_is_the_directory_before_its_first_wildcard() {
        for (watch, root) in [
            ("/data/in", "/data/in"),
            ("/data/in/*.xml*", "/data/in"),
            ("/data/**/in/*.xml", "/data"),
            ("/data/bank-?/a.xml", "/data"),
            ("/*", "/"),
        ] {
            assert_eq!(root_of(watch), Path::new(root), "{watch}");
        }
    }
}
