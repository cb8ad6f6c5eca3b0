use std::process::ExitCode;

use crate::args::Place;

pub(crate) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    let store = super::existing(place)?;
    store.seal()?;
    drop(store);
    super::stat::run(place)
}
