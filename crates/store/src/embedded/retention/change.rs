use std::sync::Arc;

use leftfold_index::Key;

use super::rules::{Rule, read_change};
use crate::embedded::indexes;
use crate::keys::Keys;
use leftfold_api::Field;
use leftfold_api::record::{Field as Part, Layout};

/// Each stream whose retention was set has a stream of this category.
pub(crate) const CATEGORY_OF_STREAMS: &str = "$stream";
/// Each rule has a stream of this category.
pub(crate) const CATEGORY_OF_RULES: &str = "$retention";

pub(crate) const STREAM_RETENTION: &str = "$StreamRetention";
pub(crate) const STREAM_TOMBSTONED: &str = "$StreamTombstoned";
pub(crate) const RULE_DEFINED: &str = "$RetentionRuleDefined";
pub(crate) const RULE_DROPPED: &str = "$RetentionRuleDropped";

/// What an append of the store's own changes beside the log.
#[derive(Debug, Clone)]
pub(crate) enum StoreChange {
    /// A named index is defined or removed.
    Index(indexes::Change),
    /// A rule is defined, or removed.
    Rule(String, Option<Arc<Rule>>),
    /// A stream takes no more events.
    Tombstone(Key),
    /// Something is said of what is kept of a stream.
    Stream,
}

impl StoreChange {
    /// What an append says: a change is an append of one event.
    pub(crate) fn of(record: &bytes::Bytes, keys: &Keys) -> Option<StoreChange> {
        let layout = Layout::read(record).ok()?;
        let (category, name) = layout.text(Part::Stream).split_once('-')?;
        let text = layout.text(Part::Data);
        let event_type = layout.text(Part::EventType);
        match category {
            indexes::CATEGORY => {
                indexes::Change::read(name, event_type, text).map(StoreChange::Index)
            }
            CATEGORY_OF_RULES => read_change(name, event_type, text)
                .map(|rule| StoreChange::Rule(name.to_owned(), rule)),
            CATEGORY_OF_STREAMS if event_type == STREAM_TOMBSTONED => {
                Some(StoreChange::Tombstone(keys.of(Field::Stream, name)))
            }
            CATEGORY_OF_STREAMS => Some(StoreChange::Stream),
            _ => None,
        }
    }
}
