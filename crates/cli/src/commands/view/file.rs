//! Reads files of views.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use leftfold_views::{Definition, DefinitionError};

/// What is wrong with a file, and in which line.
#[derive(Debug)]
pub(crate) struct FileError {
    file: String,
    error: DefinitionError,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileError { file, error } = self;
        write!(f, "{file}:{}: {}", error.line, error.message)
    }
}

impl std::error::Error for FileError {}

impl FileError {
    /// Returns the code of what is wrong.
    pub(crate) fn code(&self) -> &'static str {
        self.error.code
    }
}

/// Reads and checks a file, for a command that changes or plans a view. Its tests are not run to pass.
pub(super) fn read(path: &Path) -> anyhow::Result<Definition> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| file.clone())?;
    let checked = Definition::parse(&text).and_then(|view| view.check().map(|_| view));
    Ok(checked.map_err(|error| FileError { file, error })?)
}
