//! Views in Rust whose tables are in SQLite.

use std::error::Error;

use leftfold_api::{Query, Recorded};
use leftfold_fold::{Event, EventQuery, decode};
use rusqlite::{Connection, Transaction};

use crate::definition::OnError;

/// The result of the code of a view. Every error converts to it, a text as well.
pub type TableResult = Result<(), Box<dyn Error + Send + Sync>>;

/// A view in Rust whose tables are in SQLite. [`Views::register`](crate::Views::register) runs it like a view by SQL.
///
/// A view is a function of its events: the same events make the same rows. It must not look at a clock, at chance, or
/// at anything else that differs from one run to the next. Its SQL may do what the statements of a `.sql` file may do;
/// the functions of those are there as well. It is called on a thread of its own and may block.
pub trait TableView: Send + Sync + 'static {
    /// Returns its name: small letters, digits and `_`, a letter first, at most 64 bytes.
    fn name(&self) -> &str;

    /// Returns the query of its events.
    fn query(&self) -> Query;

    /// Returns the version of `create` and `apply`. Raise it when they make other tables or rows: new tables are then
    /// built beside the old ones. A change of the query does that by itself.
    fn logic(&self) -> u32 {
        1
    }

    /// Returns what happens if an event can't be applied.
    fn on_error(&self) -> OnError {
        OnError::Stop
    }

    /// Makes its tables, indexes and SQL views, without rows.
    ///
    /// # Errors
    /// They can't be made; the view is refused.
    fn create(&self, tables: &Connection) -> TableResult;

    /// Applies an event. All its changes happen, or none; they are committed together with those of other events, and
    /// with the cursor behind them.
    ///
    /// # Errors
    /// The event can't be applied: the view does what [`TableView::on_error`] says. An error of SQLite about its file,
    /// or one whose source is that, is retried.
    fn apply(&self, tables: &Transaction<'_>, event: &Recorded) -> TableResult;
}

/// A [`TableView`] that gets typed events. Every `TypedTableView` is a `TableView`.
///
/// ```
/// use leftfold::{Event, Recorded};
/// use leftfold_views::rusqlite::{Connection, Transaction};
/// use leftfold_views::{TableResult, TypedTableView};
///
/// #[derive(Debug, Event)]
/// enum Sale { Sold { product: String, cents: i64 } }
///
/// struct Turnovers;
///
/// impl TypedTableView for Turnovers {
///     type Event = Sale;
///
///     fn name(&self) -> &str {
///         "turnovers"
///     }
///
///     fn create(&self, tables: &Connection) -> TableResult {
///         let sql = "create table turnovers (product text primary key, cents integer not null)";
///         Ok(tables.execute_batch(sql)?)
///     }
///
///     fn apply(&self, tables: &Transaction<'_>, event: Sale, _: &Recorded) -> TableResult {
///         let Sale::Sold { product, cents } = event;
///         let mut add = tables.prepare_cached(
///             "insert into turnovers values (?1, ?2)
///              on conflict (product) do update set cents = cents + excluded.cents",
///         )?;
///         add.execute((product, cents))?;
///         Ok(())
///     }
/// }
/// # use leftfold_views::TableView;
/// # assert_eq!(TableView::query(&Turnovers).to_string(), "type:Sold");
/// ```
pub trait TypedTableView: Send + Sync + 'static {
    /// The events. Those of other types are skipped.
    type Event: Event;

    /// Returns its name, see [`TableView::name`].
    fn name(&self) -> &str;

    /// Returns the query of its events: all types of the enum, unless this is overridden.
    fn query(&self) -> Query {
        EventQuery::<Self::Event>::all().into()
    }

    /// Returns the version of its code, see [`TableView::logic`].
    fn logic(&self) -> u32 {
        1
    }

    /// Returns what happens if an event can't be applied.
    fn on_error(&self) -> OnError {
        OnError::Stop
    }

    /// Makes its tables, see [`TableView::create`].
    ///
    /// # Errors
    /// As there.
    fn create(&self, tables: &Connection) -> TableResult;

    /// Applies an event, see [`TableView::apply`]. The last argument is the event as it is stored.
    ///
    /// # Errors
    /// As there.
    fn apply(
        &self,
        tables: &Transaction<'_>,
        event: Self::Event,
        recorded: &Recorded,
    ) -> TableResult;
}

impl<V: TypedTableView> TableView for V {
    fn name(&self) -> &str {
        TypedTableView::name(self)
    }

    fn query(&self) -> Query {
        TypedTableView::query(self)
    }

    fn logic(&self) -> u32 {
        TypedTableView::logic(self)
    }

    fn on_error(&self) -> OnError {
        TypedTableView::on_error(self)
    }

    fn create(&self, tables: &Connection) -> TableResult {
        TypedTableView::create(self, tables)
    }

    fn apply(&self, tables: &Transaction<'_>, recorded: &Recorded) -> TableResult {
        match decode::<V::Event>(recorded)? {
            Some(event) => TypedTableView::apply(self, tables, event, recorded),
            None => Ok(()),
        }
    }
}
