//! Which of several processes fills the tables of a view: the one whose session holds a lock in PostgreSQL.
//!
//! The lock decides who tries. What is committed is decided by the state of the tables, which moves by
//! compare-and-set. PostgreSQL frees the lock when the session ends, also if its process was killed; if the machine is
//! gone, it ends the session when probes stay without an answer.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold_fold::view::ViewError;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::error::{Failure, no_answer};
use super::schema::Owner;
use super::session::{ANSWER, connect_watched};
use super::url::Url;
use super::worker::Worker;
use crate::definition::UrlSource;
use crate::host::Standby;

/// Waits for the lease of a view, and holds it until the future is dropped. What it sees meanwhile, and that it has the
/// lease, it tells `standby`.
///
/// # Errors
/// PostgreSQL can't be reached, or the session that held the lease is lost.
pub(crate) async fn hold_lease(
    owner: Owner,
    source: &UrlSource,
    worker: &Worker,
    standby: Arc<Standby>,
) -> Result<(), ViewError> {
    let url = Url::of(source)?;
    // Dropped with this future.
    let (_stop, stopped) = oneshot::channel::<()>();
    let hold = async move || {
        let hold = pin!(wait_and_hold(&url, &owner, &standby));
        match select(hold, stopped).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    };
    Ok(worker.call(hold).await?)
}

async fn wait_and_hold(url: &Url, owner: &Owner, standby: &Standby) -> Result<(), Failure> {
    let (client, connection) = connect_watched(url).await?;
    while !try_lease(&client, owner).await? {
        standby.note(owner.published(&client).await?);
        standby.pause(sleep).await;
    }
    standby.grant();
    // The client lives as long as this waits.
    _ = connection.await;
    drop(client);
    Err(ViewError::rows("the connection to PostgreSQL was lost, and the lease of the view with it")
        .into())
}

/// Takes the lease of a view for the session, unless another session has it. One of 64 bits: two views never share it.
pub(super) async fn try_lease(client: &Client, owner: &Owner) -> Result<bool, Failure> {
    let lock = "select pg_try_advisory_lock(hashtextextended($1::text, 0))";
    let name = owner.lease_name();
    let row =
        timeout(ANSWER, client.query_one(lock, &[&name])).await.map_err(|_| no_answer())??;
    Ok(row.try_get(0)?)
}
