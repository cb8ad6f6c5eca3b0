//! Views in Rust: a fold over any query into rows, in memory or in a file.
//!
//! A [`View`] says which events it wants and what each of them changes. A [`Viewing`] keeps it up to
//! date: rows and the cursor of the last event are committed in one transaction, and the cursor by
//! compare-and-set, so that of two who write the same rows one stops. Beside the cursor stand the
//! position and the id of that event: a store that was restored and has gone another way since is
//! noticed, and its view is refused until it is built anew.
//!
//! A view is a function of the facts: given the same events, the same rows. When that function changes,
//! raise [`View::LOGIC`] and let [`Viewing::rebuild`] build the new rows beside the old ones, which
//! answer until the new ones have caught up.
//!
//! ```
//! # use std::sync::Arc;
//! # use leftfold::{Append, Embedded, EventStore, NewEvent, Options, Query, Recorded};
//! use leftfold::view::{MemoryRows, Rows, View, ViewError, Viewing};
//!
//! struct Customers;
//!
//! impl View for Customers {
//!     const NAME: &'static str = "customers";
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
//! let customers = Viewing::new(Customers, store, MemoryRows::default());
//! customers.catch_up().await?;
//! let rows = customers.at_least(appended.cursor).await?;
//! assert_eq!(rows.get(b"customer-1")?.as_deref(), Some(&br#"{"name":"Ada"}"#[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod follow;
mod memory;
mod redb;
mod rows;
mod viewing;

pub use self::redb::RedbRows;
pub use error::ViewError;
pub use memory::MemoryRows;
pub use rows::{Anchor, Backing, Row, Rows, Saved};
pub use viewing::{Lag, Viewing};

use leftfold_api::{Query, Recorded};

/// A fold over what a query yields, into rows.
pub trait View: Send + Sync + 'static {
    /// What its rows are known by.
    const NAME: &'static str;

    /// The version of `query` and `apply`: raise it when the same events come to other rows. Rows of
    /// another version are not taken up.
    const LOGIC: u32 = 1;

    /// Which events it wants.
    fn query(&self) -> Query;

    /// What an event changes. It depends on nothing but the rows and the event. An error stops the
    /// view before this event.
    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError>;
}
