use std::ops::RangeInclusive;
use std::process::ExitCode;

use leftfold::{
    LostEvent, RepairMode, RepairOutcome, RepairReport, UndoneRepair, forget_repairs, repair,
    undo_repair,
};
use serde_json::json;

use crate::args::{self, Location};
use crate::output::{for_people, print_table, progress, table, thousands};
use crate::store::{check_directory, refuse_server};

pub(crate) fn run(location: &Location, args: &args::Repair) -> anyhow::Result<ExitCode> {
    refuse_server(location, "repair")?;
    check_directory(&location.data)?;
    if args.undo {
        return undo(location);
    }
    if args.forget {
        return forget(location);
    }
    let bar = progress("step {pos} of {len}  {elapsed}  {eta} left")?;
    let mode = if args.quarantine { RepairMode::Quarantine } else { RepairMode::Report };
    let report = repair(&location.data, mode, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if for_people() {
        print_text(&report)?;
    } else {
        print_json(&report);
    }
    let is_repaired = !report.has_findings() || mode == RepairMode::Quarantine;
    let has_lost = |outcome: &RepairOutcome| !outcome.lost.is_empty();
    let is_lost = !report.lost.is_empty() || report.finished.as_ref().is_some_and(has_lost);
    Ok(if is_repaired && !is_lost { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn undo(location: &Location) -> anyhow::Result<ExitCode> {
    let UndoneRepair { restored, quarantined } = undo_repair(&location.data)?;
    match for_people() {
        true => say!(
            "{restored} files are as they were before the repair; those of the repair are in quarantine"
        ),
        false => say!("{}", json!({"restored": restored, "quarantined": quarantined})),
    }
    Ok(ExitCode::SUCCESS)
}

fn forget(location: &Location) -> anyhow::Result<ExitCode> {
    let files = forget_repairs(&location.data)?;
    match for_people() {
        true => say!("{files} files of the quarantine are removed"),
        false => say!("{}", json!({"forgotten": files})),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(report: &RepairReport) {
    if let Some(RepairOutcome { events, lost, .. }) = &report.finished {
        say!("{}", json!({"finished": true, "events": events, "lost_ranges": pairs(lost)}));
    }
    for fault in &report.faults {
        say!("{}", json!({"fault": fault}));
    }
    for bytes in &report.damaged {
        let (file, what) = (&bytes.file, &bytes.what);
        say!(
            "{}",
            json!({"damaged": file, "offset": bytes.offset, "length": bytes.length, "what": what})
        );
    }
    for LostEvent { position, stream, certain } in &report.lost {
        let (name, version) = stream.as_ref().map(|(name, version)| (name, version)).unzip();
        say!(
            "{}",
            json!({"lost": position, "stream": name, "version": version, "certain": certain})
        );
    }
    say!(
        "{}",
        json!({
            "events_before": report.events_before(),
            "events": report.events,
            "damaged": report.damaged.len(),
            "faults": report.faults.len(),
            "lost": report.lost.len(),
            "lost_ranges": pairs(&report.lost_ranges()),
            "checkpoints_uncertain": report.checkpoints_uncertain,
            "quarantined": report.quarantined,
        })
    );
}

fn pairs(ranges: &[RangeInclusive<u64>]) -> Vec<[u64; 2]> {
    ranges.iter().map(|range| [*range.start(), *range.end()]).collect()
}

fn text_of(ranges: &[RangeInclusive<u64>]) -> String {
    let text = |range: &RangeInclusive<u64>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first} to {last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn print_text(report: &RepairReport) -> std::io::Result<()> {
    if let Some(RepairOutcome { events, lost, .. }) = &report.finished {
        say!("a repair that was interrupted is finished; it left {} events", thousands(*events));
        if !lost.is_empty() {
            say!("it lost the positions {}", text_of(lost));
        }
    }
    for fault in &report.faults {
        say!("{fault}");
    }
    for bytes in &report.damaged {
        let (file, length) = (&bytes.file, thousands(bytes.length));
        say!("{file}: {length} bytes at offset {}: {}", bytes.offset, bytes.what);
    }
    if !report.lost.is_empty() {
        let mut rows = table(&["lost position", "stream", "version", ""]);
        for LostEvent { position, stream, certain } in &report.lost {
            let (name, version) = stream.clone().map_or_else(
                || ("can't be known".to_owned(), String::new()),
                |(name, version)| (name, version.to_string()),
            );
            let note =
                if *certain || stream.is_none() { "" } else { "or another position near it" };
            rows.add_row([position.to_string(), name, version, note.to_owned()]);
        }
        print_table(&rows)?;
    }
    if report.checkpoints_uncertain {
        say!("moves of checkpoints may be lost");
    }
    if !report.lost.is_empty() {
        say!("lost positions: {}", text_of(&report.lost_ranges()));
    }
    let lost = report.lost.len() as u64;
    let [before, events, lost] = [report.events_before(), report.events, lost].map(thousands);
    match (report.has_findings(), report.quarantined.len()) {
        (false, _) => say!("{events} events can be read; there is no damage"),
        (true, 0) => say!(
            "of {before} events {events} can be read and {lost} are lost; nothing was changed, \
             --quarantine repairs the store"
        ),
        (true, files) => say!(
            "of {before} events {events} can be read and {lost} are lost; {files} files are in \
             quarantine as they were; --undo puts them back; back the store up to a new directory"
        ),
    }
    Ok(())
}
