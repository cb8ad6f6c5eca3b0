//! The implementations of the systems.

pub(crate) mod bare;
pub(crate) mod leftfold;
pub(crate) mod message_db;
pub(crate) mod nats;
pub(crate) mod postgres;
pub(crate) mod sierradb;
#[cfg(feature = "umadb")]
pub(crate) mod umadb;
