//! Named indexes: any query, defined while the store runs, filled with the past in the background.
//!
//! A definition is an event, so it has a position. The writer gives every later event that matches
//! to the index as it gives it to any key; the past, up to that position, is found by the query
//! itself and kept in files of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;
use leftfold_index::{Expr, Key, Toward};
use parking_lot::Mutex;

use super::core::Core;
use crate::append::{Append, Expected};
use crate::error::{AppendError, Conflict, Failure, Invalid, ReadError};
use crate::event::NewEvent;
use crate::keys::Keys;
use crate::names;
use crate::query::{Plan, Query, plan};
use crate::read::IndexInfo;
use crate::recorded::Recorded;

/// Definitions and removals are events of streams of this category, one stream for each name.
pub(crate) const CATEGORY: &str = "$index";
const DEFINED: &str = "$IndexDefined";
const DROPPED: &str = "$IndexDropped";

/// A named index.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) query: Query,
    /// The position of its definition. Events up to here are its past.
    pub(crate) defined_at: u64,
    pub(crate) key: Key,
    ready: AtomicBool,
    failure: Mutex<Option<Failure>>,
    changed: Event,
}

/// The named indexes that a query asks for.
type Found = BTreeMap<String, Arc<Named>>;

/// What happens to a named index.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Defined(String, Query),
    Dropped(String),
}

impl Named {
    pub(crate) fn new(name: &str, query: Query, defined_at: u64, keys: &Keys) -> Arc<Self> {
        Arc::new(Named {
            name: name.to_owned(),
            query,
            defined_at,
            key: keys.named(name, defined_at),
            ready: AtomicBool::new(false),
            failure: Mutex::new(None),
            changed: Event::new(),
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Its past has been filled in, or could not be.
    pub(crate) fn filled(&self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.ready.store(true, Ordering::Release),
            Err(failure) => *self.failure.lock() = Some(failure),
        }
        self.changed.notify(usize::MAX);
    }

    async fn wait(&self) -> Result<(), Failure> {
        loop {
            let changed = self.changed.listen();
            if self.is_ready() {
                return Ok(());
            }
            if let Some(failure) = self.failure.lock().clone() {
                return Err(failure);
            }
            changed.await;
        }
    }
}

impl Change {
    /// What a stored event says.
    pub(crate) fn of_recorded(event: &Recorded) -> Option<Change> {
        let name = event.stream().strip_prefix(CATEGORY)?.strip_prefix('-')?;
        if event.is_lost() {
            // It may have removed the index: one that is not whole must not be asked.
            return Some(Change::Dropped(name.to_owned()));
        }
        let data = event.data();
        Change::read(name, event.event_type(), std::str::from_utf8(&data).ok()?)
    }

    pub(crate) fn read(name: &str, event_type: &str, text: &str) -> Option<Change> {
        match event_type {
            DEFINED => Some(Change::Defined(name.to_owned(), text.parse().ok()?)),
            DROPPED => Some(Change::Dropped(name.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Change::Defined(name, _) | Change::Dropped(name) => name,
        }
    }

    /// The index, if this defines one.
    pub(crate) fn defined_at(&self, position: u64, keys: &Keys) -> Option<Arc<Named>> {
        match self {
            Change::Defined(name, query) => Some(Named::new(name, query.clone(), position, keys)),
            Change::Dropped(_) => None,
        }
    }
}

fn stream_of(name: &str) -> String {
    format!("{CATEGORY}-{name}")
}

/// The conflict that a definition meets, in the words of who defines.
pub(crate) fn say_exists(name: &str, error: AppendError) -> AppendError {
    match error {
        AppendError::Conflict(Conflict::Version { .. }) => {
            let message = format!("there is an index {name} already; drop it first");
            Invalid::new("index_exists", message).into()
        }
        other => other,
    }
}

impl Core {
    /// The append that defines an index.
    pub(crate) fn definition(&self, name: &str, query: &Query) -> Result<Append, AppendError> {
        names::check_new("index", name)?;
        names::check("index", &stream_of(name))?;
        let mut of_index = None;
        query.each(&mut |part| {
            if let Query::Index(name) = part {
                of_index = Some(name.clone());
            }
        });
        if let Some(other) = of_index {
            let message = format!(
                "index {name} can't be defined by index {other}: an index is defined by what \
                 events say themselves"
            );
            return Err(Invalid::new("index_of_index", message).into());
        }
        if query.to_string().parse::<Query>().as_ref() != Ok(query) {
            let message = format!("index {name} can't be defined by a query that has no text form");
            return Err(Invalid::new("index_query_invalid", message).into());
        }
        let (named, allowed) = (self.named.read(), self.limits.indexes);
        if named.contains_key(name) {
            let message = format!("there is an index {name} already; drop it first");
            return Err(Invalid::new("index_exists", message).into());
        }
        if named.len() >= allowed {
            let found = named.len() + 1;
            return Err(super::limit_error("too_many_indexes", "indexes", found, allowed).into());
        }
        let event = NewEvent {
            content_type: "text/plain".to_owned(),
            ..NewEvent::new(DEFINED, query.to_string())
        };
        self.index_append(name, event)
    }

    /// The append that removes an index.
    pub(crate) fn removal(&self, name: &str) -> Result<Append, AppendError> {
        if !self.named.read().contains_key(name) {
            return Err(self.unknown_index(name).into());
        }
        self.index_append(name, NewEvent::new(DROPPED, ""))
    }

    fn index_append(&self, name: &str, event: NewEvent) -> Result<Append, AppendError> {
        let stream = stream_of(name);
        let key = self.keys.of(crate::query::Field::Stream, &stream);
        let version = self.version(&key, self.log.head().position)?;
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        Ok(Append { system: true, ..Append::new().event(&stream, event).expect(stream, expected) })
    }

    /// Waits until an index that was defined just now holds its past.
    pub(crate) async fn named_is_ready(
        &self,
        name: &str,
        positions: Option<(u64, u64)>,
    ) -> Result<(), AppendError> {
        let (defined_at, _) = positions.unwrap_or_default();
        let named = self.named.read().get(name).cloned();
        match named.filter(|named| named.defined_at == defined_at) {
            Some(named) => Ok(named.wait().await?),
            None => Ok(()),
        }
    }

    /// Publishes a definition or removal that has become durable; returns the index that is gone.
    pub(crate) fn named_changed(
        &self,
        change: &Change,
        defined: Option<Arc<Named>>,
    ) -> Option<Arc<Named>> {
        let mut all = self.named.write();
        let gone = all.remove(change.name());
        if let Some(named) = defined {
            all.insert(named.name.clone(), named);
        }
        gone
    }

    fn unknown_index(&self, name: &str) -> Invalid {
        let known: Vec<_> = self.named.read().keys().take(10).cloned().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Invalid::new("index_unknown", format!("there is no index {name}; defined are: {known}"))
    }

    /// The query with all named indexes expanded; an error if one of them can't be asked.
    pub(crate) fn expand<'q>(&self, query: &'q Query) -> Result<Cow<'q, Query>, Invalid> {
        self.expand_by(query, &self.indexes_in(query)?)
    }

    /// The query with all named indexes expanded, and its plan: both from one look at what is
    /// defined now.
    pub(crate) fn resolve<'q>(&self, query: &'q Query) -> Result<(Cow<'q, Query>, Plan), Invalid> {
        let found = self.indexes_in(query)?;
        let expanded = self.expand_by(query, &found)?;
        let key = |name: &str| found.get(name).map(|named| Expr::Key(named.key));
        Ok((expanded, plan(query, &self.keys, &key)))
    }

    fn expand_by<'q>(&self, query: &'q Query, found: &Found) -> Result<Cow<'q, Query>, Invalid> {
        if found.is_empty() {
            return Ok(Cow::Borrowed(query));
        }
        let define = |name: &str| found.get(name).map(|named| named.query.clone());
        query.expand(&define).map(Cow::Owned).map_err(|name| self.unknown_index(&name))
    }

    /// The named indexes that a query asks for.
    fn indexes_in(&self, query: &Query) -> Result<Found, Invalid> {
        let mut found = Found::new();
        let mut wrong = None;
        query.each(&mut |part| {
            if let Query::Index(name) = part {
                match self.ready_index(name) {
                    Ok(named) => _ = found.insert(name.clone(), named),
                    Err(invalid) => wrong = Some(invalid),
                }
            }
        });
        wrong.map_or(Ok(found), Err)
    }

    fn ready_index(&self, name: &str) -> Result<Arc<Named>, Invalid> {
        let named = self.named.read().get(name).cloned();
        let named = named.ok_or_else(|| self.unknown_index(name))?;
        if named.is_ready() {
            return Ok(named);
        }
        let message = match &*named.failure.lock() {
            None => format!("index {name} does not hold all past events yet; ask again later"),
            Some(failure) => format!(
                "index {name} does not hold all past events: {failure}; open the store again to \
                 have it filled"
            ),
        };
        Err(Invalid::new("index_building", message))
    }

    pub(crate) fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        let named: Vec<_> = self.named.read().values().cloned().collect();
        let (head, index) = (self.log.head().position, self.index.load_full());
        let info = |named: Arc<Named>| {
            Ok(IndexInfo {
                name: named.name.clone(),
                query: named.query.clone(),
                ready: named.is_ready(),
                events: index.count(&named.key, head)?,
            })
        };
        named.into_iter().map(info).collect()
    }

    /// The plan of an index's own query.
    pub(crate) fn plan_of(&self, query: &Query) -> Plan {
        plan(query, &self.keys, &|_| None)
    }

    /// The definitions and removals up to a position, in order.
    pub(crate) fn index_changes(&self, upto: u64) -> Result<Vec<(u64, Change)>, ReadError> {
        let plan = self.plan_of(&Query::category(CATEGORY));
        let mut changes = Vec::new();
        let mut candidates = self.candidates(&plan, &Query::All, [1, upto], Toward::Later)?;
        while let Some(event) = candidates.next()? {
            changes.extend(Change::of_recorded(&event).map(|change| (event.position(), change)));
        }
        Ok(changes)
    }
}
