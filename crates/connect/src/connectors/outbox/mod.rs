//! The outbox of a PostgreSQL: a table into which an application writes its events in the transactions of its own tables.
//!
//! A poll reads, in one snapshot, the rows of transactions that are below all unfinished ones, in the order of an identity
//! column. They become one append whose event ids are the ids of the rows; when it is durable, the rows are deleted or
//! marked. There is no place to keep: what is still in the table is not relayed, or its event is recognised by its id.
//!
//! **Order.** Writers of an aggregate lock its row, so that the earlier one has committed before the later one takes a
//! number. All that a snapshot shows of an aggregate is therefore in the order of the numbers, and a row that becomes
//! visible later has a higher one. A batch ends at the first row that waits for an unfinished transaction: those behind it
//! could be of the same aggregate, because transactions get their ids in another order than they commit.

mod check;
mod event;
mod measured;
mod relay;
mod rows;
mod session;
mod settings;
mod stream;
mod table;
mod tls;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold_api::EventStore;
use parking_lot::Mutex;

use self::measured::Measured;
use self::relay::Relay;
use self::rows::OutboxTable;
use super::ConnectorError;
use super::kind::Run;

pub(crate) use self::check::check;
pub(crate) use self::settings::OutboxSettings;
pub use self::table::outbox_sql;

/// Relays the rows of an outbox until an error, or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
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
    let shown = measured.clone();
    run.gauges.show(move || {
        let gauges = shown.lock().gauges();
        Box::pin(std::future::ready(gauges))
    });
    let relay = Relay {
        store: run.store.clone(),
        table,
        stream: settings.stream.clone(),
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
