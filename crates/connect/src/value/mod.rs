//! Single values: exact decimals, dates and times, JSON text.

pub(crate) mod decimal;
pub(crate) mod format;
pub(crate) mod json;
mod ofx;
pub(crate) mod time;
