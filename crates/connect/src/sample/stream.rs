//! Writes one valid file of any size.

use super::dialect::DIALECTS;
use super::entry::Entry;
use super::iban;
use super::rng::Rng;
use super::statement::{self, Statement};
use super::xml::Xml;
use std::io::{self, Write};

const DAYS: [&str; 3] = ["2026-03-29", "2026-03-30", "2026-03-31"];
/// Entries per statement: few enough for memory, enough for a busy account.
const ENTRIES: u64 = 500;
const ACCOUNTS: u64 = 1000;

/// Counts of what [`write_camt`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CamtSummary {
    /// The size of the file.
    pub bytes: u64,
    /// Statements in the file; every balance holds.
    pub statements: u64,
    /// Entries (`Ntry`) in the file, all valid.
    pub entries: u64,
    /// Events that the entries yield.
    pub events: u64,
}

/// Writes a camt.053.001.08 file of at least `bytes` bytes, statement by statement.
pub fn write_camt(mut out: impl Write, bytes: u64, seed: u64) -> io::Result<CamtSummary> {
    let dialect = &DIALECTS[1];
    let mut rng = Rng::new(seed);
    let mut xml = Xml::new(dialect.prefix, dialect.layout);
    let mut written = CamtSummary::default();
    statement::begin(&mut xml, dialect, &format!("STREAM-{seed}"), DAYS[2]);
    while written.bytes < bytes || written.statements == 0 {
        let account = written.statements % ACCOUNTS;
        let first = written.entries;
        let entries: Vec<Entry> =
            (first..first + ENTRIES).map(|number| Entry::make(&mut rng, number, &DAYS)).collect();
        written.entries += ENTRIES;
        written.events += entries.iter().map(Entry::events).sum::<u64>();
        let statement = Statement {
            id: format!("S{seed}-{}", written.statements),
            iban: &iban::german(10_000_000, account),
            day: DAYS[2],
            opening_cents: rng.below(5_000_000) as i64 - 500_000,
            entries,
        };
        statement.write(&mut xml, dialect);
        written.statements += 1;
        flush(&mut xml, &mut out, &mut written.bytes)?;
    }
    statement::end(&mut xml);
    flush(&mut xml, &mut out, &mut written.bytes)?;
    out.flush()?;
    Ok(written)
}

/// Writes the buffered text and clears it.
pub(super) fn flush(xml: &mut Xml, out: &mut impl Write, bytes: &mut u64) -> io::Result<()> {
    out.write_all(xml.text.as_bytes())?;
    *bytes += xml.text.len() as u64;
    xml.text.clear();
    Ok(())
}
