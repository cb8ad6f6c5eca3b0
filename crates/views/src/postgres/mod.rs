//! The tables of a view in PostgreSQL.
//!
//! Each definition has a schema of its own, `NAME.NUMBER`, until it has caught up; then that schema takes the name
//! `NAME` in one transaction, and the one before is dropped. The row of the table `_view` says whose tables they are and
//! up to where they have been brought. A commit moves it by compare-and-set, in one transaction with the rows.
//! Of several processes that run the view, the one with its lease fills them.

mod apply;
mod check;
mod code;
mod error;
mod lease;
mod schema;
mod session;
mod sink;
mod tables;
mod url;
mod worker;

pub(crate) use check::check;
pub(crate) use error::Failure;
pub(crate) use lease::hold_lease;
pub(crate) use schema::Owner;
pub(crate) use sink::PostgresSink;
pub(crate) use tables::{Filled, PostgresTables, drop_before, drop_removed, is_published};
pub(crate) use url::Url;
pub(crate) use worker::Worker;
