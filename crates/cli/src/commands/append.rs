pub(crate) mod lines;

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, Error, bail};
use leftfold::{Append, Appended, Cursor, EventStore, Invalid, NewEvent, Point, ReadError};
use pollster::block_on;
use serde_json::{json, value::RawValue};

use crate::args::{self, Location};
use crate::output::{for_people, is_quiet};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: args::Append) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.from {
        return lines::run(location, file, args.stream.as_deref());
    }
    let stream = args.stream.clone().unwrap_or_default();
    let conditions = args.conditions().map_err(Error::msg)?;
    let events = events(&args)?;
    let store = Store::open(location)?;
    let mut append = Append::new().expect(&stream, args.expect);
    for event in events {
        append = append.event(&stream, event);
    }
    for (query, point) in conditions {
        append = append.none_after(query, cursor(&store, point)?);
    }
    print(&stream, &block_on(store.append(append))?);
    Ok(ExitCode::SUCCESS)
}

/// Returns the events of the command line.
fn events(args: &args::Append) -> anyhow::Result<Vec<NewEvent>> {
    let pairs = args.pairs().map_err(Error::msg)?;
    let ids = args.id.iter().map(|id| Some(*id)).chain(std::iter::repeat(None));
    pairs
        .into_iter()
        .zip(ids)
        .map(|((event_type, data), id)| {
            let bytes = data_bytes(data)?;
            let is_json = !args.raw && is_json(&bytes)?;
            let event = if is_json {
                NewEvent::json(event_type, bytes)
            } else {
                NewEvent::new(event_type, bytes)
            };
            Ok(NewEvent {
                id,
                tags: args.tag.clone(),
                event_time: args.event_time,
                correlation: args.correlation.clone(),
                causation: args.causation.clone(),
                metadata: args.metadata.clone().into(),
                ..event
            })
        })
        .collect()
}

fn data_bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    if text != "-" {
        return Ok(text.as_bytes().to_vec());
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("reading standard input")?;
    Ok(bytes)
}

/// Returns the cursor of a condition's point: behind the event at its position.
fn cursor(store: &Store, point: Point) -> anyhow::Result<Cursor> {
    let position = match point {
        Point::Position(position) => position,
        Point::Cursor(cursor) => return Ok(cursor),
        _ => bail!("expected a position or a cursor as the point of a condition"),
    };
    let head = block_on(store.head())?;
    Ok(Cursor::at(head.origin(), position))
}

fn print(stream: &str, appended: &Appended) {
    let Appended { cursor, positions, streams, repeated, .. } = appended;
    let (first, last) = positions.unwrap_or_default();
    let versions = streams.first().map(|versions| (versions.first, versions.last));
    let (version, last_version) = versions.unwrap_or_default();
    if !for_people() {
        let mut line = json!({
            "position": first,
            "version": version,
            "cursor": cursor.to_string(),
            "repeated": repeated,
        });
        if last > first {
            line["last_position"] = last.into();
            line["last_version"] = last_version.into();
        }
        say!("{line}");
    } else if !is_quiet() {
        let how = if *repeated { "already stored:" } else { "appended:" };
        match last > first {
            true => say!(
                "{how} {stream} versions {version} to {last_version}, positions {first} to {last}"
            ),
            false => say!("{how} {stream} version {version}, position {first}"),
        }
    }
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
