//! Decides what becomes of a record that the store has with other content.
//!
//! The bank may have changed it, or the mapping. Each event says the version of its mapping, so the two are
//! told apart: under one version the content changed, under different versions the mapping may have.

use std::cmp::Ordering;

use serde::Deserialize;
use uuid::Uuid;

/// The version of a mapping that names none, and of events that name none.
pub(crate) const FIRST_VERSION: u32 = 1;

/// What is done with a record that the store has with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnChange {
    /// The event in the store stays, and the record counts as a repeat.
    Keep,
    /// An event of its own corrects the one in the store.
    Correct,
    /// The record is refused.
    Refuse,
}

/// The rules for records that the store has with other content.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The version of the mapping.
    pub(crate) version: u32,
    /// What is done if the event in the store is of the same version.
    pub(crate) same: OnChange,
    /// What is done if it is of an older version.
    pub(crate) older: OnChange,
    /// The event type of a correction.
    pub(crate) corrected: Option<String>,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It counts as a repeat.
    Kept,
    /// A correction is appended.
    Corrected(Correction),
    /// It is refused with this sentence.
    Refused(String),
}

/// A correction of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    /// The id of the event that it corrects.
    pub(crate) of: Uuid,
    /// Its own id. The same correction has the same id.
    pub(crate) id: Uuid,
}

impl Changes {
    /// Decides about a record whose event in the store has another content, `there`, and comes from a version
    /// of the mapping, `stored`.
    pub(crate) fn decide(&self, of: Uuid, stored: u32, there: &[u8], here: &[u8]) -> Outcome {
        let version = self.version;
        let contents = || format!("{} there, {} here", shown(there), shown(here));
        let (rule, id) = match stored.cmp(&version) {
            Ordering::Equal => (self.same, Uuid::new_v5(&of, here)),
            // One for each version, whichever content it has. No content is such a text: it is JSON.
            Ordering::Less => {
                (self.older, Uuid::new_v5(&of, format!("version {version}").as_bytes()))
            }
            Ordering::Greater => {
                return Outcome::Refused(format!(
                    "the store has the record with other content, from version {stored} of the mapping, but \
                     this is version {version}; ingest with version {stored} or a later one: {}",
                    contents()
                ));
            }
        };
        match rule {
            OnChange::Keep => Outcome::Kept,
            OnChange::Correct => Outcome::Corrected(Correction { of, id }),
            OnChange::Refuse if stored == version => Outcome::Refused(format!(
                "the store has the record with other content: {}",
                contents()
            )),
            OnChange::Refuse => Outcome::Refused(format!(
                "the store has the record with other content, from version {stored} of the mapping, and this \
                 is version {version}; its changed.records says that such records are refused: {}",
                contents()
            )),
        }
    }
}

/// Returns the start of a payload, for messages.
pub(crate) fn shown(data: &[u8]) -> String {
    const SHOWN: usize = 300;
    let text = String::from_utf8_lossy(data);
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_stored_event_decides() {
        use OnChange::{Correct, Keep, Refuse};
        let of = Uuid::from_u128(7);
        let decide = |version, same, older, stored| {
            let changes = Changes { version, same, older, corrected: None };
            match changes.decide(of, stored, b"{}", b"[]") {
                Outcome::Kept => Keep,
                Outcome::Corrected(correction) => {
                    assert_eq!(correction.of, of);
                    Correct
                }
                Outcome::Refused(message) => {
                    let expected = format!("version {stored}");
                    assert_eq!(message.contains(&expected), stored != version, "{message}");
                    assert!(message.ends_with("{} there, [] here"), "{message}");
                    Refuse
                }
            }
        };
        for rule in [Keep, Correct, Refuse] {
            for other in [Keep, Correct, Refuse] {
                assert_eq!(decide(2, rule, other, 2), rule);
                assert_eq!(decide(2, other, rule, 1), rule);
                assert_eq!(decide(2, rule, other, 3), Refuse, "by a newer version");
            }
        }
    }
}
