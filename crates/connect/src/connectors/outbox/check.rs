//! Checks an outbox: its server, table, rights and rows.

use std::collections::HashMap;

use leftfold_api::Coded;
use tokio_postgres::Client;

use super::super::kind::Check;
use super::super::{ConnectorError, Secrets};
use super::session::{answer, connect, get};
use super::settings::{Mode, OutboxSettings};

/// The first version with `xid8` and `pg_current_snapshot`.
const FIRST_VERSION: i32 = 130_000;
/// The most rows that a check counts.
const MOST_COUNTED: i64 = 100_000;

/// The columns of an outbox, and the types that they may have.
const COLUMNS: [(&str, &[&str]); 11] = [
    ("id", &["uuid", "text", "character varying"]),
    ("aggregatetype", &["text", "character varying"]),
    ("aggregateid", &["text", "character varying", "uuid", "bigint", "integer"]),
    ("type", &["text", "character varying"]),
    ("payload", &["jsonb", "json", "text", "character varying"]),
    ("expected_version", &["bigint", "integer"]),
    ("event_time", &["timestamp with time zone"]),
    ("relayed_at", &["timestamp with time zone"]),
    ("leftfold_error", &["text"]),
    ("leftfold_xid", &["xid8"]),
    ("leftfold_seq", &["bigint"]),
];

/// Connects, and looks whether the outbox is as it must be. Nothing is changed.
pub(crate) async fn check(settings: &OutboxSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    if let Err(error) = find_all(settings, secrets, &mut check).await {
        check.note("PostgreSQL", Err::<String, _>(format!("{error} ({})", error.code())));
    }
    check
}

async fn find_all(
    settings: &OutboxSettings,
    secrets: &Secrets,
    check: &mut Check,
) -> Result<(), ConnectorError> {
    let client = connect(settings, secrets).await?;
    let sql =
        "select current_setting('server_version_num')::int, current_setting('server_version')";
    let row = answer(client.query_one(sql, &[])).await?;
    let (number, version): (i32, String) = (get(&row, 0)?, get(&row, 1)?);
    let is_new = number >= FIRST_VERSION;
    let found = is_new.then(|| format!("version {version}"));
    check.note("PostgreSQL", found.ok_or(format!("version {version}, expected 13 or later")));
    let table = settings.table.quoted();
    if !is_new || !check_columns(&client, &table, check).await? {
        return Ok(());
    }
    check_numbers(&client, &table, check).await?;
    let needed = settings.needed_rights();
    let is_readable = check_rights(&client, &table, needed, check).await?;
    if settings.mode == Mode::Replication {
        return super::replication::check(&client, settings, secrets, check).await;
    }
    match is_readable {
        true => check_rows(&client, &table, check).await,
        false => Ok(()),
    }
}

/// Returns whether the columns are as they must be.
async fn check_columns(
    client: &Client,
    table: &str,
    check: &mut Check,
) -> Result<bool, ConnectorError> {
    let sql = "select attname::text, format_type(atttypid, null) from pg_attribute
               where attrelid = to_regclass($1) and attnum > 0 and not attisdropped";
    let rows = answer(client.query(sql, &[&table])).await?;
    let found = rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?)));
    let found = found.collect::<Result<HashMap<String, String>, ConnectorError>>()?;
    let wrong = COLUMNS.iter().filter_map(|(name, types)| match found.get(*name) {
        None => Some(format!("{name} is missing")),
        Some(found) if !types.contains(&found.as_str()) => {
            Some(format!("{name} is {found}, expected {}", types.join(" or ")))
        }
        Some(_) => None,
    });
    let wrong: Vec<_> = wrong.collect();
    let is_right = wrong.is_empty();
    check.note(
        format!("the table {table}"),
        match (found.is_empty(), is_right) {
            (_, true) => Ok("has its columns"),
            (true, _) => Err("is not there: run the SQL of `leftfold outbox init`".to_owned()),
            (false, _) => {
                Err(format!("{}: run the SQL of `leftfold outbox init`", wrong.join(", ")))
            }
        },
    );
    Ok(is_right)
}

/// Checks that the numbers of rows are given in the order in which they are asked for.
async fn check_numbers(
    client: &Client,
    table: &str,
    check: &mut Check,
) -> Result<(), ConnectorError> {
    let sql = "select seqcache, seqincrement from pg_sequence
               where seqrelid = pg_get_serial_sequence($1, 'leftfold_seq')::regclass";
    let found = answer(client.query_opt(sql, &[&table])).await?;
    let found =
        found.map(|row| Ok::<_, ConnectorError>((get::<i64>(&row, 0)?, get::<i64>(&row, 1)?)));
    let detail = match found.transpose()? {
        Some((1, 1..)) => Ok("gives the rows their order"),
        // Each connection would have numbers of its own in reserve.
        Some((..)) => Err("its sequence must have cache 1 and count upwards; alter it"),
        None => Err("has no sequence of its own: expected bigint generated always as identity"),
    };
    check.note("the column leftfold_seq", detail);
    Ok(())
}

/// Returns whether the rows can be read.
async fn check_rights(
    client: &Client,
    table: &str,
    needed: &[&str],
    check: &mut Check,
) -> Result<bool, ConnectorError> {
    let sql = "select r, has_table_privilege($1::text, r) from unnest($2::text[]) r";
    let rows = answer(client.query(sql, &[&table, &needed])).await?;
    let mut missing: Vec<String> = Vec::new();
    for row in &rows {
        if !get::<bool>(row, 1)? {
            missing.push(get(row, 0)?);
        }
    }
    let detail = match missing.is_empty() {
        true => Ok(needed.join(", ")),
        false => Err(format!("missing: {}; grant them to the role", missing.join(", "))),
    };
    check.note("rights", detail);
    Ok(!missing.iter().any(|right| right == "select"))
}

/// Says how many rows wait, and for what.
async fn check_rows(client: &Client, table: &str, check: &mut Check) -> Result<(), ConnectorError> {
    let sql = format!(
        "select count(*), count(*) filter (where leftfold_error is not null),
                count(*) filter (where xid >= pg_snapshot_xmin(pg_current_snapshot())),
                count(*) filter (where xid >= pg_snapshot_xmax(pg_current_snapshot()))
         from (select leftfold_xid as xid, leftfold_error from {table} where relayed_at is null
               order by leftfold_seq limit {MOST_COUNTED}) waiting"
    );
    let row = answer(client.query_one(&sql, &[])).await?;
    let count = |at| get::<i64>(&row, at);
    let (all, parked, held, foreign) = (count(0)?, count(1)?, count(2)?, count(3)?);
    let more = if all == MOST_COUNTED { " or more" } else { "" };
    let mut detail = format!("{all}{more} wait");
    if parked > 0 {
        detail.push_str(&format!(", {parked} of them parked (leftfold_error says why)"));
    }
    if held > 0 {
        detail.push_str(&format!(", {held} for a transaction to end{}", oldest(client).await?));
    }
    check.note(
        "rows",
        match foreign {
            0 => Ok(detail),
            _ => Err(format!(
                "{detail}; {foreign} have transactions of another server: update {table} set leftfold_xid = default"
            )),
        },
    );
    Ok(())
}

/// Names the oldest transaction that holds rows back.
async fn oldest(client: &Client) -> Result<String, ConnectorError> {
    // Of other accounts it is only seen that they are there.
    let sql = "select pid, extract(epoch from clock_timestamp() - xact_start)::bigint from pg_stat_activity
               where backend_xid is not null order by age(backend_xid) desc limit 1";
    let row = answer(client.query_opt(sql, &[])).await?;
    let found = row
        .map(|row| Ok::<_, ConnectorError>((get::<i32>(&row, 0)?, get::<Option<i64>>(&row, 1)?)));
    Ok(match found.transpose()? {
        None => String::new(),
        Some((pid, Some(seconds))) => format!(": that of process {pid} runs for {seconds} s"),
        Some((pid, None)) => format!(": that of process {pid} runs"),
    })
}
