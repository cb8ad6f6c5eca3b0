//! The demo, the ingestion of files, and mappings.

use std::path::PathBuf;

use clap::Subcommand;

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold ingest statements/*.xml --map camt.053 --rejects rejects.ndjson
  leftfold ingest in/ more.zip 'night/*.csv.gz' --map orders.toml
  zcat orders.gz | leftfold ingest - --map orders.toml --dry-run
  leftfold ingest log                     which files came in, and what became of their records

gzip, zstd and zip are recognised by their first bytes. Folders and patterns are read in the order
of their paths, and folders with all folders in them.
Ingesting a file again, or after a crash in the middle, adds nothing twice.

Prints a line for each input, and the sum in the last line: sentences on a terminal and JSON in a
pipe, or what -o says (table or json); with -q the sum alone.
Exit codes: 0 all records taken, 3 some were rejected, 1 stopped by an error, or an input could not
be read: then the others were ingested, and the error names it.";

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
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Ingest {
    #[command(subcommand)]
    pub(crate) action: Option<IngestAction>,
    /// Files, folders, patterns such as 'in/*.xml', members of archives (a.zip!b.xml), or - for standard input.
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// A built-in mapping such as camt.053 (`leftfold mapping list`), or a mapping file.
    #[arg(short, long, value_name = "MAPPING", required = true)]
    pub(crate) map: Option<String>,
    /// The file for rejected records, as NDJSON; standard error if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Files may hold nothing of what the mapping looks for.
    #[arg(long)]
    pub(crate) allow_empty: bool,
    /// Add to the rejects that are in the file already, instead of refusing it.
    #[arg(long, requires = "rejects")]
    pub(crate) append_rejects: bool,
    /// The files are rejects files: read the records in them again. CSV needs the rejected records' file for its header.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) from_rejects: bool,
    /// Stop when more records than this are rejected.
    #[arg(long, value_name = "COUNT", value_parser = parse::rejects)]
    pub(crate) max_rejects: Option<u64>,
    /// Read and check everything, and print counts, sums and samples, without a store.
    #[arg(long, conflicts_with = "rejects")]
    pub(crate) dry_run: bool,
    /// The time zone of times without one, such as Europe/Berlin; instead of the mapping's.
    #[arg(long)]
    pub(crate) zone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IngestAction {
    /// List the files that were ingested: when, with which version of which mapping, what became of their
    /// records, and their SHA-256.
    Log {
        /// Only those that were ingested with the mapping of this name.
        mapping: Option<String>,
    },
}

pub(super) const MAPPING_HELP: &str = "\
Examples:
  leftfold mapping new orders.csv > orders.toml     a draft from the file's own structure
  leftfold mapping check orders.toml orders.csv     counts, sums and samples, without a store
  leftfold mapping show camt.053 > my-camt.toml     a built-in mapping as a template";

#[derive(Debug, clap::Args)]
pub(crate) struct Mapping {
    #[command(subcommand)]
    pub(crate) action: MappingAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MappingAction {
    /// List the built-in mappings.
    List,
    /// Print a built-in mapping.
    Show {
        /// Its name, such as camt.053.
        name: String,
    },
    /// Read files with a mapping and print counts, sums, samples and the first rejects, without a store.
    Check {
        /// A built-in mapping, or a mapping file.
        mapping: String,
        /// Files, folders, patterns, or - for standard input; without any, only the mapping is checked.
        files: Vec<PathBuf>,
    },
    /// Draft a mapping from the structure of an XML, CSV, NDJSON or JSON file.
    New {
        /// The file, or - for standard input.
        file: PathBuf,
    },
}
