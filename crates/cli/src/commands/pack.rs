use std::process::ExitCode;

use crate::args::Location;
use crate::store::Store;

pub(crate) fn run(location: &Location) -> anyhow::Result<ExitCode> {
    match Store::existing(location)? {
        Store::Embedded(store) => store.seal()?,
        Store::Remote(client) => pollster::block_on(client.pack())?,
    }
    super::stat::run(location)
}
