//! The records of a partition.

mod hostile;
mod round_trip;
mod shown;
mod support;
