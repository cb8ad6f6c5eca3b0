//! The replication slot: PostgreSQL keeps its log from the slot's position on.

use std::time::Duration;

use tokio_postgres::{Client, Row};

use super::super::super::ConnectorError;
use super::super::session::{answer, get};
use super::lsn::Lsn;
use super::place::Place;
use super::wire::{Wire, malformed};

/// The plugin that turns the log into changes.
const PLUGIN: &str = "pgoutput";

/// How long a new slot may wait for the end of transactions. When the connector gives up, the server still makes the slot,
/// and the next attempt makes it anew.
const CREATE: Duration = Duration::from_secs(300);

/// A replication slot that was made.
#[derive(Debug)]
pub(super) struct NewSlot {
    pub(super) position: Lsn,
    /// The identifier of the snapshot with what was committed before. It is there until the next command of the connection.
    pub(super) exported: String,
}

/// A replication slot that is as it must be.
#[derive(Debug)]
pub(super) struct Slot {
    /// All that was committed before it has been read, as far as the server knows.
    pub(super) confirmed: Lsn,
    /// Whether a connection reads it.
    pub(super) is_active: bool,
}

impl Slot {
    /// Finds a slot by its name.
    ///
    /// # Errors
    /// It is there and can't be read: a sentence says why.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Self>, ConnectorError> {
        let sql = "select plugin is not distinct from $2, database is not distinct from current_database(),
                          coalesce(wal_status, '') = 'lost', active, confirmed_flush_lsn::text
                   from pg_replication_slots where slot_name = $1::text::name";
        let row = answer(client.query_opt(sql, &[&name, &PLUGIN])).await?;
        row.map(|row| Slot::of(name, &row)).transpose()
    }

    fn of(name: &str, row: &Row) -> Result<Self, ConnectorError> {
        if !get::<bool>(row, 0)? || !get::<bool>(row, 1)? {
            return Err(ConnectorError::unusable(format!(
                "the replication slot {name} is not one of {PLUGIN} in this database: name another slot"
            )));
        }
        if get(row, 2)? {
            return Err(ConnectorError::unusable(format!(
                "the replication slot {name} is lost: the server has removed log that was not read (look at \
                 max_slot_wal_keep_size). {}",
                begin_anew(name)
            )));
        }
        let confirmed: Option<String> = get(row, 4)?;
        let confirmed = confirmed.ok_or_else(|| still_made(name, "it is being made"))?;
        let confirmed = confirmed.parse().map_err(ConnectorError::unusable)?;
        Ok(Slot { confirmed, is_active: get(row, 3)? })
    }

    /// Checks that a slot has not moved beyond a place: then nothing is missing.
    pub(super) fn check_against(&self, place: &Place) -> Result<(), ConnectorError> {
        if self.confirmed <= place.lsn {
            return Ok(());
        }
        Err(ConnectorError::unusable(format!(
            "the replication slot {0} is at {1}, and the connector has read up to {2}: the slot was made anew, or another one \
             has read it, so rows may be missing. {3}",
            place.slot,
            self.confirmed,
            place.lsn,
            begin_anew(&place.slot)
        )))
    }
}

/// Makes a slot. It waits for the end of the transactions that write.
pub(super) async fn create(wire: &mut Wire, name: &str) -> Result<NewSlot, ConnectorError> {
    // This is the syntax of PostgreSQL 13 and 14, which later releases take too.
    let sql = format!("CREATE_REPLICATION_SLOT \"{name}\" LOGICAL {PLUGIN} EXPORT_SNAPSHOT");
    let made = wire.query_within(&sql, CREATE).await.map_err(|error| match error {
        ConnectorError::Unavailable(why) => still_made(name, &why),
        other => other,
    })?;
    // The slot's name is the first column.
    let mut row = made.into_iter().flatten().skip(1).flatten();
    let (position, exported) = row.next().zip(row.next()).ok_or_else(malformed)?;
    Ok(NewSlot { position: position.parse().map_err(ConnectorError::unusable)?, exported })
}

/// Drops a slot.
pub(super) async fn remove(client: &Client, name: &str) -> Result<(), ConnectorError> {
    let sql = "select pg_drop_replication_slot($1::text::name)";
    answer(client.execute(sql, &[&name])).await.map(drop)
}

/// Checks that there is no slot of a name, for a connector that has made none. From where one was made, and what was read
/// of it, is not known.
pub(super) async fn check_absent(client: &Client, name: &str) -> Result<(), ConnectorError> {
    match Slot::find(client, name).await? {
        None => Ok(()),
        Some(_) => Err(ConnectorError::unusable(format!(
            "the replication slot {name} is there already, and this connector has not made it: rows could be missing or come \
             out of order. Drop it if nothing else reads it (select pg_drop_replication_slot('{name}')), or name another \
             slot, then resume the connector"
        ))),
    }
}

fn still_made(name: &str, why: &str) -> ConnectorError {
    ConnectorError::unavailable(format!(
        "the replication slot {name} is not there yet: {why}. A new slot waits for the end of all transactions that write, and \
         takes one of max_replication_slots"
    ))
}

/// Checks that a place is one of this server and of this slot.
pub(super) fn check_place(
    place: &Place,
    system: &str,
    timeline: &str,
    slot: &str,
) -> Result<(), ConnectorError> {
    let wrong = if place.system != system {
        format!(
            "the server has the system identifier {system}, and the connector has read the one with {}",
            place.system
        )
    } else if place.timeline != timeline {
        format!(
            "the server is on the timeline {timeline}, and the connector has read the timeline {}: a standby was promoted, or \
             a backup was restored",
            place.timeline
        )
    } else if place.slot != slot {
        format!(
            "the connector has read the replication slot {}, and its definition says {slot}",
            place.slot
        )
    } else {
        return Ok(());
    };
    Err(ConnectorError::unusable(format!("{wrong}. {}", begin_anew(slot))))
}

/// Returns the error of a slot that is not there any more.
pub(super) fn missing(name: &str) -> ConnectorError {
    ConnectorError::unusable(format!(
        "the replication slot {name} is not there any more, so rows may be missing. {}",
        begin_anew(name)
    ))
}

/// Says how to begin anew.
fn begin_anew(name: &str) -> String {
    format!(
        "To begin anew, drop the slot {name} if it is there (select pg_drop_replication_slot('{name}')) and reset the \
         connector: it makes a new slot and reads the rows that are in the table. Those that were deleted meanwhile are lost"
    )
}
