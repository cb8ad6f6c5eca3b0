//! One file a command.

pub(crate) mod accounts;
pub(crate) mod append;
pub(crate) mod backup;
pub(crate) mod demo;
pub(crate) mod index;
pub(crate) mod ingest;
pub(crate) mod pack;
pub(crate) mod parked;
pub(crate) mod read;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod scavenge;
pub(crate) mod serve;
pub(crate) mod stat;
pub(crate) mod streams;
pub(crate) mod subscribe;
pub(crate) mod verify;

use leftfold::Embedded;

use crate::args::Place;
use crate::store::{only_here, options};

/// The store in the directory, for a command that works on its files.
fn files(place: &Place, command: &str) -> anyhow::Result<Embedded> {
    only_here(place, command)?;
    Ok(Embedded::open_existing(&place.data, options(place))?)
}
