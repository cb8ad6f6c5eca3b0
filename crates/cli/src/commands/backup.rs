use std::path::Path;
use std::process::ExitCode;

use indicatif::ProgressBar;
use leftfold::{BackupInfo, BackupReport, Embedded, Options, restore, verify_backup};
use pollster::block_on;
use serde_json::json;

use crate::args::{self, Location};
use crate::output::{for_people, is_quiet, progress, thousands};
use crate::store::{Store, check_directory, options, refuse_server, warn_of_modes};

pub(crate) fn run(location: &Location, args: &args::Backup) -> anyhow::Result<ExitCode> {
    match (&args.to, &args.verify) {
        (Some(to), _) => make(location, to),
        (None, Some(dir)) => verify(dir),
        (None, None) => anyhow::bail!("expected --to DIR or --verify DIR"),
    }
}

fn make(location: &Location, to: &Path) -> anyhow::Result<ExitCode> {
    let done = match &location.server {
        Some(_) => back_up_server(location, to)?,
        None => back_up_directory(location, to)?,
    };
    if for_people() && is_quiet() {
        return Ok(ExitCode::SUCCESS);
    }
    if for_people() {
        let [files, bytes] = [done.files_copied, done.bytes_copied].map(thousands);
        say!("backup {} in {}: up to cursor {}", done.number, to.display(), done.head);
        say!("copied {files} files of {bytes} bytes");
        let [files, bytes] = [done.files_kept, done.bytes_kept].map(thousands);
        say!("kept {files} files of {bytes} bytes from the backup before");
        if done.files_left_out > 0 {
            let files = thousands(done.files_left_out);
            say!("left out {files} index files that can't be read; a restored store rebuilds them");
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
        say!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn back_up_directory(location: &Location, to: &Path) -> anyhow::Result<BackupReport> {
    // No other process has the store open, so the backup may use the whole disk.
    let options = Options { maintenance_bytes_per_second: u64::MAX, ..options(location) };
    check_directory(&location.data)?;
    let store = warn_of_modes(Embedded::open_existing(&location.data, options)?);
    let bar = bar()?;
    let done = store.backup(to, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    Ok(done)
}

/// Backs up into a directory of the server's machine, inside its directory of backups.
fn back_up_server(location: &Location, to: &Path) -> anyhow::Result<BackupReport> {
    match Store::existing(location)? {
        Store::Remote(client) => Ok(block_on(client.backup(&to.to_string_lossy()))?),
        Store::Embedded(_) => back_up_directory(location, to),
    }
}

fn verify(dir: &Path) -> anyhow::Result<ExitCode> {
    let bar = bar()?;
    let checked = verify_backup(dir, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    for damage in &checked.damaged {
        eprintln!("error[backup_damaged]: {damage}");
    }
    print_info("checked", &checked);
    Ok(if checked.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn run_restore(location: &Location, args: &args::Restore) -> anyhow::Result<ExitCode> {
    refuse_server(location, "restore")?;
    check_directory(&location.data)?;
    let bar = bar()?;
    let restored = restore(&args.from, &location.data, |done, total| set(&bar, done, total))?;
    bar.finish_and_clear();
    print_info("restored", &restored);
    Ok(ExitCode::SUCCESS)
}

fn print_info(what: &str, info: &BackupInfo) {
    let BackupInfo { number, head, time, files, bytes, .. } = info;
    if for_people() {
        let [files, bytes] = [*files, *bytes].map(thousands);
        say!("{what} backup {number} of {time}: {files} files of {bytes} bytes, up to {head}");
        match info.damaged.len() {
            0 => say!("no damage"),
            wrong => say!("{wrong} findings"),
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
        say!("{line}");
    }
}

fn bar() -> anyhow::Result<ProgressBar> {
    progress("{bytes} of {total_bytes}  {elapsed}  {eta} left")
}

fn set(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
