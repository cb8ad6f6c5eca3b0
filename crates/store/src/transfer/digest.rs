use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use leftfold_api::names::{self, category_of};
use leftfold_api::record::{self, DROPPED_TYPE};
use leftfold_api::{Invalid, NewEvent, Recorded, Timestamp};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::export::ExportTotal;
use crate::ImportEvent;

/// The digest of a set of events, by which two stores are compared.
///
/// It covers the stream, the version, the id, the event time and all content of each event, and not what a store adds:
/// positions and commit times. Events can be added in any order, so stores of one log and of many partitions have the
/// same digest. Streams that an import never writes (users, audit, definitions, progress of reactors) are not part of
/// it. It tells accidents, and is no protection against forgery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventDigest {
    events: u64,
    sum: u128,
}

impl EventDigest {
    /// Returns the number of events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Adds a stored event, unless its stream is not part of digests.
    pub fn add(&mut self, event: &Recorded) {
        if !covers(event.stream()) || event.is_lost() || event.event_type() == DROPPED_TYPE {
            return;
        }
        let event_time = Some(event.event_time());
        let content = NewEvent { id: None, event_time, ..event.into() };
        self.put(event.stream(), event.version(), event.id().as_u128(), &content);
    }

    /// Adds an event of another store, unless its stream is not part of digests.
    pub fn add_import(&mut self, new: &ImportEvent) {
        let ImportEvent { stream, version, event_time, event, .. } = new;
        if !covers(stream) {
            return;
        }
        let id = event.id.unwrap_or_default().as_u128();
        let event_time: Option<Timestamp> = Some(*event_time);
        self.put(stream, *version, id, &NewEvent { event_time, ..event.clone() });
    }

    /// Adds all events of another digest.
    pub fn add_all(&mut self, other: EventDigest) {
        self.events += other.events;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    fn put(&mut self, stream: &str, version: u64, id: u128, content: &NewEvent) {
        let mut hasher = SipHasher24::new();
        hasher.write(&record::digest(content, &[0; 16]));
        hasher.write(&version.to_le_bytes());
        hasher.write(&id.to_le_bytes());
        hasher.write(stream.as_bytes());
        self.events += 1;
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128());
    }
}

/// Whether events of a stream are part of digests: an import writes them into every store.
fn covers(stream: &str) -> bool {
    let category = category_of(stream);
    !names::OF_SYSTEM.contains(&category) && !names::OF_ONE_STORE.contains(&category)
}

/// Compares the digest of the events of a file with its last line, and with the digest of what a store has of them.
///
/// # Errors
/// `import_invalid` or `import_differs`.
pub(crate) fn check_digests(
    total: Option<ExportTotal>,
    wanted: EventDigest,
    found: EventDigest,
) -> Result<(), Invalid> {
    if let Some(total) = total.filter(|total| total.digest != wanted) {
        let message = format!(
            "the file has events with the digest {wanted}, and its last line tells {}: it was changed; \
             export again",
            total.digest
        );
        return Err(Invalid::new("import_invalid", message));
    }
    if wanted != found {
        let message = format!(
            "the events of the file have the digest {wanted}, those that the store returns have {found}; \
             look for writers or retention that changed it meanwhile, and import into an empty store"
        );
        return Err(Invalid::new("import_differs", message));
    }
    Ok(())
}

/// Writes the number of events and the sum of their hashes, as in the last line of an export.
impl fmt::Display for EventDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:032x}", self.events, self.sum)
    }
}

impl FromStr for EventDigest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let (events, sum) = text.split_once(':')?;
            let sum = Some(sum).filter(|sum| sum.len() == 32 && !sum.starts_with('+'))?;
            let sum = u128::from_str_radix(sum, 16).ok()?;
            Some(EventDigest { events: events.parse().ok()?, sum })
        };
        parse().ok_or_else(|| {
            Invalid::new("data_invalid", format!("{text:?} is not the digest of an export"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, version: u64, data: &'static str) -> Recorded {
        let event = NewEvent::json("T", data).id(uuid::Uuid::from_u128(7));
        Recorded::from_parts(stream, version, 1, Timestamp(5), &event).unwrap()
    }

    fn digest(events: &[Recorded]) -> EventDigest {
        let mut digest = EventDigest::default();
        events.iter().for_each(|event| digest.add(event));
        digest
    }

    #[test]
    fn depends_on_what_is_stored_and_not_on_the_order_of_streams() {
        let (a, b) = (event("a-1", 0, "1"), event("b-1", 0, "1"));
        let both = digest(&[a.clone(), b.clone()]);
        assert_eq!(both, digest(&[b.clone(), a.clone()]));
        for other in [
            digest(&[a.clone(), a.clone()]),
            digest(std::slice::from_ref(&a)),
            digest(&[a.clone(), event("b-1", 1, "1")]),
            digest(&[a.clone(), event("b-1", 0, "2")]),
            digest(&[a.clone(), event("b-2", 0, "1")]),
        ] {
            assert_ne!(both, other);
        }
        assert_eq!(digest(&[a.clone(), event("$access-x", 0, "1")]), digest(&[a]));
    }

    #[test]
    fn is_read_back_from_its_text() {
        let known = digest(&[event("a-1", 0, "1")]);
        assert_eq!(known.to_string().parse(), Ok(known));
        for text in ["", "1", "1:", "x:00000000000000000000000000000000", "1:00"] {
            assert_eq!(text.parse::<EventDigest>().unwrap_err().code, "data_invalid", "{text}");
        }
    }
}
