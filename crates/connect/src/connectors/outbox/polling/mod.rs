//! Brings rows in by polling the table.
//!
//! A poll reads, in one snapshot, the rows of transactions that are below all unfinished ones, in the order of an identity
//! column. They become one append whose event ids are the ids of the rows; when it is durable, the rows are deleted or
//! marked. There is no place to keep: what is still in the table is not relayed, or its event is recognised by its id.
//!
//! **Order.** Writers of an aggregate lock its row, so that the earlier one has committed before the later one takes a
//! number. All that a snapshot shows of an aggregate is therefore in the order of the numbers, and a row that becomes
//! visible later has a higher one. A batch ends at the first row that waits for an unfinished transaction: those behind it
//! could be of the same aggregate, because transactions get their ids in another order than they commit.

mod relay;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold_api::EventStore;
use parking_lot::Mutex;

use self::relay::Relay;
use super::super::ConnectorError;
use super::super::kind::Run;
use super::append::Appender;
use super::measured::Measured;
use super::session;
use super::settings::OutboxSettings;
use super::statements::OutboxTable;

/// Relays the rows of an outbox until an error, or until it is to stop.
pub(super) async fn run<S: EventStore + 'static>(
    settings: &OutboxSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let opened = pin!(async {
        let client = session::connect(settings, &run.secrets).await?;
        OutboxTable::open(client, settings).await
    });
    let table = match select(opened, pin!(run.stop.wait())).await {
        Either::Left((table, _)) => table?,
        Either::Right(_) => return Ok(()),
    };
    let measured = Arc::<Mutex<Measured>>::default();
    Measured::show(&measured, &run.gauges);
    let relay = Relay {
        appender: Appender { store: run.store.clone(), stream: settings.stream.clone() },
        table,
        on_error: run.definition.on_error,
        connector: run.definition.name.clone(),
        measured: measured.clone(),
    };
    while !run.stop.is_given() {
        let batch = relay.table.poll().await?;
        measured.lock().note(&batch);
        if batch.rows.is_empty() {
            select(pin!(run.time.after(settings.poll())), pin!(run.stop.wait())).await;
        } else {
            relay.relay(&batch.rows).await?;
        }
    }
    Ok(())
}
