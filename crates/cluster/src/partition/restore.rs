//! A partition without a copy takes one from another node, at the speed of a disk. Only the records behind it are read
//! from Kafka then; without another node, all of them.
//!
//! Each node is tried once until a copy follows the log, so a node that gives a bad copy is not asked
//! for it again and again, and at last the copy is made from Kafka alone.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_api::{Coded, ReadError};
use leftfold_io::Disk;
use leftfold_store::{BackupReceiver, ReceiveError, ReceivedBackup, StoreIdentity};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::Partition;
use crate::broker::Broker;
use crate::group::Node;

/// How long a node that gives as many copies as it may is waited for.
const BUSY: Duration = Duration::from_secs(600);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// The other nodes, as those that may have a copy of a partition.
pub trait CopySources: Send + Sync + 'static {
    /// Returns the nodes that should have a copy, the one that is furthest first. May wait until they are known, for a
    /// bounded time.
    fn nodes(&self) -> BoxFuture<'_, Vec<Node>>;

    /// Asks a node for its copy.
    fn fetch<'a>(&'a self, node: &'a Node)
    -> BoxFuture<'a, Result<Box<dyn CopyPieces>, ReadError>>;
}

/// A copy that another node sends.
pub trait CopyPieces: Send {
    /// Returns the next bytes, or `None` at the end. Waits for a bounded time.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, ReadError>>;
}

/// The place for a copy that comes from another node. Dropping it removes what has come.
pub trait Vacancy: Send {
    /// Returns an empty directory beside that of the copy.
    fn disk(&self) -> Arc<dyn Disk>;

    /// Returns the identity that the copy must have.
    fn identity(&self) -> StoreIdentity;

    /// Makes what is in the directory the copy, as a whole and durably.
    ///
    /// # Errors
    /// Those of the disk.
    fn fill(self: Box<Self>) -> io::Result<()>;
}

/// Where a partition gets copies from.
#[derive(Default)]
pub(super) struct Restore {
    sources: Option<Box<dyn CopySources>>,
    /// The names of the nodes that were tried since a copy last followed the log.
    tried: Mutex<HashSet<String>>,
}

/// Why a copy does not come from a node.
#[derive(Debug, Error)]
enum RestoreError {
    #[error("{0}")]
    Source(#[from] ReadError),
    #[error("{0}")]
    Receive(#[from] ReceiveError),
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl RestoreError {
    /// Whether the node gives as many copies as it may at the moment.
    fn is_busy(&self) -> bool {
        matches!(self, RestoreError::Source(error) if error.code() == "server_overloaded")
    }
}

/// What came of asking all nodes.
enum Attempt {
    /// There is a copy, or no node gives one.
    Done,
    /// A node may give one later.
    Busy,
}

impl Restore {
    pub(super) fn new(sources: impl CopySources) -> Self {
        Restore { sources: Some(Box::new(sources)), tried: Mutex::default() }
    }

    /// Notes that the copy follows the log: if it is lost later, all nodes may be asked.
    pub(super) fn accept(&self) {
        self.tried.lock().clear();
    }
}

impl<B: Broker> Partition<B> {
    /// Takes the copy from another node, if there is none and a node gives a whole one.
    pub(super) async fn restore(&self) {
        let Some(sources) = &self.restore.sources else { return };
        match self.cache.vacancy() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => return tracing::warn!("no place for a copy of another node: {error}"),
        }
        let deadline = self.time.now() + BUSY;
        while let Attempt::Busy = self.try_nodes(&**sources).await {
            if self.time.now() >= deadline {
                return;
            }
            self.time.after(PAUSE).await;
        }
    }

    /// Asks the nodes that were not tried yet, one after the other.
    async fn try_nodes(&self, sources: &dyn CopySources) -> Attempt {
        let mut attempt = Attempt::Done;
        for node in sources.nodes().await {
            if node.name == self.node() || self.restore.tried.lock().contains(&node.name) {
                continue;
            }
            self.status.send_modify(|status| status.restoring_from = Some(node.name.clone()));
            let restored = self.restore_from(sources, &node).await;
            self.status.send_modify(|status| status.restoring_from = None);
            let error = match restored {
                Ok(Some(ReceivedBackup { files, bytes, .. })) => {
                    let name = &node.name;
                    tracing::info!("the copy came from node {name}: {files} files, {bytes} bytes");
                    self.restore.tried.lock().insert(node.name);
                    return Attempt::Done;
                }
                Ok(None) => return Attempt::Done,
                Err(error) if error.is_busy() => {
                    attempt = Attempt::Busy;
                    continue;
                }
                Err(error) => error,
            };
            tracing::info!("no copy from node {}: {error}", node.name);
            self.restore.tried.lock().insert(node.name);
        }
        attempt
    }

    /// Takes the copy from a node, unless there is one.
    async fn restore_from(
        &self,
        sources: &dyn CopySources,
        node: &Node,
    ) -> Result<Option<ReceivedBackup>, RestoreError> {
        let Some(vacancy) = self.cache.vacancy()? else { return Ok(None) };
        let mut pieces = sources.fetch(node).await?;
        let mut receiver = BackupReceiver::new(vacancy.disk(), vacancy.identity());
        while let Some(piece) = pieces.next().await? {
            receiver.take(&piece)?;
        }
        let received = without_delay(|| -> Result<_, RestoreError> {
            let received = receiver.finish()?;
            vacancy.fill()?;
            Ok(received)
        })?;
        Ok(Some(received))
    }
}

/// Does work that waits for a disk. The other partitions of the thread go on meanwhile, on another one.
fn without_delay<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
