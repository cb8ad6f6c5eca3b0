use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, join, select};
use leftfold_api::EventStore;

use super::lease::{Held, Lease, within};
use super::status::{LeaseState, PartKind, PartState};
use super::stop::Stop;
use super::supervise::{Group, Numbered};
use super::{Environment, Runtime, RuntimeStatus};

impl<S: EventStore + 'static> Runtime<S> {
    /// Runs all parts until `shutdown` is ready, then lets them end within the bound of
    /// [`drain`](Runtime::drain), and releases the lease. Returns early if every part has failed for
    /// good. Returns the last status.
    ///
    /// Dropping the future is as safe as a crash; a standby then waits for the rest of the term.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> RuntimeStatus {
        let status = self.status();
        let Runtime { store, environment, name, term, mut everywhere, leased, is_alone, .. } = self;
        let follows =
            |part: &Numbered| environment.ownership.is_some() && part.1.kind() == PartKind::Reactor;
        let (owned, leased): (Vec<_>, Vec<_>) = leased.into_iter().partition(follows);
        everywhere.extend(owned);
        let environment = Arc::new(environment);
        let stop = Stop::default();
        let lease = match is_alone {
            true => None,
            false => Some(Lease::new(store, &name, term, environment.clone())),
        };
        let parts = join(run_group(&everywhere, &environment, &stop), async {
            match &lease {
                _ if leased.is_empty() => {}
                None => run_group(&leased, &environment, &stop).await,
                Some(lease) => run_leased(lease, &leased, &environment, &stop).await,
            }
        });
        match select(pin!(parts), pin!(shutdown)).await {
            Either::Left(_) => {}
            Either::Right(((), parts)) => {
                stop.set();
                parts.await;
            }
        }
        status.get()
    }
}

/// Runs parts until `stop` is set and they have ended, or the time to drain is over.
async fn run_group(parts: &[Numbered], environment: &Arc<Environment>, stop: &Stop) {
    let mut group = Group::start(parts, environment, stop);
    let is_stopped =
        matches!(select(pin!(group.ended()), pin!(stop.wait())).await, Either::Right(_));
    if is_stopped {
        within(environment, environment.drain, group.ended()).await;
    }
    drop(group);
    set_all(parts, environment, PartState::Stopped);
}

/// Why the parts end that need the lease.
enum End {
    AllFailed,
    LeaseLost,
    Shutdown,
}

/// Runs parts while this process holds the lease.
async fn run_leased<S: EventStore + 'static>(
    lease: &Lease<S>,
    parts: &[Numbered],
    environment: &Arc<Environment>,
    stop: &Stop,
) {
    loop {
        set_all(parts, environment, PartState::Standby);
        let Some(held) = acquire(lease, stop).await else { break };
        environment.board.set_lease(LeaseState::Held);
        let mut keep = pin!(lease.keep(held));
        let end_term = Stop::default();
        let mut group = Group::start(parts, environment, &end_term);
        let end = {
            let stopped = pin!(stop.wait());
            let lost_or_stopped = select(keep.as_mut(), stopped);
            match select(pin!(group.ended()), lost_or_stopped).await {
                Either::Left(_) => End::AllFailed,
                Either::Right((Either::Left(_), _)) => End::LeaseLost,
                Either::Right((Either::Right(_), _)) => End::Shutdown,
            }
        };
        end_term.set();
        match end {
            End::AllFailed => break,
            End::LeaseLost => {
                // A successor starts after another third of the term.
                within(environment, lease.grace(), group.ended()).await;
            }
            End::Shutdown => {
                // It is renewed while the parts end.
                let drained = within(environment, environment.drain, group.ended());
                select(pin!(drained), keep).await;
            }
        }
        drop(group);
        environment.board.set_lease(LeaseState::NotHeld);
        if stop.is_set() {
            break;
        }
    }
    lease.release().await;
    environment.board.set_lease(LeaseState::NotHeld);
    set_all(parts, environment, PartState::Stopped);
}

/// Waits for the lease; returns `None` if `stop` is set before.
async fn acquire<S: EventStore + 'static>(lease: &Lease<S>, stop: &Stop) -> Option<Held> {
    match select(pin!(lease.acquire()), pin!(stop.wait())).await {
        Either::Left((held, _)) => Some(held),
        Either::Right(_) => None,
    }
}

fn set_all(parts: &[Numbered], environment: &Environment, state: PartState) {
    parts.iter().for_each(|(number, _)| environment.board.set(*number, state));
}
