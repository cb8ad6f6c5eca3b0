use std::fmt;
use std::sync::Arc;

use leftfold_api::{Query, Recorded};

use super::accounts::{Accounts, Allowed};
use super::area::Area;
use super::audit::Origin;
use super::{Access, Denied};

/// A refusal says so much of what is granted.
const SHOWN: usize = 400;

/// Whoever sends a request. What it may do is looked up when it is asked: a change of users or
/// grants counts from the next question on, also for whoever has been connected for long.
#[derive(Clone)]
pub struct Caller {
    access: Access,
    who: Who,
    origin: Origin,
}

/// Whom credentials have shown somebody to be; `since` changes with them.
#[derive(Debug, Clone)]
pub(super) enum Who {
    Local,
    User { user: Arc<str>, since: u64 },
    Token { token: Arc<str>, user: Arc<str>, since: u64 },
}

/// What is managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope<'a> {
    /// A stream: its retention, its deletion.
    Stream(&'a str),
    /// The rules of retention.
    Rules,
    /// The named indexes.
    Indexes,
    /// Users, groups, tokens and grants.
    Accounts,
    /// The store as a whole: its size, scavenging, backups, metrics.
    Store,
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Stream(stream) => return write!(f, "stream {stream}"),
            Scope::Rules => "the rules of retention",
            Scope::Indexes => "the named indexes",
            Scope::Accounts => "users and what is granted to them",
            Scope::Store => "the store as a whole",
        })
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.who).finish()
    }
}

fn gone(what: &str) -> Denied {
    Denied::Unauthenticated(what.to_owned())
}

impl Who {
    /// What it may do now; none for everything.
    fn allowed(&self, accounts: &Accounts, now: i64) -> Result<Option<Arc<Allowed>>, Denied> {
        match self {
            Who::Local if accounts.is_open() => Ok(None),
            Who::Local => Err(gone("this server has users now: send credentials")),
            Who::User { user, since } => match accounts.users.get(&**user) {
                Some(known) if known.since == *since => Ok(Some(accounts.allowed(user))),
                _ => Err(gone("the user or its password has changed: send credentials again")),
            },
            Who::Token { token, user, since } => match accounts.tokens.get(&**token) {
                Some(known) if known.since != *since => Err(gone("the token was revoked")),
                Some(known) if known.until.is_some_and(|until| until <= now) => {
                    Err(gone("the token has expired"))
                }
                Some(_) => Ok(Some(accounts.allowed(user))),
                None => Err(gone("the token was revoked")),
            },
        }
    }
}

impl Caller {
    pub(super) fn new(access: Access, who: Who, origin: Origin) -> Self {
        Caller { access, who, origin }
    }

    /// Whom logs name.
    pub fn name(&self) -> String {
        match &self.who {
            Who::Local => "local".to_owned(),
            Who::User { user, .. } => format!("user {user}"),
            Who::Token { token, user, .. } => format!("token {token} of user {user}"),
        }
    }

    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The user, if it has shown its password.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.who {
            Who::User { user, .. } => Some(user),
            _ => None,
        }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it may see an event at hand.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_see(&self, event: &Recorded) -> Result<(), Denied> {
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

    /// Whether it may list streams, of a category or of all.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_list(&self, category: Option<&str>) -> Result<(), Denied> {
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

    /// Whether it may see where a checkpoint is: whether it may read a stream of that name.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_see_checkpoint(&self, name: &str) -> Result<(), Denied> {
        self.may_read_stream(name)
    }

    /// Whether it may change this. That it does is audited.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_manage(&self, scope: Scope<'_>, does: &str) -> Result<(), Denied> {
        self.may_look_after(scope)?;
        self.access.audit().managed(&self.name(), &self.origin, does, &scope.to_string());
        Ok(())
    }

    /// Whether it may look at what only those see who may change it.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_look_after(&self, scope: Scope<'_>) -> Result<(), Denied> {
        let what = || scope.to_string();
        let Some(allowed) = self.allowed("manage", &what)? else { return Ok(()) };
        let within = match scope {
            Scope::Stream(stream) => stream.starts_with('$') || allowed.manage.takes_stream(stream),
            _ => allowed.manage.is_all(),
        };
        if within {
            return Ok(());
        }
        let (who, granted) = (self.name(), shown(&allowed.manage));
        let why = format!("{who} may not manage {scope}: manage is granted of {granted}");
        Err(self.refuse("manage", &what(), why))
    }

    /// Whether it is still known.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn is_known(&self) -> Result<(), Denied> {
        self.allowed("ask", &String::new).map(drop)
    }

    pub(super) fn allowed(
        &self,
        action: &str,
        what: &dyn Fn() -> String,
    ) -> Result<Option<Arc<Allowed>>, Denied> {
        let accounts = self.access.accounts()?;
        self.who.allowed(&accounts, self.access.now()).inspect_err(|denied| {
            self.access.audit().denied(&self.name(), &self.origin, action, &what(), denied);
        })
    }

    pub(super) fn refuse(&self, action: &str, what: &str, why: String) -> Denied {
        let denied = Denied::Forbidden(why);
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
