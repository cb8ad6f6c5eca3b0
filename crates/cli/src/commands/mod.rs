//! One file a command.

pub(crate) mod append;
pub(crate) mod demo;
pub(crate) mod index;
pub(crate) mod ingest;
pub(crate) mod read;
pub(crate) mod stat;
pub(crate) mod streams;
pub(crate) mod subscribe;
pub(crate) mod verify;

use std::path::Path;

use leftfold::{Embedded, Options};

/// The store that is there.
fn existing(data: &Path) -> anyhow::Result<Embedded> {
    Ok(Embedded::open_existing(data, Options::default())?)
}

/// The store that is there, or a new one.
fn open(data: &Path) -> anyhow::Result<Embedded> {
    Ok(Embedded::open(data, Options::default())?)
}
