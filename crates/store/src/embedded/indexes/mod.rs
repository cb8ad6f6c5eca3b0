//! Named indexes: any query, defined while the store runs, filled with the past in the background.
//!
//! A definition is an event, so it has a position. The writer gives every later event that matches
//! to the index as it gives it to any key; the past, up to that position, is found by the query
//! itself and kept in files of its own.

mod change;
mod list;
mod named;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Conflict, Expected, Field, From, IndexDefinition, IndexInfo,
    IndexPartition, Invalid, NewEvent, Point, Query, Read, ReadError, names,
};
use leftfold_index::{Expr, Key, Order};

use super::core::Core;
use crate::plan::{Plan, plan};
pub(crate) use change::{CATEGORY, Change};
use change::{DEFINED, DROPPED, print_definition};
pub(crate) use list::{IndexList, Indexes};
pub(crate) use named::Named;

/// The named indexes that a query asks for.
type Found = BTreeMap<String, Arc<Named>>;

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
    pub(crate) fn definition(&self, definition: &IndexDefinition) -> Result<Append, AppendError> {
        definition.check()?;
        let name = &definition.name;
        names::check("index", &stream_of(name))?;
        let (indexes, allowed) = (self.definitions.indexes.durable(), self.limits.indexes);
        if indexes.get(name).is_some() {
            let message = format!("there is an index {name} already; drop it first");
            return Err(Invalid::new("index_exists", message).into());
        }
        if indexes.len() >= allowed {
            let found = indexes.len() + 1;
            return Err(super::limit_error("too_many_indexes", "indexes", found, allowed).into());
        }
        let event = NewEvent {
            content_type: "text/plain".to_owned(),
            ..NewEvent::new(DEFINED, print_definition(definition))
        };
        self.index_append(name, event)
    }

    /// The append that removes an index.
    pub(crate) fn removal(&self, name: &str) -> Result<Append, AppendError> {
        if self.definitions.indexes.durable().get(name).is_none() {
            return Err(self.unknown_index(name).into());
        }
        self.index_append(name, NewEvent::new(DROPPED, ""))
    }

    fn index_append(&self, name: &str, event: NewEvent) -> Result<Append, AppendError> {
        let stream = stream_of(name);
        let key = self.keys.of(Field::Stream, &stream);
        let version = self.index.version(&key, self.log.head().position)?;
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        Ok(Append::new().event(&stream, event).expect(stream, expected))
    }

    /// Waits until an index that was defined just now holds its past.
    pub(crate) async fn named_is_ready(
        &self,
        name: &str,
        positions: Option<(u64, u64)>,
    ) -> Result<(), AppendError> {
        let (defined_at, _) = positions.unwrap_or_default();
        let named = self.definitions.indexes.durable().get(name).cloned();
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
        self.definitions.indexes.publish(change.name(), defined, &self.keys)
    }

    fn unknown_index(&self, name: &str) -> Invalid {
        let indexes = self.definitions.indexes.durable();
        let known: Vec<_> = indexes.iter().take(10).map(|n| n.definition.name.as_str()).collect();
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
        let key = |query: &Query| list_in(query, &found).map(Expr::Key);
        Ok((expanded, plan(query, &self.keys, &key)))
    }

    fn expand_by<'q>(&self, query: &'q Query, found: &Found) -> Result<Cow<'q, Query>, Invalid> {
        if found.is_empty() {
            return Ok(Cow::Borrowed(query));
        }
        let define = |name: &str| found.get(name).map(|named| named.definition.clone());
        query.expand(&define).map(Cow::Owned).map_err(|name| self.unknown_index(&name))
    }

    /// The named indexes that a query asks for.
    fn indexes_in(&self, query: &Query) -> Result<Found, Invalid> {
        let mut found = Found::new();
        let mut wrong = None;
        query.each(&mut |part| {
            let (name, partition) = match part {
                Query::Index(name) => (name, None),
                Query::Partition(IndexPartition { index, number, .. }) => (index, Some(*number)),
                _ => return,
            };
            match self.ready_index(name).and_then(|named| has_partition(named, partition)) {
                Ok(named) => _ = found.insert(name.clone(), named),
                Err(invalid) => wrong = Some(invalid),
            }
        });
        wrong.map_or(Ok(found), Err)
    }

    pub(crate) fn ready_index(&self, name: &str) -> Result<Arc<Named>, Invalid> {
        let named = self.definitions.indexes.durable().get(name).cloned();
        let named = named.ok_or_else(|| self.unknown_index(name))?;
        if named.is_ready() {
            return Ok(named);
        }
        let message = match named.failure() {
            None => format!("index {name} does not hold all past events yet; ask again later"),
            Some(failure) => format!(
                "index {name} does not hold all past events: {failure}; open the store again to \
                 have it filled"
            ),
        };
        Err(Invalid::new("index_building", message))
    }

    pub(crate) fn index_info(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        names::check("index", name)?;
        let named = self.definitions.indexes.durable().get(name).cloned();
        named.map(|named| self.info_of(&named)).transpose()
    }

    pub(crate) fn index_infos(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.definitions.indexes.durable().iter().map(|named| self.info_of(named)).collect()
    }

    fn info_of(&self, named: &Named) -> Result<IndexInfo, ReadError> {
        let IndexDefinition { name, query, partitioning } = named.definition.clone();
        let events = self.index.set.load().count(&named.key, self.log.head().position)?;
        Ok(IndexInfo { name, query, partitioning, ready: named.is_ready(), events })
    }

    /// The key of the one list of postings that is the query, if it is one.
    pub(crate) fn list_of(&self, query: &Query) -> Result<Option<Key>, Invalid> {
        if let Some(stream) = query.as_stream() {
            return Ok(Some(self.keys.of(Field::Stream, stream)));
        }
        match query {
            Query::Index(_) | Query::Partition(_) => Ok(list_in(query, &self.indexes_in(query)?)),
            _ => Ok(None),
        }
    }

    /// The ordinal of the first event that a forward read yields from there.
    pub(crate) fn ordinal(&self, query: Query, from: From) -> Result<u64, ReadError> {
        let head = self.log.head().position;
        let key = self.list_of(&query)?.ok_or_else(no_list)?;
        if let From::Including(Point::Ordinal(ordinal)) = from {
            return Ok(ordinal.min(self.index.set.load().count(&key, head)?));
        }
        let [first, _] = self.range(&Read { from, ..Read::forward(query) }, head)?;
        Ok(self.index.set.load().count(&key, first.saturating_sub(1).min(head))?)
    }

    /// The plan of an index's own query.
    pub(crate) fn plan_of(&self, query: &Query) -> Plan {
        plan(query, &self.keys, &|_| None)
    }

    /// The definitions and removals up to a position, in order.
    pub(crate) fn index_changes(&self, upto: u64) -> Result<Vec<(u64, Change)>, ReadError> {
        let plan = self.plan_of(&Query::category(CATEGORY));
        let mut changes = Vec::new();
        let mut candidates = self.candidates(&plan, &Query::All, [1, upto], Order::Ascending)?;
        while let Some(event) = candidates.next()? {
            changes.extend(Change::of_recorded(&event).map(|change| (event.position(), change)));
        }
        Ok(changes)
    }
}

/// Returns the key of the list that a named index, or a partition of one, is.
fn list_in(query: &Query, found: &Found) -> Option<Key> {
    match query {
        Query::Index(name) => found.get(name).map(|named| named.key),
        Query::Partition(IndexPartition { index, number, .. }) => {
            found.get(index)?.partitions.get(*number as usize).copied()
        }
        _ => None,
    }
}

fn has_partition(named: Arc<Named>, partition: Option<u32>) -> Result<Arc<Named>, Invalid> {
    let count = named.partitions.len();
    match partition {
        Some(number) if number as usize >= count => {
            let name = &named.definition.name;
            let message = match count {
                0 => format!("index {name} has no partitions; ask for index:{name}"),
                _ => format!(
                    "partition {number} of index {name} was asked for; it has {count}, from 0 to {}",
                    count - 1
                ),
            };
            Err(Invalid::new("partition_unknown", message))
        }
        _ => Ok(named),
    }
}

/// Ordinals were asked for of a query that is not a single list.
pub(crate) fn no_list() -> Invalid {
    let message = "an ordinal is a place in a single list: ask for one stream, one named index or \
                   one partition of an index, and nothing else";
    Invalid::new("ordinal_needs_index", message)
}
