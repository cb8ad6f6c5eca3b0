use std::process::ExitCode;

use serde_json::json;

use crate::args::Place;
use crate::output::{for_people, progress, thousands};

pub(crate) fn run(place: &Place, dry_run: bool) -> anyhow::Result<ExitCode> {
    let store = super::existing(place)?;
    let bar = progress("segment {pos} of {len}  {elapsed}  {eta} left")?;
    let scavenged = match dry_run {
        true => store.reclaimable()?,
        false => store.scavenge(|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?,
    };
    bar.finish_and_clear();
    let (events, payload, file) = (scavenged.events, scavenged.payload_bytes, scavenged.file_bytes);
    if !for_people() {
        let segments = scavenged.segments;
        println!(
            "{}",
            json!({"segments": segments, "events": events, "payload_bytes": payload, "file_bytes": file})
        );
    } else if dry_run {
        let [events, payload] = [events, payload].map(thousands);
        println!("would remove {payload} bytes of metadata and data of {events} events");
    } else {
        let [events, payload, file] = [events, payload, file].map(thousands);
        println!("removed {payload} bytes of metadata and data of {events} events");
        println!("files are {file} bytes shorter");
    }
    Ok(ExitCode::SUCCESS)
}
