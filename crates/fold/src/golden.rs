//! Golden samples: stored events are read for ever, so a change of their shape must be noticed.
//!
//! A test keeps a sample file for each version of each event type: `TYPE.vN.json`, or `TYPE.vN.bin` if
//! the enum has another encoding than JSON. The test fails, and says what to
//! do, in three cases: an event is written in another shape than its version's sample, an old
//! sample cannot be read any more, or a sample is missing.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let golden = dir.path();
//! use leftfold::Event;
//!
//! #[derive(Event)]
//! enum Bank { Opened { owner: String }, Closed }
//!
//! let samples = || [Bank::Opened { owner: "Ann".into() }, Bank::Closed];
//!
//! // In a test, `leftfold::golden!("tests/golden", samples())` does this, with the package's
//! // directory. The first time, and for each new version, run it with LEFTFOLD_GOLDEN=write.
//! use leftfold::golden::{Missing, check};
//! check(golden, &samples(), Missing::Write)?;
//! check(golden, &samples(), Missing::Fail)?;
//! assert!(golden.join("Opened.v1.json").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::event::{Event, Kind};
use crate::payload::Payload;

/// The environment variable that makes [`check`] write missing samples if it is set to `write`.
pub const VARIABLE: &str = "LEFTFOLD_GOLDEN";

/// The extension of samples in JSON.
const JSON: &str = "json";
/// The extension of samples in other encodings.
const BINARY: &str = "bin";

/// What to do about a missing sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Write it. An existing sample is never changed.
    Write,
    /// Fail the check.
    Fail,
}

impl Missing {
    /// Reads the choice from the environment variable [`VARIABLE`].
    pub fn from_env() -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Ok("write") => Missing::Write,
            _ => Missing::Fail,
        }
    }
}

/// Checks events against the golden samples in a directory of the package, one sample of each event
/// type given: `golden!("tests/golden", [Bank::Opened { .. }, ..])`. For tests: it panics with a
/// list of the problems and what to do. See [`golden`](mod@crate::golden).
#[macro_export]
macro_rules! golden {
    ($dir:literal, $samples:expr) => {
        let dir = ::std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join($dir);
        let missing = $crate::golden::Missing::from_env();
        if let ::std::result::Result::Err(problems) =
            $crate::golden::check(&dir, &$samples, missing)
        {
            ::std::panic!("{problems}");
        }
    };
}

/// Checks samples of all event types against those in a directory. The error is a list of
/// sentences.
pub fn check<E: Event>(dir: &Path, samples: &[E], missing: Missing) -> Result<(), String> {
    let mut problems = Vec::new();
    for kind in E::KINDS {
        match samples.iter().find(|sample| sample.kind() == kind) {
            Some(sample) => check_kind(dir, kind, sample, missing, &mut problems),
            None => problems.push(format!(
                "{} has no sample in the list of this test: add one with all its fields set",
                kind.event_type
            )),
        }
    }
    problems.extend(unknown_types::<E>(dir));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn check_kind<E: Event>(
    dir: &Path,
    kind: &Kind,
    sample: &E,
    missing: Missing,
    problems: &mut Vec<String>,
) {
    let Kind { event_type, version } = kind;
    let now = match sample.encode() {
        Ok(payload) => payload,
        Err(error) => return problems.push(format!("{event_type}: {error}")),
    };
    match encode_again::<E>(kind, *version, &now) {
        Ok(again) if again == now => {}
        Ok(_) => {
            problems.push(format!("{event_type} is another event after it was written and read"));
        }
        Err(wrong) => {
            problems.push(format!("{event_type} can't read what it has written: {wrong}"));
        }
    }
    for past in 1..=*version {
        let Some(golden) = read_sample(dir, kind, past, &now) else {
            problems.extend(handle_missing(dir, kind, past, &now, missing));
            continue;
        };
        let again = encode_again::<E>(kind, past, &golden);
        if let Err(wrong) = &again {
            problems.push(format!(
                "{event_type}: the golden sample of version {past} can't be read any more: {wrong}. \
                 Stored events can't either. Take the change back, or mend the functions in \
                 `upcast(...)`"
            ));
        }
        let differences = match again {
            _ if past < *version => Vec::new(),
            _ if now.is_json() => differences(&json(&golden), &json(&now)),
            Ok(again) if again != golden => vec!["its sample is written as other bytes".to_owned()],
            _ => Vec::new(),
        };
        if !differences.is_empty() {
            problems.push(format!(
                "{event_type} has another shape than version {version} of it: {}. Stored events have \
                 the old one. Take the change back, or make it version {}: set `#[event(version = \
                 {1}, upcast(..))]` with a function from {version} to {1} added, and run this test \
                 once with {VARIABLE}=write",
                differences.join(", "),
                version + 1,
            ));
        }
    }
}

/// Decodes a payload of a version, and encodes the event again.
fn encode_again<E: Event>(
    kind: &Kind,
    version: u16,
    payload: &Payload<'_>,
) -> Result<Payload<'static>, String> {
    let event = E::decode(kind.event_type, version, payload).map_err(|wrong| wrong.to_string())?;
    let event = event.ok_or("its type is not known to its own enum")?;
    event.encode().map_err(|error| error.to_string())
}

/// Reads a sample. An event that has another encoding now may have old samples in JSON.
fn read_sample(
    dir: &Path,
    kind: &Kind,
    version: u16,
    now: &Payload<'_>,
) -> Option<Payload<'static>> {
    let read = |extension| fs::read(sample_file(dir, kind, version, extension)).ok();
    if !now.is_json()
        && let Some(bytes) = read(BINARY)
    {
        return Some(Payload::new(now.content_type.clone().into_owned(), bytes));
    }
    read(JSON).map(Payload::json)
}

fn sample_file(dir: &Path, kind: &Kind, version: u16, extension: &str) -> PathBuf {
    dir.join(format!("{}.v{version}.{extension}", kind.event_type))
}

fn json(payload: &Payload<'_>) -> Value {
    serde_json::from_slice(&payload.data).unwrap_or_default()
}

/// Handles a missing sample: writes it or returns the problem.
fn handle_missing(
    dir: &Path,
    kind: &Kind,
    past: u16,
    now: &Payload<'_>,
    missing: Missing,
) -> Option<String> {
    let Kind { event_type, version } = kind;
    let file = sample_file(dir, kind, past, if now.is_json() { JSON } else { BINARY });
    if past < *version {
        return Some(format!(
            "{event_type}: the golden sample of version {past} is gone: take {} back from version \
             control",
            file.display()
        ));
    }
    if missing == Missing::Fail {
        return Some(format!(
            "{event_type} has no golden sample of version {version}: if it is new, run this test \
             once with {VARIABLE}=write and commit {}",
            file.display()
        ));
    }
    let content = match now.is_json() {
        true => (serde_json::to_string_pretty(&json(now)).unwrap_or_default() + "\n").into_bytes(),
        false => now.data.to_vec(),
    };
    let written = fs::create_dir_all(dir).and_then(|()| fs::write(&file, content));
    written.err().map(|error| format!("{}: {error}", file.display()))
}

/// Returns a problem for each event type that has samples but is not in the enum.
fn unknown_types<E: Event>(dir: &Path) -> Vec<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((event_type, JSON | BINARY)) =
            name.rsplit_once('.').and_then(|(rest, ext)| Some((rest.rsplit_once(".v")?.0, ext)))
        {
            names.insert(event_type.to_owned());
        }
    }
    let known = |name: &String| E::KINDS.iter().any(|kind| kind.event_type == name);
    names.retain(|name| !known(name));
    let sentence = |name| {
        format!(
            "{name} has golden samples and is no event any more. If it was renamed, say \
             `#[event(name = {name:?})]`; if no store holds one, delete the samples"
        )
    };
    names.into_iter().map(sentence).collect()
}

/// Returns the differences in shape: fields and the kinds of their values, not the values.
fn differences(then: &Value, now: &Value) -> Vec<String> {
    let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
    shape("", then, &mut old);
    shape("", now, &mut new);
    let gone = old.difference(&new).map(|field| format!("{field} is gone"));
    let added = new.difference(&old).map(|field| format!("{field} is new"));
    gone.chain(added).collect()
}

fn shape(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    let mut leaf = |kind: &str| {
        found.insert(format!("`{}` ({kind})", if path.is_empty() { "." } else { path }));
    };
    match value {
        Value::Null => leaf("null"),
        Value::Bool(_) => leaf("boolean"),
        Value::Number(_) => leaf("number"),
        Value::String(_) => leaf("text"),
        Value::Array(items) => {
            leaf("list");
            items.iter().for_each(|item| shape(&format!("{path}[]"), item, found));
        }
        Value::Object(fields) => {
            leaf("object");
            let dot = if path.is_empty() { "" } else { "." };
            fields.iter().for_each(|(name, it)| shape(&format!("{path}{dot}{name}"), it, found));
        }
    }
}
