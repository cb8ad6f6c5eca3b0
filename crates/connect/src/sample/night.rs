//! A bank's nightly batch: three files, a duplicate, and some malformed records.

use super::dialect::{DIALECTS, Dialect};
use super::entry::{Entry, Flaw};
use super::iban;
use super::rng::Rng;
use super::statement::{self, Statement};
use super::stream::flush;
use super::xml::Xml;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const DAYS: [&str; 3] = ["2026-03-29", "2026-03-30", "2026-03-31"];
const FILES: usize = DIALECTS.len();

/// The size of a nightly batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NightOptions {
    /// The seed that determines every byte.
    pub seed: u64,
    /// The number of accounts with a statement; at least one for each file.
    pub accounts: u64,
    /// The least number of entries, distributed unevenly among the accounts.
    pub entries: u64,
    /// The number of malformed entries, each kind of flaw in turn.
    pub malformed: u64,
}

impl Default for NightOptions {
    fn default() -> Self {
        NightOptions { seed: 20_260_331, accounts: 1000, entries: 100_000, malformed: 27 }
    }
}

/// The files that [`write_night`] wrote, and the counts that a reader must find in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Night {
    /// The three files of the night, all different.
    pub files: Vec<PathBuf>,
    /// A copy of the first file under another name.
    pub duplicate: PathBuf,
    /// Bytes of all four files.
    pub bytes: u64,
    /// Statements in the three files.
    pub statements: u64,
    /// Statements whose balance cannot be checked, because they hold a malformed entry. The
    /// balances of all others hold.
    pub unchecked_statements: u64,
    /// Entries in the three files, including malformed ones.
    pub entries: u64,
    /// Events that the three files yield.
    pub good: u64,
    /// Entries of the three files that the reader must refuse.
    pub malformed: u64,
    /// Events of the duplicate, which are all in the first file.
    pub duplicates: u64,
    /// Entries of the duplicate that the reader must refuse.
    pub duplicate_malformed: u64,
}

/// Writes the files of a nightly batch into the directory `dir`, which must exist.
pub fn write_night(dir: &Path, options: &NightOptions) -> io::Result<Night> {
    let mut rng = Rng::new(options.seed);
    let accounts = options.accounts.max(FILES as u64);
    let mut plan = Plan::new(&mut rng, accounts, options);
    let mut night = Night::default();
    for (file, dialect) in DIALECTS.iter().enumerate() {
        let path = dir.join(format!("night-{}-camt.053.{}.xml", file + 1, dialect.version));
        let from = accounts * file as u64 / FILES as u64;
        let to = accounts * (file as u64 + 1) / FILES as u64;
        plan.write_file(&path, dialect, from..to, &mut night)?;
        night.files.push(path);
        if file == 0 {
            (night.duplicates, night.duplicate_malformed) = (night.good, night.malformed);
        }
    }
    night.duplicate = dir.join("night-4-again.xml");
    night.bytes += fs::copy(&night.files[0], &night.duplicate)?;
    Ok(night)
}

struct Plan {
    rng: Rng,
    /// The number of entries of each account.
    shares: Vec<u64>,
    /// The distance between entries with a flaw.
    flaw_every: u64,
    flaws_left: u64,
    /// The number of the next entry.
    number: u64,
}

impl Plan {
    fn new(rng: &mut Rng, accounts: u64, options: &NightOptions) -> Plan {
        // A few accounts are far busier than the rest, as in a real bank.
        let weights: Vec<u64> = (0..accounts)
            .map(|_| if rng.percent(2) { 200 + rng.below(800) } else { 20 + rng.below(80) })
            .collect();
        let total: u64 = weights.iter().sum();
        let share = |weight: &u64| options.entries * weight / total + 1;
        Plan {
            rng: rng.clone(),
            shares: weights.iter().map(share).collect(),
            flaw_every: (options.entries / options.malformed.max(1)).max(1),
            flaws_left: options.malformed,
            number: 1,
        }
    }

    fn write_file(
        &mut self,
        path: &Path,
        dialect: &Dialect,
        accounts: std::ops::Range<u64>,
        night: &mut Night,
    ) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        let mut xml = Xml::new(dialect.prefix, dialect.layout);
        statement::begin(&mut xml, dialect, &format!("NIGHT-{}", dialect.version), DAYS[2]);
        for account in accounts {
            let iban = iban::german(10_000_000, 4_711_000_000 + account * 37);
            let statement = self.statement(account, &iban, night);
            statement.write(&mut xml, dialect);
            flush(&mut xml, &mut out, &mut night.bytes)?;
        }
        statement::end(&mut xml);
        flush(&mut xml, &mut out, &mut night.bytes)?;
        out.flush()
    }

    fn statement<'a>(&mut self, account: u64, iban: &'a str, night: &mut Night) -> Statement<'a> {
        let entries: Vec<Entry> =
            (0..self.shares[account as usize]).map(|_| self.entry()).collect();
        let malformed = entries.iter().filter(|entry| entry.flaw.is_some()).count() as u64;
        night.statements += 1;
        night.unchecked_statements += u64::from(malformed > 0);
        night.entries += entries.len() as u64;
        night.malformed += malformed;
        night.good += entries.iter().map(Entry::events).sum::<u64>();
        Statement {
            id: format!("2026-090-{account:05}"),
            iban,
            day: DAYS[2],
            opening_cents: self.rng.below(3_000_000) as i64 - 300_000,
            entries,
        }
    }

    fn entry(&mut self) -> Entry {
        let mut entry = Entry::make(&mut self.rng, self.number, &DAYS);
        if self.number.is_multiple_of(self.flaw_every) && self.flaws_left > 0 {
            self.flaws_left -= 1;
            let flaw = Flaw::ALL[(self.flaws_left % Flaw::ALL.len() as u64) as usize];
            entry.add_flaw(flaw);
        }
        self.number += 1;
        entry
    }
}
