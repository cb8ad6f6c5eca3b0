//! Mails to a server whose protocol is that of the crate `mailin`, and which fails in all the ways that servers do.

mod content;
mod definitions;
mod failures;
mod server;
mod tls;
