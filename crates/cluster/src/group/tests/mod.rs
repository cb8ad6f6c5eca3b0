mod errors;
mod fake;
mod nodes;
mod random;
mod world;
