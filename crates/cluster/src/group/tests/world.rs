//! Nodes, their links to the coordinator, and virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::{FuturesUnordered, StreamExt};
use leftfold_api::Timestamp;
use leftfold_fold::time::{FakeTime, Time, later};
use leftfold_kafka::{KafkaError, ResponseError};
use parking_lot::Mutex;

use super::fake::{FakeGroup, refuse};
use crate::group::assign::Policy;
use crate::group::{
    Coordinator, JoinAnswer, JoinRequest, Member, MemberConfig, Membership, MembershipError,
    MetadataError, Profile, RouteTable, Routes, Session, Standing, SyncRequest,
};

pub(super) const PARTITIONS: u32 = 4;

const LATENCY: Duration = Duration::from_millis(1);

/// A fault of a node's next request of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The coordinator answers with this code.
    Code(ResponseError),
    /// The coordinator asks for an id.
    IdRequired,
    /// The coordinator executes the request, but the answer is lost.
    LostAnswer,
    /// The answer to a request to sync is this.
    Garbage(&'static [u8]),
}

/// The link of a node to the coordinator.
#[derive(Default)]
pub(super) struct Link {
    is_cut: AtomicBool,
    faults: Mutex<VecDeque<(&'static str, Fault)>>,
    pub(super) requests: Mutex<BTreeMap<&'static str, usize>>,
}

struct FakeCoordinator {
    time: FakeTime,
    group: FakeGroup,
    link: Arc<Link>,
}

impl FakeCoordinator {
    /// Takes a request to the coordinator, and returns its fault.
    async fn send(&self, request: &'static str) -> Result<Option<Fault>, KafkaError> {
        *self.link.requests.lock().entry(request).or_default() += 1;
        self.time.after(LATENCY).await;
        self.deliver().await;
        let mut faults = self.link.faults.lock();
        let fault = faults.pop_front_if(|(planned, _)| *planned == request).map(|(_, fault)| fault);
        match fault {
            Some(Fault::Code(code)) => refuse(request, Err(code)),
            fault => Ok(fault),
        }
    }

    async fn receive(&self, fault: Option<Fault>) {
        self.deliver().await;
        if let Some(Fault::LostAnswer) = fault {
            pending::<()>().await;
        }
    }

    async fn deliver(&self) {
        if self.link.is_cut.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

impl Coordinator for FakeCoordinator {
    fn join(&self, request: JoinRequest) -> BoxFuture<'_, Result<JoinAnswer, KafkaError>> {
        Box::pin(async move {
            let fault = self.send("join").await?;
            if let Some(Fault::IdRequired) = fault {
                // Static members need none, so that any id is that of a new member.
                return Ok(JoinAnswer::MemberIdRequired(String::new()));
            }
            let answer = self.group.join(request).await;
            self.receive(fault).await;
            refuse("JoinGroup", answer)
        })
    }

    fn sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, KafkaError>> {
        Box::pin(async move {
            let fault = self.send("sync").await?;
            let answer = self.group.sync(request).await;
            self.receive(fault).await;
            match fault {
                Some(Fault::Garbage(bytes)) => Ok(Bytes::from_static(bytes)),
                _ => refuse("SyncGroup", answer),
            }
        })
    }

    fn heartbeat(&self, session: Session) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move {
            let fault = self.send("heartbeat").await?;
            let answer = self.group.heartbeat(&session);
            self.receive(fault).await;
            refuse("Heartbeat", answer)
        })
    }

    fn leave(&self, name: String, _: String) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move {
            let fault = self.send("leave").await?;
            let answer = self.group.leave(&name);
            self.receive(fault).await;
            refuse("LeaveGroup", answer)
        })
    }
}

pub(super) struct TestNode {
    pub(super) membership: Membership,
    pub(super) link: Arc<Link>,
    task: AbortHandle,
    pub(super) end: Arc<Mutex<Option<Result<(), MembershipError>>>>,
}

impl TestNode {
    pub(super) fn routes(&self) -> Routes {
        self.membership.watch().borrow().clone()
    }

    pub(super) fn cut(&self, is_cut: bool) {
        self.link.is_cut.store(is_cut, Ordering::Relaxed);
    }

    pub(super) fn plan_faults(&self, faults: impl IntoIterator<Item = (&'static str, Fault)>) {
        self.link.faults.lock().extend(faults);
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.link.faults.lock().is_empty()
    }
}

struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct World {
    pub(super) time: FakeTime,
    pub(super) group: FakeGroup,
    pub(super) nodes: BTreeMap<String, TestNode>,
    tasks: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl World {
    pub(super) fn new() -> Self {
        let time = FakeTime::at(Timestamp(1_000_000));
        let group = FakeGroup::new(time.clone());
        let tasks = FuturesUnordered::new();
        tasks.push(Box::pin(group.clone().run()) as BoxFuture<'static, ()>);
        World { time, group, nodes: BTreeMap::new(), tasks }
    }

    /// Starts nodes, and waits until all are members of one generation.
    pub(super) fn with_nodes(names: &[&str]) -> Self {
        let mut world = World::new();
        names.iter().for_each(|name| world.start(name));
        world.run_until(Duration::from_secs(2), |world| world.has_settled());
        world
    }

    /// Starts a process, perhaps again, whose copies of all partitions are at offset 100.
    pub(super) fn start(&mut self, name: &str) {
        self.start_process(name, name);
    }

    /// Starts a process under the name of a node that may run already.
    pub(super) fn start_process(&mut self, process: &str, name: &str) {
        let link = Arc::new(Link::default());
        let (member, membership) = self.make_member(name, link.clone()).unwrap();
        let end = Arc::new(Mutex::new(None));
        let ended = end.clone();
        let (run, task) = abortable(async move { *ended.lock() = Some(member.run().await) });
        self.tasks.push(Box::pin(async move {
            let _ = run.await;
        }));
        self.nodes.insert(process.to_owned(), TestNode { membership, link, task, end });
    }

    pub(super) fn make_member(
        &self,
        name: &str,
        link: Arc<Link>,
    ) -> Result<(Member<impl Coordinator + use<>, FakeTime>, Membership), MetadataError> {
        let (time, group) = (self.time.clone(), self.group.clone());
        let coordinator = FakeCoordinator { time, group, link };
        let config = MemberConfig::new(name, Policy::new(PARTITIONS));
        let copies = (0..PARTITIONS).map(|partition| (partition, 100)).collect();
        let url = format!("http://{name}");
        let profile = Profile { url, copies, ..Profile::default() };
        Member::new(coordinator, self.time.clone(), config, profile)
    }

    /// Ends the process of a node at once.
    pub(super) fn kill(&mut self, name: &str) {
        self.nodes.remove(name).unwrap().task.abort();
    }

    pub(super) fn node(&self, name: &str) -> &TestNode {
        &self.nodes[name]
    }

    pub(super) fn table(&self, name: &str) -> Arc<RouteTable> {
        self.node(name).routes().table.unwrap()
    }

    /// Returns the owners of all partitions, as a node sees them.
    pub(super) fn owners(&self, name: &str) -> String {
        let table = self.table(name);
        let owners = (0..table.partitions()).filter_map(|partition| table.owner(partition));
        owners.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Returns whether all nodes are members and have the table of the current generation.
    pub(super) fn has_settled(&self) -> bool {
        let generation = self.group.generation();
        self.nodes.values().all(|node| {
            let routes = node.routes();
            let Some(table) = routes.table else { return false };
            routes.standing == Standing::Member
                && routes.problem.is_none()
                && table.generation() == generation
                && table.nodes().len() == self.nodes.len()
        })
    }

    /// Runs until a wish or an event is noticed, and all nodes agree again.
    pub(super) fn settle(&mut self) {
        self.run_for(Duration::from_millis(400));
        self.run_until(Duration::from_secs(30), |world| world.has_settled());
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = later(self.time.now(), time);
        while self.step(end) {}
    }

    /// Runs until the condition holds, and returns the time it took.
    pub(super) fn run_until(
        &mut self,
        limit: Duration,
        is_done: impl Fn(&World) -> bool,
    ) -> Duration {
        let start = self.time.now();
        self.poll();
        while !is_done(self) {
            let in_time = self.step(later(start, limit));
            let routes: Vec<_> =
                self.nodes.iter().map(|(name, node)| (name, node.routes())).collect();
            assert!(in_time || is_done(self), "not done within {limit:?}: {routes:#?}");
        }
        self.time.now() - start
    }

    /// Moves the time to the next moment that anything waits for. Returns false at the end.
    fn step(&mut self, end: Timestamp) -> bool {
        self.poll();
        let next = self.time.next_wait().unwrap_or(end).min(end);
        self.time.set(next);
        self.poll();
        next < end
    }

    fn poll(&mut self) {
        let flag = Arc::new(WakeFlag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        while flag.0.swap(false, Ordering::Relaxed) {
            let mut context = Context::from_waker(&waker);
            while let Poll::Ready(Some(())) = self.tasks.poll_next_unpin(&mut context) {}
        }
    }
}
