//! Views in Rust whose tables are in PostgreSQL.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use leftfold_api::{Query, Recorded};
use leftfold_fold::{Event, EventQuery, decode};
use tokio_postgres::Transaction;

use crate::definition::{OnError, UrlSource};
use crate::table_view::TableResult;

/// A view in Rust whose tables are in PostgreSQL.
/// [`Views::register_in_postgres`](crate::Views::register_in_postgres) runs it like a view by SQL.
///
/// A view is a function of its events: the same events make the same rows. It must not look at a clock, at chance, or
/// at anything else that differs from one run to the next. It is called on a thread and runtime of its own, which also
/// has the connection: what blocks is to be short.
pub trait PostgresView: Send + Sync + 'static {
    /// Returns its name, which is that of its schema: small letters, digits and `_`, a letter first, at most 40 bytes.
    fn name(&self) -> &str;

    /// Returns the query of its events.
    fn query(&self) -> Query;

    /// Returns where the URL of the database is. The URL itself is never stored.
    fn url(&self) -> UrlSource;

    /// Returns the version of `apply`. Raise it when that makes other rows: new tables are then built beside the old
    /// ones. A change of the query, of the tables or of the database does that by itself.
    fn logic(&self) -> u32 {
        1
    }

    /// Returns what happens if an event can't be applied. Events can't be parked.
    fn on_error(&self) -> OnError {
        OnError::Stop
    }

    /// Returns the statements that make its tables, indexes and SQL views: what the head of a `.sql` file may have.
    fn create(&self) -> String;

    /// Applies an event. All its changes happen, or none; they are committed together with those of other events, and
    /// with the cursor behind them. Names without a schema are those of the view's own tables.
    ///
    /// It has five seconds. It must not end the transaction, nor go on after a statement that failed.
    ///
    /// # Errors
    /// The event can't be applied: the view does what [`PostgresView::on_error`] says. An error of the connection or
    /// the database, or one whose source is that, is retried.
    fn apply(
        &self,
        tables: &Transaction<'_>,
        event: &Recorded,
    ) -> impl Future<Output = TableResult> + Send;
}

/// A [`PostgresView`] that gets typed events. Every `TypedPostgresView` is a `PostgresView`.
///
/// ```
/// use leftfold::{Event, Recorded};
/// use leftfold_views::tokio_postgres::Transaction;
/// use leftfold_views::{TableResult, TypedPostgresView, UrlSource};
///
/// #[derive(Debug, Event)]
/// enum Sale { Sold { product: String, cents: i64 } }
///
/// struct Turnovers;
///
/// impl TypedPostgresView for Turnovers {
///     type Event = Sale;
///
///     fn name(&self) -> &str {
///         "turnovers"
///     }
///
///     fn url(&self) -> UrlSource {
///         UrlSource::Env("REPORTS_URL".to_owned())
///     }
///
///     fn create(&self) -> String {
///         "create table turnovers (product text primary key, cents bigint not null)".to_owned()
///     }
///
///     async fn apply(&self, tables: &Transaction<'_>, event: Sale, _: &Recorded) -> TableResult {
///         let Sale::Sold { product, cents } = event;
///         let add = "insert into turnovers values ($1, $2)
///                    on conflict (product) do update set cents = turnovers.cents + excluded.cents";
///         tables.execute(add, &[&product, &cents]).await?;
///         Ok(())
///     }
/// }
/// # use leftfold_views::PostgresView;
/// # assert_eq!(PostgresView::query(&Turnovers).to_string(), "type:Sold");
/// ```
pub trait TypedPostgresView: Send + Sync + 'static {
    /// The events. Those of other types are skipped.
    type Event: Event;

    /// Returns its name, see [`PostgresView::name`].
    fn name(&self) -> &str;

    /// Returns the query of its events: all types of the enum, unless this is overridden.
    fn query(&self) -> Query {
        EventQuery::<Self::Event>::all().into()
    }

    /// Returns where the URL of the database is, see [`PostgresView::url`].
    fn url(&self) -> UrlSource;

    /// Returns the version of its code, see [`PostgresView::logic`].
    fn logic(&self) -> u32 {
        1
    }

    /// Returns what happens if an event can't be applied.
    fn on_error(&self) -> OnError {
        OnError::Stop
    }

    /// Returns the statements that make its tables, see [`PostgresView::create`].
    fn create(&self) -> String;

    /// Applies an event, see [`PostgresView::apply`]. The last argument is the event as it is stored.
    ///
    /// # Errors
    /// As there.
    fn apply(
        &self,
        tables: &Transaction<'_>,
        event: Self::Event,
        recorded: &Recorded,
    ) -> impl Future<Output = TableResult> + Send;
}

impl<V: TypedPostgresView> PostgresView for V {
    fn name(&self) -> &str {
        TypedPostgresView::name(self)
    }

    fn query(&self) -> Query {
        TypedPostgresView::query(self)
    }

    fn url(&self) -> UrlSource {
        TypedPostgresView::url(self)
    }

    fn logic(&self) -> u32 {
        TypedPostgresView::logic(self)
    }

    fn on_error(&self) -> OnError {
        TypedPostgresView::on_error(self)
    }

    fn create(&self) -> String {
        TypedPostgresView::create(self)
    }

    async fn apply(&self, tables: &Transaction<'_>, recorded: &Recorded) -> TableResult {
        match decode::<V::Event>(recorded)? {
            Some(event) => TypedPostgresView::apply(self, tables, event, recorded).await,
            None => Ok(()),
        }
    }
}

/// The code of a [`PostgresView`], whatever its type is.
pub(crate) trait PostgresCode: Send + Sync {
    fn on_error(&self) -> OnError;

    fn apply<'a>(
        &'a self,
        tables: &'a Transaction<'_>,
        event: &'a Recorded,
    ) -> BoxFuture<'a, TableResult>;
}

impl<V: PostgresView> PostgresCode for V {
    fn on_error(&self) -> OnError {
        PostgresView::on_error(self)
    }

    fn apply<'a>(
        &'a self,
        tables: &'a Transaction<'_>,
        event: &'a Recorded,
    ) -> BoxFuture<'a, TableResult> {
        PostgresView::apply(self, tables, event).boxed()
    }
}
