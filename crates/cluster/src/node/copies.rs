//! Where a node gets copies of its partitions: from the nodes that the table of routes names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_api::ReadError;
use leftfold_client::CopyStream;

use super::clients::Clients;
use crate::group::{Membership, Node};
use crate::partition::{CopyPieces, CopySources};

/// How long a partition without a copy waits until the node is a member. Then it begins to read all from Kafka.
const MEMBERSHIP: Duration = Duration::from_secs(15);

/// The nodes that own or follow a partition.
pub(super) struct Followers {
    pub(super) number: u32,
    pub(super) membership: Membership,
    pub(super) clients: Arc<Clients>,
}

impl CopySources for Followers {
    /// Returns the owner, which has all that is acknowledged, and the standbys.
    fn nodes(&self) -> BoxFuture<'_, Vec<Node>> {
        Box::pin(async {
            let mut routes = self.membership.watch();
            let known = routes.wait_for(|routes| routes.table.is_some());
            let Ok(Ok(known)) = tokio::time::timeout(MEMBERSHIP, known).await else {
                return Vec::new();
            };
            let Some(table) = known.table.clone() else { return Vec::new() };
            drop(known);
            let owner = table.owner(self.number).into_iter();
            owner.chain(table.standbys(self.number)).cloned().collect()
        })
    }

    fn fetch<'a>(
        &'a self,
        node: &'a Node,
    ) -> BoxFuture<'a, Result<Box<dyn CopyPieces>, ReadError>> {
        Box::pin(async {
            // A connection of its own, so that no call waits behind the bytes of files.
            let client = self.clients.open(&node.url)?.of_partition(self.number);
            let pieces = client.fetch_copy().await?;
            Ok(Box::new(pieces) as Box<dyn CopyPieces>)
        })
    }
}

impl CopyPieces for CopyStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, ReadError>> {
        Box::pin(CopyStream::next(self))
    }
}
