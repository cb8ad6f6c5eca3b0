//! Appends the lines of `leftfold read`: copies events from one store to another, or to another stream.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold::{Append, AppendError, EventStore, Invalid, JSON, NewEvent, Overlap, Timestamp};
use pollster::block_on;
use serde::{Deserialize, Deserializer};
use serde_json::{json, value::RawValue};
use uuid::Uuid;

use crate::args::Location;
use crate::output::{for_people, is_quiet, thousands};
use crate::store::Store;

/// The most events of one append.
const BATCH_EVENTS: usize = 500;
/// The bytes of lines after which a batch is appended.
const BATCH_BYTES: usize = 1 << 20;
/// The most bytes of a line: an event of the largest size whose every byte is escaped.
pub(crate) const LINE_BYTES: u64 = 128 << 20;

/// An event as `leftfold read` prints it; the position and the version are those of another store.
#[derive(Deserialize)]
struct Line<'a> {
    stream: Option<String>,
    r#type: String,
    id: Option<String>,
    event_time: Option<String>,
    commit_time: Option<String>,
    correlation: Option<String>,
    causation: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    content_type: Option<String>,
    #[serde(default)]
    schema_version: u16,
    #[serde(borrow, default, deserialize_with = "present")]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    /// JSON that can't be in a line as it is.
    data_base64: Option<String>,
    position: Option<u64>,
    version: Option<u64>,
    event_time_given: Option<bool>,
}

/// Reads a value that may be null, which differs from one that is absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Bytes that are no text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

/// An event of a line.
pub(crate) struct EventLine {
    pub(crate) stream: String,
    pub(crate) event: NewEvent,
    /// Whether its event time was that of the commit: then the event may be stored without one.
    by_commit: bool,
    pub(crate) place: Place,
}

/// What the other store had added to an event.
pub(crate) struct Place {
    pub(crate) position: Option<u64>,
    pub(crate) version: Option<u64>,
    pub(crate) commit_time: Option<Timestamp>,
    pub(crate) event_time_given: Option<bool>,
}

/// Events of one append, from consecutive lines.
#[derive(Default)]
struct Batch {
    drafts: Vec<EventLine>,
    ids: HashSet<(String, Uuid)>,
    bytes: usize,
    /// The number of its first line.
    first: u64,
}

/// Counts of the lines by outcome.
#[derive(Default)]
struct Tally {
    appended: u64,
    repeated: u64,
}

pub(super) fn run(
    location: &Location,
    file: &Path,
    stream: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(File::open(file).with_context(|| file.display().to_string())?),
    };
    let store = Store::open(location)?;
    let mut tally = Tally::default();
    let done = append_lines(&store, BufReader::new(input), stream, &mut tally);
    if let Err(error) = done {
        let Tally { appended, repeated } = tally;
        return Err(error.context(format!(
            "stopped after {appended} appended and {repeated} repeated events; run it again when \
             the cause is mended, no event with an id is appended twice"
        )));
    }
    print(&tally);
    Ok(ExitCode::SUCCESS)
}

fn print(tally: &Tally) {
    let Tally { appended, repeated } = *tally;
    if !for_people() {
        say!("{}", json!({"appended": appended, "repeated": repeated}));
    } else if !is_quiet() {
        say!("{} events appended, {} repeated", thousands(appended), thousands(repeated));
    }
}

fn append_lines(
    store: &Store,
    mut input: impl BufRead,
    stream: Option<&str>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (mut batch, mut line, mut number) = (Batch::default(), Vec::new(), 0_u64);
    loop {
        line.clear();
        let read = input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
        if read.context("reading the events")? == 0 {
            return batch.send(store, tally);
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let draft = parse_event(&line, stream).with_context(|| format!("line {number}"))?;
        // An append with one id twice is refused; the second one is a repeat of the first.
        if batch.holds(&draft) {
            std::mem::take(&mut batch).send(store, tally)?;
        }
        batch.add(draft, line.len(), number);
        if batch.drafts.len() >= BATCH_EVENTS || batch.bytes >= BATCH_BYTES {
            std::mem::take(&mut batch).send(store, tally)?;
        }
    }
}

impl Batch {
    fn holds(&self, draft: &EventLine) -> bool {
        draft.event.id.is_some_and(|id| self.ids.contains(&(draft.stream.clone(), id)))
    }

    fn add(&mut self, draft: EventLine, bytes: usize, number: u64) {
        if self.drafts.is_empty() {
            self.first = number;
        }
        self.bytes += bytes;
        self.ids.extend(draft.event.id.map(|id| (draft.stream.clone(), id)));
        self.drafts.push(draft);
    }

    fn send(self, store: &Store, tally: &mut Tally) -> anyhow::Result<()> {
        if self.drafts.is_empty() {
            return Ok(());
        }
        let count = self.drafts.len() as u64;
        let all = self
            .drafts
            .iter()
            .fold(Append::new(), |append, draft| append.event(&draft.stream, draft.event.clone()));
        match block_on(store.append(all)) {
            Ok(appended) => tally.count(appended.repeated, count),
            Err(AppendError::Overlap(_)) => {
                // Some are stored by other appends: each is new or a repeat.
                for draft in self.drafts {
                    let stream = draft.stream.clone();
                    let repeated = block_on(send_one(store, draft));
                    tally.count(repeated.with_context(|| format!("stream {stream}"))?, 1);
                }
            }
            Err(error) => {
                let lines = format!("the lines from {} on", self.first);
                return Err(anyhow::Error::from(error).context(lines));
            }
        }
        Ok(())
    }
}

/// Appends one event; returns whether it was stored before.
async fn send_one(store: &Store, draft: EventLine) -> Result<bool, AppendError> {
    let EventLine { stream, event, by_commit, .. } = draft;
    let append = |event| store.append(Append::new().event(&stream, event));
    let answer = match append(event.clone()).await {
        Err(AppendError::Overlap(Overlap::Content { .. })) if by_commit => {
            append(NewEvent { event_time: None, ..event }).await
        }
        answer => answer,
    };
    Ok(answer?.repeated)
}

impl Tally {
    fn count(&mut self, repeated: bool, events: u64) {
        match repeated {
            true => self.repeated += events,
            false => self.appended += events,
        }
    }
}

/// Reads an event as `leftfold read` or `leftfold export` prints it.
///
/// # Errors
/// `data_invalid` if it is none; `time_invalid`.
pub(crate) fn parse_event(line: &[u8], stream: Option<&str>) -> Result<EventLine, Invalid> {
    let invalid = |why: String| {
        let message = format!("expected an event as leftfold read prints it, but {why}");
        Invalid::new("data_invalid", message)
    };
    let line: Line = serde_json::from_slice(line).map_err(|error| invalid(error.to_string()))?;
    let stream = stream.map(str::to_owned).or(line.stream);
    let stream = stream.ok_or_else(|| invalid("it has no stream, and none is given".to_owned()))?;
    let id = line.id.map(|id| id.parse().map_err(|_| invalid(format!("{id} is not a UUID"))));
    let by_commit = line.event_time.is_some() && line.event_time == line.commit_time;
    let event_time = line.event_time.map(|time| time.parse()).transpose()?;
    let place = Place {
        position: line.position,
        version: line.version,
        commit_time: line.commit_time.map(|time| time.parse()).transpose()?,
        event_time_given: line.event_time_given,
    };
    let tags = line.tags.iter().map(|tag| {
        let (key, value) =
            tag.split_once('=').ok_or_else(|| invalid(format!("{tag} is not a tag")))?;
        Ok((key.to_owned(), value.to_owned()))
    });
    let content_type = line.content_type.unwrap_or_else(|| JSON.to_owned());
    let base64 = line.data_base64.map(|text| decode(&text)).transpose().map_err(&invalid)?;
    let data = match line.data {
        _ if let Some(data) = base64 => data,
        Some(json) if content_type == JSON => json.get().as_bytes().to_vec(),
        data => bytes(data).map_err(&invalid)?,
    };
    let event = NewEvent {
        id: id.transpose()?,
        event_time,
        correlation: line.correlation,
        causation: line.causation,
        tags: tags.collect::<Result<_, Invalid>>()?,
        content_type,
        schema_version: line.schema_version,
        metadata: bytes(line.metadata).map_err(&invalid)?.into(),
        ..NewEvent::new(line.r#type, data)
    };
    Ok(EventLine { stream, event, by_commit, place })
}

/// Returns the bytes that are printed as a value: text, base64, or JSON as it is.
pub(crate) fn bytes(value: Option<&RawValue>) -> Result<Vec<u8>, String> {
    let Some(value) = value.map(RawValue::get) else { return Ok(Vec::new()) };
    if value == "null" {
        return Ok(Vec::new());
    }
    if let Ok(text) = serde_json::from_str::<String>(value) {
        return Ok(text.into_bytes());
    }
    match serde_json::from_str::<Base64>(value) {
        Ok(Base64 { base64 }) => decode(&base64),
        Err(_) => Ok(value.as_bytes().to_vec()),
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(base64).map_err(|_| "its base64 is broken".to_owned())
}
