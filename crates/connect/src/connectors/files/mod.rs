//! Watched files: what arrives in a directory is ingested as `leftfold ingest` does it.
//!
//! **Exactly once.** The ids of the events derive from the records, so a file that is read again adds nothing. When a file
//! was read to its end, its entry in the ledger says so, with the file's size and time of change; a run that begins reads
//! there which files are done. A crash before the entry lets the file be read once more.

mod halt;
mod inbox;
mod listing;
mod moved;
mod observer;
mod reader;
mod reading;
mod rejects;
mod settings;
mod settling;
mod stamp;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::select;
use leftfold_api::EventStore;

use self::halt::Halt;
use self::inbox::Inbox;
use self::observer::Counts;
pub(crate) use self::settings::FilesSettings;
use self::settings::{Done, load_mapping};
pub(crate) use self::stamp::Stamp;
use super::ConnectorError;
use super::directory::{check_writable, run_blocking};
use super::kind::{Check, Run};

/// Ingests files as they arrive, until an error or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &FilesSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let halt = Halt::new(run.stop.clone());
    // The thread that reads goes on when this future is dropped, so it is told.
    let _halted = halt.on_drop();
    let (time, stop) = (run.time.clone(), run.stop.clone());
    let counts = Arc::<Counts>::default();
    run.gauges.show({
        let (counts, time) = (counts.clone(), time.clone());
        move || Box::pin(std::future::ready(counts.gauges(time.now())))
    });
    let settings = settings.clone();
    let open = move || Inbox::open(settings, &run, halt, counts);
    let mut inbox = run_blocking(open).await??;
    while !stop.is_given() {
        let (back, looked) = run_blocking(move || {
            let looked = inbox.look();
            (inbox, looked)
        })
        .await?;
        inbox = back;
        select(pin!(time.after(looked?)), pin!(stop.wait())).await;
    }
    Ok(())
}

/// Looks whether the mapping, the files and the directories are there.
pub(crate) async fn check(settings: &FilesSettings) -> Check {
    let settings = settings.clone();
    match run_blocking(move || check_all(&settings)).await {
        Ok(check) => check,
        Err(error) => {
            let mut check = Check::default();
            check.note("files", Err::<String, _>(error));
            check
        }
    }
}

fn check_all(settings: &FilesSettings) -> Check {
    let mut check = Check::default();
    let mapping = load_mapping(settings);
    check.note("mapping", mapping.map(|mapping| format!("{} can be used", mapping.name())));
    let found = listing::list(settings).and_then(|listing| match listing.failure {
        Some(failure) => Err(failure),
        None => Ok(format!("{} files match {}", listing.files.len(), settings.watch)),
    });
    check.note("watch", found);
    let root = listing::root_of(&settings.watch);
    let mut note = |what: &str, directory: &Path| check.note(what, check_writable(directory));
    if settings.done == Done::Move || settings.rejects_directory.is_none() {
        note("the watched directory", &root);
    }
    if let Some(directory) = &settings.done_directory {
        note("done_directory", directory);
    }
    if let Some(directory) = &settings.rejects_directory {
        note("rejects_directory", directory);
    }
    check
}
