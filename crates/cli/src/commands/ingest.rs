use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use leftfold::EventStore;
use leftfold_connect::{
    IngestObserver, IngestSummary, Mapping, Reject, Source, Tally, Warning, ingest,
};
use serde_json::{Value, json};

use crate::args::{self, Location};
use crate::output::{is_json_named, is_quiet, progress, thousands};
use crate::store::Store;

/// The exit code of an ingest that rejected some records.
const SOME_REJECTED: u8 = 3;
/// Bytes of one read of a file.
const READ_AHEAD: usize = 256 << 10;

pub(crate) fn run(location: &Location, args: &args::Ingest) -> anyhow::Result<ExitCode> {
    let mapping = mapping(&args.map, args.zone.as_deref())?;
    let mut rejects = Rejects::to(args.rejects.as_deref())?;
    rejects.allow_empty = args.allow_empty;
    // A missing file is an error before anything is ingested.
    for file in &args.files {
        std::fs::metadata(file).with_context(|| file.display().to_string())?;
    }
    let store = Store::open(location)?;
    let (sum, complete) = ingest_all(&store, &mapping, &args.files, &mut rejects)?;
    match is_json_named() {
        true => say!("{}", to_json(sum)),
        false => say!("{}", summary(sum)),
    }
    let clean = sum.rejected == 0 && complete;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) })
}

/// The line that ends every ingest, for programs.
pub(crate) fn summary(sum: Tally) -> String {
    let mut line =
        format!("ingested={} repeated={} rejected={}", sum.ingested, sum.repeated, sum.rejected);
    for (name, count) in [("corrected", sum.corrected), ("warnings", sum.warnings)] {
        if count > 0 {
            line += &format!(" {name}={count}");
        }
    }
    line
}

fn to_json(tally: Tally) -> Value {
    let Tally { ingested, repeated, rejected, corrected, warnings, .. } = tally;
    json!({
        "ingested": ingested,
        "repeated": repeated,
        "rejected": rejected,
        "corrected": corrected,
        "warnings": warnings,
    })
}

fn mapping(name: &str, zone: Option<&str>) -> anyhow::Result<Mapping> {
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

/// Ingests files one after the other and prints a line for each; also returns whether all were read
/// to their ends.
pub(crate) fn ingest_all(
    store: &impl EventStore,
    mapping: &Mapping,
    files: &[PathBuf],
    rejects: &mut Rejects,
) -> anyhow::Result<(Tally, bool)> {
    let (mut sum, mut complete) = (Tally::default(), true);
    for file in files {
        let name = file.display().to_string();
        let IngestSummary { tally, read, .. } =
            ingest_one(store, mapping, file, rejects).with_context(|| name.clone())?;
        sum.ingested += tally.ingested;
        sum.repeated += tally.repeated;
        sum.rejected += tally.rejected;
        sum.corrected += tally.corrected;
        sum.warnings += tally.warnings;
        complete &= read.complete;
        let [ingested, repeated, rejected] =
            [tally.ingested, tally.repeated, tally.rejected].map(thousands);
        if is_quiet() {
            continue;
        }
        if is_json_named() {
            let mut line = to_json(tally);
            line["file"] = name.into();
            line["complete"] = read.complete.into();
            say!("{line}");
            continue;
        }
        say!("{name}: {ingested} ingested, {repeated} repeated, {rejected} rejected");
        if read.balances_held + read.balances_mismatched + read.balances_unchecked > 0 {
            // A balance of which a record was refused proves nothing.
            let broken = tally.balances_broken;
            let counts = [
                read.balances_held - broken.min(read.balances_held),
                read.balances_mismatched,
                read.balances_unchecked + broken,
            ];
            let [held, wrong, unchecked] = counts.map(thousands);
            say!(
                "  statement balances: {held} hold, {wrong} do not, {unchecked} could not be checked"
            );
        }
        if !read.complete {
            say!("  the file could not be read to its end; see the last reject");
        }
    }
    rejects.finish()?;
    Ok((sum, complete))
}

fn ingest_one(
    store: &impl EventStore,
    mapping: &Mapping,
    file: &Path,
    rejects: &mut Rejects,
) -> anyhow::Result<IngestSummary> {
    let input = File::open(file)?;
    let bar = bar(input.metadata()?.len())?;
    let input = bar.wrap_read(input);
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let source = Source { name: &name, may_be_empty: rejects.allow_empty };
    let mut observer = Progress { file, rejects, bar: &bar };
    let input = BufReader::with_capacity(READ_AHEAD, input);
    let done = ingest(store, mapping, source, input, &mut observer);
    bar.finish_and_clear();
    Ok(done?)
}

/// Makes a progress bar: bytes, records a second, rejects and time left.
fn bar(bytes: u64) -> anyhow::Result<ProgressBar> {
    let bar = progress("")?;
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
    file: &'a Path,
    rejects: &'a mut Rejects,
    bar: &'a ProgressBar,
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
        let records = tally.ingested + tally.repeated + tally.rejected;
        let rate = records as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
        let [rate, rejected] = [rate as u64, tally.rejected].map(thousands);
        self.bar.set_message(format!("{rate} records/s  {rejected} rejected"));
    }
}

/// The destination of rejected records.
pub(crate) struct Rejects {
    out: Option<BufWriter<File>>,
    /// Whether files may hold nothing of what the mapping looks for.
    pub(crate) allow_empty: bool,
}

impl Rejects {
    pub(crate) fn to(file: Option<&Path>) -> anyhow::Result<Self> {
        let create = |file: &Path| {
            File::create(file).with_context(|| format!("rejects file {}", file.display()))
        };
        let out = file.map(create).transpose()?.map(BufWriter::new);
        Ok(Rejects { out, allow_empty: false })
    }

    fn write(&mut self, file: &Path, reject: &Reject) -> std::io::Result<()> {
        let line = json!({
            "file": file.display().to_string(),
            "line": reject.line,
            "reason": reject.reason.code(),
            "message": reject.message,
            "record": reject.record,
        });
        match &mut self.out {
            Some(out) => writeln!(out, "{line}"),
            None => writeln!(std::io::stderr(), "rejected: {line}"),
        }
    }

    fn warn(&mut self, file: &Path, warning: &Warning) -> std::io::Result<()> {
        let (file, code) = (file.display(), warning.doubt.code());
        let Warning { line, message, .. } = warning;
        writeln!(std::io::stderr(), "warning[{code}]: {file}, line {line}: {message}")
    }

    fn finish(&mut self) -> std::io::Result<()> {
        if let Some(out) = &mut self.out {
            out.flush()?;
            out.get_ref().sync_all()?;
        }
        Ok(())
    }
}
