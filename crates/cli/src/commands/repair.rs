use std::process::ExitCode;

use leftfold::{LostEvent, RepairMode, RepairReport, repair};
use serde_json::json;

use crate::args::{self, Location};
use crate::output::{for_people, print_table, progress, table, thousands};
use crate::store::{check_directory, refuse_server};

pub(crate) fn run(location: &Location, args: &args::Repair) -> anyhow::Result<ExitCode> {
    refuse_server(location, "repair")?;
    check_directory(&location.data)?;
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
    let is_usable = report.damaged.is_empty() || mode == RepairMode::Quarantine;
    Ok(if is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_json(report: &RepairReport) {
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
            "events": report.events,
            "damaged": report.damaged.len(),
            "lost": report.lost.len(),
            "checkpoints_uncertain": report.checkpoints_uncertain,
            "quarantined": report.quarantined,
        })
    );
}

fn print_text(report: &RepairReport) -> std::io::Result<()> {
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
    let [events, lost] = [report.events, report.lost.len() as u64].map(thousands);
    match (report.damaged.len(), report.quarantined.len()) {
        (0, _) => say!("{events} events can be read; there is no damage"),
        (_, 0) => say!("{events} events can be read, {lost} are lost; nothing was changed"),
        (_, files) => say!(
            "{events} events can be read, {lost} are lost; damaged bytes are in {files} files in \
             quarantine; back the store up to a new directory"
        ),
    }
    Ok(())
}
