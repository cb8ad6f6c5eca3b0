//! Who asks, and what that one may do. Every handler of every protocol goes through here.
//!
//! Users, groups, tokens and grants are events in a system stream, and what they come to is a fold
//! over it (`accounts.rs`), followed live and replaced as a whole. `area.rs` decides whether a query
//! stays within what is granted. `docs/security.md` describes the model.
//!
//! Without users there is one caller, who may do everything: whoever reaches a loopback address is
//! on the machine. The server does not listen on any other address then, unless it was told to.

mod accounts;
mod area;
mod audit;
mod caller;
mod credentials;
mod denied;
mod follow;
mod manage;
mod password;
mod permit;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use leftfold_api::Engine;
use leftfold_api::{AppendError, Invalid, Query};
use leftfold_io::{Clock, SystemClock};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

pub use accounts::{Action, Grantee};
pub use audit::Origin;
pub use caller::{Caller, Scope};
pub use credentials::Credentials;
pub use denied::Denied;
pub use manage::{GrantInfo, GroupInfo, Refused, TokenInfo, UserInfo};
pub use permit::{AppendPermit, ReadPermit, Refusal, Restored};
pub use secret::Secret;

use accounts::Accounts;
use audit::Audit;
use caller::Who;
use password::Passwords;

/// The user that is made at first.
pub const ADMIN: &str = "admin";

/// Decides who asks.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    accounts: ArcSwap<Accounts>,
    /// Whether an event was met that is not understood: then nobody is let in.
    is_broken: AtomicBool,
    /// Held by whoever changes accounts, or takes over changes.
    following: Mutex<()>,
    changed: watch::Sender<u64>,
    passwords: Passwords,
    audit: Audit,
    tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
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
    /// For a server without users, whatever the store says of them.
    pub fn local(store: Arc<dyn Engine>) -> Self {
        Access::new(store, Arc::new(SystemClock), Audit::new().0)
    }

    fn new(store: Arc<dyn Engine>, clock: Arc<dyn Clock>, audit: Audit) -> Self {
        Access(Arc::new(Inner {
            store,
            clock,
            accounts: ArcSwap::default(),
            is_broken: AtomicBool::new(false),
            following: Mutex::new(()),
            changed: watch::channel(0).0,
            passwords: Passwords::new(),
            audit,
            tasks: parking_lot::Mutex::default(),
        }))
    }

    /// What a store's accounts come to, followed from now on, on the runtime that this is called on.
    ///
    /// # Errors
    /// The accounts can't be read.
    pub async fn open(store: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, AppendError> {
        let (audit, entries) = Audit::new();
        let access = Access::new(store.clone(), clock, audit);
        let writing = tokio::spawn(audit::write(store, entries));
        access.0.tasks.lock().push(writing);
        access.catch_up(None).await?;
        if !access.0.accounts.load().is_open() {
            audit::limit_age(&*access.0.store).await?;
        }
        let following =
            tokio::spawn(follow::run(access.0.store.clone(), Arc::downgrade(&access.0)));
        access.0.tasks.lock().push(following);
        Ok(access)
    }

    /// Whether there are users: whether anybody can be kept out.
    pub fn has_users(&self) -> bool {
        !self.0.accounts.load().is_open() || self.0.is_broken.load(Ordering::Acquire)
    }

    /// How many passwords were hashed: what a check of credentials has cost.
    pub fn hash_runs(&self) -> u64 {
        self.0.passwords.runs()
    }

    /// Who asks. It may take a while: a password is hashed on purpose slowly, unless it was right a
    /// short time ago.
    ///
    /// # Errors
    /// `unauthenticated`; `rate_limited` while too many passwords are being checked.
    pub async fn authenticate(
        &self,
        credentials: Option<&Credentials>,
        origin: Origin,
    ) -> Result<Caller, Denied> {
        let who = self.who(credentials).await;
        let who = who.inspect_err(|denied| {
            let name = match credentials {
                Some(Credentials::Basic { user, .. }) => format!("user {user}"),
                Some(Credentials::Bearer(_)) => "a token".to_owned(),
                None => "nobody".to_owned(),
            };
            self.0.audit.denied(&name, &origin, "authenticate", "", denied);
        })?;
        Ok(Caller::new(self.clone(), who, origin))
    }

    async fn who(&self, credentials: Option<&Credentials>) -> Result<Who, Denied> {
        let accounts = self.accounts()?;
        match credentials {
            None if accounts.is_open() => Ok(Who::Local),
            None => Err(Denied::Unauthenticated(
                "this server has users: send an authorization header".to_owned(),
            )),
            Some(_) if accounts.is_open() => Err(Denied::Unauthenticated(
                "this server has no users: send no authorization header".to_owned(),
            )),
            Some(Credentials::Basic { user, password }) => {
                self.user(&accounts, user, password).await
            }
            Some(Credentials::Bearer(token)) => self.token(&accounts, token),
        }
    }

    async fn user(
        &self,
        accounts: &Accounts,
        name: &str,
        password: &Secret,
    ) -> Result<Who, Denied> {
        let known = accounts.users.get(name);
        let since = known.map_or(0, |user| user.since);
        let hash = known.and_then(|user| user.password.clone());
        if self.0.passwords.verify((name, since), hash, password).await? {
            return Ok(Who::User { user: name.into(), since });
        }
        // The same for a user who is not there and a password that is wrong.
        Err(Denied::Unauthenticated("there is no such user with this password".to_owned()))
    }

    fn token(&self, accounts: &Accounts, token: &Secret) -> Result<Who, Denied> {
        let refused = || Denied::Unauthenticated("there is no such token, or no more".to_owned());
        let (name, known) = accounts.token_of(&token.digest()).ok_or_else(refused)?;
        if known.until.is_some_and(|until| until <= self.now()) {
            return Err(refused());
        }
        let (token, user) = (Arc::from(name), Arc::from(known.user.as_str()));
        Ok(Who::Token { token, user, since: known.since })
    }

    fn accounts(&self) -> Result<Arc<Accounts>, Denied> {
        if self.0.is_broken.load(Ordering::Acquire) {
            return Err(Denied::Unauthenticated(
                "the server can't read who its users are; its log tells why".to_owned(),
            ));
        }
        Ok(self.0.accounts.load_full())
    }

    fn audit(&self) -> &Audit {
        &self.0.audit
    }

    fn now(&self) -> i64 {
        self.0.clock.now_micros()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        self.0.store.expand(query)
    }
}
