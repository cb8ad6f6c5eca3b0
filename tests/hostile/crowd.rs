//! Many clients that do the same, again and again.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::served::Target;

/// The pause of a client whose connection was refused or closed.
const AGAIN: Duration = Duration::from_millis(20);

/// Runs this many clients until it is dropped. A client that ends, or fails, begins again: the server may have closed
/// its connection.
pub(crate) async fn crowd<F>(count: usize, target: Arc<Target>, client: fn(Arc<Target>) -> F)
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let target = target.clone();
        clients.spawn(async move {
            loop {
                // To be refused is what it is for.
                _ = client(target.clone()).await;
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
    pending().await
}
