//! The views of a store in a directory, which run in this process while a command uses them.

use std::sync::Arc;
use std::time::Duration;

use leftfold::Embedded;
use leftfold_views::Views;
use pollster::block_on;

use crate::args::Location;

/// The folder of the tables in the store's directory, as on a server.
const FOLDER: &str = "views";
/// The time of views in the directory to get to a cursor: as long as they need.
pub(crate) const LONG: Duration = Duration::from_secs(365 * 86_400);

/// Runs the views of a store while something is done with them. The definitions are known by then.
pub(crate) fn with_views<T>(
    location: &Location,
    store: Arc<Embedded>,
    doing: impl AsyncFnOnce(&Views<Embedded>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let views = Views::open(store, location.data.join(FOLDER))?;
    block_on(async {
        let done = async {
            views.wait_until_known().await;
            doing(&views).await
        };
        tokio::select! {
            done = done => done,
            ended = views.run() => Err(ended.err().map_or_else(stopped, anyhow::Error::from)),
        }
    })
}

/// The error if the views end without one, which they never do.
fn stopped() -> anyhow::Error {
    anyhow::anyhow!("the views have stopped; try again")
}
