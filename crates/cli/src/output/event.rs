use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use comfy_table::ContentArrangement;
use leftfold::transfer::ExportTotal;
use leftfold::{JSON, Recorded, escape_unprintable, is_unprintable};
use serde::Serialize;
use serde_json::value::RawValue;

use super::table::{print_table, table, width, write_head};
use crate::commands::append::lines::bytes as read_bytes;

/// Characters of an event's data in a table, if the width of the terminal is not known.
const DATA: usize = 60;
/// The fewest characters of an event's data in a table.
const MIN_DATA: usize = 24;
/// Characters between two columns.
const GAP: usize = 2;
/// The indentation of a line below a row: behind a position.
const INDENT: &str = "           ";

#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    id: String,
    r#type: &'a str,
    event_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time_given: Option<bool>,
    commit_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<&'a str>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    schema_version: u16,
    metadata: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// The end of a stream whose last events are dropped.
#[derive(Serialize)]
struct EndLine<'a> {
    position: u64,
    stream: &'a str,
    last_version: u64,
}

/// How far a reader is.
#[derive(Serialize)]
struct CheckpointLine<'a> {
    position: u64,
    checkpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
}

/// The last line of an export.
#[derive(Serialize)]
struct TotalLine {
    digest: String,
    partitions: u32,
}

impl<'a> Line<'a> {
    /// Returns the line of an event, without metadata and data.
    fn of(event: &'a Recorded) -> Self {
        let content_type = event.content_type();
        Line {
            position: event.position(),
            stream: event.stream(),
            version: event.version(),
            id: event.id().to_string(),
            r#type: event.event_type(),
            event_time: event.event_time().to_string(),
            event_time_given: None,
            commit_time: event.commit_time().to_string(),
            correlation: event.correlation(),
            causation: event.causation(),
            tags: event.tags().map(|(key, value)| format!("{key}={value}")).collect(),
            content_type: if content_type == JSON { "" } else { content_type },
            schema_version: event.schema_version(),
            metadata: Content::Nothing(()),
            data: None,
            data_base64: None,
        }
    }
}

/// Bytes as JSON: as they were written if they are JSON, a string if they are text, else base64.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Nothing(()),
    Json(&'a RawValue),
    Text(&'a str),
    Bytes { base64: String },
}

impl<'a> Content<'a> {
    fn of(bytes: &'a [u8], json: bool) -> Self {
        if bytes.is_empty() {
            return Content::Nothing(());
        }
        if json && let Ok(value) = serde_json::from_slice(bytes) {
            return Content::Json(value);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(_) => Content::Bytes { base64: STANDARD.encode(bytes) },
        }
    }

    /// Returns bytes in the form from which exactly they are read again.
    fn exact(bytes: &'a [u8]) -> Self {
        match exact_json(bytes) {
            Some(json) if read_bytes(Some(json)).as_deref() == Ok(bytes) => Content::Json(json),
            _ => Content::of(bytes, false),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// Writes an event as one line of JSON.
pub(crate) fn write_json(out: &mut impl Write, event: &Recorded) -> std::io::Result<()> {
    let (data, metadata) = (event.data(), event.metadata());
    let is_json = event.content_type() == JSON;
    let data = Some(Content::of(&data, is_json));
    let line = Line { metadata: Content::of(&metadata, true), data, ..Line::of(event) };
    let mut line = serde_json::to_string(&line)?.into_bytes();
    join_lines(&mut line);
    // JSON that is kept as it was written may have what a terminal obeys; within texts it means the same.
    let line = String::from_utf8_lossy(&line);
    writeln!(out, "{}", escape_unprintable(&line))
}

/// Writes an event as one line of JSON from which its every byte can be read again, at a position of the export.
pub(crate) fn write_export(
    out: &mut impl Write,
    position: u64,
    event: &Recorded,
) -> std::io::Result<()> {
    let (data, metadata) = (event.data(), event.metadata());
    let event_time_given = Some(event.event_time_given());
    let metadata = Content::exact(&metadata);
    let mut line = Line { position, metadata, event_time_given, ..Line::of(event) };
    if event.content_type() != JSON {
        line.data = Some(Content::of(&data, false));
    } else if let Some(json) = exact_json(&data) {
        line.data = Some(Content::Json(json));
    } else if !data.is_empty() {
        line.data_base64 = Some(STANDARD.encode(&data));
    }
    write_line(out, &line)
}

/// Writes the last version of a stream whose last event is dropped.
pub(crate) fn write_end(
    out: &mut impl Write,
    position: u64,
    stream: &str,
    last_version: u64,
) -> std::io::Result<()> {
    write_line(out, &EndLine { position, stream, last_version })
}

/// Writes that the reader with a checkpoint has seen the events so far.
pub(crate) fn write_checkpoint(
    out: &mut impl Write,
    position: u64,
    checkpoint: &str,
    partition: Option<u32>,
) -> std::io::Result<()> {
    write_line(out, &CheckpointLine { position, checkpoint, partition })
}

/// Writes the last line of an export.
pub(crate) fn write_total(out: &mut impl Write, total: &ExportTotal) -> std::io::Result<()> {
    let ExportTotal { digest, partitions } = total;
    write_line(out, &TotalLine { digest: digest.to_string(), partitions: *partitions })
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Returns bytes as JSON that keeps all of them on one line.
fn exact_json(bytes: &[u8]) -> Option<&RawValue> {
    let value: &RawValue = serde_json::from_slice(bytes).ok()?;
    let is_whole = value.get().len() == bytes.len();
    (is_whole && !bytes.iter().any(|byte| b"\r\n".contains(byte))).then_some(value)
}

/// Writes an event's data as one line: JSON on one line, other data as they are.
pub(crate) fn write_raw(out: &mut impl Write, event: &Recorded) -> std::io::Result<()> {
    let mut data = event.data().to_vec();
    if event.content_type() == JSON {
        join_lines(&mut data);
    }
    data.push(b'\n');
    out.write_all(&data)
}

/// JSON that is kept as it was written may have several lines; within its texts they are escaped.
fn join_lines(json: &mut [u8]) {
    json.iter_mut().filter(|byte| b"\r\n".contains(byte)).for_each(|byte| *byte = b' ');
}

/// The columns of the events in a table, before their data.
const COLUMNS: [&str; 6] = ["position", "event time", "stream", "version", "type", "tags"];

/// Prints events as a table. A row's data are cut to what the terminal has left for them; if that is
/// too little, tags and data get a line of their own below the row.
pub(crate) fn print_events(events: &[Recorded]) -> std::io::Result<()> {
    let rows: Vec<_> = events.iter().map(cells).collect();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).fold(COLUMNS[column].len(), usize::max)
    };
    let others: usize = (0..COLUMNS.len()).map(|column| widest(column) + GAP).sum();
    let left = width().map_or(DATA, |width| usize::from(width).saturating_sub(others + GAP));
    if left < MIN_DATA {
        return print_narrow(events, rows);
    }
    let mut shown = table(&[&COLUMNS[..], &["data"]].concat());
    for (row, event) in rows.into_iter().zip(events) {
        shown.add_row(row.into_iter().chain([data_text(event, left)]));
    }
    print_table(&shown)
}

fn print_narrow(events: &[Recorded], rows: Vec<[String; 6]>) -> std::io::Result<()> {
    let mut shown = table(&COLUMNS[..5]);
    shown.set_content_arrangement(ContentArrangement::Disabled);
    let mut below = Vec::new();
    for ([position, time, stream, version, event_type, tags], event) in rows.into_iter().zip(events)
    {
        shown.add_row([position, time, stream, version, event_type]);
        let tags = if tags.is_empty() { tags } else { format!("{tags}  ") };
        let used = INDENT.len() + tags.chars().count();
        let left = width().map_or(DATA, |width| usize::from(width).saturating_sub(used));
        below.push(format!("{INDENT}{tags}{}", data_text(event, left.max(MIN_DATA))));
    }
    let lines: Vec<String> = shown.lines().collect();
    let (head, lines) = lines.split_at(1);
    let mut out = anstream::stdout().lock();
    write_head(&mut out, head.first().map_or("", String::as_str))?;
    for (line, below) in lines.iter().zip(below) {
        writeln!(out, "{}", line.trim_end())?;
        writeln!(out, "{}", below.trim_end())?;
    }
    out.flush()
}

/// Formats an event as one line for people.
pub(crate) fn event_text(event: &Recorded) -> String {
    let mut cells = cells(event).to_vec();
    cells.retain(|cell| !cell.is_empty());
    let others: usize = cells.iter().map(|cell| cell.chars().count() + GAP).sum();
    let left = width().map_or(DATA, |width| usize::from(width).saturating_sub(others));
    cells.push(data_text(event, left.max(MIN_DATA)));
    cells.join("  ")
}

/// Returns the cells of an event before its data.
fn cells(event: &Recorded) -> [String; 6] {
    let tags: Vec<_> = event.tags().map(|(key, value)| format!("{key}={value}")).collect();
    [
        event.position().to_string(),
        event.event_time().to_string(),
        event.stream().to_owned(),
        event.version().to_string(),
        event.event_type().to_owned(),
        tags.join(" "),
    ]
    .map(|cell| printable(&cell))
}

/// Returns the first characters of an event's data.
fn data_text(event: &Recorded, most: usize) -> String {
    let data = event.data();
    let text = String::from_utf8_lossy(&data);
    let mut shown: String = text.chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.pop();
        shown.push('\u{2026}');
    }
    printable(&shown)
}

/// Replaces what could change the terminal, or the order in which it shows text.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}
