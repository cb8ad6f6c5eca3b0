//! Backups, repair, and certificates.

use std::path::PathBuf;

pub(super) const REPAIR_HELP: &str = "\
Without --quarantine nothing is changed. Look for a backup first: its events are not lost.
With it, STORE and MANIFEST are made again if they are damaged, lost or too old, and each lost event leaves
a hidden placeholder: all other events keep their positions and versions. Every file that is replaced goes
to the directory `quarantine` first, as it was. --undo puts these files back, as long as nothing else was
appended.
Exit code 1: there is damage that was not repaired, or events are lost.";

pub(super) const BACKUP_HELP: &str = "\
Examples:
  leftfold --data shop backup --to /backups/shop
  leftfold backup --verify /backups/shop

The directory holds the last complete backup at any time, also if a run is interrupted. Exit code 1 from
--verify: the backup is damaged.";

#[derive(Debug, clap::Args)]
pub(crate) struct Repair {
    /// Put damaged files aside and repair the store.
    #[arg(long, conflicts_with_all = ["undo", "forget"])]
    pub(crate) quarantine: bool,
    /// Put the files back that the last repair has put aside.
    #[arg(long, conflicts_with = "forget")]
    pub(crate) undo: bool,
    /// Remove what repairs have put aside; they can't be undone then.
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// Where the backup goes: a directory that is empty or holds earlier backups of this store.
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    pub(crate) to: Option<PathBuf>,
    /// Check the backup in this directory instead of making one.
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub(crate) verify: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Where the backup is.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Certificate {
    /// The directory for ca.pem, server.pem and server-key.pem.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// A name or an address of the server; may be given several times.
    #[arg(long, default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) name: Vec<String>,
}
