//! Standard output: tables on a terminal, one JSON object a line for programs.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use comfy_table::{ContentArrangement, Table, presets};
use leftfold::{JSON, Recorded};
use serde::Serialize;
use serde_json::value::RawValue;

/// Characters of an event's data in a table.
const MAX_SHOWN: usize = 60;

/// Whether standard output is a terminal.
pub(crate) fn for_people() -> bool {
    std::io::stdout().is_terminal()
}

/// Makes a table without lines, as wide as the terminal.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().copied());
    table
}

/// Formats a number with commas between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    id: String,
    r#type: &'a str,
    event_time: String,
    commit_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<&'a str>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: &'a str,
    metadata: Content<'a>,
    data: Content<'a>,
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
}

/// Writes an event as one line of JSON.
pub(crate) fn write_json(out: &mut impl Write, event: &Recorded) -> std::io::Result<()> {
    let (data, metadata) = (event.data(), event.metadata());
    let json = event.content_type() == JSON;
    let line = Line {
        position: event.position(),
        stream: event.stream(),
        version: event.version(),
        id: event.id().to_string(),
        r#type: event.event_type(),
        event_time: event.event_time().to_string(),
        commit_time: event.commit_time().to_string(),
        correlation: event.correlation(),
        causation: event.causation(),
        tags: event.tags().map(|(key, value)| format!("{key}={value}")).collect(),
        content_type: if json { "" } else { event.content_type() },
        metadata: Content::of(&metadata, true),
        data: Content::of(&data, json),
    };
    let mut line = serde_json::to_vec(&line)?;
    // JSON that is kept as it was written may have several lines; within its texts they are escaped.
    line.iter_mut().filter(|byte| b"\r\n".contains(byte)).for_each(|byte| *byte = b' ');
    line.push(b'\n');
    out.write_all(&line)
}

pub(crate) const EVENT_COLUMNS: [&str; 6] =
    ["position", "event time", "stream", "version", "type", "data"];

/// Makes the row of an event.
pub(crate) fn row(event: &Recorded) -> Vec<String> {
    let data = event.data();
    let text = String::from_utf8_lossy(&data);
    let mut shown: String =
        text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > MAX_SHOWN {
        shown.push('\u{2026}');
    }
    vec![
        event.position().to_string(),
        event.event_time().to_string(),
        event.stream().to_owned(),
        event.version().to_string(),
        event.event_type().to_owned(),
        shown,
    ]
}

/// Makes a progress bar on standard error, hidden if that is no terminal.
pub(crate) fn progress(template: &str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template)?);
    Ok(bar)
}
