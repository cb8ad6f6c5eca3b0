//! The rows of an outbox, and how they are read.

use tokio_postgres::Row;

use super::super::ConnectorError;
use super::session::get;

/// The most bytes of a payload; a store takes no longer event.
pub(super) const MOST_PAYLOAD: usize = 16 << 20;
/// The bytes of payloads in one batch, which ends at the first row beyond.
pub(super) const BATCH_BYTES: usize = 8 << 20;

/// A row of an outbox.
#[derive(Debug, Clone, Default)]
pub(super) struct OutboxRow {
    /// The transaction that has inserted it, without its epoch; `None` if the row was read from the table.
    pub(super) xid: Option<u32>,
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

impl OutboxRow {
    /// Returns the bytes of its texts.
    pub(super) fn size(&self) -> usize {
        let texts =
            [&self.id, &self.aggregate_type, &self.aggregate_id, &self.event_type, &self.payload];
        texts.into_iter().flatten().map(String::len).sum()
    }

    pub(super) fn of(row: &Row) -> Result<Self, ConnectorError> {
        Ok(OutboxRow {
            xid: None,
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

/// Returns the statement that reads a batch: by the index of waiting rows, and cut where its payloads are too long.
pub(super) fn read_sql(table: &str, batch: usize, more: &str) -> String {
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
                            leftfold_xid >= (select greatest(pg_snapshot_xmin(s), pg_snapshot_xmax(s))
                                             from pg_current_snapshot() s) as is_of_another_server
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
pub(super) fn behind_parked(table: &str) -> String {
    format!(
        "and not exists (select from {table} p
                         where p.relayed_at is null and p.leftfold_error is not null
                           and p.aggregatetype = o.aggregatetype and p.aggregateid = o.aggregateid
                           and p.leftfold_seq < o.leftfold_seq)"
    )
}
