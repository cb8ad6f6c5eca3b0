//! The rows that were committed before the slot: they come from the table, all later ones by the slot.
//!
//! A new slot exports the snapshot with exactly what was committed before it, and the rows are read in that snapshot. If a
//! run is interrupted, its transaction is gone. The next run reads the rows whose transactions the same snapshot shows, which
//! the place has; only those that were deleted meanwhile are missing.

use leftfold_api::EventStore;
use tokio_postgres::{Client, Statement};

use super::super::super::follow::StopSignal;
use super::super::super::{ConnectorError, Secrets};
use super::super::rows::{OutboxRow, read_sql};
use super::super::session::{self, answer, get};
use super::super::settings::OutboxSettings;
use super::super::statements::{OutboxTable, of_another_server};
use super::intake::Intake;
use super::place::Place;
use super::wire::malformed;

/// The rows behind a number that a snapshot shows, and those of another server, which no snapshot shows.
const EARLIER: &str = "and leftfold_seq > $1
    and (pg_visible_in_snapshot(leftfold_xid, $2::text::pg_snapshot)
         or leftfold_xid >= (select greatest(pg_snapshot_xmin(s), pg_snapshot_xmax(s)) from pg_current_snapshot() s))";
/// What the snapshot of the transaction shows. In that of a slot the oldest unfinished transaction may be behind the last
/// finished one, and then all before it are shown; as a text that is no snapshot.
const SHOWN: &str = "select case when xmin > xmax then format('%s:%s:', xmin, xmin) else shown::text end
    from (select s as shown, pg_snapshot_xmin(s) as xmin, pg_snapshot_xmax(s) as xmax from pg_current_snapshot() s) current";

/// A connection that reads the rows from before a slot.
pub(super) struct Backlog {
    client: Client,
    table: String,
    read: Statement,
}

impl Backlog {
    pub(super) async fn connect(
        settings: &OutboxSettings,
        secrets: &Secrets,
    ) -> Result<Self, ConnectorError> {
        let client = session::connect(settings, secrets).await?;
        // The store may be slow between two reads, and without the snapshot rows that are deleted meanwhile are missing.
        let patience = "set idle_in_transaction_session_timeout = '10min'";
        answer(client.batch_execute(patience)).await?;
        let table = settings.table.quoted();
        let read = answer(client.prepare(&read_sql(&table, settings.batch(), EARLIER))).await?;
        Ok(Backlog { client, table, read })
    }

    /// Reads in an exported snapshot from now on. Returns what it shows.
    pub(super) async fn import(&self, exported: &str) -> Result<String, ConnectorError> {
        if !exported.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(malformed());
        }
        let sql = format!(
            "begin isolation level repeatable read read only; set transaction snapshot '{exported}'"
        );
        answer(self.client.batch_execute(&sql)).await.map_err(|error| match error {
            // It is not there any more when the connection that has exported it was lost.
            ConnectorError::Unusable(why) => ConnectorError::Unavailable(why),
            other => other,
        })?;
        get(&answer(self.client.query_one(SHOWN, &[])).await?, 0)
    }

    /// Reads the next rows behind a number that a snapshot shows, in the order of the table.
    async fn read(&self, seq: i64, snapshot: &str) -> Result<Vec<OutboxRow>, ConnectorError> {
        let found = answer(self.client.query(&self.read, &[&seq, &snapshot])).await?;
        let rows = found.iter().map(|row| match get(row, 10)? {
            true => Err(of_another_server(&self.table)),
            false => OutboxRow::of(row),
        });
        rows.collect()
    }

    /// Brings the rows in. Returns whether that came to its end.
    pub(super) async fn load<S: EventStore>(
        &self,
        intake: &mut Intake<S>,
        stop: &StopSignal,
    ) -> Result<bool, ConnectorError> {
        let snapshot = intake.place.snapshot.clone().unwrap_or_default();
        let mut seq = i64::MIN;
        while !stop.is_given() {
            let rows = self.read(seq, &snapshot).await?;
            let Some(last) = rows.last() else {
                let place = Place { is_loaded: true, snapshot: None, ..intake.place.clone() };
                intake.append(&[], place).await?;
                return Ok(true);
            };
            seq = last.seq;
            intake.append(&rows, intake.place.clone()).await?;
        }
        Ok(false)
    }
}

/// Checks that no row is parked: the log can't be mended, so nothing may wait for that.
pub(super) async fn check_parked(table: &OutboxTable) -> Result<(), ConnectorError> {
    match table.count_parked().await? {
        0 => Ok(()),
        parked => Err(ConnectorError::unusable(format!(
            "{parked} rows of the outbox are parked: mend them while mode = \"polling\", or give them up with relayed_at = now()"
        ))),
    }
}
