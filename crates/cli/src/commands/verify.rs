use std::process::ExitCode;

use serde_json::json;

use crate::args::Location;
use crate::output::{for_people, progress, thousands};

pub(crate) fn run(location: &Location) -> anyhow::Result<ExitCode> {
    let store = super::open_files(location, "verify")?;
    let bar = progress("file {pos} of {len}  {elapsed}  {eta} left")?;
    let verified = store.verify(|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    if !verified.refilled.is_empty() {
        store.settle()?;
    }
    for finding in &verified.problems {
        eprintln!("{}", finding.message);
    }
    let (frames, events, files) = (verified.frames, verified.events, verified.index_files);
    if for_people() {
        let [frames, events, files] = [frames, events, files].map(thousands);
        println!("checked {events} events in {frames} frames, {files} index files");
        if verified.lost > 0 {
            let lost = thousands(verified.lost);
            println!("{lost} of the events were lost by damage before a repair");
        }
        match verified.problem_count {
            0 => println!("no damage"),
            wrong => println!("{} findings", thousands(wrong)),
        }
    } else {
        let wrong = verified.problem_count;
        println!(
            "{}",
            json!({
                "frames": frames, "events": events, "index_files": files, "lost": verified.lost,
                "wrong": wrong, "refilled_indexes": verified.refilled,
            })
        );
    }
    Ok(if verified.problem_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
