//! Export and import.

use std::path::PathBuf;
use std::str::FromStr;

use leftfold::Query;

pub(super) const EXPORT_HELP: &str = "\
Examples:
  leftfold --data shop export > shop.ndjson
  leftfold --data shop export | leftfold --data copy import -
  leftfold --server http://127.0.0.1:2113 export 'category:order' > orders.ndjson

Without a query everything is exported, with the store's own streams, among them a server's users.";

pub(super) const IMPORT_HELP: &str = "\
Examples:
  leftfold --data copy import shop.ndjson
  leftfold --data shop export | leftfold --data copy import -
  leftfold --server http://node-1:2113 import shop.ndjson

Into an empty directory everything is copied, commit times too. Into a store with events, users' streams
are added at new commit times; with --server, commit times are always new. Versions that are missing in the
file stay missing. At the end the digest of what the store has is compared with that of the file.
An import that was interrupted is run again: it goes on where it stopped.";

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The events; all, bookkeeping too, if not given.
    #[arg(default_value = "system:true", value_parser = Query::from_str)]
    pub(crate) query: Query,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// A file that `leftfold export` has written; `-` is standard input.
    pub(crate) file: PathBuf,
}
