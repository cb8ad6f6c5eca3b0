//! What runs on the threads of a node: the membership on one of its own, the partitions on those of the runtime that
//! asks.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use futures_util::future::join_all;
use leftfold_fold::time::Time;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::steer;
use crate::broker::Broker;
use crate::group::{Coordinator, Member, Membership};
use crate::partition::Partition;
use crate::store::Route;

/// A partition of the node, and where its owner is.
pub(super) struct Steered<B> {
    pub(super) number: u32,
    pub(super) partition: Arc<Partition<B>>,
    pub(super) route: watch::Sender<Route>,
}

/// What a node runs.
pub(super) struct Tasks<B> {
    partitions: Vec<Arc<Partition<B>>>,
    membership: MembershipThread,
}

/// The thread of the membership, which ends when this is dropped.
struct MembershipThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A partition that runs, and is closed when its task ends, however it ends.
struct Running<B: Broker>(Arc<Partition<B>>);

impl<B: Broker> Tasks<B> {
    /// Starts the membership, which steers the partitions.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn start(
        steered: Vec<Steered<B>>,
        member: Member<impl Coordinator, impl Time>,
        membership: Membership,
    ) -> std::io::Result<Self> {
        let partitions = steered.iter().map(|steered| steered.partition.clone()).collect();
        let life = async move {
            let steer = join_all(steered.iter().map(|one| steer::steer(one, &membership)));
            tokio::join!(join(member), steer);
        };
        Ok(Tasks { partitions, membership: MembershipThread::start(life)? })
    }

    /// Runs the partitions until the node stops, and closes their copies.
    pub(super) async fn run_until(self, stopped: oneshot::Receiver<()>) {
        let mut running = JoinSet::new();
        for partition in self.partitions {
            let running_one = Running(partition);
            running.spawn(async move { running_one.0.run().await });
        }
        tokio::select! {
            _ = stopped => {}
            // Without its membership the node is replaced by others.
            _ = running.join_next() => tracing::error!("a partition has failed: the node ends"),
        }
        drop(self.membership);
        running.shutdown().await;
    }
}

impl<B: Broker> Drop for Running<B> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl MembershipThread {
    fn start(life: impl Future<Output = ()> + Send + 'static) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = life => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = Builder::new().name("leftfold-member".to_owned()).spawn(run)?;
        Ok(MembershipThread { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for MembershipThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on it was reported there.
            _ = thread.join();
        }
    }
}

/// Runs the membership. After its end the partitions are followed, and never owned.
async fn join(member: Member<impl Coordinator, impl Time>) {
    // If it is `Ok`, the node has left, and is about to stop.
    if let Err(error) = member.run().await {
        tracing::error!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_core::future::BoxFuture;
    use leftfold_api::Failure;
    use leftfold_fold::time::TokioTime;
    use leftfold_kafka::{KafkaError, ProducerId};
    use leftfold_store::commit::Commit;
    use leftfold_store::{Embedded, OpenError};
    use parking_lot::Mutex;

    use super::*;
    use crate::broker::Fetched;
    use crate::group::assign::Policy;
    use crate::group::{JoinAnswer, JoinRequest, Joined, JoinedMember, Session, SyncRequest};
    use crate::group::{MemberConfig, Profile};
    use crate::partition::{Cache, Names};
    use crate::record::Claimant;

    /// The heartbeats that a copy waits for while it is being opened.
    const HEARTBEATS: usize = 5;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A group of one member, which reports each heartbeat.
    struct Alone(mpsc::Sender<()>);

    impl Coordinator for Alone {
        fn join(&self, request: JoinRequest) -> BoxFuture<'_, Result<JoinAnswer, KafkaError>> {
            let JoinRequest { name, metadata, .. } = request;
            let member_id = "1".to_owned();
            let member = JoinedMember { member_id: member_id.clone(), name, metadata };
            let joined = Joined { member_id, generation: 1, members: Some(vec![member]) };
            Box::pin(async { Ok(JoinAnswer::Joined(joined)) })
        }

        fn sync(&self, mut request: SyncRequest) -> BoxFuture<'_, Result<Bytes, KafkaError>> {
            Box::pin(async move { Ok(request.assignments.remove(0).1) })
        }

        fn heartbeat(&self, _session: Session) -> BoxFuture<'_, Result<(), KafkaError>> {
            _ = self.0.send(());
            Box::pin(async { Ok(()) })
        }

        fn leave(&self, _: String, _: String) -> BoxFuture<'_, Result<(), KafkaError>> {
            Box::pin(async { Ok(()) })
        }
    }

    /// A copy whose opening blocks its thread until there were heartbeats.
    struct SlowCache {
        heartbeats: Mutex<mpsc::Receiver<()>>,
        opened: Mutex<Option<oneshot::Sender<bool>>>,
    }

    impl Cache for SlowCache {
        fn open(&self, _commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError> {
            if let Some(opened) = self.opened.lock().take() {
                let heartbeats = self.heartbeats.lock();
                let mut all = (0..HEARTBEATS).map(|_| heartbeats.recv_timeout(PATIENCE));
                _ = opened.send(all.all(|heartbeat| heartbeat.is_ok()));
            }
            Err(Failure::Closed.into())
        }

        fn delete(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct NoBroker;

    impl Broker for NoBroker {
        fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
            Box::pin(std::future::pending())
        }

        fn append(&self, _batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
            Box::pin(std::future::pending())
        }

        fn fetch(&self, _: i64, _: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
            Box::pin(std::future::pending())
        }

        fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_copy_that_blocks_its_thread_delays_no_heartbeat() {
        let (beats, heartbeats) = mpsc::channel();
        let (opened, has_opened) = oneshot::channel();
        let heartbeats = Mutex::new(heartbeats);
        let cache = SlowCache { heartbeats, opened: Mutex::new(Some(opened)) };
        let owner = Claimant { node: "a".to_owned(), ..Claimant::default() };
        let names = Names { source: "/leftfold/test".to_owned(), owner };
        let partition = Partition::new(NoBroker, cache, Arc::new(TokioTime), names);
        let mut config = MemberConfig::new("a", Policy::new(1));
        config.heartbeat_interval = Duration::from_millis(2);
        let member = Member::new(Alone(beats), TokioTime, config, Profile::default());
        let (member, membership) = member.unwrap();
        let (partition, route) = (Arc::new(partition), watch::Sender::default());
        let steered = vec![Steered { number: 0, partition, route }];
        let tasks = Tasks::start(steered, member, membership).unwrap();
        let (stop, stopped) = oneshot::channel();
        let checked = async {
            let had_heartbeats = has_opened.await;
            drop(stop);
            had_heartbeats
        };
        let ((), had_heartbeats) = tokio::join!(tasks.run_until(stopped), checked);
        assert_eq!(had_heartbeats, Ok(true));
    }
}
