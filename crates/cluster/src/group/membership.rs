//! The node's side of its membership: it reads the routes here, and says what it wants.

use std::sync::Arc;

use leftfold_api::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::profile::Profile;
use super::routes::RouteTable;

/// The state of a node's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The node is not a member, and tries to join.
    Joining,
    /// The node is a member.
    Member,
    /// The coordinator has not answered for the session timeout. Other nodes may have taken over.
    Away,
    /// Another process uses the node's name. This one has given up.
    Replaced,
    /// The node has left.
    Left,
}

impl Standing {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Joining => "joining",
            Standing::Member => "member",
            Standing::Away => "away",
            Standing::Replaced => "replaced",
            Standing::Left => "left",
        }
    }
}

/// The routes as far as the node knows them.
#[derive(Debug, Clone)]
pub struct Routes {
    /// The last table that the node was given. It stays in force until the next one.
    pub table: Option<Arc<RouteTable>>,
    /// The state of the membership.
    pub standing: Standing,
    /// The reason why the membership does not work at the moment.
    pub problem: Option<Arc<str>>,
}

/// A handle of the membership. Its clones share it.
#[derive(Debug, Clone)]
pub struct Membership {
    shared: Arc<Shared>,
}

impl Membership {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Membership { shared }
    }

    /// Returns the routes and their changes.
    pub fn watch(&self) -> watch::Receiver<Routes> {
        self.shared.routes.subscribe()
    }

    /// Returns the time when the last answered heartbeat was sent. For the session timeout from then on, the
    /// coordinator counts the node as a member.
    pub fn last_heartbeat(&self) -> Option<Timestamp> {
        self.shared.state.lock().last_heartbeat
    }

    /// Changes what the node reports when it joins again. `change` must not wait.
    pub fn update(&self, change: impl FnOnce(&mut Profile)) {
        change(&mut self.shared.state.lock().profile);
    }

    /// Joins again with the current report, so that the partitions are assigned again.
    ///
    /// A node does so when a copy has caught up for which it is the next owner, and after it took a partition over by
    /// an orderly hand-over.
    pub fn rejoin(&self) {
        self.shared.state.lock().must_rejoin = true;
        self.shared.changed.notify_waiters();
    }

    /// Gives all partitions away: joins again, draining.
    pub fn drain(&self) {
        self.update(|profile| profile.is_draining = true);
        self.rejoin();
    }

    /// Leaves the group, and ends [`super::Member::run`]. Without it, other nodes take over only after the session
    /// timeout.
    pub fn leave(&self) {
        self.shared.state.lock().must_leave = true;
        self.shared.changed.notify_waiters();
    }
}

/// What the handle and the loop share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Notify,
    routes: watch::Sender<Routes>,
}

#[derive(Debug, Default)]
struct State {
    profile: Profile,
    must_rejoin: bool,
    must_leave: bool,
    last_heartbeat: Option<Timestamp>,
    /// The reason why the last table could not be read.
    table_problem: Option<String>,
}

/// What the node wants of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Rejoin,
    Leave,
}

impl Shared {
    pub(super) fn new(profile: Profile) -> Self {
        let routes = Routes { table: None, standing: Standing::Joining, problem: None };
        Shared {
            state: Mutex::new(State { profile, ..State::default() }),
            changed: Notify::new(),
            routes: watch::Sender::new(routes),
        }
    }

    /// Returns the report for a request to join, which fulfils all earlier wishes to join again.
    pub(super) fn start_join(&self) -> Profile {
        let mut state = self.state.lock();
        state.must_rejoin = false;
        state.profile.clone()
    }

    pub(super) async fn wait_for_wish(&self) -> Wish {
        self.wait_until(|state| match (state.must_leave, state.must_rejoin) {
            (true, _) => Some(Wish::Leave),
            (false, true) => Some(Wish::Rejoin),
            (false, false) => None,
        })
        .await
    }

    pub(super) async fn wait_for_leave(&self) {
        self.wait_until(|state| state.must_leave.then_some(())).await;
    }

    async fn wait_until<T>(&self, check: impl Fn(&State) -> Option<T>) -> T {
        loop {
            // Listen before checking, so that no change is missed.
            let changed = self.changed.notified();
            if let Some(found) = check(&self.state.lock()) {
                return found;
            }
            changed.await;
        }
    }

    pub(super) fn last_heartbeat(&self) -> Option<Timestamp> {
        self.state.lock().last_heartbeat
    }

    /// Records that the coordinator answered a request of a member, sent at this time.
    pub(super) fn record_heartbeat(&self, sent: Timestamp) {
        let mut state = self.state.lock();
        state.last_heartbeat = Some(sent);
        self.publish(Standing::Member, state.table_problem.as_deref());
    }

    /// Takes a new table over: the node owns what the table says.
    pub(super) fn set_table(&self, name: &str, table: RouteTable) {
        let mut state = self.state.lock();
        for partition in 0..table.partitions() {
            if table.owner(partition).is_some_and(|node| node.name == name) {
                state.profile.owned.entry(partition).or_insert(0);
            } else {
                state.profile.owned.remove(&partition);
            }
        }
        state.table_problem = None;
        drop(state);
        self.routes.send_modify(|routes| routes.table = Some(Arc::new(table)));
    }

    /// Keeps the earlier table, because the last one cannot be read.
    pub(super) fn keep_table(&self, problem: String) {
        self.state.lock().table_problem = Some(problem);
    }

    pub(super) fn standing(&self) -> Standing {
        self.routes.borrow().standing
    }

    /// Publishes the state if it has changed.
    pub(super) fn publish(&self, standing: Standing, problem: Option<&str>) {
        self.routes.send_if_modified(|routes| {
            let is_new = routes.standing != standing || routes.problem.as_deref() != problem;
            if is_new {
                routes.standing = standing;
                routes.problem = problem.map(Arc::from);
            }
            is_new
        });
    }
}
