//! The file of rejected records.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use leftfold_connect::{Reject, Warning};
use serde_json::json;

/// The destination of rejected records: a file, or standard error.
pub(crate) struct Rejects {
    out: Option<BufWriter<File>>,
    /// How many may be written before the command stops.
    limit: u64,
    /// Whether files may hold nothing of what the mapping looks for.
    pub(crate) allow_empty: bool,
    written: u64,
}

/// What happens to rejects that are in the file already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Existing {
    /// They are somebody's list of things to do: the command is refused.
    Refuse,
    Append,
}

impl Rejects {
    pub(crate) fn to(file: Option<&Path>, existing: Existing, limit: u64) -> anyhow::Result<Self> {
        let open = |file: &Path| {
            let full = file.metadata().is_ok_and(|about| about.len() > 0);
            if full && existing == Existing::Refuse {
                bail!(
                    "the rejects file {} has rejects already; name another, or add to it with \
                     --append-rejects",
                    file.display()
                );
            }
            let mut options = OpenOptions::new();
            let opened = options.create(true).append(true).mode(0o600).open(file);
            opened.with_context(|| format!("rejects file {}", file.display()))
        };
        let out = file.map(open).transpose()?.map(BufWriter::new);
        Ok(Rejects { out, limit, allow_empty: false, written: 0 })
    }

    /// Writes a reject; fails if there were more than the limit.
    pub(crate) fn write(&mut self, file: &str, reject: &Reject) -> std::io::Result<()> {
        let line = json!({
            "file": file,
            "line": reject.line,
            "reason": reject.reason.code(),
            "message": reject.message,
            "record": reject.record,
        });
        self.written += 1;
        match &mut self.out {
            Some(out) => writeln!(out, "{line}"),
            None => writeln!(std::io::stderr(), "rejected: {line}"),
        }?;
        match self.is_over() {
            true => Err(std::io::Error::other("too many rejects")),
            false => Ok(()),
        }
    }

    /// Prints a warning about a record that was kept.
    pub(crate) fn warn(&self, file: &str, warning: &Warning) -> std::io::Result<()> {
        let (code, Warning { line, message, .. }) = (warning.doubt.code(), warning);
        writeln!(std::io::stderr(), "warning[{code}]: {file}, line {line}: {message}")
    }

    /// Returns whether more were written than the limit allows.
    pub(crate) fn is_over(&self) -> bool {
        self.written > self.limit
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        if let Some(out) = &mut self.out {
            out.flush()?;
            out.get_ref().sync_all()?;
        }
        Ok(())
    }
}
