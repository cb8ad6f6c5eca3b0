use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Append, Query, Recorded};

use super::accounts::{Accounts, Allowed};
use super::area::{Area, no_system};
use super::audit::Origin;
use super::{Access, Denied};

/// How often what lasts looks whether its token has ended.
const LOOK: Duration = Duration::from_millis(500);
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

    /// Whether it may read what a query yields: whether the form of the query shows that it stays
    /// within what is granted. A named index counts as the query that defines it.
    ///
    /// # Errors
    /// `unauthenticated`, if it is known no more; `forbidden`.
    pub fn may_read(&self, query: &Query) -> Result<(), Denied> {
        let Some(allowed) = self.allowed("read", &|| query.to_string())? else { return Ok(()) };
        // An index that is not there yields nothing; the store will say so.
        let Ok(expanded) = self.access.expand(query) else { return Ok(()) };
        let within = match allowed.manage.is_all() {
            true => allowed.read.contains(&expanded),
            false => allowed.read.holds(&expanded),
        };
        if within {
            return Ok(());
        }
        let within = if allowed.read.is_all() { no_system() } else { allowed.read.query() };
        let narrowed = query.clone().and(within);
        let how = match allowed.read.is_nothing() {
            true => String::new(),
            false => format!("; narrow the query: {}", short(narrowed.to_string())),
        };
        let why = format!(
            "{} may not read all of {}: read is granted of {}{how}",
            self.name(),
            short(query.to_string()),
            shown(&allowed.read),
        );
        Err(self.refuse("read", &query.to_string(), why))
    }

    /// Whether it may see an event at hand.
    ///
    /// # Errors
    /// As [`Caller::may_read`].
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
    /// As [`Caller::may_read`].
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
    /// As [`Caller::may_read`].
    pub fn may_see_checkpoint(&self, name: &str) -> Result<(), Denied> {
        self.may_read(&Query::stream(name))
    }

    /// Whether it may append this: each event is within what is granted, each checkpoint is as a
    /// stream of its name, and what is only asked may be read.
    ///
    /// # Errors
    /// As [`Caller::may_read`].
    pub fn may_append(&self, append: &Append) -> Result<(), Denied> {
        let Some(allowed) = self.allowed("append", &|| "an append".to_owned())? else {
            return Ok(());
        };
        for (stream, event) in append.events() {
            let has =
                |key: &str, value: &str| event.tags.iter().any(|(k, v)| k == key && v == value);
            // The store itself says that its own names can't be given.
            if !stream.starts_with('$') && !allowed.append.takes(stream, has) {
                return Err(self.refuse_append(&allowed, "append this event to stream", stream));
            }
        }
        for to in append.moves() {
            if !to.name.starts_with('$') && !allowed.append.takes_stream(&to.name) {
                return Err(self.refuse_append(&allowed, "move checkpoint", &to.name));
            }
        }
        let appends_to = |stream: &str| append.events().iter().any(|(to, _)| to == stream);
        for (stream, _) in append.expectations() {
            if !appends_to(stream) {
                self.may_read(&Query::stream(stream))?;
            }
        }
        append.conditions().iter().try_for_each(|(query, _)| self.may_read(query))?;
        // An ordinal tells how many events an index lists.
        append.index_of_ordinals().map_or(Ok(()), |index| self.may_read(&Query::index(index)))
    }

    fn refuse_append(&self, allowed: &Allowed, what: &str, name: &str) -> Denied {
        let who = self.name();
        let granted = shown(&allowed.append);
        let why = format!("{who} may not {what} {name}: append is granted of {granted}");
        self.refuse("append", name, why)
    }

    /// Whether it may change this. That it does is audited.
    ///
    /// # Errors
    /// As [`Caller::may_read`].
    pub fn may_manage(&self, scope: Scope<'_>, does: &str) -> Result<(), Denied> {
        self.may_look_after(scope)?;
        self.access.audit().managed(&self.name(), &self.origin, does, &scope.to_string());
        Ok(())
    }

    /// Whether it may look at what only those see who may change it.
    ///
    /// # Errors
    /// As [`Caller::may_read`].
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

    /// Returns when it may read a query no more.
    pub async fn loses(&self, query: &Query) -> Denied {
        let mut changed = self.access.changes();
        loop {
            if let Err(denied) = self.may_read(query) {
                return denied;
            }
            match &self.who {
                Who::Token { .. } => _ = tokio::time::timeout(LOOK, changed.changed()).await,
                _ => _ = changed.changed().await,
            }
        }
    }

    /// Whether it is still known.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn is_known(&self) -> Result<(), Denied> {
        self.allowed("ask", &String::new).map(drop)
    }

    /// Returns when it is known no more.
    pub async fn leaves(&self) -> Denied {
        let mut changed = self.access.changes();
        loop {
            if let Err(denied) = self.is_known() {
                return denied;
            }
            match &self.who {
                Who::Token { .. } => _ = tokio::time::timeout(LOOK, changed.changed()).await,
                _ => _ = changed.changed().await,
            }
        }
    }

    fn allowed(
        &self,
        action: &str,
        what: &dyn Fn() -> String,
    ) -> Result<Option<Arc<Allowed>>, Denied> {
        let accounts = self.access.accounts()?;
        self.who.allowed(&accounts, self.access.now()).inspect_err(|denied| {
            self.access.audit().denied(&self.name(), &self.origin, action, &what(), denied);
        })
    }

    fn refuse(&self, action: &str, what: &str, why: String) -> Denied {
        let denied = Denied::Forbidden(why);
        self.access.audit().denied(&self.name(), &self.origin, action, what, &denied);
        denied
    }
}

fn short(mut text: String) -> String {
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn shown(area: &Area) -> String {
    if area.is_nothing() { "nothing".to_owned() } else { short(area.query().to_string()) }
}
