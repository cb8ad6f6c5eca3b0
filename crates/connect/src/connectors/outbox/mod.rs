//! The outbox of a PostgreSQL: a table into which an application writes its events in the transactions of its own tables.
//!
//! Its rows are brought in by polling the table, or by logical replication of what was inserted into it. Both make the same
//! events of rows, whose ids are the ids of the rows: a row that is read twice is stored once.

mod append;
mod check;
mod event;
mod measured;
mod polling;
mod replication;
mod rows;
mod session;
mod settings;
mod statements;
mod stream;
mod table;
mod tls;

use leftfold_api::EventStore;

use self::settings::Mode;
use super::ConnectorError;
use super::kind::Run;

pub(crate) use self::check::check;
pub(crate) use self::settings::OutboxSettings;
pub use self::table::{outbox_publication_sql, outbox_sql};

/// Brings the rows of an outbox in until an error, or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &OutboxSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    match settings.mode {
        Mode::Polling => polling::run(settings, run).await,
        Mode::Replication => replication::run(settings, run).await,
    }
}
