//! Decides what a caller may read and append, and holds what was decided.
//!
//! A named index counts as the query that defines it, and that may change between the decision and
//! the read. So a query is run as it was authorized: a [`ReadPermit`] holds it.

use std::time::Duration;

use leftfold_api::{Append, AppendError, Conflict, Invalid, Query, Recorded, category_of, names};

use super::accounts::Permissions;
use super::area::no_system;
use super::caller::{Caller, Identity, short, shown};
use super::denied::Denial;

/// How often a long-lived call checks whether its token has expired.
const EXPIRY_CHECK: Duration = Duration::from_millis(500);

/// Why a request is not done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller may not do it.
    Denial(Denial),
    /// A named index that it asks for does not exist or is not ready.
    Invalid(Invalid),
}

impl From<Denial> for Refusal {
    fn from(denied: Denial) -> Self {
        Refusal::Denial(denied)
    }
}

/// A query that a caller may run.
#[derive(Debug, Clone)]
pub struct ReadPermit {
    query: Query,
    /// The query that was authorized, if it is not `query` itself: each event is compared with it.
    authorized: Option<Query>,
}

impl ReadPermit {
    /// Returns the query to run.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Checks that events which the query yielded are what was authorized.
    ///
    /// # Errors
    /// `forbidden`: a named index was defined anew since.
    pub fn admit<'a>(&self, events: impl IntoIterator<Item = &'a Recorded>) -> Result<(), Denial> {
        let Some(authorized) = &self.authorized else { return Ok(()) };
        if events.into_iter().all(|event| authorized.matches(event)) {
            return Ok(());
        }
        let query = &self.query;
        let why = format!("{query} was defined anew since the read was authorized; read it again");
        Err(Denial::Forbidden(why))
    }
}

/// An append that a caller may make.
#[derive(Debug)]
pub struct AppendPermit {
    append: Append,
    /// The texts of conditions that were expanded, and the texts that the caller wrote.
    rewritten: Vec<(String, String)>,
}

impl AppendPermit {
    /// Returns the append to do, and what translates its errors.
    pub fn into_parts(self) -> (Append, ConditionTexts) {
        (self.append, ConditionTexts(self.rewritten))
    }
}

/// Translates the errors of an append back to the conditions that the caller wrote.
#[derive(Debug)]
pub struct ConditionTexts(Vec<(String, String)>);

impl ConditionTexts {
    /// Returns the error with the caller's own query in it.
    pub fn error(&self, error: AppendError) -> AppendError {
        let AppendError::Conflict(Conflict::Query { query, position, stream, event_type }) = error
        else {
            return error;
        };
        let written = self.0.iter().find(|(run, _)| *run == query);
        let query = written.map_or(query, |(_, written)| written.clone());
        AppendError::Conflict(Conflict::Query { query, position, stream, event_type })
    }
}

/// Whether the form of a query shows that it stays within what may be read.
fn is_within(allowed: &Permissions, query: &Query) -> bool {
    match allowed.manage.is_all() {
        true => allowed.read.contains(query),
        false => allowed.read.holds(query),
    }
}

impl Caller {
    /// Decides whether the caller may read what a query yields: whether the form of the query shows
    /// that it stays within what is granted. A named index counts as the query that defines it.
    ///
    /// An index that is not there may be defined as anything a moment later. So a query that depends
    /// on it is forbidden to a caller with limited grants, as one that goes beyond them is: the
    /// answer does not tell which indexes there are.
    ///
    /// # Errors
    /// `unauthenticated`, if the caller is not known any more; `forbidden`; `index_building`; to a
    /// caller who may read all, also `index_unknown` and `partition_unknown`.
    pub fn authorize_read(&self, query: &Query) -> Result<ReadPermit, Refusal> {
        let as_it_is = || ReadPermit { query: query.clone(), authorized: None };
        let Some(allowed) = self.allowed("read", &|| query.to_string())? else {
            return Ok(as_it_is());
        };
        // Then it is within for any definition of its indexes.
        if is_within(&allowed, query) {
            return Ok(as_it_is());
        }
        if query.named_index().is_some() {
            match self.access().expand(query) {
                Ok(expanded) if is_within(&allowed, &expanded) => {
                    return Ok(match query {
                        // One list has ordinals, which its expansion would not have.
                        Query::Index(_) | Query::Partition(_) => {
                            ReadPermit { query: query.clone(), authorized: Some(expanded) }
                        }
                        _ => ReadPermit { query: expanded, authorized: None },
                    });
                }
                Err(invalid) if allowed.read.is_all() || invalid.code == "index_building" => {
                    return Err(Refusal::Invalid(invalid));
                }
                _ => {}
            }
        }
        Err(self.refuse_read(&allowed, query).into())
    }

    fn refuse_read(&self, allowed: &Permissions, query: &Query) -> Denial {
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
        self.refuse("read", &query.to_string(), why)
    }

    /// Decides whether the caller may ask a view of these events. A view has rows of events that were in a named index
    /// when it read them, and the index may be another one now. So only who may read everything asks a view of a
    /// named index.
    ///
    /// # Errors
    /// `unauthenticated`, if the caller is not known any more; `forbidden`.
    pub fn may_ask_view(&self, query: &Query) -> Result<(), Denial> {
        match self.allowed("ask", &|| query.to_string())? {
            Some(allowed) if !is_within(&allowed, query) => Err(self.refuse_views(&allowed)),
            _ => Ok(()),
        }
    }

    /// Returns whether the caller may ask a view of these events, for a list of views: it is no request for it.
    pub fn can_ask_view(&self, query: &Query) -> bool {
        match self.allowed("list", &|| "views".to_owned()) {
            Ok(Some(allowed)) => is_within(&allowed, query),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Decides whether the caller may be told which views there are.
    ///
    /// # Errors
    /// As [`Caller::may_ask_view`].
    pub fn may_know_views(&self) -> Result<(), Denial> {
        match self.allowed("ask", &|| "views".to_owned())? {
            Some(allowed) if !allowed.read.is_all() => Err(self.refuse_views(&allowed)),
            _ => Ok(()),
        }
    }

    /// The refusal is the same for each view, and for one that does not exist.
    fn refuse_views(&self, allowed: &Permissions) -> Denial {
        let why = format!(
            "the query names no view, or one that {} may not ask: read is granted of {}, and must cover \
             all events of the view",
            self.name(),
            shown(&allowed.read),
        );
        self.refuse("ask", "views", why)
    }

    /// Decides whether the caller may read a stream.
    ///
    /// # Errors
    /// `unauthenticated`, if the caller is not known any more; `forbidden`.
    pub fn may_read_stream(&self, stream: &str) -> Result<(), Denial> {
        let query = Query::stream(stream);
        match self.allowed("read", &|| query.to_string())? {
            Some(allowed) if !is_within(&allowed, &query) => {
                Err(self.refuse_read(&allowed, &query))
            }
            _ => Ok(()),
        }
    }

    /// Decides whether the caller may still read what was permitted.
    ///
    /// # Errors
    /// `unauthenticated`, if the caller is not known any more; `forbidden`.
    pub fn still_may_read(&self, permit: &ReadPermit) -> Result<(), Denial> {
        let query = permit.authorized.as_ref().unwrap_or(&permit.query);
        match self.allowed("read", &|| query.to_string())? {
            Some(allowed) if !is_within(&allowed, query) => Err(self.refuse_read(&allowed, query)),
            _ => Ok(()),
        }
    }

    /// Waits until the caller may not read any more what was permitted.
    pub async fn loses(&self, permit: &ReadPermit) -> Denial {
        self.denied_by(|| self.still_may_read(permit)).await
    }

    /// Waits until the caller may not ask any more one of the views whose queries `asked` returns.
    pub async fn loses_views(&self, asked: impl Fn() -> Vec<Query>) -> Denial {
        let check = || asked().iter().try_for_each(|query| self.may_ask_view(query));
        self.denied_by(check).await
    }

    /// Waits until the caller is not known any more.
    pub async fn leaves(&self) -> Denial {
        self.denied_by(|| self.is_known()).await
    }

    async fn denied_by(&self, check: impl Fn() -> Result<(), Denial>) -> Denial {
        let mut changes = self.access().changes();
        loop {
            if let Err(denied) = check() {
                return denied;
            }
            match self.who() {
                Identity::Token { .. } => {
                    _ = tokio::time::timeout(EXPIRY_CHECK, changes.changed()).await;
                }
                _ => _ = changes.changed().await,
            }
        }
    }

    /// Decides whether the caller may make an append: each event must be within what is granted, each
    /// checkpoint counts as a stream of its name, and conditions must be on what may be read.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn authorize_append(&self, append: Append) -> Result<AppendPermit, Refusal> {
        let Some(allowed) = self.allowed("append", &|| "an append".to_owned())? else {
            return Ok(AppendPermit { append, rewritten: Vec::new() });
        };
        for (stream, event) in append.events() {
            let has =
                |key: &str, value: &str| event.tags.iter().any(|(k, v)| k == key && v == value);
            if category_of(stream) == names::VIEWS && !allowed.manage.is_all() {
                let what = "define a view by an append to stream";
                return Err(self.refuse_append(&allowed, what, stream).into());
            }
            // The store itself says that its own names can't be given.
            if !stream.starts_with('$') && !allowed.append.takes(stream, has) {
                let what = "append this event to stream";
                return Err(self.refuse_append(&allowed, what, stream).into());
            }
        }
        for to in append.moves() {
            if !to.name.starts_with('$') && !allowed.append.takes_stream(&to.name) {
                return Err(self.refuse_append(&allowed, "move checkpoint", &to.name).into());
            }
        }
        let appends_to = |stream: &str| append.events().iter().any(|(to, _)| to == stream);
        for (stream, _) in append.expectations() {
            if !appends_to(stream) {
                self.may_read_stream(stream)?;
            }
        }
        if let Some(index) = append.index_of_ordinals() {
            self.authorize_read(&Query::index(index))?;
        }
        self.authorize_conditions(append)
    }

    /// Replaces each condition by the query that was authorized.
    fn authorize_conditions(&self, append: Append) -> Result<AppendPermit, Refusal> {
        let mut rewritten = Vec::new();
        let permits = append.conditions().iter().map(|(query, cursor)| {
            let permit = self.authorize_read(query)?;
            // The outcome of a condition can't be checked afterwards.
            let run = permit.authorized.unwrap_or(permit.query);
            if run != *query {
                rewritten.push((run.to_string(), query.to_string()));
            }
            Ok((run, cursor.clone()))
        });
        let conditions = permits.collect::<Result<Vec<_>, Refusal>>()?;
        if rewritten.is_empty() {
            return Ok(AppendPermit { append, rewritten });
        }
        let parts = append.into_parts();
        let mut append = Append::new();
        for (stream, event) in parts.events {
            append = append.event(stream, event);
        }
        for (stream, expected) in parts.expected {
            append = append.expect(stream, expected);
        }
        for (query, cursor) in conditions {
            append = append.none_after(query, cursor);
        }
        for to in parts.checkpoints {
            append = append.checkpoint(to);
        }
        if let Some(index) = parts.ordinals_in {
            append = append.ordinals_in(index);
        }
        Ok(AppendPermit { append, rewritten })
    }

    fn refuse_append(&self, allowed: &Permissions, what: &str, name: &str) -> Denial {
        let caller = self.name();
        let granted = shown(&allowed.append);
        let why = format!("{caller} may not {what} {name}: append is granted of {granted}");
        self.refuse("append", name, why)
    }
}
