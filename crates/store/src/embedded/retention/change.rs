use std::sync::Arc;

use leftfold_index::Key;

use super::rules::{Rule, read_change};
use crate::embedded::checkpoints::CATEGORY_OF_CHECKPOINTS;
use crate::embedded::indexes;
use crate::keys::Keys;
use leftfold_api::Field;
use leftfold_api::record::{Field as Part, Layout};

/// The category of the streams of retention rules, one for each rule.
pub(crate) use leftfold_api::names::RETENTION_RULES as CATEGORY_OF_RULES;
/// The category of settings streams: one for each stream whose retention was set.
pub(crate) use leftfold_api::names::STREAM_SETTINGS as CATEGORY_OF_STREAMS;

pub(crate) const STREAM_RETENTION: &str = "$StreamRetention";
pub(crate) const STREAM_TOMBSTONED: &str = "$StreamTombstoned";
pub(crate) const RULE_DEFINED: &str = "$RetentionRuleDefined";
pub(crate) const RULE_DROPPED: &str = "$RetentionRuleDropped";

/// A change of the store's own state by a system append.
#[derive(Debug, Clone)]
pub(crate) enum StoreChange {
    /// A definition or removal of a named index.
    Index(indexes::IndexChange),
    /// A definition of a retention rule, or its removal (`None`).
    Rule(String, Option<Arc<Rule>>),
    /// A tombstone on the stream with this key.
    Tombstone(Key),
    /// A setting of the retention of a stream.
    Stream,
    /// A deletion of the checkpoint of this name.
    Checkpoint(String),
}

impl StoreChange {
    /// Reads the change that a record makes. A change is an append of one event.
    pub(crate) fn of(record: &bytes::Bytes, keys: &Keys) -> Option<StoreChange> {
        let layout = Layout::read(record).ok()?;
        let (category, name) = layout.text(Part::Stream).split_once('-')?;
        let text = layout.text(Part::Data);
        let event_type = layout.text(Part::EventType);
        match category {
            indexes::CATEGORY => {
                indexes::IndexChange::read(name, event_type, text).map(StoreChange::Index)
            }
            CATEGORY_OF_RULES => read_change(name, event_type, text)
                .map(|rule| StoreChange::Rule(name.to_owned(), rule)),
            CATEGORY_OF_STREAMS if event_type == STREAM_TOMBSTONED => {
                Some(StoreChange::Tombstone(keys.of(Field::Stream, name)))
            }
            CATEGORY_OF_STREAMS => Some(StoreChange::Stream),
            CATEGORY_OF_CHECKPOINTS => Some(StoreChange::Checkpoint(name.to_owned())),
            _ => None,
        }
    }
}
