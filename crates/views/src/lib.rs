#![doc = include_str!("../README.md")]

mod ask;
mod check;
mod definition;
mod error;
mod functions;
mod host;
mod log;
mod parameter;
mod sqlite;

pub use ask::{Answer, AskError, AskLimits, Cell, ask};
pub use check::TestReport;
pub use definition::{Definition, OnError};
pub use error::DefinitionError;
pub use host::{MAX_VIEWS, Plan, ViewPhase, ViewStart, ViewStatus, Views, ViewsError};
pub use log::{ask_log, log_query};
pub use sqlite::{ApplyError, Rows};
