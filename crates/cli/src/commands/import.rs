mod line;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use leftfold::transfer::AppendingImport;
use leftfold::{AppendError, Import, ImportReport};
use pollster::block_on;
use serde_json::json;

use super::append::lines::LINE_BYTES;
use crate::args::{self, Location};
use crate::output::{for_people, is_quiet, thousands};
use crate::store::{Store, options};
use line::Line;

pub(crate) fn run(location: &Location, args: &args::Import) -> anyhow::Result<ExitCode> {
    // A missing file is an error before a store is made.
    let input = open(&args.file)?;
    let mut target = match &location.server {
        Some(_) => Target::Remote(Box::new(AppendingImport::new(Store::open(location)?))),
        None => Target::Files(Box::new(Import::open(&location.data, options(location))?)),
    };
    let fed = feed(&mut target, input);
    let so_far = target.report().clone();
    match (fed, target.finish()) {
        (Ok(()), Ok(report)) => {
            print(&report);
            Ok(ExitCode::SUCCESS)
        }
        (Err(error), finished) => Err(stopped(error, &finished.unwrap_or(so_far))),
        (Ok(()), Err(error)) => Err(stopped(error.into(), &so_far)),
    }
}

/// Where the events go.
enum Target {
    Files(Box<Import>),
    Remote(Box<AppendingImport<Store>>),
}

impl Target {
    fn add(&mut self, line: Line) -> Result<(), AppendError> {
        match (self, line) {
            (Target::Files(import), Line::Event(event)) => import.add(*event),
            (Target::Files(import), Line::End { position, stream, last_version }) => {
                import.end_stream(position, &stream, last_version)
            }
            (Target::Files(import), Line::Checkpoint { checkpoint, partition }) => {
                import.checkpoint(&checkpoint, partition)
            }
            (Target::Files(import), Line::Total(total)) => {
                import.total(total);
                Ok(())
            }
            (Target::Remote(import), Line::Event(event)) => block_on(import.add(*event)),
            (Target::Remote(import), Line::End { stream, last_version, .. }) => {
                block_on(import.end_stream(&stream, last_version))
            }
            (Target::Remote(import), Line::Checkpoint { checkpoint, partition }) => {
                block_on(import.checkpoint(&checkpoint, partition))
            }
            (Target::Remote(import), Line::Total(total)) => {
                import.total(total);
                Ok(())
            }
        }
    }

    fn report(&self) -> &ImportReport {
        match self {
            Target::Files(import) => import.report(),
            Target::Remote(import) => import.report(),
        }
    }

    fn finish(self) -> Result<ImportReport, AppendError> {
        match self {
            Target::Files(import) => import.finish(),
            Target::Remote(import) => block_on(import.finish()),
        }
    }
}

fn open(file: &Path) -> anyhow::Result<impl BufRead> {
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(File::open(file).with_context(|| file.display().to_string())?),
    };
    Ok(BufReader::with_capacity(256 << 10, input))
}

fn feed(target: &mut Target, mut input: impl BufRead) -> anyhow::Result<()> {
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        let read = input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
        if read.context("reading the events")? == 0 {
            return Ok(());
        }
        number += 1;
        if !line.trim_ascii().is_empty() {
            let added = line::parse(&line).map_err(AppendError::from);
            let added = added.and_then(|line| target.add(line));
            added.with_context(|| format!("line {number}"))?;
        }
    }
}

fn stopped(error: anyhow::Error, report: &ImportReport) -> anyhow::Error {
    error.context(format!(
        "stopped after {} imported and {} repeated events; run it again when the cause is mended: it \
         goes on there",
        report.imported, report.repeated
    ))
}

fn print(report: &ImportReport) {
    let ImportReport { imported, repeated, holes, left_out, keeps_commit_times, .. } = report;
    let times = if *keeps_commit_times { "kept" } else { "new" };
    if !for_people() {
        let line = json!({
            "imported": imported,
            "repeated": repeated,
            "holes": holes,
            "left_out": left_out,
            "commit_times": times,
            "checkpoints": report.checkpoints,
            "checkpoints_left_out": report.checkpoints_left_out,
            "definitions": report.definitions,
            "digest": report.digest.to_string(),
            "complete": report.is_complete,
        });
        return println!("{line}");
    }
    if is_quiet() {
        return;
    }
    let [imported, repeated, holes] = [*imported, *repeated, *holes].map(thousands);
    println!("{imported} events imported, {repeated} repeated; commit times are {times}");
    println!("{holes} missing versions kept as holes");
    for (category, count) in left_out {
        let why = match category.starts_with('$') {
            true if *keeps_commit_times => "it belongs to the other store",
            true => "the store has its own",
            false => "it is progress in the other store",
        };
        println!("{} events of category {category} left out: {why}", thousands(*count));
    }
    print_rest(report);
}

/// Prints what became of checkpoints and definitions, and the digest.
fn print_rest(report: &ImportReport) {
    let [moved, left_out, definitions] =
        [report.checkpoints, report.checkpoints_left_out, report.definitions].map(thousands);
    println!("{moved} checkpoints kept, {definitions} definitions made");
    if report.checkpoints_left_out > 0 {
        println!("{left_out} checkpoints left out: the store has other events too");
    }
    let of_source = match report.is_complete {
        true => "the same as in the source",
        false => "the file has no last line to compare it with; was its export interrupted?",
    };
    println!("digest {}: {of_source}", report.digest);
}
