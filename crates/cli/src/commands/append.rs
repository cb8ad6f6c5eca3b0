use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use leftfold::{Append, EventStore, NewEvent};
use pollster::block_on;
use serde_json::{json, value::RawValue};

use crate::args::{self, Location};
use crate::output::for_people;
use crate::store::Store;

pub(crate) fn run(location: &Location, args: args::Append) -> anyhow::Result<ExitCode> {
    let bytes = match args.data_text.as_str() {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
            bytes
        }
        text => text.as_bytes().to_vec(),
    };
    let is_json = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
    let new = if is_json { NewEvent::json } else { NewEvent::new };
    let mut event: NewEvent = new(args.event_type, bytes);
    event.id = args.id;
    event.tags = args.tag;
    event.event_time = args.event_time;
    event.correlation = args.correlation;
    event.causation = args.causation;
    event.metadata = args.metadata.into();
    let append = Append::new().event(&args.stream, event).expect(&args.stream, args.expect);
    let appended = block_on(Store::open(location)?.append(append))?;
    let (position, version) =
        (appended.positions.map(|p| p.0), appended.streams.first().map(|v| v.first));
    let (position, version) = (position.unwrap_or_default(), version.unwrap_or_default());
    if for_people() {
        let stream = &args.stream;
        let how = if appended.repeated { "already stored:" } else { "appended:" };
        println!("{how} {stream} version {version}, position {position}");
    } else {
        let cursor = appended.cursor.to_string();
        let repeated = appended.repeated;
        println!(
            "{}",
            json!({"position": position, "version": version, "cursor": cursor, "repeated": repeated})
        );
    }
    Ok(ExitCode::SUCCESS)
}
