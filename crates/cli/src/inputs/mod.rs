//! The inputs of commands that read files: files, folders, patterns, archives and standard input.

mod open;
mod paths;

pub(crate) use open::for_each;
pub(crate) use paths::{Inputs, Unreadable};
