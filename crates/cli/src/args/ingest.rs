//! The demo, and the ingestion of files.

use std::path::PathBuf;

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold ingest statements/*.xml --map camt.053 --rejects rejects.ndjson
  leftfold ingest orders.csv --map orders.toml

Ingesting a file again, or after a crash in the middle, adds nothing twice.
Exit codes: 0 all records taken, 3 some were rejected, 1 stopped by an error.";

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The directory of the demo's store and files; those of an earlier demo are replaced.
    #[arg(long, default_value = "leftfold-demo")]
    pub(crate) dir: PathBuf,
    /// How many entries to make, over 1,000 accounts.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT", value_parser = parse::entries)]
    pub(crate) entries: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// The files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A built-in mapping (camt.052, camt.053, camt.054), or a mapping file.
    #[arg(short, long, value_name = "MAPPING")]
    pub(crate) map: String,
    /// The file for rejected records, as NDJSON; standard error if not given.
    #[arg(long)]
    pub(crate) rejects: Option<PathBuf>,
    /// Files may hold nothing of what the mapping looks for.
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// The time zone of times without one, such as Europe/Berlin; instead of the mapping's.
    #[arg(long)]
    pub(crate) zone: Option<String>,
}
