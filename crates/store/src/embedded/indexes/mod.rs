//! Named indexes: a named query whose events have their own list of postings. It is defined while the
//! store runs, and maintenance fills it.
//!
//! A definition is an event, so it has a position. The writer adds later events to the index as to any
//! other key. Earlier events are found by the query and kept in separate files, the backfill.

mod change;
mod list;
mod named_index;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Conflict, Expected, Field, IndexDefinition, IndexInfo, IndexPartition,
    Invalid, NewEvent, Point, Query, Read, ReadError, Start, names,
};
use leftfold_index::{Expr, Key, Order};

use super::core::Core;
use crate::plan::{Plan, plan};
pub(crate) use change::{CATEGORY, IndexChange};
use change::{DEFINED, DROPPED, print_definition};
pub(crate) use list::{IndexList, IndexRegistry};
pub(crate) use named_index::NamedIndex;

/// Named indexes by name.
type NamedIndexes = BTreeMap<String, Arc<NamedIndex>>;

fn stream_of(name: &str) -> String {
    format!("{CATEGORY}-{name}")
}

/// Turns the conflict of a definition into `index_exists`.
pub(crate) fn explain_conflict(name: &str, error: AppendError) -> AppendError {
    match error {
        AppendError::Conflict(Conflict::Version { .. }) => index_exists(name).into(),
        other => other,
    }
}

fn index_exists(name: &str) -> Invalid {
    let message =
        format!("there is an index {name} with another definition already; drop it first");
    Invalid::new("index_exists", message)
}

impl Core {
    /// Returns the index of this name if it has the same definition: to define it again changes nothing.
    pub(crate) fn same_index(&self, definition: &IndexDefinition) -> Option<Arc<NamedIndex>> {
        let named = self.definitions.indexes.durable().get(&definition.name).cloned();
        // Earlier releases stored the query as it is, and it keeps what it lists.
        let stored = [definition.query.to_stored(), definition.query.clone()];
        let mut stored = stored.map(Query::of_stored).into_iter();
        let is_same = |named: &Arc<NamedIndex>| {
            stored.any(|query| named.definition == IndexDefinition { query, ..definition.clone() })
        };
        named.filter(is_same)
    }

    /// Returns the append that defines an index.
    pub(crate) fn definition(&self, definition: &IndexDefinition) -> Result<Append, AppendError> {
        definition.check()?;
        let name = &definition.name;
        names::check("index", &stream_of(name))?;
        let (indexes, allowed) = (self.definitions.indexes.durable(), self.limits.indexes);
        if indexes.get(name).is_some() {
            return Err(index_exists(name).into());
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

    /// Returns the append that removes an index.
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

    /// Waits until a new index is filled.
    pub(crate) async fn wait_until_ready(
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

    /// Publishes a durable definition or removal. Returns the index that it replaces or removes.
    pub(crate) fn publish_index_change(
        &self,
        change: &IndexChange,
        defined: Option<Arc<NamedIndex>>,
    ) -> Option<Arc<NamedIndex>> {
        self.definitions.indexes.publish(change.name(), defined, &self.keys)
    }

    fn unknown_index(&self, name: &str) -> Invalid {
        let indexes = self.definitions.indexes.durable();
        let known: Vec<_> = indexes.iter().take(10).map(|n| n.definition.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Invalid::new("index_unknown", format!("there is no index {name}; defined are: {known}"))
    }

    /// Expands all named indexes of a query. Returns an error if one of them does not exist or is not
    /// filled.
    pub(crate) fn expand<'q>(&self, query: &'q Query) -> Result<Cow<'q, Query>, Invalid> {
        self.expand_by(query, &self.indexes_in(query)?)
    }

    /// Expands all named indexes of a query and plans it, both with the same definitions.
    pub(crate) fn resolve<'q>(&self, query: &'q Query) -> Result<(Cow<'q, Query>, Plan), Invalid> {
        let found = self.indexes_in(query)?;
        let expanded = self.expand_by(query, &found)?;
        let key = |query: &Query| list_key(query, &found).map(Expr::Key);
        Ok((expanded, plan(query, &self.keys, &key)))
    }

    fn expand_by<'q>(
        &self,
        query: &'q Query,
        found: &NamedIndexes,
    ) -> Result<Cow<'q, Query>, Invalid> {
        if found.is_empty() {
            return Ok(Cow::Borrowed(query));
        }
        let define = |name: &str| found.get(name).map(|named| named.definition.clone());
        query.expand(&define).map(Cow::Owned).map_err(|name| self.unknown_index(&name))
    }

    /// Returns the named indexes of a query.
    fn indexes_in(&self, query: &Query) -> Result<NamedIndexes, Invalid> {
        let mut found = NamedIndexes::new();
        let mut wrong = None;
        query.each(&mut |part| {
            let (name, partition) = match part {
                Query::Index(name) => (name, None),
                Query::Partition(IndexPartition { index, number, .. }) => (index, Some(*number)),
                _ => return,
            };
            match self.ready_index(name).and_then(|named| check_partition(named, partition)) {
                Ok(named) => _ = found.insert(name.clone(), named),
                Err(invalid) => wrong = Some(invalid),
            }
        });
        wrong.map_or(Ok(found), Err)
    }

    /// Returns a named index that is filled.
    pub(crate) fn ready_index(&self, name: &str) -> Result<Arc<NamedIndex>, Invalid> {
        let named = self.definitions.indexes.durable().get(name).cloned();
        let named = named.ok_or_else(|| self.unknown_index(name))?;
        if named.is_ready() {
            return Ok(named);
        }
        let message = match named.failure() {
            None => format!("index {name} does not hold all past events yet; retry later"),
            Some(failure) => format!(
                "index {name} does not hold all past events, because filling it failed: {failure}; \
                 open the store again to fill it"
            ),
        };
        Err(Invalid::new("index_building", message))
    }

    pub(crate) fn index_info(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        names::check("index", name)?;
        let named = self.definitions.indexes.durable().get(name).cloned();
        named.map(|named| self.index_info_of(&named)).transpose()
    }

    pub(crate) fn index_infos(&self) -> Result<Vec<IndexInfo>, ReadError> {
        self.definitions.indexes.durable().iter().map(|named| self.index_info_of(named)).collect()
    }

    fn index_info_of(&self, named: &NamedIndex) -> Result<IndexInfo, ReadError> {
        let IndexDefinition { name, query, partitioning } = named.definition.clone();
        let events = self.index.set.load().count(&named.key, self.log.head().position)?;
        Ok(IndexInfo { name, query, partitioning, ready: named.is_ready(), events })
    }

    /// Returns the key of the list that a query selects, if it selects a single list.
    pub(crate) fn single_list_key(&self, query: &Query) -> Result<Option<Key>, Invalid> {
        if let Some(stream) = query.as_stream() {
            return Ok(Some(self.keys.of(Field::Stream, stream)));
        }
        match query {
            Query::Index(_) | Query::Partition(_) => Ok(list_key(query, &self.indexes_in(query)?)),
            _ => Ok(None),
        }
    }

    /// Returns the ordinal of the first event that a forward read from this point yields.
    pub(crate) fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        let head = self.log.head().position;
        let key = self.single_list_key(&query)?.ok_or_else(ordinal_needs_list)?;
        if let Start::Including(Point::Ordinal(ordinal)) = from {
            return Ok(ordinal.min(self.index.set.load().count(&key, head)?));
        }
        let [first, _] = self.range(&Read { from, ..Read::forward(query) }, head)?;
        Ok(self.index.set.load().count(&key, first.saturating_sub(1).min(head))?)
    }

    /// Plans a query without named indexes.
    pub(crate) fn plan_of(&self, query: &Query) -> Plan {
        plan(query, &self.keys, &|_| None)
    }

    /// Returns the definitions and removals of indexes up to a position, in order.
    pub(crate) fn index_changes(&self, upto: u64) -> Result<Vec<(u64, IndexChange)>, ReadError> {
        let plan = self.plan_of(&Query::category(CATEGORY));
        let mut changes = Vec::new();
        let mut candidates = self.candidates(&plan, &Query::All, [1, upto], Order::Ascending)?;
        while let Some(event) = candidates.next()? {
            changes
                .extend(IndexChange::of_recorded(&event).map(|change| (event.position(), change)));
        }
        Ok(changes)
    }
}

/// Returns the key of the list of a named index or a partition.
fn list_key(query: &Query, found: &NamedIndexes) -> Option<Key> {
    match query {
        Query::Index(name) => found.get(name).map(|named| named.key),
        Query::Partition(IndexPartition { index, number, .. }) => {
            found.get(index)?.partitions.get(*number as usize).copied()
        }
        _ => None,
    }
}

/// Checks that an index has a partition.
fn check_partition(
    named: Arc<NamedIndex>,
    partition: Option<u32>,
) -> Result<Arc<NamedIndex>, Invalid> {
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

/// Returns the error for ordinals of a query that does not select a single list.
pub(crate) fn ordinal_needs_list() -> Invalid {
    let message = "only the events of a single list have ordinals: ask for one stream, one named index \
                   or one partition of an index, and nothing else";
    Invalid::new("ordinal_needs_index", message)
}
