//! Views in Rust: a fold of any query into rows, in memory or in a file.
//!
//! A [`View`] names its events and what each of them changes; a [`RowView`] does it with typed keys and
//! rows. A [`ViewRunner`] keeps it up to date, and tells subscribers what changes. A [`Sink`] takes the
//! events into a database of the user's, exactly once.
//!
//! Rows and the cursor of the last event are committed in one transaction, with compare-and-set on
//! the cursor: if two processes write the same rows, one of them stops. The position and id of the
//! last event are stored beside the cursor. So a store that was restored and has continued
//! differently is noticed, and the view is refused until it is rebuilt.
//!
//! A view is a function of the facts: the same events give the same rows. When that function
//! changes, raise [`View::logic`] and call [`ViewRunner::rebuild`]. It builds the new rows beside the
//! old ones, which answer until the new ones have caught up.
//!
//! ```
//! # use std::sync::Arc;
//! # use leftfold::{Append, Embedded, EventStore, NewEvent, Options, Query, Recorded};
//! use leftfold::view::{MemoryRows, Rows, View, ViewError, ViewRunner};
//!
//! struct Customers;
//!
//! impl View for Customers {
//!     fn name(&self) -> &str {
//!         "customers"
//!     }
//!
//!     fn query(&self) -> Query {
//!         Query::category("customer")
//!     }
//!
//!     fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
//!         match event.event_type() {
//!             "Deleted" => rows.remove(event.stream().as_bytes()),
//!             _ => rows.put(event.stream().as_bytes(), &event.data()),
//!         }
//!     }
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
//! # pollster::block_on(async {
//! let event = NewEvent::json("Registered", r#"{"name":"Ada"}"#);
//! let appended = store.append(Append::new().event("customer-1", event)).await?;
//!
//! let customers = ViewRunner::new(Customers, store, MemoryRows::default());
//! customers.catch_up().await?;
//! let rows = customers.at_least(appended.cursor).await?;
//! assert_eq!(rows.get(b"customer-1")?.as_deref(), Some(&br#"{"name":"Ada"}"#[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod feed;
mod follow;
mod key;
mod lag;
mod memory;
mod progress;
#[cfg(feature = "redb")]
mod redb;
mod row_view;
mod rows;
mod rows_sink;
mod runner;
mod sink;
mod sink_runner;
mod source;
mod table;
mod thread;

#[cfg(feature = "redb")]
pub use self::redb::RedbRows;
pub use error::ViewError;
pub use feed::{ChangedRows, RowChange, ViewChanges};
pub use lag::Lag;
pub use memory::MemoryRows;
pub use row_view::{RowView, TypedRows};
pub use rows::{Anchor, Row, RowReader, RowStore, Rows, Saved};
pub use runner::ViewRunner;
pub use sink::{Batch, Sink};
pub use sink_runner::SinkRunner;
pub use source::Source;
pub use table::{RowTable, TypedChange, TypedChanges, TypedRow};
pub use thread::{WriterThread, catch_panic};

use leftfold_api::{Query, Recorded};

/// A fold of a query's events into rows.
pub trait View: Send + Sync + 'static {
    /// Returns the name that identifies its rows. It stays the same while the view runs.
    fn name(&self) -> &str;

    /// Returns the version of `query` and `apply`: raise it when the same events lead to other rows.
    /// Rows of another version are refused.
    fn logic(&self) -> u32 {
        1
    }

    /// Returns the query of its events.
    fn query(&self) -> Query;

    /// Applies an event to the rows. The change depends only on the rows and the event. An error
    /// stops the view before this event.
    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError>;
}
