//! Reads the rows of an outbox that wait, and takes away those that are relayed.

use std::collections::HashSet;
use std::time::Duration;

use tokio_postgres::{Client, Row, Statement};

use super::super::ConnectorError;
use super::session::{answer, get};
use super::settings::{After, OutboxSettings};

/// The most bytes of a payload; a store takes no longer event.
const MOST_PAYLOAD: usize = 16 << 20;
/// The bytes of payloads in one batch, which ends at the first row beyond.
const BATCH_BYTES: usize = 8 << 20;
/// The most parked rows that are counted, which is done at each poll.
const MOST_COUNTED: usize = 10_000;
/// The most letters of a reason that are written into a row.
const MOST_REASON: usize = 1_000;

/// A row of an outbox.
#[derive(Debug, Clone)]
pub(super) struct OutboxRow {
    pub(super) seq: i64,
    pub(super) id: Option<String>,
    pub(super) aggregate_type: Option<String>,
    pub(super) aggregate_id: Option<String>,
    pub(super) event_type: Option<String>,
    /// `None` if it is missing, or too long.
    pub(super) payload: Option<String>,
    /// The bytes of the payload.
    pub(super) bytes: i64,
    pub(super) expected: Option<i64>,
    /// Microseconds since 1970; a time that is none for a store is the last one.
    pub(super) event_micros: Option<i64>,
}

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
    take: Statement,
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
        // Two relays would share the rows between them: each of their stores would have a part. The lock is that of the
        // session, which ends with its connection.
        let lock = "select pg_advisory_lock(1818585446, $1::text::regclass::oid::int)";
        answer(client.execute(lock, &[&table])).await.map_err(|error| match error {
            ConnectorError::Unavailable(why) => ConnectorError::Unavailable(format!(
                "another connector may relay the table {}: {why}",
                settings.table
            )),
            other => other,
        })?;
        let prepare = async |sql: String| answer(client.prepare(&sql)).await;
        let parked = format!(
            "select count(*) from (select from {table} where relayed_at is null and leftfold_error is not null
                                   limit {MOST_COUNTED}) parked"
        );
        let of_rows = "using unnest($1::bigint[], $2::text[]) as r (seq, id)
             where o.relayed_at is null and o.leftfold_seq = r.seq and o.id::text = r.id";
        let take = match settings.after {
            After::Delete => format!("delete from {table} o {of_rows}"),
            After::Mark => format!(
                "update {table} o set relayed_at = now() {}",
                of_rows.replacen("using", "from", 1)
            ),
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
            take: prepare(take).await?,
            park: prepare(refuse("")).await?,
            skip: prepare(refuse(", relayed_at = now()")).await?,
            name: table,
            client,
        })
    }

    /// Reads the next rows, in one snapshot.
    pub(super) async fn poll(&self) -> Result<Batch, ConnectorError> {
        let parked: i64 = get(&answer(self.client.query_one(&self.parked, &[])).await?, 0)?;
        let read = if parked == 0 { &self.read } else { &self.read_others };
        let found = answer(self.client.query(read, &[])).await?;
        let mut batch = Batch::default();
        let mut waiting = HashSet::new();
        for row in &found {
            let age: Option<i64> = get(row, 11)?;
            let age = age.and_then(|age| u64::try_from(age).ok()).map(Duration::from_micros);
            batch.age = batch.age.max(age);
            if get(row, 10)? {
                return Err(self.of_another_server());
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

    /// Deletes or marks rows.
    pub(super) async fn take(&self, rows: &[&OutboxRow]) -> Result<(), ConnectorError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (seqs, ids): (Vec<i64>, Vec<&str>) =
            rows.iter().map(|row| (row.seq, row.id.as_deref().unwrap_or_default())).unzip();
        answer(self.client.execute(&self.take, &[&seqs, &ids])).await?;
        Ok(())
    }

    /// Writes into a row why it is not relayed; it and the later rows of its aggregate wait.
    pub(super) async fn park(&self, row: &OutboxRow, reason: &str) -> Result<(), ConnectorError> {
        self.refuse(&self.park, row, reason).await
    }

    /// Writes into a row why it is not relayed, and leaves it out.
    pub(super) async fn skip(&self, row: &OutboxRow, reason: &str) -> Result<(), ConnectorError> {
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

    fn of_another_server(&self) -> ConnectorError {
        let table = &self.name;
        ConnectorError::unusable(format!(
            "the table {table} has rows with transactions that this server has not had yet: it was copied from another \
             server. Run `update {table} set leftfold_xid = default where leftfold_xid >= \
             pg_snapshot_xmax(pg_current_snapshot())`, then resume the connector"
        ))
    }
}

/// Returns the statement that reads a batch: by the index of waiting rows, and cut where its payloads are too long.
fn read_sql(table: &str, batch: usize, more: &str) -> String {
    format!(
        "select seq, id, aggregatetype, aggregateid, type,
                case when bytes <= {MOST_PAYLOAD} then body end, bytes, expected, micros,
                is_finished, is_of_another_server, age
         from (select rows.*, octet_length(body)::bigint as bytes,
                      sum(coalesce(octet_length(body), 0)) over (order by seq) - coalesce(octet_length(body), 0) as before
               from (select leftfold_seq as seq, id::text as id, aggregatetype::text as aggregatetype,
                            aggregateid::text as aggregateid, type::text as type, payload::text as body,
                            expected_version::bigint as expected,
                            case when event_time between '0001-01-01' and '9999-12-31'
                                 then round(extract(epoch from event_time) * 1000000)::bigint
                                 when event_time is not null then {last} end as micros,
                            case when event_time between '0001-01-01' and '9999-12-31'
                                 then round(extract(epoch from clock_timestamp() - event_time) * 1000000)::bigint
                            end as age,
                            leftfold_xid < (select pg_snapshot_xmin(pg_current_snapshot())) as is_finished,
                            leftfold_xid >= (select pg_snapshot_xmax(pg_current_snapshot())) as is_of_another_server
                     from {table} o
                     where relayed_at is null and leftfold_error is null {more}
                     order by leftfold_seq limit {batch}) rows
              ) sized
         where before < {BATCH_BYTES}
         order by seq",
        last = i64::MAX,
    )
}

/// Returns the condition that leaves out the rows behind parked ones of their aggregates.
fn behind_parked(table: &str) -> String {
    format!(
        "and not exists (select from {table} p
                         where p.relayed_at is null and p.leftfold_error is not null
                           and p.aggregatetype = o.aggregatetype and p.aggregateid = o.aggregateid
                           and p.leftfold_seq < o.leftfold_seq)"
    )
}

impl OutboxRow {
    fn of(row: &Row) -> Result<Self, ConnectorError> {
        Ok(OutboxRow {
            seq: get(row, 0)?,
            id: get(row, 1)?,
            aggregate_type: get(row, 2)?,
            aggregate_id: get(row, 3)?,
            event_type: get(row, 4)?,
            payload: get(row, 5)?,
            bytes: get::<Option<i64>>(row, 6)?.unwrap_or(0),
            expected: get(row, 7)?,
            event_micros: get(row, 8)?,
        })
    }
}
