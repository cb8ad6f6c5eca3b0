//! The machines of a run, and the seam to the nodes that run on them.

use std::rc::Rc;
use std::sync::Arc;

use leftfold_api::{Append, AppendError, Appended, BoxFuture, ReadError, Recorded};
use leftfold_cluster::broker::Broker;
use leftfold_fold::time::FakeTime;
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};

use super::assignment::Assignment;
use super::clock::MachineClock;
use super::executor::{Executor, Task};
use crate::fake::{FakeBroker, FakeKafka};

/// What a node has on its machine.
pub(crate) struct NodeContext {
    /// The name of the node.
    pub(crate) name: String,
    /// Its connection to Kafka.
    pub(crate) broker: Arc<dyn Broker>,
    /// Its disk, with what earlier starts have left there.
    pub(crate) disk: FakeDisk,
    /// Its clock, which may be wrong.
    pub(crate) clock: MachineClock,
    /// The randomness of this start.
    pub(crate) random: Arc<SeededRandom>,
    /// Whether it shall own the partition.
    pub(crate) assignment: Assignment,
}

/// A node that was started: what it runs, and what its clients call.
pub(crate) struct StartedNode {
    pub(crate) tasks: Vec<Task>,
    pub(crate) node: Rc<dyn SimNode>,
}

/// A node, as the simulation sees it. Its tasks are polled only while it runs; the futures of calls also while it is
/// paused or dead, as a client waits for it.
pub(crate) trait SimNode {
    /// Appends, if the node owns the partition.
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, AppendError>>;

    /// Returns the last version of a stream, linearizably, if the node owns the partition.
    fn last_version(&self, stream: &str) -> BoxFuture<'static, Result<Option<u64>, ReadError>>;

    /// Returns all events of the node's copy.
    fn copy(&self) -> Vec<Recorded>;

    /// Whether the node says that it can't serve the partition.
    fn is_unfit(&self) -> bool {
        false
    }

    /// Does what no future does: lets a store write. Returns whether there was something to do.
    fn turn(&self) -> bool;
}

/// Starts a node on its machine.
pub(crate) type StartNode = Rc<dyn Fn(NodeContext) -> StartedNode>;

/// A machine, with its node if it runs.
pub(crate) struct Machine {
    name: String,
    disk: FakeDisk,
    ahead: i64,
    pub(crate) process: Option<Process>,
    /// The moment at which it continues, or starts again.
    pub(crate) back_at: Option<i64>,
    /// The moment at which its disk opens files again.
    pub(crate) opens_at: Option<i64>,
}

/// A running node.
pub(crate) struct Process {
    pub(crate) node: Rc<dyn SimNode>,
    pub(crate) broker: Arc<FakeBroker>,
    pub(crate) assignment: Assignment,
    pub(crate) executor: Executor,
    pub(crate) is_paused: bool,
}

impl Machine {
    pub(crate) fn new(number: usize, ahead: i64) -> Self {
        let name = format!("n{number}");
        Machine { name, disk: FakeDisk::new(), ahead, process: None, back_at: None, opens_at: None }
    }

    /// Starts the node.
    pub(crate) fn start(
        &mut self,
        start: &StartNode,
        kafka: &FakeKafka,
        time: &FakeTime,
        seed: u64,
    ) {
        let (broker, assignment) = (Arc::new(kafka.connect()), Assignment::default());
        let started = start(NodeContext {
            name: self.name.clone(),
            broker: broker.clone(),
            disk: self.disk.clone(),
            clock: MachineClock::new(time.clone(), self.ahead),
            random: Arc::new(SeededRandom::new(seed)),
            assignment: assignment.clone(),
        });
        let mut executor = Executor::default();
        started.tasks.into_iter().for_each(|task| executor.spawn(task));
        let node = started.node;
        self.process = Some(Process { node, broker, assignment, executor, is_paused: false });
    }

    /// Lets its disk open files, or not.
    pub(crate) fn refuse_opens(&self, refuses: bool) {
        self.disk.refuse_opens(refuses.then_some(""));
    }

    /// Ends the node at once, or the whole machine.
    pub(crate) fn kill(&mut self, crash: Crash) {
        // Discard whatever the store would still write while it is dropped.
        self.disk.cut_power_at(self.disk.counts().changes);
        self.process = None;
        self.disk = self.disk.after(crash);
        self.refuse_opens(self.opens_at.is_some());
    }

    /// Does one step of the node. Returns false if it has nothing to do now.
    pub(crate) fn step(&mut self, random: &SeededRandom) -> bool {
        let Some(process) = self.process.as_mut().filter(|process| !process.is_paused) else {
            return false;
        };
        match random.one_in(3) {
            true => process.node.turn() || process.executor.poll_one(random),
            false => process.executor.poll_one(random) || process.node.turn(),
        }
    }
}
