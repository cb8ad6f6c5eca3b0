use std::process::ExitCode;

use leftfold::{Embedded, VerifySummary};
use pollster::block_on;
use serde_json::json;

use crate::args::Location;
use crate::output::{for_people, progress, thousands};
use crate::store::Store;

pub(crate) fn run(location: &Location) -> anyhow::Result<ExitCode> {
    let verified = match Store::existing(location)? {
        Store::Embedded(store) => verify(&store)?,
        Store::Remote(client) => block_on(client.verify())?,
    };
    print(&verified);
    Ok(if verified.problem_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(store: &Embedded) -> anyhow::Result<VerifySummary> {
    let bar = progress("file {pos} of {len}  {elapsed}  {eta} left")?;
    let verified = store.verify(|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    if !verified.refilled.is_empty() {
        store.settle()?;
    }
    Ok(VerifySummary {
        frames: verified.frames,
        events: verified.events,
        index_files: verified.index_files,
        lost: verified.lost,
        problem_count: verified.problem_count,
        problems: verified.problems.into_iter().map(|problem| problem.message).collect(),
        refilled: verified.refilled,
    })
}

fn print(verified: &VerifySummary) {
    for problem in &verified.problems {
        eprintln!("{problem}");
    }
    let (frames, events, files) = (verified.frames, verified.events, verified.index_files);
    if for_people() {
        let [frames, events, files] = [frames, events, files].map(thousands);
        say!("checked {events} events in {frames} frames, {files} index files");
        if verified.lost > 0 {
            let lost = thousands(verified.lost);
            say!("{lost} of the events were lost by damage before a repair");
        }
        match verified.problem_count {
            0 => say!("no damage"),
            wrong => say!("{} findings", thousands(wrong)),
        }
    } else {
        let wrong = verified.problem_count;
        say!(
            "{}",
            json!({
                "frames": frames, "events": events, "index_files": files, "lost": verified.lost,
                "wrong": wrong, "refilled_indexes": verified.refilled,
            })
        );
    }
}
