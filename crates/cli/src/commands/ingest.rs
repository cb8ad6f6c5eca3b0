mod log;

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use leftfold::EventStore;
use leftfold_connect::{
    IngestError, IngestObserver, IngestSummary, LedgerEntry, Mapping, Reject, Source, Tally,
    Warning, ingest,
};
use serde_json::{Value, json};

use super::mapping::try_out;
use crate::args::{self, Location};
use crate::failure::text;
use crate::inputs::{Inputs, Unreadable, for_each};
use crate::output::{for_people, hint, is_quiet, progress, thousands};
use crate::rejected;
use crate::rejects::{Existing, Rejects};
use crate::store::Store;

/// The exit code of an ingest that rejected some records.
pub(crate) const SOME_REJECTED: u8 = 3;

pub(crate) fn run(location: &Location, args: &args::Ingest) -> anyhow::Result<ExitCode> {
    if let Some(args::IngestAction::Log { mapping }) = &args.action {
        return log::run(location, mapping.as_deref());
    }
    let map = args.map.as_deref().unwrap_or_default();
    let mapping = mapping(map, args.zone.as_deref())?;
    if args.from_rejects && args.rejects.as_ref().is_some_and(|file| args.files.contains(file)) {
        bail!("--rejects must be another file than the one that is read");
    }
    let existing = if args.append_rejects { Existing::Append } else { Existing::Refuse };
    let limit = args.max_rejects.unwrap_or(u64::MAX);
    let inputs = Inputs::find(&args.files);
    if args.dry_run {
        return try_out(&mapping, inputs, limit);
    }
    if inputs.list.is_empty() {
        return Err(unreadable_error(&inputs.unreadable));
    }
    let mut rejects = Rejects::to(args.rejects.as_deref(), existing, limit)?;
    rejects.allow_empty = args.allow_empty;
    let store = Store::open(location)?;
    let totals = match args.from_rejects {
        true => ingest_again(&store, args, &mut rejects)?,
        false => ingest_all(&store, &mapping, inputs, &mut rejects, report)?,
    };
    match for_people() {
        true => say!("{}", summary(totals.tally)),
        false => say!("{}", to_json(totals.tally)),
    }
    totals.outcome()
}

/// Returns the line that ends every ingest, for people; programs get [`to_json`].
pub(crate) fn summary(sum: Tally) -> String {
    let mut line =
        format!("ingested={} repeated={} rejected={}", sum.ingested, sum.repeated, sum.rejected);
    let rare = [("kept", sum.kept), ("corrected", sum.corrected), ("warnings", sum.warnings)];
    for (name, count) in rare {
        if count > 0 {
            line += &format!(" {name}={count}");
        }
    }
    line
}

fn to_json(tally: Tally) -> Value {
    let Tally { ingested, repeated, kept, rejected, corrected, warnings, .. } = tally;
    json!({
        "ingested": ingested,
        "repeated": repeated,
        "kept": kept,
        "rejected": rejected,
        "corrected": corrected,
        "warnings": warnings,
    })
}

pub(crate) fn mapping(name: &str, zone: Option<&str>) -> anyhow::Result<Mapping> {
    let mapping = match Mapping::builtin(name) {
        Some(mapping) => mapping,
        None => {
            let builtin = Mapping::builtin_names().join(", ");
            let text = std::fs::read_to_string(name).with_context(|| {
                format!("{name} is neither a built-in mapping ({builtin}) nor a file to be read")
            })?;
            Mapping::parse(&text).with_context(|| format!("mapping {name}"))?
        }
    };
    Ok(match zone {
        Some(zone) => mapping.with_zone(zone)?,
        None => mapping,
    })
}

/// The results of all inputs.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) tally: Tally,
    /// Whether an input could not be read to its end because of its content.
    incomplete: bool,
    unreadable: Vec<Unreadable>,
}

impl Totals {
    fn outcome(&self) -> anyhow::Result<ExitCode> {
        if !self.unreadable.is_empty() {
            return Err(unreadable_error(&self.unreadable));
        }
        let clean = self.tally.rejected == 0 && !self.incomplete;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) })
    }
}

/// Returns the error that names the inputs that could not be read.
pub(super) fn unreadable_error(unreadable: &[Unreadable]) -> anyhow::Error {
    let line = |input: &Unreadable| format!("  {}: {}", input.name, text(&input.error));
    let lines: Vec<String> = unreadable.iter().map(line).collect();
    let what = if lines.len() == 1 { "an input" } else { "inputs" };
    anyhow!(
        "{what} could not be read:\n{}\nIngest again when it is repaired; no record is added twice.",
        lines.join("\n")
    )
}

/// Ingests inputs one after the other and reports what became of each.
pub(crate) fn ingest_all(
    store: &impl EventStore,
    mapping: &Mapping,
    inputs: Inputs,
    rejects: &mut Rejects,
    report: fn(&str, &IngestSummary),
) -> anyhow::Result<Totals> {
    warn_of_other_text(store, mapping);
    let mut totals = Totals::default();
    let bar = bar(inputs.bytes)?;
    let allow_empty = rejects.allow_empty;
    let unreadable = for_each(inputs, &bar, &mut |name, text| {
        let before = totals.tally;
        let mut observer = Progress { file: name, rejects: &mut *rejects, bar: &bar, before };
        let name_alone = name.rsplit(['/', '!']).next().unwrap_or(name);
        let source = Source { name: name_alone, may_be_empty: allow_empty };
        match ingest(store, mapping, source, text, &mut observer) {
            Ok(done) => {
                let entry = LedgerEntry::new(name, mapping, &done);
                // A caller who may append entries, but not to the ledger, ingests all the same.
                if let Err(error) = pollster::block_on(entry.write(store)) {
                    bar.suspend(|| hint(format!("warning: {name} is not in the ledger: {error}")));
                }
                add(&mut totals.tally, done.tally);
                totals.incomplete |= !done.read.complete;
                if !is_quiet() {
                    bar.suspend(|| report(name, &done));
                }
                Ok(Ok(()))
            }
            Err(IngestError::Rejects(_)) if rejects.is_over() => bail!(
                "{name}: more than {} records were rejected, so the ingest stopped; what was \
                 acknowledged stays, and no record is added twice",
                rejects.limit()
            ),
            Err(error @ IngestError::Input(_)) => Ok(Err(error.into())),
            Err(error) => Err(error).with_context(|| name.to_owned()),
        }
    });
    bar.finish_and_clear();
    // The rejects of a run that stops are needed most.
    rejects.finish()?;
    totals.unreadable = unreadable?;
    Ok(totals)
}

/// Warns if the mapping's text is another one than at its last ingest, though its version is the same.
fn warn_of_other_text(store: &impl EventStore, mapping: &Mapping) {
    // A caller who may not read the ledger ingests all the same.
    let Ok(Some(last)) = pollster::block_on(LedgerEntry::of_other_text(store, mapping)) else {
        return;
    };
    let (name, version, file) = (mapping.name(), mapping.version(), last.file);
    hint(format!(
        "warning: the text of mapping {name} has changed since {file} was ingested, and its version is \
         {version} as before. If records that are in the store become other events, give it version = {}, and \
         say in [changed] what happens to them.",
        version.saturating_add(1)
    ));
}

/// Ingests the records of rejects files.
fn ingest_again(
    store: &impl EventStore,
    args: &args::Ingest,
    rejects: &mut Rejects,
) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    let bar = bar(None)?;
    for path in &args.files {
        let name = path.display().to_string();
        for run in rejected::runs(path).with_context(|| name.clone())? {
            let map = args.map.as_deref().unwrap_or_default();
            let mapping = mapping(map, args.zone.as_deref())?;
            let mapping = for_records_of(&run.source, mapping, &bar)
                .with_context(|| format!("{name}: records of {}", run.source))?;
            let before = totals.tally;
            let mut observer = Progress { file: &name, rejects: &mut *rejects, bar: &bar, before };
            let source = run.source.rsplit(['/', '!']).next().unwrap_or(&run.source);
            let source = Source { name: source, may_be_empty: false };
            let done = ingest(store, &mapping, source, run.open()?, &mut observer);
            if done.is_err() {
                rejects.finish()?;
            }
            let done = done.with_context(|| name.clone())?;
            add(&mut totals.tally, done.tally);
            totals.incomplete |= !done.read.complete;
            if !is_quiet() {
                bar.suspend(|| report(&format!("{name} ({})", run.source), &done));
            }
        }
    }
    bar.finish_and_clear();
    rejects.finish()?;
    Ok(totals)
}

/// Returns the mapping for single records of a file.
fn for_records_of(source: &str, mapping: Mapping, bar: &ProgressBar) -> anyhow::Result<Mapping> {
    let (mut mapping, mut made) = (Some(mapping), None);
    let inputs = Inputs::find(&[source.into()]);
    let is_gone = inputs.list.is_empty() || source == "-";
    if !is_gone {
        for_each(inputs, bar, &mut |_, text| {
            made = mapping.take().map(|mapping| mapping.for_single_records(text)).or(made.take());
            Ok(Ok(()))
        })?;
    }
    match (made, mapping) {
        (Some(made), _) => Ok(made?),
        (None, Some(mapping)) => Ok(mapping.for_single_records(std::io::empty())?),
        (None, None) => bail!("the file cannot be read"),
    }
}

fn add(sum: &mut Tally, tally: Tally) {
    sum.ingested += tally.ingested;
    sum.repeated += tally.repeated;
    sum.kept += tally.kept;
    sum.rejected += tally.rejected;
    sum.corrected += tally.corrected;
    sum.warnings += tally.warnings;
}

/// Prints what became of one input.
fn report(name: &str, done: &IngestSummary) {
    match for_people() {
        true => report_in_words(name, done),
        false => report_as_json(name, done),
    }
}

fn report_as_json(name: &str, done: &IngestSummary) {
    let mut line = to_json(done.tally);
    let [held, mismatched, unchecked] = done.balances();
    line["file"] = name.into();
    line["complete"] = done.read.complete.into();
    line["skipped"] = done.read.skipped.into();
    line["balances_held"] = held.into();
    line["balances_mismatched"] = mismatched.into();
    line["balances_unchecked"] = unchecked.into();
    say!("{line}");
}

/// Prints what became of one input in sentences.
pub(crate) fn report_in_words(name: &str, done: &IngestSummary) {
    let IngestSummary { tally, read, .. } = done;
    let [ingested, repeated, rejected] =
        [tally.ingested, tally.repeated, tally.rejected].map(thousands);
    let skipped = match read.skipped {
        0 => String::new(),
        skipped => format!(", {} skipped", thousands(skipped)),
    };
    say!("{name}: {ingested} ingested, {repeated} repeated, {rejected} rejected{skipped}");
    if tally.kept > 0 {
        let kept = thousands(tally.kept);
        say!("  {kept} of the repeated stay as an older version of the mapping made them");
    }
    if read.balances_held + read.balances_mismatched + read.balances_unchecked > 0 {
        let [held, wrong, unchecked] = done.balances().map(thousands);
        say!("  statement balances: {held} hold, {wrong} do not, {unchecked} could not be checked");
    }
    if !read.complete {
        say!("  the file could not be read to its end; see the last reject");
    }
}

/// Makes the progress bar of all inputs: bytes, records a second, rejects, and the time left if the
/// number of bytes is known.
pub(super) fn bar(bytes: Option<u64>) -> anyhow::Result<ProgressBar> {
    let bar = progress("")?;
    let Some(bytes) = bytes else {
        bar.set_style(ProgressStyle::with_template(
            "{spinner} {bytes} in {elapsed}  {bytes_per_sec}  {msg}",
        )?);
        return Ok(bar);
    };
    bar.set_length(bytes);
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {msg}  {left} left",
    )?;
    let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        _ = write!(out, "{}s", state.eta().as_secs());
    };
    bar.set_style(style.with_key("left", left));
    Ok(bar)
}

struct Progress<'a> {
    file: &'a str,
    rejects: &'a mut Rejects,
    bar: &'a ProgressBar,
    /// The counts of the inputs before this one.
    before: Tally,
}

impl IngestObserver for Progress<'_> {
    fn on_reject(&mut self, reject: &Reject) -> std::io::Result<()> {
        self.rejects.write(self.file, reject)
    }

    fn on_warning(&mut self, warning: &Warning) -> std::io::Result<()> {
        let (rejects, file) = (&mut self.rejects, self.file);
        self.bar.suspend(|| rejects.warn(file, warning))
    }

    fn on_progress(&mut self, tally: Tally) {
        let mut sum = self.before;
        add(&mut sum, tally);
        let records = sum.ingested + sum.repeated + sum.rejected;
        let rate = records as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
        let [rate, rejected] = [rate as u64, sum.rejected].map(thousands);
        self.bar.set_message(format!("{rate} records/s  {rejected} rejected"));
    }
}
