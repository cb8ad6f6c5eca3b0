//! What a server asks of a store beyond the contract.

use std::path::Path;
use std::sync::Arc;

use leftfold_api::{
    Administration, AdministrationError, Append, AppendError, Appended, BackupReport, BoxFuture,
    Cluster, Copies, CopySink, Engine, EventStore, Failure, Invalid, Meters, Progress, Query,
    ReadError, ScavengeReport, Stat, VerifySummary,
};
use leftfold_store::Embedded;

use super::{ClusterStore, OwnPart};
use crate::many::Part;
use crate::partition::Role;

impl Engine for ClusterStore {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append(append))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_at_owner(append, |store, append| {
            Box::pin(Embedded::append_system(store, append))
        }))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        match self.last_copy() {
            Some(copy) => copy.expand(query),
            None if query.named_index().is_none() => Ok(query.clone()),
            None => Err(Invalid::new("index_unknown", "this node has no copy of the store yet")),
        }
    }

    fn meters(&self) -> Meters {
        match self.last_copy() {
            Some(copy) => Engine::meters(&*copy),
            None => Meters::default(),
        }
    }

    /// Returns why this node's copy is of no use: it can't be opened or compared with the log, or its disk fails.
    fn failure(&self) -> Option<Failure> {
        let status = self.status().borrow().clone();
        if status.role == Role::Opening {
            let restoring = status.restoring_from.map(|node| format!("it comes from node {node}"));
            let why = restoring.or(status.failure);
            let why = why.unwrap_or_else(|| "it is being opened".to_owned());
            let message = format!("this node's copy of the partition is not in use: {why}");
            return Some(Failure::Remote { code: "not_owner", message, can_retry: true });
        }
        self.last_copy().and_then(|copy| Engine::failure(&*copy))
    }

    fn administration(&self) -> &dyn Administration {
        self
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        self.shared.node.get().map(|node| &**node)
    }
}

impl Part for ClusterStore {
    fn known_position(&self) -> u64 {
        self.last_copy().map_or(0, |copy| copy.known_position())
    }
}

impl ClusterStore {
    fn here(&self) -> Result<Arc<Embedded>, Failure> {
        self.last_copy().ok_or(Failure::Closed)
    }
}

/// The administration of this node's copy.
impl Administration for ClusterStore {
    fn stat(&self) -> Result<Stat, ReadError> {
        Administration::stat(&*self.here()?)
    }

    fn seal(&self) -> Result<(), Failure> {
        Administration::seal(&*self.here()?)
    }

    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError> {
        Administration::scavenge(&*self.here()?, progress)
    }

    fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        Administration::reclaimable(&*self.here()?)
    }

    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError> {
        Administration::verify(&*self.here()?, go_on)
    }

    fn backup(
        &self,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError> {
        let closed = |error| -> AdministrationError { Box::new(ReadError::from(error)) };
        let here = self.here().map_err(closed)?;
        Administration::backup(&*here, to, progress)
    }
}

impl Engine for OwnPart {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append(append))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append(append))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        self.0.expand(query)
    }

    fn meters(&self) -> Meters {
        self.0.meters()
    }

    fn failure(&self) -> Option<Failure> {
        Engine::failure(&self.0)
    }

    fn administration(&self) -> &dyn Administration {
        &self.0
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

/// A copy is given whatever this node is to the partition, if it was compared with the log and nothing fails.
impl Copies for OwnPart {
    fn send_copy(&self, sink: CopySink<'_>) -> Result<(), AdministrationError> {
        let status = self.0.status().borrow().clone();
        let is_good = status.role != Role::Opening && status.failure.is_none();
        let copy = self.0.last_copy().filter(|_| is_good).ok_or_else(|| {
            let message = "this node has no copy of the partition to give at the moment".to_owned();
            Failure::Remote { code: "not_owner", message, can_retry: true }
        });
        let copy = copy.map_err(|error| Box::new(ReadError::from(error)) as AdministrationError)?;
        Copies::send_copy(&*copy, sink)
    }
}
