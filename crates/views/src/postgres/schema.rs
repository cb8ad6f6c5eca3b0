//! The schemas of a view: whose they are, and how they are made, swapped and dropped.

use leftfold_api::{Cursor, Origin};
use leftfold_fold::view::{Saved, ViewError};
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::error::{Failure, is_of_statement, message_of, no_answer};
use super::session::{COMMIT, commit, execute};
use crate::definition::{Definition, qualifiers};
use crate::error::DefinitionError;
use crate::host::Published;
use crate::sqlite::quoted;

/// The tables of the runner, in the schema of the search path.
const OWN: &str = "
    create table _view (
        id integer primary key check (id = 1), generation bigint not null, digest text not null,
        store text not null, incarnation text not null, state text not null, cursor text not null
    );
    create table _errors (
        position bigint primary key, stream text not null, version bigint not null, type text not null,
        reason text not null
    );
";

/// A row of this table refers to none while code runs, so that the code can't commit: that is checked at the end of the
/// transaction.
const OF_CODE: &str = "
    create table _open (
        id integer primary key, closed integer references _view deferrable initially deferred
    );
";

/// Dropping tables may wait for the disk, but not long for readers: those who come later would wait too.
const SWAPPING: &str = "begin; set local statement_timeout = '60s'";

/// A definition of a view in a store.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) view: String,
    /// The number of the definition.
    pub(crate) number: u64,
    pub(crate) origin: Origin,
}

/// What a schema is.
enum Found {
    Missing,
    /// This store has not made it.
    Foreign,
    Own(Row),
}

/// The row of `_view`.
struct Row {
    generation: u64,
    digest: String,
    state: String,
}

/// The tables of a definition.
pub(super) struct Opened {
    pub(super) schema: String,
    pub(super) is_published: bool,
    pub(super) state: Option<Saved>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Owner {
    /// Returns the schema of tables that do not answer yet.
    fn schema(&self) -> String {
        format!("{}.{}", self.view, self.number)
    }

    /// Returns what the lease of the view is named by.
    pub(super) fn lease_name(&self) -> String {
        format!("leftfold.{}.{}", hex(&self.origin.store), self.view)
    }

    /// Returns the tables that answer, without a lock. `None`: there are none, or they are swapped at this moment.
    pub(super) async fn published(&self, client: &Client) -> Result<Option<Published>, Failure> {
        let schema = quoted(&self.view);
        let exists = "select to_regclass($1::text) is not null";
        let exists = client.query_one(exists, &[&format!("{schema}._view")]).await?;
        if !exists.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let row = format!("select generation, store, cursor from {schema}._view");
        let row = match client.query_opt(&row, &[]).await {
            Ok(row) => row,
            Err(error) if error.as_db_error().is_some() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(row) = row.filter(|row| self.is_store(row)) else {
            return Ok(None);
        };
        let number = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default();
        let cursor: &str = row.try_get(2)?;
        let cursor = match cursor {
            "" => Cursor::START,
            cursor => cursor.parse().map_err(ViewError::rows)?,
        };
        Ok(Some(Published { number, cursor }))
    }

    /// Keeps other processes from making or swapping the schemas of the view until the transaction ends.
    async fn lock(&self, client: &Client) -> Result<(), Failure> {
        let lock = "select pg_advisory_xact_lock(hashtext('leftfold'), hashtext($1::text))";
        client.execute(lock, &[&self.view]).await?;
        Ok(())
    }

    fn is_store(&self, row: &tokio_postgres::Row) -> bool {
        row.try_get::<_, &str>("store").is_ok_and(|store| store == hex(&self.origin.store))
    }

    /// Looks at a schema. Its row is locked: a commit that is in progress ends before.
    async fn find(&self, client: &Client, schema: &str) -> Result<Found, Failure> {
        let columns = "
            select (select count(*) from pg_attribute
                    join pg_class on pg_class.oid = attrelid and relname = '_view' and relkind = 'r'
                    where relnamespace = pg_namespace.oid and not attisdropped
                    and attname in ('generation', 'digest', 'store', 'incarnation', 'state', 'cursor'))
            from pg_namespace where nspname = $1::text";
        let Some(columns) = client.query_opt(columns, &[&schema]).await? else {
            return Ok(Found::Missing);
        };
        if columns.try_get::<_, i64>(0)? != 6 {
            return Ok(Found::Foreign);
        }
        let row = format!(
            "select generation, digest, store, state from {}._view for update",
            quoted(schema)
        );
        let Some(row) = client.query_opt(&row, &[]).await? else { return Ok(Found::Foreign) };
        if row.try_get::<_, &str>(2)? != hex(&self.origin.store) {
            return Ok(Found::Foreign);
        }
        let generation = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default();
        Ok(Found::Own(Row { generation, digest: row.try_get(1)?, state: row.try_get(3)? }))
    }

    /// Returns the tables of the definition that are in a schema, if they are.
    async fn opened(
        &self,
        client: &Client,
        definition: &Definition,
        schema: String,
    ) -> Result<Option<Opened>, Failure> {
        let row = match self.find(client, &schema).await? {
            Found::Missing => return Ok(None),
            Found::Foreign => return Err(ViewError::SchemaTaken { schema }.into()),
            Found::Own(row) => row,
        };
        let is_published = schema == self.view;
        if row.generation != self.number {
            return match is_published {
                true => Ok(None),
                false => Err(ViewError::SchemaTaken { schema }.into()),
            };
        }
        if row.digest != definition.digest() {
            let (found, wanted) = (row.digest, definition.digest());
            return Err(ViewError::OtherLogic { found, wanted }.into());
        }
        Ok(Some(Opened { schema, is_published, state: parse_state(&row.state)? }))
    }

    /// Opens the tables of the definition, or makes them. `start` is the state of new tables.
    pub(super) async fn open(
        &self,
        client: &Client,
        definition: &Definition,
        start: Option<&Saved>,
    ) -> Result<Opened, Failure> {
        execute(client, "begin").await?;
        self.lock(client).await?;
        let mut found = self.opened(client, definition, self.view.clone()).await?;
        if found.is_none() {
            found = self.opened(client, definition, self.schema()).await?;
        }
        let opened = match found {
            Some(opened) => {
                use_schema(client, &opened.schema).await?;
                opened
            }
            None => {
                let schema = self.schema();
                make(client, definition, &schema).await?;
                let insert = "insert into _view values (1, $1, $2, $3, $4, $5, $6)";
                let state = start.map(ToString::to_string).unwrap_or_default();
                let cursor = start.map(|start| start.cursor().to_string()).unwrap_or_default();
                let (store, incarnation) = (hex(&self.origin.store), hex(&self.origin.incarnation));
                let number = i64::try_from(self.number).unwrap_or(i64::MAX);
                client
                    .execute(
                        insert,
                        &[&number, &definition.digest(), &store, &incarnation, &state, &cursor],
                    )
                    .await?;
                Opened { schema, is_published: false, state: start.cloned() }
            }
        };
        commit(client).await?;
        Ok(opened)
    }

    /// Refuses a schema of the view's name that this store has not made.
    pub(super) async fn check_free(&self, client: &Client) -> Result<(), Failure> {
        match self.find(client, &self.view).await? {
            Found::Foreign => Err(ViewError::SchemaTaken { schema: self.view.clone() }.into()),
            Found::Missing | Found::Own(_) => Ok(()),
        }
    }

    /// Whether the tables of the definition answer.
    pub(super) async fn is_published(&self, client: &Client) -> Result<bool, Failure> {
        let found = self.find(client, &self.view).await?;
        Ok(matches!(found, Found::Own(row) if row.generation == self.number))
    }

    /// Lets the tables of the definition answer in place of those that do. If those have another state than `known`,
    /// up to which the new ones are, it returns that state and changes nothing.
    pub(super) async fn publish(
        &self,
        client: &Client,
        known: Option<&Saved>,
    ) -> Result<Option<Saved>, Failure> {
        execute(client, SWAPPING).await?;
        self.lock(client).await?;
        match self.find(client, &self.view).await? {
            Found::Foreign => {
                return Err(ViewError::SchemaTaken { schema: self.view.clone() }.into());
            }
            Found::Own(row) if row.generation == self.number => {
                execute(client, "rollback").await?;
                return Ok(None);
            }
            Found::Own(row) => {
                let state = parse_state(&row.state)?;
                if let (Some(_), Some(state)) = (known, &state)
                    && known != Some(state)
                {
                    execute(client, "rollback").await?;
                    return Ok(Some(state.clone()));
                }
                drop_schema(client, &self.view).await?;
            }
            Found::Missing => {}
        }
        let rename =
            format!("alter schema {} rename to {}", quoted(&self.schema()), quoted(&self.view));
        execute(client, &rename).await?;
        commit(client).await?;
        Ok(None)
    }

    /// Drops the schemas that this store has made for earlier definitions of the view.
    pub(super) async fn drop_before(&self, client: &Client) -> Result<(), Failure> {
        let names =
            "select nspname::text from pg_namespace where nspname = $1::text or nspname ~ $2";
        let numbered = format!(r"^{}\.[0-9]+$", self.view);
        for row in client.query(names, &[&self.view, &numbered]).await? {
            let schema: String = row.try_get(0)?;
            execute(client, SWAPPING).await?;
            self.lock(client).await?;
            let is_before = match self.find(client, &schema).await? {
                Found::Own(row) => row.generation < self.number,
                Found::Missing | Found::Foreign => false,
            };
            if is_before {
                drop_schema(client, &schema).await?;
            }
            commit(client).await?;
        }
        Ok(())
    }
}

fn parse_state(text: &str) -> Result<Option<Saved>, Failure> {
    (!text.is_empty()).then(|| text.parse()).transpose().map_err(Failure::View)
}

async fn drop_schema(client: &Client, schema: &str) -> Result<(), Failure> {
    let drop = format!("drop schema {} cascade", quoted(schema));
    Ok(timeout(COMMIT, client.batch_execute(&drop)).await.map_err(|_| no_answer())??)
}

/// Lets names without a schema mean those of this one. Temporary tables come last, since they would come first unnamed.
async fn use_schema(client: &Client, schema: &str) -> Result<(), Failure> {
    execute(client, &format!("set search_path to {}, pg_temp", quoted(schema))).await
}

/// Returns the error of a statement of the file.
pub(super) fn of_statement(error: tokio_postgres::Error, line: usize) -> Failure {
    match is_of_statement(&error) {
        true => DefinitionError::sql(line, message_of(&error)).into(),
        false => error.into(),
    }
}

/// Makes a schema with the tables of a definition, within a transaction.
pub(super) async fn make(
    client: &Client,
    definition: &Definition,
    schema: &str,
) -> Result<(), Failure> {
    check_schemas(client, definition).await?;
    execute(client, &format!("create schema {}", quoted(schema))).await?;
    use_schema(client, schema).await?;
    execute(client, OWN).await?;
    if definition.logic.is_some() {
        execute(client, OF_CODE).await?;
    }
    for table in &definition.tables {
        client.execute(&table.text, &[]).await.map_err(|error| of_statement(error, table.line))?;
    }
    Ok(())
}

/// Refuses statements that name a schema of the database, such as those of other views.
async fn check_schemas(client: &Client, definition: &Definition) -> Result<(), Failure> {
    let rows = client.query("select nspname::text from pg_namespace", &[]).await?;
    let schemas = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    let own = definition.table_names();
    let of_head = definition.tables.iter().map(|table| (&*table.text, table.line));
    let changes = definition.handlers.iter().flat_map(|handler| &handler.statements);
    let of_events = changes.map(|statement| (statement.sql(), statement.line));
    for (sql, line) in of_head.chain(of_events) {
        let is_foreign = |name: &String| {
            schemas.contains(name) && !own.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        if let Some(schema) = qualifiers(sql).find(is_foreign) {
            let message = format!(
                "a statement uses the tables of its view alone, not those of the schema {schema}"
            );
            return Err(DefinitionError::forbidden(line, message).into());
        }
    }
    Ok(())
}

/// Prepares the statements of all handlers.
pub(super) async fn prepare_all(
    client: &Client,
    definition: &Definition,
) -> Result<Vec<Vec<Statement>>, Failure> {
    let mut all = Vec::with_capacity(definition.handlers.len());
    for handler in &definition.handlers {
        let mut prepared = Vec::with_capacity(handler.statements.len());
        for statement in &handler.statements {
            let done = client.prepare(statement.sql()).await;
            let done = done.map_err(|error| of_statement(error, statement.line))?;
            if !done.columns().is_empty() {
                let message =
                    "a statement behind @on changes rows (insert, update, delete) and returns none";
                return Err(DefinitionError::forbidden(statement.line, message).into());
            }
            prepared.push(done);
        }
        all.push(prepared);
    }
    Ok(all)
}
