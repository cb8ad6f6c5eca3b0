//! The form of an event, which is checked before it is appended.

use crate::error::Invalid;
use crate::event::NewEvent;
use crate::json::{MAX_JSON_DEPTH, is_json_type, is_too_deep};
use crate::limits::Limits;
use crate::{names, record};

impl NewEvent {
    /// Checks what a store checks of a caller's event before it appends it to a stream: the names, the
    /// tags, the time, the depth of JSON and the size. Returns its size in bytes.
    pub fn check(&self, stream: &str, limits: &Limits) -> Result<usize, Invalid> {
        names::check_new("stream", stream)?;
        if !self.is_placeholder() {
            names::check_new("event type", &self.event_type)?;
        }
        self.check_form(stream, limits)
    }

    /// Checks all but the names of the stream and the type, which may be the store's own. Returns its
    /// size in bytes.
    pub fn check_form(&self, stream: &str, limits: &Limits) -> Result<usize, Invalid> {
        names::check("content type", &self.content_type)?;
        self.correlation.iter().try_for_each(|id| names::check("correlation id", id))?;
        self.causation.iter().try_for_each(|id| names::check("causation id", id))?;
        self.check_tags(limits)?;
        if let Some(time) = self.event_time {
            time.checked()?;
        }
        if is_too_deep(&self.metadata)
            || (is_json_type(&self.content_type) && is_too_deep(&self.data))
        {
            let message = format!(
                "the JSON of an event has at most {MAX_JSON_DEPTH} nested arrays and objects; this has \
                 more"
            );
            return Err(Invalid::new("json_too_deep", message));
        }
        let (size, allowed) = (record::encoded_len(stream, self), limits.event_bytes);
        if size > allowed {
            let what = "bytes in one event";
            return Err(Invalid::over_limit("event_too_large", what, size, allowed));
        }
        Ok(size)
    }

    fn check_tags(&self, limits: &Limits) -> Result<(), Invalid> {
        let (tags, allowed) = (self.tags.len(), limits.tags);
        if tags > allowed {
            return Err(Invalid::over_limit("too_many_tags", "tags of one event", tags, allowed));
        }
        for (i, (key, value)) in self.tags.iter().enumerate() {
            names::check_tag(key, value)?;
            if key.is_empty() || key.contains('=') {
                let message =
                    format!("tag key {key:?} is not allowed: it must not be empty or hold '='");
                return Err(Invalid::new("tag_invalid", message));
            }
            if self.tags[..i].iter().any(|tag| tag.0 == *key && tag.1 == *value) {
                let message = format!("tag {key}={value} is given twice; give it once");
                return Err(Invalid::new("tag_invalid", message));
            }
        }
        Ok(())
    }
}
