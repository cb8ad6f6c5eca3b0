//! Whether a node owns a partition, by the status of its copy.

use leftfold_api::BoxFuture;
use tokio::sync::watch;

use super::{Role, Status};

/// Whether the node owns the partition now.
pub(crate) fn owns(status: &watch::Receiver<Status>) -> bool {
    status.borrow().role == Role::Owner
}

/// Waits until the node owns the partition and did not when this was called, or the other way round.
pub(crate) fn changed(status: &watch::Receiver<Status>) -> BoxFuture<'static, ()> {
    let mut status = status.clone();
    let was_owner = owns(&status);
    Box::pin(async move {
        let has_changed = |status: &Status| (status.role == Role::Owner) != was_owner;
        let is_gone = status.wait_for(has_changed).await.is_err();
        if is_gone {
            // The partition is not run any more, so its role stays.
            std::future::pending::<()>().await;
        }
    })
}
