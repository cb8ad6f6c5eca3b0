//! Reads the records of a rejects file again, after they or the mapping were repaired.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use leftfold_connect::CUT_MARK;
use serde::Deserialize;

/// The longest line: a reject shows at most 16 KiB of its record, and escapes are six times as long.
const MAX_LINE: u64 = 1 << 20;

/// One line of a rejects file.
#[derive(Deserialize)]
struct Line {
    file: String,
    line: u64,
    record: String,
}

/// Lines of a rejects file, one after the other, whose records are of the same file.
pub(crate) struct Run {
    path: PathBuf,
    /// The file of the records.
    pub(crate) source: String,
    first: u64,
    last: u64,
}

/// Finds the runs of a rejects file. A line without a whole record is an error: only its file has it.
pub(crate) fn runs(path: &Path) -> anyhow::Result<Vec<Run>> {
    let mut lines = Lines::open(path)?;
    let mut runs: Vec<Run> = Vec::new();
    while let Some(Line { file, line, record }) = lines.next()? {
        let at = lines.number;
        if record.trim().is_empty() || record.ends_with(CUT_MARK) {
            bail!(
                "line {at} has no whole record; repair {file} (line {line}) and ingest it instead, or \
                 remove the line: no record is added twice"
            );
        }
        match runs.last_mut() {
            Some(run) if run.source == file => run.last = at,
            _ => runs.push(Run { path: path.to_owned(), source: file, first: at, last: at }),
        }
    }
    Ok(runs)
}

impl Run {
    /// Opens the records, each in the line that it has in the rejects file.
    pub(crate) fn open(&self) -> anyhow::Result<impl BufRead + Send> {
        let lines = Lines::open(&self.path)?;
        let records = Records { lines, run: (self.first, self.last), text: Vec::new(), at: 0 };
        Ok(BufReader::new(records))
    }
}

struct Lines {
    input: BufReader<File>,
    number: u64,
    text: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> anyhow::Result<Lines> {
        let input = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Lines { input: BufReader::new(input), number: 0, text: Vec::new() })
    }

    fn next(&mut self) -> io::Result<Option<Line>> {
        self.text.clear();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut self.text)?;
        if self.text.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        serde_json::from_slice(&self.text).map(Some).map_err(|error| {
            let number = self.number;
            io::Error::other(format!("line {number} is not one of a rejects file: {error}"))
        })
    }
}

/// The text of a run: its records, and blank lines for all other lines, so that line numbers agree.
struct Records {
    lines: Lines,
    run: (u64, u64),
    text: Vec<u8>,
    at: usize,
}

impl Read for Records {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            let Some(line) = self.lines.next()? else { return Ok(0) };
            self.text.clear();
            self.at = 0;
            if (self.run.0..=self.run.1).contains(&self.lines.number) {
                self.text.extend_from_slice(line.record.trim_end().as_bytes());
            }
            self.text.push(b'\n');
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += length;
        Ok(length)
    }
}
