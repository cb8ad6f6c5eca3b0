use std::fmt;
use std::sync::Arc;

use axum::http::Extensions;
use leftfold_api::{Query, Recorded};

use super::accounts::{Accounts, Permissions};
use super::area::Area;
use super::audit::Origin;
use super::denied::Denial;
use super::managed_change::ManagedChange;
use super::state::Access;
use crate::limits::Client;

/// Bytes of a query in a refusal.
const SHOWN: usize = 400;

/// The authenticated caller of a request. Each check looks up what is granted at that time: a change
/// of users or grants counts from the next check on, also on connections that last.
#[derive(Clone)]
pub struct Caller {
    access: Access,
    who: Identity,
    origin: Origin,
}

/// The identity that credentials have proved; `since` changes with them.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    Local,
    User { user: Arc<str>, since: u64 },
    Token { token: Arc<str>, user: Arc<str>, since: u64 },
}

/// What a caller manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope<'a> {
    /// A stream: its retention and deletion.
    Stream(&'a str),
    /// A checkpoint: its deletion. It counts as a stream of its name.
    Checkpoint(&'a str),
    /// The retention rules.
    Rules,
    /// The named indexes.
    Indexes,
    /// The SQL views.
    Views,
    /// The connectors.
    Connectors,
    /// Users, groups, tokens and grants.
    Accounts,
    /// The store as a whole: its size, scavenging, backups, metrics.
    Store,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Stream(stream) => return write!(f, "stream {stream}"),
            Scope::Checkpoint(name) => return write!(f, "checkpoint {name}"),
            Scope::Rules => "the retention rules",
            Scope::Indexes => "the named indexes",
            Scope::Views => "the SQL views",
            Scope::Connectors => "the connectors",
            Scope::Accounts => "users and their grants",
            Scope::Store => "the store as a whole",
        })
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.who).finish()
    }
}

fn unauthenticated(what: &str) -> Denial {
    Denial::Unauthenticated(what.to_owned())
}

impl Identity {
    /// Returns what it may do now, or `None` for everything.
    fn allowed(&self, accounts: &Accounts, now: i64) -> Result<Option<Arc<Permissions>>, Denial> {
        match self {
            Identity::Local if accounts.is_open() => Ok(None),
            Identity::Local => Err(unauthenticated("this server has users now: send credentials")),
            Identity::User { user, since } => match accounts.users.get(&**user) {
                Some(known) if known.since == *since => Ok(Some(accounts.allowed(user))),
                _ => Err(unauthenticated(
                    "the user or its password has changed: send credentials again",
                )),
            },
            Identity::Token { token, user, since } => match accounts.tokens.get(&**token) {
                Some(known) if known.since != *since => {
                    Err(unauthenticated("the token was revoked"))
                }
                Some(known) if known.until.is_some_and(|until| until <= now) => {
                    Err(unauthenticated("the token has expired"))
                }
                Some(_) => Ok(Some(accounts.allowed(user))),
                None => Err(unauthenticated("the token was revoked")),
            },
        }
    }
}

impl Caller {
    pub(super) fn new(access: Access, who: Identity, origin: Origin) -> Self {
        Caller { access, who, origin }
    }

    /// Returns the name of the caller in logs.
    pub fn name(&self) -> String {
        match &self.who {
            Identity::Local => "local".to_owned(),
            Identity::User { user, .. } => format!("user {user}"),
            Identity::Token { token, user, .. } => format!("token {token} of user {user}"),
        }
    }

    /// Returns the caller of a request that was admitted.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub(crate) fn of(extensions: &Extensions) -> Result<Self, Denial> {
        let caller = extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| unauthenticated("the request was not admitted"))
    }

    /// Returns what the caller's share of the limits is counted for.
    pub(crate) fn client(&self) -> Client {
        let user = match &self.who {
            Identity::Local => None,
            Identity::User { user, .. } | Identity::Token { user, .. } => Some(user.clone()),
        };
        Client::new(&self.origin, user)
    }

    pub(super) fn who(&self) -> &Identity {
        &self.who
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the user, also that of a token.
    pub(crate) fn account(&self) -> Option<&str> {
        match &self.who {
            Identity::Local => None,
            Identity::User { user, .. } | Identity::Token { user, .. } => Some(user),
        }
    }

    /// Returns the user, if it has sent its password.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.who {
            Identity::User { user, .. } => Some(user),
            _ => None,
        }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Decides whether the caller may see an event that was read.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_see(&self, event: &Recorded) -> Result<(), Denial> {
        let what = || format!("the event at position {}", event.position());
        let Some(allowed) = self.allowed("read", &what)? else { return Ok(()) };
        let has = |key: &str, value: &str| event.tags().any(|tag| tag == (key, value));
        let sees_all = allowed.read.is_all() && allowed.manage.is_all();
        if sees_all || allowed.read.takes(event.stream(), has) {
            return Ok(());
        }
        let why = format!("{} may not read this event", self.name());
        Err(self.refuse("read", &what(), why))
    }

    /// Decides whether the caller may list the streams of a category, or all.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_list(&self, category: Option<&str>) -> Result<(), Denial> {
        let query = category.map_or(Query::All, Query::category);
        let Some(allowed) = self.allowed("read", &|| query.to_string())? else { return Ok(()) };
        if allowed.read.contains(&query) {
            return Ok(());
        }
        let granted = shown(&allowed.read);
        let name = self.name();
        let why = format!("{name} may not list these streams: read is granted of {granted}");
        Err(self.refuse("read", &query.to_string(), why))
    }

    /// Decides whether the caller may see a checkpoint: whether it may read a stream of that name.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_see_checkpoint(&self, name: &str) -> Result<(), Denial> {
        self.may_read_stream(name)
    }

    /// Decides whether the caller may change this. What becomes of the change is audited.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_manage(&self, scope: Scope<'_>, does: &str) -> Result<ManagedChange, Denial> {
        self.may_look_after(scope)?;
        Ok(ManagedChange::new(self.clone(), does, &scope.to_string()))
    }

    /// Decides whether the caller may see what is shown only to callers who may change it.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_look_after(&self, scope: Scope<'_>) -> Result<(), Denial> {
        let what = || scope.to_string();
        let Some(allowed) = self.allowed("manage", &what)? else { return Ok(()) };
        let within = match scope {
            Scope::Stream(name) => name.starts_with('$') || allowed.manage.takes_stream(name),
            // Who may move it to where it has no effect any more may also delete it.
            Scope::Checkpoint(name) => {
                let takes = |area: &Area| area.takes_stream(name);
                name.starts_with('$') || takes(&allowed.manage) || takes(&allowed.append)
            }
            _ => allowed.manage.is_all(),
        };
        if within {
            return Ok(());
        }
        let (who, granted) = (self.name(), shown(&allowed.manage));
        let why = format!("{who} may not manage {scope}: manage is granted of {granted}");
        Err(self.refuse("manage", &what(), why))
    }

    /// Decides whether the caller may see the metrics, and the size and state of the store: with a grant of
    /// its own for a scraper, or as a manager of everything.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_observe(&self) -> Result<(), Denial> {
        let what = || Scope::Store.to_string();
        let Some(allowed) = self.allowed("observe", &what)? else { return Ok(()) };
        if allowed.observe.is_all() || allowed.manage.is_all() {
            return Ok(());
        }
        let why = format!("{} may not observe the store: grant it observe of *", self.name());
        Err(self.refuse("observe", &what(), why))
    }

    /// Decides whether the caller is still known.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn is_known(&self) -> Result<(), Denial> {
        self.allowed("ask", &String::new).map(drop)
    }

    pub(super) fn allowed(
        &self,
        action: &str,
        what: &dyn Fn() -> String,
    ) -> Result<Option<Arc<Permissions>>, Denial> {
        let accounts = self.access.accounts()?;
        self.who.allowed(&accounts, self.access.now()).inspect_err(|denied| {
            self.access.audit().denied(&self.name(), &self.origin, action, &what(), denied);
        })
    }

    pub(super) fn refuse(&self, action: &str, what: &str, why: String) -> Denial {
        let denied = Denial::Forbidden(why);
        self.access.audit().denied(&self.name(), &self.origin, action, what, &denied);
        denied
    }
}

pub(super) fn short(mut text: String) -> String {
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}

pub(super) fn shown(area: &Area) -> String {
    if area.is_nothing() { "nothing".to_owned() } else { short(area.query().to_string()) }
}
