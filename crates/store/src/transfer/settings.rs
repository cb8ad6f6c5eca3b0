//! The definitions of an export: named indexes, retention rules, and the retention of streams.

use std::collections::BTreeMap;

use leftfold_api::names::{self, category_of};
use leftfold_api::{
    AppendError, EventStore, Expected, IndexDefinition, Invalid, NewEvent, RetentionRule,
};

use crate::ImportEvent;
use crate::embedded::{IndexChange, StreamRetention, read_rule, read_stream_retention};

/// The last definition of each name. They are set when all events are there, so what they hide was imported whole.
/// Memory: one entry for each index, for each rule, and for each stream whose own retention was set.
#[derive(Default)]
pub(super) struct Settings {
    indexes: BTreeMap<String, IndexDefinition>,
    rules: BTreeMap<String, RetentionRule>,
    streams: BTreeMap<String, StreamRetention>,
}

impl Settings {
    /// Notes the definition that an event makes; returns whether its stream is one of definitions.
    ///
    /// # Errors
    /// `import_invalid`: this release does not know the definition.
    pub(super) fn note(&mut self, new: &ImportEvent) -> Result<bool, Invalid> {
        let category = category_of(&new.stream);
        if ![names::INDEXES, names::RETENTION_RULES, names::STREAM_SETTINGS].contains(&category) {
            return Ok(false);
        }
        let name = new.stream.get(category.len() + 1..).unwrap_or_default();
        let known = self.read(category, name, &new.event);
        known.map(|()| true).ok_or_else(|| {
            let message = format!(
                "version {} of stream {} is no definition of this release; import with the release that \
                 wrote it",
                new.version, new.stream
            );
            Invalid::new("import_invalid", message)
        })
    }

    fn read(&mut self, category: &str, name: &str, event: &NewEvent) -> Option<()> {
        let text = std::str::from_utf8(&event.data).ok()?;
        let owned = || name.to_owned();
        match category {
            names::INDEXES => match IndexChange::read(name, &event.event_type, text)? {
                IndexChange::Defined(index) => _ = self.indexes.insert(owned(), index),
                IndexChange::Dropped(_) => _ = self.indexes.remove(name),
            },
            names::RETENTION_RULES => match read_rule(name, &event.event_type, text)? {
                Some(rule) => _ = self.rules.insert(owned(), RetentionRule::clone(&rule)),
                None => _ = self.rules.remove(name),
            },
            _ => {
                let retention = read_stream_retention(&event.event_type, text)?;
                self.streams.insert(owned(), retention);
            }
        }
        Some(())
    }

    /// Defines in a store what it does not have yet; returns the number of definitions.
    ///
    /// # Errors
    /// Those of the definitions, such as an index of this name with another query.
    pub(super) async fn define(&self, store: &impl EventStore) -> Result<u64, AppendError> {
        for index in self.indexes.values() {
            store.define_index(index.clone()).await?;
        }
        for (stream, wanted) in &self.streams {
            define_stream(store, stream, *wanted).await?;
        }
        let known = store.retention_rules().await?;
        for rule in self.rules.values().filter(|rule| !known.contains(rule)) {
            store.set_retention_rule(rule.clone()).await?;
        }
        Ok((self.indexes.len() + self.rules.len() + self.streams.len()) as u64)
    }
}

async fn define_stream(
    store: &impl EventStore,
    stream: &str,
    wanted: StreamRetention,
) -> Result<(), AppendError> {
    let info = store.stream(stream).await?;
    if info.as_ref().is_some_and(|info| info.tombstoned) {
        return Ok(());
    }
    match wanted {
        StreamRetention::Tombstoned => store.tombstone_stream(stream, Expected::Any).await,
        StreamRetention::Open(settings) => {
            let (wanted, known) = (settings.retention(), info.map(|info| info.retention));
            if known.unwrap_or_default() == wanted {
                return Ok(());
            }
            store.set_retention(stream, wanted).await
        }
    }
}
