//! What administrators ask: to create and delete topics, and for settings.

mod configs;
mod refusals;
mod topics;
