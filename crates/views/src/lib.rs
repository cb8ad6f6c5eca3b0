#![doc = include_str!("../README.md")]

mod as_of;
mod ask;
mod changes;
mod check;
mod definition;
mod error;
mod functions;
mod host;
mod log;
mod logic;
mod parameter;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_view;
mod sqlite;
mod table_view;
mod windows;

pub use as_of::{AsOf, ask_as_of};
pub use ask::{Answer, AskError, AskLimits, Cell, ask, limit_memory};
pub use changes::{RowChange, RowChanges};
pub use check::TestReport;
pub use definition::{Definition, OnError, Target, UrlSource};
pub use error::DefinitionError;
pub use host::{
    DEFAULT_PERIOD, ListParked, LiveQuery, LiveUpdate, MAX_VIEWS, ParkedEvent, Plan, Question,
    QuestionText, ViewPhase, ViewStart, ViewStatus, Views, ViewsError,
};
pub use log::{ask_log, log_query};
#[cfg(feature = "postgres")]
pub use postgres_view::{PostgresView, TypedPostgresView};
pub use rusqlite;
pub use sqlite::{ApplyError, Rows};
pub use table_view::{TableResult, TableView, TypedTableView};
#[cfg(feature = "postgres")]
pub use tokio_postgres;

/// The programs in the page on views run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/views.md")]
struct Page;
