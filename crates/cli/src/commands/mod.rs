//! The commands, one file each.

pub(crate) mod accounts;
pub(crate) mod append;
pub(crate) mod backup;
pub(crate) mod checkpoints;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod connector;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod ingest;
pub(crate) mod mapping;
pub(crate) mod outbox;
pub(crate) mod pack;
pub(crate) mod parked;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod scavenge;
pub(crate) mod serve;
pub(crate) mod stat;
pub(crate) mod streams;
pub(crate) mod subscribe;
pub(crate) mod verify;
pub(crate) mod view;

use leftfold::Embedded;

use crate::args::Location;
use crate::store::{check_directory, options, refuse_server, warn_of_modes};

/// Opens the store in the directory, for a command that works on its files.
fn open_files(location: &Location, command: &str) -> anyhow::Result<Embedded> {
    refuse_server(location, command)?;
    check_directory(&location.data)?;
    Ok(warn_of_modes(Embedded::open_existing(&location.data, options(location))?))
}
