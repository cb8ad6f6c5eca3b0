use std::marker::PhantomData;

use leftfold_api::{Query, Recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Rows, View, ViewError, key};
use crate::event::{Event, decode};

/// A view with typed keys and rows, for the simple case. Every `RowView` is a [`View`].
///
/// ```
/// # use std::sync::Arc;
/// # use leftfold::{Append, Embedded, Event, EventStore, Options};
/// # use serde::{Deserialize, Serialize};
/// use leftfold::view::{MemoryRows, RowView, TypedRows, ViewError, ViewRunner};
///
/// #[derive(Debug, Event)]
/// enum Sale { Opened { shop: String, day: u32 }, Sold { shop: String, day: u32, cents: u64 } }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Turnover { cents: u64 }
///
/// struct Turnovers;
///
/// impl RowView for Turnovers {
///     type Event = Sale;
///     type Key = (String, u32);
///     type Row = Turnover;
///
///     fn name(&self) -> &str {
///         "turnovers"
///     }
///
///     fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Sale) -> Result<(), ViewError> {
///         match event {
///             Sale::Opened { shop, day } => rows.put(&(shop, day), &Turnover { cents: 0 }),
///             Sale::Sold { shop, day, cents } => {
///                 rows.update(&(shop, day), |turnover| turnover.cents += cents)
///             }
///         }
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
/// # pollster::block_on(async {
/// # let shop = || "north".to_owned();
/// for day in [1, 2] {
///     let opened = Sale::Opened { shop: shop(), day }.to_new()?;
///     let sold = Sale::Sold { shop: shop(), day, cents: 500 }.to_new()?;
///     store.append(Append::new().event("shop-north", opened).event("shop-north", sold)).await?;
/// }
/// let turnovers = ViewRunner::new(Turnovers, store, MemoryRows::default());
/// turnovers.catch_up().await?;
/// let table = turnovers.table();
/// assert_eq!(table.get(&(shop(), 2))?, Some(Turnover { cents: 500 }));
/// assert_eq!(table.under(&("north",), 10)?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RowView: Send + Sync + 'static {
    /// The events. Those of other types are skipped.
    type Event: Event;

    /// The key of a row: a text, an integer, a boolean, or a tuple of those, as serde writes it.
    /// Rows are ordered by it.
    type Key: Serialize + DeserializeOwned;

    /// A row, stored as JSON.
    type Row: Serialize + DeserializeOwned;

    /// Returns the name that identifies its rows.
    fn name(&self) -> &str;

    /// Returns the version of the view, see [`View::logic`]. Raise it, too, when the shape of the key
    /// or the row changes.
    fn logic(&self) -> u32 {
        1
    }

    /// Returns the query of its events: all types of the enum, unless this is overridden.
    fn query(&self) -> Query {
        let types = Self::Event::KINDS.iter().map(|kind| Query::event_type(kind.event_type));
        types.reduce(Query::or).unwrap_or(Query::All)
    }

    /// Applies an event to the rows. The change depends only on the rows and the event. An error
    /// stops the view before this event.
    fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Self::Event) -> Result<(), ViewError>;
}

impl<V: RowView> View for V {
    fn name(&self) -> &str {
        RowView::name(self)
    }

    fn logic(&self) -> u32 {
        RowView::logic(self)
    }

    fn query(&self) -> Query {
        RowView::query(self)
    }

    fn apply(&self, rows: &mut dyn Rows, recorded: &Recorded) -> Result<(), ViewError> {
        let Some(event) = decode::<V::Event>(recorded)? else { return Ok(()) };
        let name = RowView::name(self);
        let mut rows = TypedRows { name, rows, recorded, of_view: PhantomData };
        RowView::apply(self, &mut rows, event)
    }
}

/// Access to typed rows while an event is applied; changes are visible at once.
pub struct TypedRows<'a, V: ?Sized> {
    name: &'a str,
    rows: &'a mut dyn Rows,
    recorded: &'a Recorded,
    of_view: PhantomData<fn(&V)>,
}

impl<V: RowView + ?Sized> TypedRows<'_, V> {
    /// Returns the event as it is stored: its stream, position, times and tags.
    pub fn recorded(&self) -> &Recorded {
        self.recorded
    }

    /// Returns the row of a key.
    pub fn get(&self, key: &V::Key) -> Result<Option<V::Row>, ViewError> {
        let found = self.rows.get(&encode_key(self.name, key)?)?;
        found.map(|bytes| decode_row(self.name, key, &bytes)).transpose()
    }

    /// Sets the row of a key.
    pub fn put(&mut self, key: &V::Key, row: &V::Row) -> Result<(), ViewError> {
        let bytes =
            serde_json::to_vec(row).map_err(|error| row_error(self.name, key::show(key), error))?;
        self.rows.put(&encode_key(self.name, key)?, &bytes)
    }

    /// Removes the row of a key, if it is there.
    pub fn remove(&mut self, key: &V::Key) -> Result<(), ViewError> {
        self.rows.remove(&encode_key(self.name, key)?)
    }

    /// Changes the row of a key.
    ///
    /// # Errors
    /// `view_row_unusable`: there is no such row. To allow that, use [`TypedRows::get`] and
    /// [`TypedRows::put`], or [`TypedRows::upsert`].
    pub fn update(
        &mut self,
        key: &V::Key,
        change: impl FnOnce(&mut V::Row),
    ) -> Result<(), ViewError> {
        let row = self.get(key)?;
        let mut row =
            row.ok_or_else(|| row_error(self.name, key::show(key), "there is no such row"))?;
        change(&mut row);
        self.put(key, &row)
    }

    /// Changes the row of a key; a new row starts from its default.
    pub fn upsert(
        &mut self,
        key: &V::Key,
        change: impl FnOnce(&mut V::Row),
    ) -> Result<(), ViewError>
    where
        V::Row: Default,
    {
        let mut row = self.get(key)?.unwrap_or_default();
        change(&mut row);
        self.put(key, &row)
    }
}

pub(super) fn encode_key(view: &str, key: &impl Serialize) -> Result<Vec<u8>, ViewError> {
    key::encode(key).map_err(|error| row_error(view, key::show(key), error))
}

pub(super) fn decode_row<R: DeserializeOwned>(
    view: &str,
    key: &impl Serialize,
    bytes: &[u8],
) -> Result<R, ViewError> {
    serde_json::from_slice(bytes).map_err(|error| row_error(view, key::show(key), error))
}

pub(super) fn row_error(view: &str, key: String, error: impl ToString) -> ViewError {
    ViewError::Row { view: view.to_owned(), key, message: error.to_string() }
}
