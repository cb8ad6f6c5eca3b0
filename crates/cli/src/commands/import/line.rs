//! The lines of an export.

use leftfold::transfer::ExportTotal;
use leftfold::{ImportEvent, Invalid, NewEvent};
use serde::Deserialize;

use crate::commands::append::lines::{EventLine, parse_event};

/// A line of an export.
pub(super) enum Line {
    Event(Box<ImportEvent>),
    /// A stream whose last events are dropped.
    End {
        position: u64,
        stream: String,
        last_version: u64,
    },
    /// A reader that has seen the events so far.
    Checkpoint {
        checkpoint: String,
        partition: Option<u32>,
    },
    /// The end.
    Total(ExportTotal),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointLine {
    #[serde(rename = "position")]
    _position: u64,
    checkpoint: String,
    partition: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TotalLine {
    digest: String,
    partitions: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    position: u64,
    stream: String,
    last_version: u64,
}

/// Reads a line of an export.
///
/// # Errors
/// `data_invalid` if it is none; `time_invalid`.
pub(super) fn parse(line: &[u8]) -> Result<Line, Invalid> {
    if let Ok(EndLine { position, stream, last_version }) = serde_json::from_slice(line) {
        return Ok(Line::End { position, stream, last_version });
    }
    if let Ok(CheckpointLine { checkpoint, partition, .. }) = serde_json::from_slice(line) {
        return Ok(Line::Checkpoint { checkpoint, partition });
    }
    if let Ok(TotalLine { digest, partitions }) = serde_json::from_slice(line) {
        return Ok(Line::Total(ExportTotal { digest: digest.parse()?, partitions }));
    }
    let EventLine { stream, place, event, .. } = parse_event(line, None)?;
    let (Some(position), Some(version), Some(commit_time)) =
        (place.position, place.version, place.commit_time)
    else {
        return Err(incomplete("a position, a version and a commit time"));
    };
    let Some(event_time) = event.event_time else { return Err(incomplete("an event time")) };
    let was_given = place.event_time_given.unwrap_or(event_time != commit_time);
    let event = NewEvent { event_time: event.event_time.filter(|_| was_given), ..event };
    let event = ImportEvent { position, stream, version, commit_time, event_time, event };
    Ok(Line::Event(Box::new(event)))
}

fn incomplete(what: &str) -> Invalid {
    let message = format!("expected an event as leftfold export prints it, with {what}");
    Invalid::new("data_invalid", message)
}
