//! Events that are not in a store yet: matched by queries and folded into states like stored ones.

use bytes::Bytes;
use leftfold_api::{Facts, NewEvent, Timestamp};

use crate::event::{Reason, Undecodable};
use crate::reads::Stored;

/// A new event as it would be in its stream.
pub(crate) struct UnstoredEvent<'a> {
    pub(crate) stream: &'a str,
    pub(crate) event: &'a NewEvent,
    /// The correlation id that it gets if it has none.
    pub(crate) correlation: Option<&'a str>,
    /// The event time that it gets if it has none.
    pub(crate) time: Timestamp,
}

impl Facts for UnstoredEvent<'_> {
    fn stream(&self) -> &str {
        self.stream
    }

    fn event_type(&self) -> &str {
        &self.event.event_type
    }

    fn correlation(&self) -> Option<&str> {
        self.event.correlation.as_deref().or(self.correlation)
    }

    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool {
        self.event.tags.iter().any(|(key, value)| test(key, value))
    }

    fn each_tag(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.event.tags.iter().for_each(|(key, value)| visit(key, value));
    }

    fn event_micros(&self) -> i64 {
        self.event.event_time.unwrap_or(self.time).micros()
    }
}

impl Stored for UnstoredEvent<'_> {
    fn event_type(&self) -> &str {
        &self.event.event_type
    }

    fn schema_version(&self) -> u16 {
        self.event.schema_version
    }

    fn content_type(&self) -> &str {
        &self.event.content_type
    }

    fn data(&self) -> Bytes {
        self.event.data.clone()
    }

    fn undecodable(&self, reason: Reason) -> Undecodable {
        Undecodable {
            position: 0,
            stream: self.stream.to_owned(),
            event_type: self.event.event_type.clone(),
            reason,
        }
    }
}
