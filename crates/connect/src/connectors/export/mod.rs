//! Events in files that analysts read: NDJSON, CSV or Parquet, in a directory for each day.
//!
//! **Exactly once.** Events are written into unfinished files in `_leftfold`. To commit, all of them are synced and moved to
//! their names, which have ascending numbers; then the state is replaced, which has the place in the store and the number
//! of the next file. A run that begins removes files whose number the state does not have yet, so their events are in no
//! other file when it writes them again.

mod column_type;
mod columns;
mod encoder;
mod format;
mod line;
mod parquet;
mod part;
mod place;
mod render;
mod row;
mod settings;
mod sink;
mod state;
mod writer;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{EventStore, Recorded};
use leftfold_fold::time::Time;
use leftfold_fold::view::{Lag, SinkRunner, ViewError};
use parking_lot::Mutex;

use self::render::Renderer;
pub(crate) use self::settings::ExportSettings;
use self::sink::ExportSink;
use self::writer::Writer;
use super::ConnectorError;
use super::directory::{check_writable, run_blocking};
use super::kind::{Check, Run};
use super::status::Gauges;

/// The shortest and the longest time between two looks whether files are to be closed.
const LOOKS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(500)];

/// Writes the events of a query into files, until an error or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &ExportSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let (name, progress) = (run.definition.name.clone(), run.progress.clone());
    let (settings, time) = (settings.clone(), run.time.clone());
    let renderer = Arc::new(Renderer::new(&settings, run.definition.on_error, &name));
    let opened = {
        let (settings, renderer, time) = (settings.clone(), renderer.clone(), time.clone());
        move || Writer::open(settings, renderer, name, &progress, time)
    };
    let writer = run_blocking(opened).await??;
    let (saved, events) = (writer.saved_cell(), writer.events_counter());
    let writer = Arc::new(Mutex::new(writer));
    let sink = ExportSink::new(writer.clone(), renderer.clone(), saved);
    let runner = SinkRunner::new(run.progress.clone(), run.query(), run.store.clone(), sink);
    let runner = Arc::new(runner.starts_after(run.start.clone()));
    run.gauges.show({
        let runner = runner.clone();
        move || {
            let (runner, events, renderer) = (runner.clone(), events.clone(), renderer.clone());
            Box::pin(async move {
                let lag_micros = match runner.lag().await {
                    Ok(Lag::None) => Some(0),
                    Ok(Lag::Since(time)) => u64::try_from(time.as_micros()).ok(),
                    Err(_) => None,
                };
                let (events, skipped) = (events.load(Ordering::Relaxed), renderer.skipped());
                Gauges { events, skipped, held: 0, lag_micros }
            })
        }
    });
    let every = settings.every();
    let ended = {
        let running = pin!(runner.run_until(run.stop.wait()));
        match select(running, pin!(close_in_time(&writer, &*time, every))).await {
            Either::Left((ended, _)) => ended,
            Either::Right((failure, _)) => return Err(failure),
        }
    };
    // What was taken is whole, also if the next event can't be written.
    let flushed = run_blocking(move || writer.lock().flush()).await?;
    ended?;
    Ok(flushed.map_err(ViewError::rows)?)
}

/// Closes files whose time has come. Returns when that fails.
async fn close_in_time(
    writer: &Arc<Mutex<Writer>>,
    time: &dyn Time,
    every: Duration,
) -> ConnectorError {
    let [shortest, longest] = LOOKS;
    loop {
        time.after((every / 4).clamp(shortest, longest)).await;
        let writer = writer.clone();
        match run_blocking(move || writer.lock().flush_if_due()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return ConnectorError::unavailable(error),
            Err(error) => return error,
        }
    }
}

/// Looks whether the directory can be written.
pub(crate) async fn check(settings: &ExportSettings) -> Check {
    let directory = settings.directory.clone();
    let mut check = Check::default();
    match run_blocking(move || check_writable(&directory)).await {
        Ok(found) => check.note("directory", found),
        Err(error) => check.note("directory", Err::<String, _>(error)),
    }
    check
}

/// Returns the directory of an event's day.
fn partition_of(event: &Recorded) -> String {
    let time = event.event_time().to_string();
    format!("date={}", time.get(..10).unwrap_or(&time))
}
