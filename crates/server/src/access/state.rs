use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use leftfold_api::{Engine, Invalid, Query};
use leftfold_io::Clock;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::accounts::Accounts;
use super::audit::Audit;
use super::denied::Denial;
use super::password::Passwords;

/// The name of the first user.
pub const ADMIN: &str = "admin";

/// Authenticates callers, and knows what is granted to them.
#[derive(Clone)]
pub struct Access(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) accounts: ArcSwap<Accounts>,
    /// Whether an event could not be understood: then every caller is refused.
    pub(super) is_broken: AtomicBool,
    /// Held while accounts are changed or changes are applied.
    pub(super) following: Mutex<()>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) passwords: Passwords,
    pub(super) audit: Audit,
    /// When the log last warned of the number of checkpoints.
    pub(super) warned_of_checkpoints: parking_lot::Mutex<Option<Instant>>,
    pub(super) tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.get_mut().iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    pub(super) fn new(store: Arc<dyn Engine>, clock: Arc<dyn Clock>, audit: Audit) -> Self {
        Access(Arc::new(Inner {
            store,
            clock,
            accounts: ArcSwap::default(),
            is_broken: AtomicBool::new(false),
            following: Mutex::new(()),
            changed: watch::channel(0).0,
            passwords: Passwords::new(),
            audit,
            warned_of_checkpoints: parking_lot::Mutex::default(),
            tasks: parking_lot::Mutex::default(),
        }))
    }

    /// Returns whether there are users; without them every caller may do everything.
    pub fn has_users(&self) -> bool {
        !self.0.accounts.load().is_open() || self.0.is_broken.load(Ordering::Acquire)
    }

    /// Returns how many passwords were hashed: the cost of checking credentials.
    pub fn hash_runs(&self) -> u64 {
        self.0.passwords.runs()
    }

    pub(super) fn accounts(&self) -> Result<Arc<Accounts>, Denial> {
        if self.0.is_broken.load(Ordering::Acquire) {
            return Err(Denial::Unauthenticated(
                "the server can't read its users; its log tells why".to_owned(),
            ));
        }
        Ok(self.0.accounts.load_full())
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    pub(super) fn now(&self) -> i64 {
        self.0.clock.now_micros()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    pub(super) fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        self.0.store.expand(query)
    }
}
