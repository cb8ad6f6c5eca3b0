//! The publication: which changes of which tables are sent.

use tokio_postgres::Client;

use super::super::super::ConnectorError;
use super::super::session::{answer, get};
use super::super::settings::OutboxSettings;

/// Checks that the publication has the inserts into the table. Of what is not in it, nothing would come.
pub(super) async fn check(
    client: &Client,
    settings: &OutboxSettings,
) -> Result<(), ConnectorError> {
    let sql = "select p.pubinsert, exists (select from pg_publication_tables t where t.pubname = p.pubname
                                           and t.schemaname = $2::text::name and t.tablename = $3::text::name)
               from pg_publication p where p.pubname = $1::text::name";
    let (name, table) = (settings.publication(), &settings.table);
    let found = answer(client.query_opt(sql, &[&name, &table.schema(), &table.table()])).await?;
    let wrong = match found {
        None => "is not there",
        Some(row) if !get::<bool>(&row, 0)? => "does not publish what is inserted",
        Some(row) if !get::<bool>(&row, 1)? => "does not have the table",
        Some(_) => return Ok(()),
    };
    Err(ConnectorError::unusable(format!(
        "the publication {name} of the table {table} {wrong}: run the SQL of `leftfold outbox init --replication --table {table}`"
    )))
}
