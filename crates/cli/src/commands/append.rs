use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use leftfold::{Append, EventStore, Invalid, NewEvent, ReadError};
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
    let is_json = !args.raw && is_json(&bytes)?;
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

/// Whether data is JSON. Text that only looks like JSON is refused: it is usually a typing error.
fn is_json(data: &[u8]) -> Result<bool, ReadError> {
    let Err(error) = serde_json::from_slice::<&RawValue>(data) else { return Ok(true) };
    match data.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'"') => {
            let message =
                format!("the data look like JSON, but {error}; to store them as bytes, add --raw");
            Err(Invalid::new("data_invalid", message).into())
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_text_that_looks_like_broken_json() {
        for (data, expected) in [("{\"a\": 1}", true), (" [1]\n", true), ("17", true), ("", false)]
        {
            assert_eq!(is_json(data.as_bytes()).unwrap(), expected, "{data}");
        }
        for data in ["hello", "\u{1}\u{2}", "<a/>", "1,2"] {
            assert!(!is_json(data.as_bytes()).unwrap(), "{data}");
        }
        for data in ["{bad json", "{\"a\": 1", " [1,]", "\"open", "{}{}"] {
            let error = is_json(data.as_bytes()).unwrap_err();
            assert_eq!(leftfold::Coded::code(&error), "data_invalid", "{data}");
            assert!(error.to_string().contains("--raw"), "{data}");
        }
    }
}
