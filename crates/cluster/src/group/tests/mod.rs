mod errors;
pub(crate) mod fake;
mod group;
mod nodes;
mod random;
mod world;
