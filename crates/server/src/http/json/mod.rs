//! The shapes of JSON that requests and answers have.

pub(super) mod answer;
pub(super) mod cluster;
pub(super) mod event;
pub(super) mod guard;
pub(super) mod request;
