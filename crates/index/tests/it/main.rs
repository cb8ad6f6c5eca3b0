//! The index as its users see it.

mod common;
mod damage;
mod files;
mod merge;
mod model;
