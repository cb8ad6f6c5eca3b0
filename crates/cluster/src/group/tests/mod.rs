mod errors;
mod fake;
mod group;
mod nodes;
mod random;
mod world;
