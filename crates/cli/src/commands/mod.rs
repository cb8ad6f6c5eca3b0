//! One file a command.

pub(crate) mod accounts;
pub(crate) mod append;
pub(crate) mod backup;
pub(crate) mod demo;
pub(crate) mod index;
pub(crate) mod ingest;
pub(crate) mod pack;
pub(crate) mod read;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod scavenge;
pub(crate) mod serve;
pub(crate) mod stat;
pub(crate) mod streams;
pub(crate) mod subscribe;
pub(crate) mod verify;

use leftfold::{Embedded, Options};

use crate::args::Place;

/// The store that is there.
fn existing(place: &Place) -> anyhow::Result<Embedded> {
    Ok(Embedded::open_existing(&place.data, options(place))?)
}

/// The store that is there, or a new one.
fn open(place: &Place) -> anyhow::Result<Embedded> {
    Ok(Embedded::open(&place.data, options(place))?)
}

fn options(place: &Place) -> Options {
    Options { packing: place.packing, ..Options::default() }
}
