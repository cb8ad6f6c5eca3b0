use std::path::Path;
use std::process::ExitCode;

use indicatif::ProgressBar;
use leftfold::{BackupInfo, BackupReport, Embedded, Options, restore, verify_backup};
use pollster::block_on;
use serde_json::json;

use crate::args::{self, Place};
use crate::output::{for_people, progress, thousands};
use crate::store::{Store, only_here, options};

pub(crate) fn run(place: &Place, args: &args::Backup) -> anyhow::Result<ExitCode> {
    match (&args.to, &args.verify) {
        (Some(to), _) => make(place, to),
        (None, Some(dir)) => verify(dir),
        (None, None) => anyhow::bail!("say where to: --to DIR; or what to check: --verify DIR"),
    }
}

fn make(place: &Place, to: &Path) -> anyhow::Result<ExitCode> {
    let done = match &place.server {
        Some(_) => there(place, to)?,
        None => here(place, to)?,
    };
    if for_people() {
        let [files, bytes] = [done.files_copied, done.bytes_copied].map(thousands);
        println!("backup {} in {}: up to cursor {}", done.number, to.display(), done.head);
        println!("copied {files} files of {bytes} bytes");
        let [files, bytes] = [done.files_kept, done.bytes_kept].map(thousands);
        println!("kept {files} files of {bytes} bytes from the backup before");
        if done.files_left_out > 0 {
            let files = thousands(done.files_left_out);
            println!("left out {files} index files that can't be read; they can be made again");
        }
    } else {
        let line = json!({
            "backup": done.number,
            "head": done.head.to_string(),
            "files_copied": done.files_copied,
            "bytes_copied": done.bytes_copied,
            "files_kept": done.files_kept,
            "bytes_kept": done.bytes_kept,
            "files_left_out": done.files_left_out,
        });
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn here(place: &Place, to: &Path) -> anyhow::Result<BackupReport> {
    // Nobody else has the store open: there is nobody to leave the disk to.
    let options = Options { maintenance_bytes_per_second: u64::MAX, ..options(place) };
    let store = Embedded::open_existing(&place.data, options)?;
    let bar = bar()?;
    let done = store.backup(to, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    Ok(done)
}

/// Into a directory of the server's machine, named below the one that it has for backups.
fn there(place: &Place, to: &Path) -> anyhow::Result<BackupReport> {
    match Store::existing(place)? {
        Store::There(client) => Ok(block_on(client.backup(&to.to_string_lossy()))?),
        Store::Here(_) => here(place, to),
    }
}

fn verify(dir: &Path) -> anyhow::Result<ExitCode> {
    let bar = bar()?;
    let checked = verify_backup(dir, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    for damage in &checked.damaged {
        eprintln!("error[backup_damaged]: {damage}");
    }
    say("checked", &checked);
    Ok(if checked.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn run_restore(place: &Place, args: &args::Restore) -> anyhow::Result<ExitCode> {
    only_here(place, "restore")?;
    let bar = bar()?;
    let restored = restore(&args.from, &place.data, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    say("restored", &restored);
    Ok(ExitCode::SUCCESS)
}

fn say(what: &str, info: &BackupInfo) {
    let BackupInfo { number, head, time, files, bytes, .. } = info;
    if for_people() {
        let [files, bytes] = [*files, *bytes].map(thousands);
        println!("{what} backup {number} of {time}: {files} files of {bytes} bytes, up to {head}");
        match info.damaged.len() {
            0 => println!("all is as it should be"),
            wrong => println!("{wrong} findings"),
        }
    } else {
        let line = json!({
            "backup": number,
            "head": head.to_string(),
            "time": time.to_string(),
            "files": files,
            "bytes": bytes,
            "wrong": info.damaged.len(),
        });
        println!("{line}");
    }
}

fn bar() -> anyhow::Result<ProgressBar> {
    progress("{bytes} of {total_bytes}  {elapsed}  {eta} left")
}

fn set(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
