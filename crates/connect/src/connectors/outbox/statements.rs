//! The statements of an outbox: they read the rows that wait, and take away those that are relayed.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use tokio_postgres::{Client, Statement};

use super::super::ConnectorError;
use super::rows::{OutboxRow, behind_parked, read_sql};
use super::session::{answer, get};
use super::settings::{After, OutboxSettings};

/// The most parked rows that are counted, which is done at each poll.
const MOST_COUNTED: usize = 10_000;
/// The most letters of a reason that are written into a row.
const MOST_REASON: usize = 1_000;
/// How often it is looked whether rows are visible, and the pause between.
const MOST_LOOKS: usize = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Whether the transactions with these numbers have ended for a new snapshot. Of the numbers of 64 bits that a number may mean,
/// it is the one nearest to the snapshot.
const ARE_VISIBLE: &str = "
    select coalesce(bool_and(pg_visible_in_snapshot(
               (case when near - top > 2147483648 then near - 4294967296
                    when top - near > 2147483648 then near + 4294967296
                    else near end)::text::xid8, now)), true)
    from (select now, top, top - top % 4294967296 + xid as near
          from unnest($1::bigint[]) xid,
               (select snapshot as now, pg_snapshot_xmax(snapshot)::text::bigint as top
                from pg_current_snapshot() snapshot) current) numbered";

/// What a poll has found.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The rows that can be relayed, in the order of the table.
    pub(super) rows: Vec<OutboxRow>,
    /// The aggregates whose rows wait: for transactions that have not ended, or behind a parked row.
    pub(super) held: usize,
    /// The age of the oldest row that waits.
    pub(super) age: Option<Duration>,
}

/// The statements of an outbox, prepared on one connection.
pub(super) struct OutboxTable {
    client: Client,
    name: String,
    parked: Statement,
    /// Reads a batch while no row is parked.
    read: Statement,
    /// Reads a batch without the rows behind parked ones.
    read_others: Statement,
    /// `None` if rows stay as they are.
    take: Option<Statement>,
    park: Statement,
    skip: Statement,
}

impl OutboxTable {
    /// Prepares the statements, and waits for the end of another relay of the table.
    pub(super) async fn open(
        client: Client,
        settings: &OutboxSettings,
    ) -> Result<Self, ConnectorError> {
        let table = settings.table.quoted();
        if settings.after != After::Keep {
            lock_table(&client, settings).await?;
        }
        let prepare = async |sql: String| answer(client.prepare(&sql)).await;
        let parked = format!(
            "select count(*) from (select from {table} where relayed_at is null and leftfold_error is not null
                                   limit {MOST_COUNTED}) parked"
        );
        let of_rows = "using unnest($1::bigint[], $2::text[]) as r (seq, id)
             where o.relayed_at is null and o.leftfold_seq = r.seq and o.id::text = r.id";
        let take = match settings.after {
            After::Delete => Some(prepare(format!("delete from {table} o {of_rows}")).await?),
            After::Mark => {
                let of_rows = of_rows.replacen("using", "from", 1);
                Some(prepare(format!("update {table} o set relayed_at = now() {of_rows}")).await?)
            }
            After::Keep => None,
        };
        let refuse = |more: &str| {
            format!(
                "update {table} set leftfold_error = $1{more} where relayed_at is null and leftfold_seq = $2"
            )
        };
        Ok(OutboxTable {
            parked: prepare(parked).await?,
            read: prepare(read_sql(&table, settings.batch(), "")).await?,
            read_others: prepare(read_sql(&table, settings.batch(), &behind_parked(&table)))
                .await?,
            take,
            park: prepare(refuse("")).await?,
            skip: prepare(refuse(", relayed_at = now()")).await?,
            name: table,
            client,
        })
    }

    /// Reads the next rows, in one snapshot.
    pub(super) async fn poll(&self) -> Result<Batch, ConnectorError> {
        let parked = self.count_parked().await?;
        let read = if parked == 0 { &self.read } else { &self.read_others };
        let found = answer(self.client.query(read, &[])).await?;
        let mut batch = Batch::default();
        let mut waiting = HashSet::new();
        for row in &found {
            let age: Option<i64> = get(row, 11)?;
            let age = age.and_then(|age| u64::try_from(age).ok()).map(Duration::from_micros);
            batch.age = batch.age.max(age);
            if get(row, 10)? {
                return Err(of_another_server(&self.name));
            }
            let (is_finished, row) = (get::<bool>(row, 9)?, OutboxRow::of(row)?);
            // A row behind one that waits waits too, even if its own transaction was long visible: they may be of the same
            // aggregate, and the order of the transactions' ids is not that of their commits.
            if is_finished && waiting.is_empty() {
                batch.rows.push(row);
            } else {
                waiting.insert((row.aggregate_type, row.aggregate_id));
            }
        }
        batch.held = waiting.len() + usize::try_from(parked).unwrap_or(usize::MAX);
        Ok(batch)
    }

    /// Returns the number of parked rows.
    pub(super) async fn count_parked(&self) -> Result<i64, ConnectorError> {
        get(&answer(self.client.query_one(&self.parked, &[])).await?, 0)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Deletes or marks rows, or leaves them as they are. Rows that are gone are left out.
    pub(super) async fn take(&self, rows: &[&OutboxRow]) -> Result<(), ConnectorError> {
        let Some(take) = self.take.as_ref().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let (seqs, ids): (Vec<i64>, Vec<&str>) =
            rows.iter().map(|row| (row.seq, row.id.as_deref().unwrap_or_default())).unzip();
        let taken = answer(self.client.execute(take, &[&seqs, &ids])).await?;
        if taken < rows.len() as u64 && self.wait_until_visible(rows).await? {
            answer(self.client.execute(take, &[&seqs, &ids])).await?;
        }
        Ok(())
    }

    /// Waits until the transactions of rows that came by replication are visible. A transaction is replicated when its commit
    /// is in the log; other sessions see it a moment later, or when a synchronous standby has it too. Returns whether there
    /// are such rows.
    async fn wait_until_visible(&self, rows: &[&OutboxRow]) -> Result<bool, ConnectorError> {
        let xids: BTreeSet<u32> = rows.iter().filter_map(|row| row.xid).collect();
        let xids: Vec<i64> = xids.into_iter().map(i64::from).collect();
        for _ in 0..MOST_LOOKS {
            let row = answer(self.client.query_one(ARE_VISIBLE, &[&xids])).await?;
            if get(&row, 0)? {
                return Ok(!xids.is_empty());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(ConnectorError::unavailable(
            "rows are committed and not visible yet: does PostgreSQL wait for a synchronous standby?",
        ))
    }

    /// Writes into a row why it is not relayed; it and the later rows of its aggregate wait.
    pub(super) async fn park(&self, row: &OutboxRow, reason: &str) -> Result<(), ConnectorError> {
        self.refuse(&self.park, row, reason).await
    }

    /// Writes into a row why it is not relayed, and leaves it out. Rows that are kept stay as they are.
    pub(super) async fn skip(&self, row: &OutboxRow, reason: &str) -> Result<(), ConnectorError> {
        if self.take.is_none() {
            return Ok(());
        }
        self.wait_until_visible(&[row]).await?;
        self.refuse(&self.skip, row, reason).await
    }

    async fn refuse(
        &self,
        statement: &Statement,
        row: &OutboxRow,
        reason: &str,
    ) -> Result<(), ConnectorError> {
        let reason: String =
            reason.chars().filter(|letter| *letter != '\0').take(MOST_REASON).collect();
        answer(self.client.execute(statement, &[&reason, &row.seq])).await?;
        Ok(())
    }
}

/// Returns the error of a table that has rows with transactions of another server.
pub(super) fn of_another_server(table: &str) -> ConnectorError {
    ConnectorError::unusable(format!(
        "the table {table} has rows with transactions that this server has not had yet: it was copied from another server. \
         Run `update {table} set leftfold_xid = default where leftfold_xid >= \
         pg_snapshot_xmax(pg_current_snapshot())`, then resume the connector"
    ))
}

/// Waits until no other session relays the table. Two relays would share the rows between them: each of their stores would
/// have a part. The lock is that of the session, which ends with its connection.
async fn lock_table(client: &Client, settings: &OutboxSettings) -> Result<(), ConnectorError> {
    let lock = "select pg_advisory_lock(1818585446, $1::text::regclass::oid::int)";
    let locked = answer(client.execute(lock, &[&settings.table.quoted()])).await;
    locked.map(drop).map_err(|error| match error {
        ConnectorError::Unavailable(why) => ConnectorError::Unavailable(format!(
            "another connector may relay the table {}: {why}",
            settings.table
        )),
        other => other,
    })
}
