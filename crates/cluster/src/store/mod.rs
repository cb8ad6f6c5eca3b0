//! The store of a cluster, as any of its nodes gives it.
//!
//! What changes the store, and a read that does not say otherwise, goes to the owner: to this node's own copy if it is
//! the owner, else over the network, once. A subscription reads this node's copy, which only ever has what counts.

mod engine;
mod event_store;
mod ownership;
mod refusal;
mod subscription;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{
    Append, AppendError, Appended, BoxFuture, Cluster, Coded, Cursor, ErasedStore, EventStore,
    Failure, Page, Read, ReadError, Timestamp, names,
};
use leftfold_fold::time::Time;
use leftfold_store::Embedded;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use self::refusal::confirm_refusal;
use crate::partition::{Role, Status};

pub use subscription::ClusterSubscription;

/// How long a call waits for an owner, or for another one.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The most nodes that are connected to at the same time.
const MAX_CLIENTS: usize = 64;
/// The pause before a call is tried again though nothing is known to have changed.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the owner of the partition is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The name of the node that owns the partition, if any does.
    pub owner: Option<String>,
    /// The URL at which other nodes reach it.
    pub url: String,
}

/// Makes a client of the node at a URL.
pub type Connect = dyn Fn(&str) -> Result<Arc<dyn ErasedStore>, Failure> + Send + Sync;

/// How a node reaches the others.
pub struct Peers {
    /// The name of this node.
    pub node: String,
    /// Returns what is at the URL of another node. It connects when it is first called.
    pub connect: Box<Connect>,
    /// Where the owner is.
    pub route: watch::Receiver<Route>,
}

/// The store of a cluster. Its clones share it.
#[derive(Clone)]
pub struct ClusterStore {
    shared: Arc<Shared>,
}

struct Shared {
    status: watch::Receiver<Status>,
    store: watch::Receiver<Option<Arc<Embedded>>>,
    /// The store before, which answers what needs none: meters, and the names of indexes.
    last: Mutex<Option<Arc<Embedded>>>,
    peers: Peers,
    clients: Mutex<HashMap<String, Arc<dyn ErasedStore>>>,
    time: Arc<dyn Time>,
    /// The node, for those who administer it.
    node: OnceLock<Arc<dyn Cluster>>,
}

/// What answers for the partition: this node's copy, or another node.
#[derive(Clone)]
pub(crate) enum Owner {
    Here(Arc<Embedded>),
    There(Arc<dyn ErasedStore>),
}

impl Owner {
    pub(crate) fn store(&self) -> &dyn ErasedStore {
        match self {
            Owner::Here(store) => &**store,
            Owner::There(client) => &**client,
        }
    }
}

impl ClusterStore {
    /// Returns the store of a partition that is run elsewhere.
    pub fn new(
        status: watch::Receiver<Status>,
        store: watch::Receiver<Option<Arc<Embedded>>>,
        peers: Peers,
        time: Arc<dyn Time>,
    ) -> Self {
        let (last, clients) = (Mutex::default(), Mutex::default());
        let node = OnceLock::new();
        let shared = Shared { status, store, last, peers, clients, time, node };
        ClusterStore { shared: Arc::new(shared) }
    }

    /// Sets the node that the store belongs to, once.
    pub(crate) fn of_node(self, node: Arc<dyn Cluster>) -> Self {
        _ = self.shared.node.set(node);
        self
    }

    /// Waits until this node's copy is open.
    ///
    /// # Errors
    /// The partition is not run any more, or the copy does not open in time.
    pub async fn wait_until_open(&self, patience: Duration) -> Result<(), Failure> {
        self.copy(self.shared.time.now() + patience).await.map(drop)
    }

    /// Waits until a node owns the partition, as far as this one knows.
    ///
    /// # Errors
    /// `not_owner`: none does in time.
    pub async fn wait_for_owner(&self, patience: Duration) -> Result<(), Failure> {
        self.owner(self.shared.time.now() + patience).await.map(drop)
    }

    /// Returns what the partition is doing on this node, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Returns where the owner is, and its changes.
    pub fn route(&self) -> watch::Receiver<Route> {
        self.shared.peers.route.clone()
    }

    /// Returns this node's copy, open or just replaced.
    pub(crate) fn last_copy(&self) -> Option<Arc<Embedded>> {
        let mut last = self.shared.last.lock();
        if let Some(store) = &*self.shared.store.borrow() {
            *last = Some(store.clone());
        }
        last.clone()
    }

    /// Returns this node's copy, once it is open.
    pub(crate) async fn copy(&self, deadline: Timestamp) -> Result<Arc<Embedded>, Failure> {
        let mut stores = self.shared.store.clone();
        loop {
            if let Some(store) = self.open_copy(&mut stores) {
                return Ok(store);
            }
            self.wait(stores.changed(), deadline).await?;
        }
    }

    /// Waits until a copy has all that is committed now. Without an owner to ask it is used as it is.
    pub(crate) async fn catch_up(&self, copy: &Embedded) -> Result<(), ReadError> {
        let Ok(head) = self.head().await else { return Ok(()) };
        self.reach(copy, &head, self.shared.time.now() + PATIENCE).await
    }

    /// Waits until a copy has come to a cursor of this store, which may be ahead of it.
    async fn reach(
        &self,
        copy: &Embedded,
        cursor: &Cursor,
        deadline: Timestamp,
    ) -> Result<(), ReadError> {
        let reached = copy.wait_for_position(cursor.position().unwrap_or_default());
        match select(Box::pin(reached), self.shared.time.until(deadline)).await {
            Either::Left((reached, _)) => reached,
            Either::Right(_) => {
                let message =
                    format!("this node's copy has not reached the cursor {cursor} in time");
                Err(Failure::Remote { code: "timed_out", message, can_retry: true }.into())
            }
        }
    }

    /// Waits until a copy lists all past events of an index, if it has the index.
    async fn wait_for_index(&self, copy: &Embedded, name: &str) {
        let deadline = self.shared.time.now() + PATIENCE;
        while let Ok(Some(info)) = copy.index(name).await
            && !info.ready
            && self.shared.time.now() < deadline
        {
            self.shared.time.after(PAUSE).await;
        }
    }

    /// Reads this node's copy. It waits until the copy has the cursor that the read asks for, which may be ahead of it.
    async fn read_locally(&self, read: Read) -> Result<Page, ReadError> {
        let deadline = self.shared.time.now() + PATIENCE;
        loop {
            let copy = self.copy(deadline).await?;
            let reading = async {
                // A cursor of another store is refused by the read.
                let origin = copy.blocking().head().origin();
                let wanted = read.at_least.as_ref().filter(|cursor| cursor.origin() == origin);
                if let Some(wanted) = wanted {
                    self.reach(&copy, wanted, deadline).await?;
                }
                copy.read(read.clone()).await
            };
            match reading.await {
                Err(error) if has_ended(&error) && self.shared.time.now() < deadline => {
                    self.shared.time.after(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    fn open_copy(
        &self,
        stores: &mut watch::Receiver<Option<Arc<Embedded>>>,
    ) -> Option<Arc<Embedded>> {
        let store = stores.borrow_and_update().clone()?;
        *self.shared.last.lock() = Some(store.clone());
        Some(store)
    }

    /// Returns what answers for the partition.
    pub(crate) async fn owner(&self, deadline: Timestamp) -> Result<Owner, Failure> {
        let (mut status, mut route) = (self.shared.status.clone(), self.shared.peers.route.clone());
        loop {
            if status.borrow_and_update().role == Role::Owner
                && let Some(store) = self.last_copy()
            {
                return Ok(Owner::Here(store));
            }
            let Route { owner, url } = route.borrow_and_update().clone();
            if owner.is_some_and(|owner| owner != self.shared.peers.node) {
                return Ok(Owner::There(self.client(&url)?));
            }
            let changed = select(Box::pin(status.changed()), Box::pin(route.changed()));
            self.wait(async { drop(changed.await) }, deadline).await?;
        }
    }

    async fn wait<T>(
        &self,
        changed: impl Future<Output = T>,
        deadline: Timestamp,
    ) -> Result<(), Failure> {
        let until = self.shared.time.until(deadline);
        match select(Box::pin(changed), until).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(self.no_owner()),
        }
    }

    /// Returns the failure of a call for which no owner was found.
    fn no_owner(&self) -> Failure {
        let status = self.shared.status.borrow().clone();
        let why = status.failure.unwrap_or_else(|| "the cluster has chosen none yet".to_owned());
        let message = format!("no node owns the partition at the moment: {why}; retry");
        Failure::Remote { code: "not_owner", message, can_retry: true }
    }

    fn client(&self, url: &str) -> Result<Arc<dyn ErasedStore>, Failure> {
        let mut clients = self.shared.clients.lock();
        if let Some(client) = clients.get(url) {
            return Ok(client.clone());
        }
        let client = (self.shared.peers.connect)(url)?;
        // Nodes come and go; those that are left are few.
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(url.to_owned(), client.clone());
        Ok(client)
    }

    /// Calls the owner, and another one if it is not the owner any more. A call that is `safe` may be executed twice,
    /// so it is also asked again if its outcome is not known.
    pub(crate) async fn at_owner<T, E>(
        &self,
        safe: bool,
        call: impl Fn(Owner) -> BoxFuture<'static, Result<T, E>> + Send + Sync,
    ) -> Result<T, E>
    where
        T: Send,
        E: Coded + From<Failure> + Send,
    {
        let deadline = self.shared.time.now() + PATIENCE;
        loop {
            let owner = self.owner(deadline).await?;
            let error = match self.attempt(&owner, call(owner.clone())).await {
                None if safe => None,
                None => return Err(outcome_unknown().into()),
                Some(Ok(done)) => return Ok(done),
                Some(Err(error)) if may_go_on(&error, safe) => Some(error),
                Some(Err(error)) => return Err(error),
            };
            let now = self.shared.time.now();
            if now >= deadline {
                return Err(error.unwrap_or_else(|| self.no_owner().into()));
            }
            self.shared.time.after(PAUSE).await;
        }
    }

    /// Waits for a call, unless another node becomes the owner meanwhile.
    async fn attempt<T: Send>(&self, owner: &Owner, call: BoxFuture<'static, T>) -> Option<T> {
        if matches!(owner, Owner::Here(_)) {
            // Its outcome is known when the copy has learnt it.
            return Some(call.await);
        }
        let mut route = self.shared.peers.route.clone();
        let asked = route.borrow_and_update().clone();
        let moved = async {
            while route.changed().await.is_ok() {
                if *route.borrow_and_update() != asked {
                    return;
                }
            }
            std::future::pending().await
        };
        match select(call, Box::pin(moved)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Appends what a client has sent. The owner takes appends to streams of the store for those of a node itself, so
    /// they are refused here.
    async fn append_of_client(&self, append: Append) -> Result<Appended, AppendError> {
        let reserved =
            append.events().iter().filter(|(stream, _)| stream.starts_with(names::SYSTEM));
        reserved.into_iter().try_for_each(|(stream, _)| names::check_new("stream", stream))?;
        self.append_at_owner(append, |store, append| Box::pin(store.append(append))).await
    }

    /// Appends at the owner. The events get ids, so that an append whose outcome is not known can be repeated.
    pub(crate) async fn append_at_owner(
        &self,
        mut append: Append,
        write: impl Fn(&Embedded, Append) -> BoxFuture<'_, Result<Appended, AppendError>>
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Result<Appended, AppendError> {
        append.fill_ids(Uuid::new_v4);
        let has_events = !append.events().is_empty();
        self.at_owner(has_events, move |owner| {
            let (append, write) = (append.clone(), write.clone());
            Box::pin(async move {
                match owner {
                    Owner::Here(store) => {
                        confirm_refusal(&store, write(&store, append).await).await
                    }
                    Owner::There(client) => client.erased_append(append).await,
                }
            })
        })
        .await
    }
}

/// Whether this error says that a copy has ended: it was closed, or its term is over. Another one takes its place.
fn has_ended(error: &ReadError) -> bool {
    matches!(error.code(), "store_closed" | "write_failed")
}

/// Whether a call that failed like this may succeed at another owner, or later.
fn may_go_on(error: &impl Coded, safe: bool) -> bool {
    match error.code() {
        // Refused before anything was written.
        "not_owner" | "server_closing" | "server_overloaded" => true,
        "store_closed" | "write_failed" | "outcome_unknown" | "server_unreachable"
        | "timed_out" => safe,
        _ => false,
    }
}

fn outcome_unknown() -> Failure {
    let message =
        "another node became the owner meanwhile: the call may or may not have been executed";
    Failure::Remote { code: "outcome_unknown", message: message.to_owned(), can_retry: false }
}

/// A node's own part of a cluster, for the other nodes: it answers for the partition only if this node is the owner.
#[derive(Clone)]
pub struct OwnPart(pub ClusterStore);

impl OwnPart {
    /// Returns the copy, if this node owns the partition.
    fn owned(&self) -> Result<Arc<Embedded>, Failure> {
        let store = &self.0;
        if store.shared.status.borrow().role == Role::Owner
            && let Some(copy) = store.last_copy()
        {
            return Ok(copy);
        }
        Err(Failure::NotOwner)
    }
}
