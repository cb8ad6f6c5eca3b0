#![doc = include_str!("README.md")]

mod aggregator;
mod caller;
mod checks;
mod facts;
mod inventory;
mod processes;
mod running;
mod story;

pub use aggregator::{Order, aggregator};
pub use caller::{NewOrder, outcome, place};
pub use checks::{details, fraud};
pub use facts::Shop;
pub use inventory::{Stock, inventory, stock_of};
pub(crate) use processes::play_at;
pub use processes::{service, story_of_processes};
pub use story::story;
