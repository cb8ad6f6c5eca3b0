//! Decides what a caller may read and append, and holds what was decided.
//!
//! A named index counts as the query that defines it, and that may change between the decision and
//! the read. So a query is run as it was authorized: a [`ReadPermit`] holds it. Only what reads the list of
//! one index runs by its name, and checks after each read that the definition is the same.

use std::collections::HashSet;
use std::time::Duration;

use leftfold_api::{
    Append, AppendError, Appended, Conflict, Invalid, Query, Recorded, category_of, names,
};

use super::accounts::Permissions;
use super::area::no_system;
use super::caller::{Caller, Identity, short, shown};
use super::denied::Denial;
use super::state::Access;

/// How often a long-lived call checks what nothing announces: whether its token has expired, and whether its
/// index is still the one that was authorized.
const RECHECK: Duration = Duration::from_millis(500);

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
    /// The query that was authorized, if it is not `query` itself.
    authorized: Option<AuthorizedQuery>,
}

/// The definition of a named index that was authorized.
#[derive(Debug, Clone)]
struct AuthorizedQuery {
    query: Query,
    access: Access,
}

impl ReadPermit {
    /// Returns the query to run.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Checks that what the query has yielded is what was authorized: not the events alone, but also their
    /// ordinals and counts, and that there are no more of them.
    ///
    /// # Errors
    /// `index_changed`.
    pub fn admit<'a>(&self, events: impl IntoIterator<Item = &'a Recorded>) -> Result<(), Denial> {
        let Some(authorized) = &self.authorized else { return Ok(()) };
        self.check_index()?;
        // Between two looks at the definition it may have been another one, and the same again.
        match events.into_iter().all(|event| authorized.query.matches(event)) {
            true => Ok(()),
            false => Err(self.index_changed()),
        }
    }

    /// Checks that the named index is defined as it was when it was authorized.
    ///
    /// # Errors
    /// `index_changed`.
    pub fn check_index(&self) -> Result<(), Denial> {
        let Some(AuthorizedQuery { query, access }) = &self.authorized else { return Ok(()) };
        match access.expand(&self.query) {
            Ok(now) if now == *query => Ok(()),
            _ => Err(self.index_changed()),
        }
    }

    fn index_changed(&self) -> Denial {
        let query = &self.query;
        Denial::IndexChanged(format!(
            "{query} was dropped or defined anew since this was authorized; send the request again"
        ))
    }

    /// Returns the query that the grants must cover.
    fn covered(&self) -> &Query {
        self.authorized.as_ref().map_or(&self.query, |authorized| &authorized.query)
    }
}

/// An append that a caller may make.
#[derive(Debug)]
pub struct AppendPermit {
    append: Append,
    answers: AppendAnswers,
}

impl AppendPermit {
    fn new(append: Append) -> Self {
        AppendPermit { append, answers: AppendAnswers::default() }
    }

    /// Returns the append to do, and what translates its answer.
    pub fn into_parts(self) -> (Append, AppendAnswers) {
        (self.append, self.answers)
    }
}

/// Translates the answer to an append back to what the caller wrote and may know.
#[derive(Debug, Default)]
pub struct AppendAnswers {
    /// The texts of conditions that were expanded, and the texts that the caller wrote.
    rewritten: Vec<(String, String)>,
    /// The index whose ordinals the answer contains.
    ordinals: Option<ReadPermit>,
}

impl AppendAnswers {
    /// Returns the answer with the caller's own query in a conflict, and without ordinals of an index that
    /// was defined anew meanwhile: they would tell how many events another query has.
    ///
    /// # Errors
    /// As the append.
    pub fn translate(
        &self,
        answer: Result<Appended, AppendError>,
    ) -> Result<Appended, AppendError> {
        match answer {
            Ok(mut appended) => {
                if self.ordinals.as_ref().is_some_and(|index| index.check_index().is_err()) {
                    appended.ordinals.fill(None);
                }
                Ok(appended)
            }
            Err(AppendError::Conflict(Conflict::Query { query, position, stream, event_type })) => {
                let written = self.rewritten.iter().find(|(run, _)| *run == query);
                let query = written.map_or(query, |(_, written)| written.clone());
                Err(Conflict::Query { query, position, stream, event_type }.into())
            }
            Err(other) => Err(other),
        }
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
                            let access = self.access().clone();
                            let authorized = Some(AuthorizedQuery { query: expanded, access });
                            ReadPermit { query: query.clone(), authorized }
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

    /// Returns whether the caller may read all events of a query, for a list of topics: it is no request for them.
    pub fn can_read_all(&self, query: &Query) -> bool {
        match self.allowed("list", &|| "topics".to_owned()) {
            Ok(Some(allowed)) => is_within(&allowed, query),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Decides whether the caller may be a member of a consumer group and commit its offsets: they count as a checkpoint of
    /// the group's name, which who may append to a stream of that name may move.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn may_use_group(&self, group: &str) -> Result<(), Denial> {
        match self.allowed("append", &|| format!("group {group}"))? {
            Some(allowed)
                if !allowed.append.takes_stream(group) && !allowed.manage.takes_stream(group) =>
            {
                Err(self.refuse_append(&allowed, "commit offsets as group", group))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the caller may be told of a consumer group.
    pub fn can_see_group(&self, group: &str) -> bool {
        match self.allowed("list", &|| "groups".to_owned()) {
            Ok(Some(allowed)) => [&allowed.read, &allowed.append, &allowed.manage]
                .iter()
                .any(|area| area.takes_stream(group)),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Returns whether the caller may append to all streams of a query.
    pub fn can_append_all(&self, query: &Query) -> bool {
        match self.allowed("list", &|| "topics".to_owned()) {
            Ok(Some(allowed)) => allowed.append.contains(query),
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
    /// `unauthenticated`, if the caller is not known any more; `forbidden`; `index_changed`.
    pub fn still_may_read(&self, permit: &ReadPermit) -> Result<(), Denial> {
        let query = permit.covered();
        match self.allowed("read", &|| query.to_string())? {
            Some(allowed) if !is_within(&allowed, query) => Err(self.refuse_read(&allowed, query)),
            _ => permit.check_index(),
        }
    }

    /// Waits until the caller may not read any more what was permitted.
    pub async fn loses(&self, permit: &ReadPermit) -> Denial {
        self.denied_by(permit.authorized.is_some(), || self.still_may_read(permit)).await
    }

    /// Waits until the caller may not ask any more one of the views whose queries `asked` returns.
    pub async fn loses_views(&self, asked: impl Fn() -> Vec<Query>) -> Denial {
        let check = || asked().iter().try_for_each(|query| self.may_ask_view(query));
        self.denied_by(false, check).await
    }

    /// Waits until the caller is not known any more.
    pub async fn leaves(&self) -> Denial {
        self.denied_by(false, || self.is_known()).await
    }

    /// Waits until a check fails, after each change of accounts, and every [`RECHECK`] where that is not all.
    async fn denied_by(&self, rechecks: bool, check: impl Fn() -> Result<(), Denial>) -> Denial {
        let rechecks = rechecks || matches!(self.who(), Identity::Token { .. });
        let mut changes = self.access().changes();
        loop {
            if let Err(denied) = check() {
                return denied;
            }
            match rechecks {
                true => _ = tokio::time::timeout(RECHECK, changes.changed()).await,
                false => _ = changes.changed().await,
            }
        }
    }

    /// Decides whether there is anything that the caller may append. So the append of one who may append
    /// nothing is refused before it is decoded.
    ///
    /// # Errors
    /// `unauthenticated`, if the caller is not known any more; `forbidden`.
    pub fn may_append_some(&self) -> Result<(), Denial> {
        match self.allowed("append", &|| "an append".to_owned())? {
            Some(allowed) if allowed.append.is_nothing() => {
                Err(self.refuse_append(&allowed, "append events to", "any stream"))
            }
            _ => Ok(()),
        }
    }

    /// Decides whether the caller may make an append: each event must be within what is granted, each
    /// checkpoint counts as a stream of its name, and conditions must be on what may be read.
    ///
    /// # Errors
    /// As [`Caller::authorize_read`].
    pub fn authorize_append(&self, append: Append) -> Result<AppendPermit, Refusal> {
        let allowed = self.allowed("append", &|| "an append".to_owned())?;
        let is_manager = allowed.as_ref().is_none_or(|allowed| allowed.manage.is_all());
        let room = self.access().check_room(&append, is_manager);
        let Some(allowed) = allowed else {
            return Ok(AppendPermit::new(append));
        };
        for (stream, event) in append.events() {
            let has =
                |key: &str, value: &str| event.tags.iter().any(|(k, v)| k == key && v == value);
            let defines = match category_of(stream) {
                names::VIEWS => Some("define a view by an append to stream"),
                names::CONNECTORS => Some("define a connector by an append to stream"),
                _ => None,
            };
            if let Some(what) = defines.filter(|_| !allowed.manage.is_all()) {
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
        // Only now: who may not move them is not told how many there are.
        room.map_err(Refusal::Invalid)?;
        let streams = append.events().iter().map(|(stream, _)| stream);
        let streams: HashSet<&String> = match append.expectations() {
            [] => HashSet::new(),
            _ => streams.collect(),
        };
        for (stream, _) in append.expectations() {
            if !streams.contains(stream) {
                self.may_read_stream(stream)?;
            }
        }
        let ordinals = append.index_of_ordinals();
        let ordinals =
            ordinals.map(|index| self.authorize_read(&Query::index(index))).transpose()?;
        let mut permit = self.authorize_conditions(append)?;
        permit.answers.ordinals = ordinals;
        Ok(permit)
    }

    /// Replaces each condition by the query that was authorized.
    fn authorize_conditions(&self, append: Append) -> Result<AppendPermit, Refusal> {
        let mut rewritten = Vec::new();
        let permits = append.conditions().iter().map(|(query, cursor)| {
            let permit = self.authorize_read(query)?;
            // The outcome of a condition can't be checked afterwards.
            let run = permit.covered().clone();
            if run != *query {
                rewritten.push((run.to_string(), query.to_string()));
            }
            Ok((run, cursor.clone()))
        });
        let conditions = permits.collect::<Result<Vec<_>, Refusal>>()?;
        if rewritten.is_empty() {
            return Ok(AppendPermit::new(append));
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
        if parts.repeats_whole {
            append = append.repeats_whole();
        }
        if let Some(index) = parts.ordinals_in {
            append = append.ordinals_in(index);
        }
        Ok(AppendPermit { append, answers: AppendAnswers { rewritten, ordinals: None } })
    }

    fn refuse_append(&self, allowed: &Permissions, what: &str, name: &str) -> Denial {
        let caller = self.name();
        let granted = shown(&allowed.append);
        let why = format!("{caller} may not {what} {name}: append is granted of {granted}");
        self.refuse("append", name, why)
    }
}
