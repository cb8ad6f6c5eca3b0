//! Events of a server's own, in system streams. No protocol lets a client write them.

use super::Embedded;
use leftfold_api::names::{self, category_of};
use leftfold_api::{Append, AppendError, Appended, Invalid};

/// The categories of a server's own streams.
const OF_SERVER: [&str; 3] = [names::ACCESS, names::AUDIT, names::KAFKA];

impl Embedded {
    /// Writes events of a server's own to system streams, as [`append`](leftfold_api::EventStore::append)
    /// does for users. Stream names and event types begin with `$`. The events have neither tags nor a
    /// correlation, so queries for users' types, tags or correlations never yield them.
    ///
    /// # Errors
    /// Those of an append; `name_invalid` for a stream or type of a user or of the store itself;
    /// `tag_invalid` for a tag or a correlation.
    pub async fn append_system(&self, append: Append) -> Result<Appended, AppendError> {
        append.events().iter().try_for_each(|(stream, event)| {
            let of_system = |name: &str| name.starts_with(names::SYSTEM);
            if !OF_SERVER.contains(&category_of(stream)) {
                let message = format!(
                    "stream {stream:?} is not a system stream of a server: its category must be one of {}",
                    OF_SERVER.join(", "),
                );
                return Err(Invalid::new("name_invalid", message));
            }
            if !of_system(&event.event_type) {
                let message =
                    format!("type {:?} of a system event must begin with $", event.event_type);
                return Err(Invalid::new("name_invalid", message));
            }
            if !event.tags.is_empty() || event.correlation.is_some() {
                let message = "a system event has neither tags nor a correlation";
                return Err(Invalid::new("tag_invalid", message));
            }
            Ok(())
        })?;
        self.write_system(append).await
    }
}
