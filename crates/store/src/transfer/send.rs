//! Single appends of an import, each of which can be repeated.

use std::collections::BTreeMap;
use std::hash::Hasher;

use leftfold_api::{
    Append, AppendError, Appended, Conflict, EventStore, Expected, Invalid, NewEvent,
};
use siphasher::sip128::{Hasher128, SipHasher24};
use uuid::Uuid;

use crate::ImportEvent;

/// Why events were not appended.
pub(super) enum SendError {
    /// The stream ends before the version that the events follow.
    Missing {
        stream: String,
        /// The next version that the stream would get.
        next: u64,
        /// The version of the first event.
        wanted: u64,
    },
    Append(AppendError),
}

impl From<SendError> for AppendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Append(error) => error,
            SendError::Missing { stream, next, wanted } => {
                conflict(&stream, wanted, &format!("no event of version {next}")).into()
            }
        }
    }
}

/// Appends events, each behind the event of the version before. If they are there, this is the first answer.
/// `timed`: the event time counts as given, because the commit time is a new one.
pub(super) async fn send(
    store: &impl EventStore,
    events: &[ImportEvent],
    timed: bool,
) -> Result<Appended, SendError> {
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    let mut append = Append::with_capacity(events.len());
    for ImportEvent { stream, version, event, event_time, .. } in events {
        first.entry(stream).or_insert(*version);
        let event_time = event.event_time.or_else(|| timed.then_some(*event_time));
        append = append.event(stream, NewEvent { event_time, ..event.clone() });
    }
    for (stream, version) in &first {
        let before = version.checked_sub(1);
        append = append.expect(*stream, before.map_or(Expected::NoStream, Expected::Exactly));
    }
    let wanted = |stream: &str| first.get(stream).copied().unwrap_or_default();
    match store.append(append).await {
        Ok(appended) => {
            match appended.streams.iter().find(|found| wanted(&found.stream) != found.first) {
                None => Ok(appended),
                Some(found) => {
                    let what = format!("it as version {}", found.first);
                    Err(SendError::Append(
                        conflict(&found.stream, wanted(&found.stream), &what).into(),
                    ))
                }
            }
        }
        Err(AppendError::Conflict(Conflict::Version { stream, actual, .. })) => {
            let (wanted, next) = (wanted(&stream), actual.map_or(0, |last| last + 1));
            Err(match next < wanted {
                true => SendError::Missing { stream, next, wanted },
                false => SendError::Append(conflict(&stream, wanted, "another event there").into()),
            })
        }
        Err(error) => Err(SendError::Append(error)),
    }
}

/// Appends placeholders for versions of a stream that the source does not have any more.
///
/// # Errors
/// `import_needs_files`: a server of an earlier release takes no placeholders.
pub(super) async fn send_placeholders(
    store: &impl EventStore,
    stream: &str,
    from: u64,
    before: u64,
) -> Result<Appended, AppendError> {
    let mut append = Append::new();
    for version in from..before {
        append = append.event(stream, NewEvent::placeholder(placeholder_id(stream, version)));
    }
    let expected = from.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
    let appended = store.append(append.expect(stream, expected)).await;
    appended.map_err(|error| explain(error, stream, from, before))
}

/// Explains why placeholders for versions of a stream were refused.
fn explain(error: AppendError, stream: &str, from: u64, before: u64) -> AppendError {
    match error {
        AppendError::Invalid(invalid) if invalid.code == "name_reserved" => {
            let message = format!(
                "stream {stream}: versions {from} to {} are missing, and a server of this release can \
                 leave none out; update it, or import into a directory with --data",
                before.saturating_sub(1)
            );
            Invalid::new("import_needs_files", message).into()
        }
        AppendError::Conflict(Conflict::Version { stream, .. }) => {
            conflict(&stream, from, "another event there").into()
        }
        error => error,
    }
}

/// Returns the id of a placeholder, by which a repeated import recognises it.
fn placeholder_id(stream: &str, version: u64) -> Uuid {
    let mut hasher = SipHasher24::new();
    hasher.write(b"placeholder");
    hasher.write(&version.to_le_bytes());
    hasher.write(stream.as_bytes());
    Uuid::from_u128(hasher.finish128().as_u128())
}

fn conflict(stream: &str, version: u64, found: &str) -> Invalid {
    let message = format!(
        "version {version} of stream {stream} is to be imported, but the store has {found}; import \
         into another store"
    );
    Invalid::new("import_conflict", message)
}

#[cfg(test)]
mod tests {
    use leftfold_api::{Coded, names};

    use super::*;

    #[test]
    fn a_server_that_takes_no_placeholders_is_named() {
        // An earlier release refuses the type.
        let refused = names::check_new("event type", "$Dropped").unwrap_err();
        let error = explain(refused.into(), "a-1", 3, 6);
        assert_eq!(error.code(), "import_needs_files");
        assert!(error.to_string().contains("versions 3 to 5"), "{error}");
        let other = Invalid::new("append_too_large", "too large");
        assert_eq!(explain(other.into(), "a-1", 3, 6).code(), "append_too_large");
    }
}
