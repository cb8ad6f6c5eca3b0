//! The systems.

pub(crate) mod bare;
pub(crate) mod leftfold;
pub(crate) mod postgres;
