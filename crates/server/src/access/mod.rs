//! Authentication and authorization. Every handler of every protocol goes through here.
//!
//! Users, groups, tokens and grants are events in a system stream. Their state is a fold over it
//! (`accounts.rs`), which is kept up to date and replaced as a whole. `area.rs` decides whether a
//! query stays within what is granted; `permit.rs` holds what was decided. `docs/security.md`
//! describes the model.
//!
//! Without users there is one caller, who may do everything: it reaches a loopback address, so it
//! runs on this machine. The server then listens on no other address, unless `insecure` is set.

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
pub use denied::Denial;
pub use manage::{AccountError, GrantInfo, GroupInfo, TokenInfo, UserInfo};
pub use permit::{AppendPermit, ConditionTexts, ReadPermit, Refusal};
pub use secret::Secret;

use accounts::Accounts;
use audit::Audit;
use caller::Identity;
use password::Passwords;

/// The name of the first user.
pub const ADMIN: &str = "admin";

/// Authenticates callers, and knows what is granted to them.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    accounts: ArcSwap<Accounts>,
    /// Whether an event could not be understood: then every caller is refused.
    is_broken: AtomicBool,
    /// Held while accounts are changed or changes are applied.
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
    /// Returns the access of a server without users; accounts in the store are ignored.
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

    /// Reads the accounts of a store, and follows their changes on the runtime that this is called on.
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

    /// Returns whether there are users; without them every caller may do everything.
    pub fn has_users(&self) -> bool {
        !self.0.accounts.load().is_open() || self.0.is_broken.load(Ordering::Acquire)
    }

    /// Returns how many passwords were hashed: the cost of checking credentials.
    pub fn hash_runs(&self) -> u64 {
        self.0.passwords.runs()
    }

    /// Authenticates the caller of a request. Hashing a password is slow on purpose; a password that
    /// was right a short time ago is not hashed again.
    ///
    /// # Errors
    /// `unauthenticated`; `rate_limited` while too many passwords are being checked.
    pub async fn authenticate(
        &self,
        credentials: Option<&Credentials>,
        origin: Origin,
    ) -> Result<Caller, Denial> {
        let who = self.who(credentials).await;
        let who = who.inspect_err(|denied| {
            let name = match credentials {
                Some(Credentials::Basic { user, .. }) => format!("user {user}"),
                Some(Credentials::Bearer(_)) => "a token".to_owned(),
                None => "no credentials".to_owned(),
            };
            self.0.audit.denied(&name, &origin, "authenticate", "", denied);
        })?;
        Ok(Caller::new(self.clone(), who, origin))
    }

    async fn who(&self, credentials: Option<&Credentials>) -> Result<Identity, Denial> {
        let accounts = self.accounts()?;
        match credentials {
            None if accounts.is_open() => Ok(Identity::Local),
            None => Err(Denial::Unauthenticated(
                "this server has users: send an authorization header".to_owned(),
            )),
            Some(_) if accounts.is_open() => Err(Denial::Unauthenticated(
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
    ) -> Result<Identity, Denial> {
        let known = accounts.users.get(name);
        let since = known.map_or(0, |user| user.since);
        let hash = known.and_then(|user| user.password.clone());
        if self.0.passwords.verify((name, since), hash, password).await? {
            return Ok(Identity::User { user: name.into(), since });
        }
        // The same for an unknown user and for a wrong password.
        Err(Denial::Unauthenticated("the user or the password is wrong".to_owned()))
    }

    fn token(&self, accounts: &Accounts, token: &Secret) -> Result<Identity, Denial> {
        let refused =
            || Denial::Unauthenticated("the token is unknown, revoked or expired".to_owned());
        let (name, known) = accounts.token_of(&token.digest()).ok_or_else(refused)?;
        if known.until.is_some_and(|until| until <= self.now()) {
            return Err(refused());
        }
        let (token, user) = (Arc::from(name), Arc::from(known.user.as_str()));
        Ok(Identity::Token { token, user, since: known.since })
    }

    fn accounts(&self) -> Result<Arc<Accounts>, Denial> {
        if self.0.is_broken.load(Ordering::Acquire) {
            return Err(Denial::Unauthenticated(
                "the server can't read its users; its log tells why".to_owned(),
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
