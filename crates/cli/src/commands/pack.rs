use std::process::ExitCode;

use crate::args::Place;
use crate::store::Store;

pub(crate) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    match Store::existing(place)? {
        Store::Here(store) => store.seal()?,
        Store::There(client) => pollster::block_on(client.pack())?,
    }
    super::stat::run(place)
}
