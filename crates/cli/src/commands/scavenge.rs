use std::process::ExitCode;

use pollster::block_on;
use serde_json::json;

use crate::args::Location;
use crate::output::{for_people, progress, thousands};
use crate::store::Store;

pub(crate) fn run(location: &Location, dry_run: bool) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let bar = progress("segment {pos} of {len}  {elapsed}  {eta} left")?;
    let scavenged = match (&store, dry_run) {
        (Store::Remote(client), dry_run) => block_on(client.scavenge(dry_run))?,
        (Store::Embedded(store), true) => store.reclaimable()?,
        (Store::Embedded(store), false) => store.scavenge(|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?,
    };
    bar.finish_and_clear();
    let (events, payload, file) = (scavenged.events, scavenged.payload_bytes, scavenged.file_bytes);
    if !for_people() {
        let segments = scavenged.segments;
        say!(
            "{}",
            json!({"segments": segments, "events": events, "payload_bytes": payload, "file_bytes": file})
        );
    } else if dry_run {
        let [events, payload] = [events, payload].map(thousands);
        say!("would remove {payload} bytes of metadata and data of {events} events");
    } else {
        let [events, payload, file] = [events, payload, file].map(thousands);
        say!("removed {payload} bytes of metadata and data of {events} events");
        say!("files are {file} bytes shorter");
    }
    Ok(ExitCode::SUCCESS)
}
