//! Mappings: the built-in ones, a trial of one on files, and drafts of new ones.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use leftfold_connect::{Draft, Item, Mapping, ReadError, ReadSummary, Reject, draft_mapping, read};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::ingest::{SOME_REJECTED, bar, mapping, unreadable_error};
use crate::args::MappingAction;
use crate::inputs::{Inputs, for_each};
use crate::output::{for_people, thousands};

/// Drafts and rejects that a trial prints.
const SAMPLES: usize = 3;
/// Event types that a trial counts by name.
const MAX_TYPES: usize = 100;
/// Bytes of a file that a draft of a mapping is made from.
const LOOKED_AT: u64 = 1 << 20;

pub(crate) fn run(action: MappingAction) -> anyhow::Result<ExitCode> {
    match action {
        MappingAction::List => list(),
        MappingAction::Show { name } => match Mapping::builtin_source(&name) {
            Some(source) => say!("{}", source.trim_end()),
            None => {
                bail!("there is no built-in mapping {name}; there are {}", builtin_names())
            }
        },
        MappingAction::Check { mapping: name, files } => {
            let mapping = mapping(&name, None)?;
            if !files.is_empty() {
                return try_out(&mapping, Inputs::find(&files), u64::MAX);
            }
            say!("{name} is a mapping named {}", mapping.name());
        }
        MappingAction::New { file } => say!("{}", draft(file)?.trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

fn builtin_names() -> String {
    Mapping::builtin_names().join(", ")
}

fn list() {
    for name in Mapping::builtin_names() {
        match for_people() {
            true => say!("{name}"),
            false => say!("{}", json!({ "name": name })),
        }
    }
}

/// Drafts a mapping from the start of a file.
fn draft(file: PathBuf) -> anyhow::Result<String> {
    let name = file.display().to_string();
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("-").to_owned();
    let (bar, mut drafted) = (bar(None)?, None);
    let unreadable = for_each(Inputs::find(&[file]), &bar, &mut |_, text| {
        if drafted.is_none() {
            let mut start = Vec::new();
            if let Err(error) = text.take(LOOKED_AT).read_to_end(&mut start) {
                return Ok(Err(error.into()));
            }
            drafted = Some(draft_mapping(&stem, &start));
        }
        Ok(Ok(()))
    })?;
    bar.finish_and_clear();
    match drafted {
        Some(drafted) => drafted.with_context(|| name),
        None => Err(unreadable_error(&unreadable)),
    }
}

/// Reads inputs with a mapping and prints what an ingest would do, without a store.
pub(super) fn try_out(mapping: &Mapping, inputs: Inputs, limit: u64) -> anyhow::Result<ExitCode> {
    let bar = bar(inputs.bytes)?;
    let mut trial = Trial::new(mapping);
    let unreadable = for_each(inputs, &bar, &mut |name, text| {
        let result = read(mapping, text, &mut |item| {
            trial.add(name, item);
            match trial.rejected > limit {
                true => Err(()),
                false => Ok(()),
            }
        });
        match result {
            Ok(summary) => trial.end(&summary),
            Err(ReadError::Io(error)) => return Ok(Err(error.into())),
            Err(_) => bail!("{name}: more than {limit} records would be rejected"),
        }
        Ok(Ok(()))
    });
    bar.finish_and_clear();
    trial.print();
    let unreadable = unreadable?;
    if !unreadable.is_empty() {
        return Err(unreadable_error(&unreadable));
    }
    let clean = trial.rejected == 0 && !trial.incomplete;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) })
}

/// What a mapping makes of some inputs.
struct Trial {
    records: u64,
    rejected: u64,
    skipped: u64,
    incomplete: bool,
    types: BTreeMap<String, u64>,
    reasons: BTreeMap<&'static str, u64>,
    /// The sum of each decimal of the payload; `None` has more digits than can be added.
    sums: BTreeMap<String, Option<Decimal>>,
    samples: Vec<Draft>,
    rejects: Vec<(String, Reject)>,
}

impl Trial {
    fn new(mapping: &Mapping) -> Trial {
        let zero = |name| (name, Some(Decimal::ZERO));
        Trial {
            records: 0,
            rejected: 0,
            skipped: 0,
            incomplete: false,
            types: BTreeMap::new(),
            reasons: BTreeMap::new(),
            sums: mapping.decimals().into_iter().map(zero).collect(),
            samples: Vec::new(),
            rejects: Vec::new(),
        }
    }

    fn add(&mut self, file: &str, item: Item) {
        match item {
            Item::Record(draft) => self.add_draft(draft),
            Item::GroupEnd(_) => {}
            Item::Reject(reject) => {
                self.rejected += 1;
                *self.reasons.entry(reject.reason.code()).or_default() += 1;
                if self.rejects.len() < SAMPLES {
                    self.rejects.push((file.to_owned(), reject));
                }
            }
        }
    }

    fn add_draft(&mut self, draft: Draft) {
        self.records += 1;
        let known = self.types.len() < MAX_TYPES || self.types.contains_key(&draft.event_type);
        let event_type = if known { draft.event_type.as_str() } else { "(others)" };
        match self.types.get_mut(event_type) {
            Some(count) => *count += 1,
            None => _ = self.types.insert(event_type.to_owned(), 1),
        }
        if !self.sums.is_empty() {
            self.sum(&draft);
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(draft);
        }
    }

    fn sum(&mut self, draft: &Draft) {
        let Ok(Value::Object(data)) = serde_json::from_slice(&draft.data) else { return };
        for (name, sum) in &mut self.sums {
            let Some(text) = data.get(name).and_then(Value::as_str) else { continue };
            let value = Decimal::from_str_exact(text).ok();
            *sum = sum.and_then(|sum| sum.checked_add(value?));
        }
    }

    fn end(&mut self, summary: &ReadSummary) {
        self.skipped += summary.skipped;
        self.incomplete |= !summary.complete;
    }

    fn print(&self) {
        if !for_people() {
            say!("{}", self.json());
            return;
        }
        let [records, rejected, skipped] =
            [self.records, self.rejected, self.skipped].map(thousands);
        say!("{records} events, {rejected} rejected, {skipped} skipped; nothing was stored");
        for (name, count) in &self.types {
            say!("  {name}: {}", thousands(*count));
        }
        for (name, sum) in &self.sums {
            say!("  sum of {name}: {}", sum_text(*sum));
        }
        for (reason, count) in &self.reasons {
            say!("  rejected, {reason}: {}", thousands(*count));
        }
        for draft in &self.samples {
            say!("{}", sample(draft));
        }
        for (file, reject) in &self.rejects {
            say!("{file}:{}: {}: {}", reject.line, reject.reason, reject.message);
        }
    }

    fn json(&self) -> Value {
        let sums = self.sums.iter().map(|(name, sum)| (name.clone(), json!(sum_text(*sum))));
        let rejects = self.rejects.iter().map(|(file, reject)| {
            json!({
                "file": file,
                "line": reject.line,
                "reason": reject.reason.code(),
                "message": reject.message,
                "record": reject.record,
            })
        });
        json!({
            "records": self.records,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "complete": !self.incomplete,
            "types": self.types,
            "reasons": self.reasons,
            "sums": sums.collect::<serde_json::Map<_, _>>(),
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
            "rejects": rejects.collect::<Vec<_>>(),
        })
    }
}

fn sum_text(sum: Option<Decimal>) -> String {
    sum.map_or_else(|| "more digits than can be added".to_owned(), |sum| sum.to_string())
}

/// Returns a draft as `read` would print its event.
fn sample(draft: &Draft) -> Value {
    let time = leftfold::Timestamp(draft.event_time_micros).to_string();
    let tags = draft.tags.iter().map(|(name, value)| (name.clone(), json!(value)));
    json!({
        "stream": draft.stream,
        "type": draft.event_type,
        "id": draft.id.to_string(),
        "event_time": time,
        "tags": tags.collect::<serde_json::Map<_, _>>(),
        "data": serde_json::from_slice::<Value>(&draft.data).unwrap_or_default(),
    })
}
