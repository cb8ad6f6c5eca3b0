//! Checks what replication needs: the server's settings, the role, the publication and the slot.

use tokio_postgres::Client;

use super::super::super::kind::Check;
use super::super::super::{ConnectorError, Secrets};
use super::super::session::{answer, get};
use super::super::settings::OutboxSettings;
use super::slot::Slot;
use super::{login, publication, standby};

/// Looks at what replication needs. Nothing is changed.
pub(in super::super) async fn check(
    client: &Client,
    settings: &OutboxSettings,
    secrets: &Secrets,
    check: &mut Check,
) -> Result<(), ConnectorError> {
    let sql = "select current_setting('wal_level'),
                      exists (select from pg_roles r where rolname = current_user and (rolsuper or rolreplication
                          or exists (select from pg_roles m where m.rolname in ('rds_replication', 'cloudsqlreplication')
                                     and pg_has_role(r.oid, m.oid, 'member')))),
                      current_setting('max_replication_slots')::bigint
                          - (select count(*) from pg_replication_slots)";
    let row = answer(client.query_one(sql, &[])).await?;
    let level: String = get(&row, 0)?;
    check.note(
        "wal_level",
        match level.as_str() {
            "logical" => Ok("logical"),
            _ => Err(format!("{level}, expected logical: alter system set wal_level = logical, and start the server anew")),
        },
    );
    check.note(
        "the right to replicate",
        match get(&row, 1)? {
            true => Ok("the role has it"),
            false => Err("missing: alter role ... replication"),
        },
    );
    let standby = standby::check(client).await;
    check.note("synchronous_standby_names", standby.map(|()| "does not have the connector"));
    let published = publication::check(client, settings).await;
    check.note(
        format!("the publication {}", settings.publication()),
        published.map(|()| "has the table"),
    );
    let slot = check_slot(client, &settings.slot(), get(&row, 2)?).await;
    check.note(format!("the replication slot {}", settings.slot()), slot);
    let connected = login::connect(settings, secrets).await;
    check.note("a connection for replication", connected.map(|_| "is let in"));
    Ok(())
}

async fn check_slot(client: &Client, name: &str, free: i64) -> Result<String, ConnectorError> {
    match Slot::find(client, name).await? {
        Some(slot) if slot.is_active => Ok(format!("is read, and is at {}", slot.confirmed)),
        Some(slot) => Ok(format!(
            "is not read now, and is at {}; only the connector that made it can read it",
            slot.confirmed
        )),
        None if free > 0 => Ok("will be made".to_owned()),
        None => Err(ConnectorError::unusable(
            "there is no free one: raise max_replication_slots, or drop a slot that is not used, and start the server anew",
        )),
    }
}
