//! The night of the demo, smaller: the statements of a bank, and their entries as events.

use std::fs::File;
use std::io::{self, BufReader};

use anyhow::Context;
use leftfold::Embedded;
use leftfold_connect::sample::{NightOptions, write_night};
use leftfold_connect::{IngestObserver, Mapping, Reject, Source, ingest};

/// A night of a small bank.
const NIGHT: NightOptions =
    NightOptions { seed: 20_260_331, accounts: 50, entries: 2_000, malformed: 0 };

/// Makes the files of a night and ingests them; returns the number of events.
pub(super) fn ingest_night(store: &Embedded) -> anyhow::Result<u64> {
    let files = tempfile::tempdir()?;
    let night = write_night(files.path(), &NIGHT)?;
    let mapping = Mapping::builtin("camt.053").context("the mapping is built in")?;
    let mut ingested = 0;
    for path in &night.files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = Source { name: &name, may_be_empty: false };
        let input = BufReader::new(File::open(path)?);
        ingested += ingest(store, &mapping, source, input, &mut NoRejects)?.tally.ingested;
    }
    Ok(ingested)
}

/// Ends the ingest at the first record that is refused: this night has none.
struct NoRejects;

impl IngestObserver for NoRejects {
    fn on_reject(&mut self, reject: &Reject) -> io::Result<()> {
        Err(io::Error::other(format!("a record was refused: {reject:?}")))
    }
}
