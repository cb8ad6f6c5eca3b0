//! The log after a run, held against what clients and subscribers were told.

use std::collections::HashMap;

use crate::history::{Call, Number, Outcome};

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) partition: u32,
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) number: Number,
}

/// Checks that the log has every acknowledged append once, where it was acknowledged, no refused one, and nothing that
/// no client asked for; and that versions, and the positions of each partition, are in order.
pub(crate) fn check(log: &[Entry], calls: &[Call]) -> Result<(), String> {
    let mut found: HashMap<Number, &Entry> = HashMap::new();
    let mut next: HashMap<&str, u64> = HashMap::new();
    let mut last = None;
    for entry in log {
        let place = Some((entry.partition, entry.position));
        if last >= place {
            return Err(format!("{entry:?} follows partition and position {last:?}"));
        }
        last = place;
        let version = next.entry(&entry.stream).or_default();
        if entry.version != *version {
            return Err(format!("{entry:?} was expected to have version {version}"));
        }
        *version += 1;
        if let Some(first) = found.insert(entry.number, entry) {
            return Err(format!("{first:?} is there again: {entry:?}"));
        }
    }
    for call in calls {
        let wrong = match &call.outcome {
            Outcome::Appended { number, version, .. } => {
                let entry = found.remove(number);
                let is_there =
                    |entry: &Entry| entry.stream == call.stream && entry.version == *version;
                (!entry.is_some_and(is_there)).then(|| format!("the log has {entry:?}"))
            }
            Outcome::Conflict { number, .. } => {
                found.remove(number).map(|entry| format!("the log has {entry:?}"))
            }
            Outcome::Unknown { number, .. } => {
                let entry = found.remove(number).filter(|entry| entry.stream != call.stream);
                entry.map(|entry| format!("the log has {entry:?}"))
            }
            Outcome::Read(_) => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!("{wrong} of {call:?}"));
        }
    }
    match found.values().next() {
        Some(entry) => Err(format!("no client has appended {entry:?}")),
        None => Ok(()),
    }
}

mod tests {
    use leftfold::Expected;

    use super::*;

    fn entry(position: u64, version: u64, number: Number) -> Entry {
        Entry { partition: 0, position, stream: "s".to_owned(), version, number }
    }

    fn call(outcome: Outcome) -> Call {
        Call { client: 0, stream: "s".to_owned(), from: 0, to: 1, outcome }
    }

    fn appended(number: Number, version: u64) -> Call {
        call(Outcome::Appended { number, expected: Expected::Any, version })
    }

    fn unknown(number: Number) -> Call {
        call(Outcome::Unknown { number, expected: Expected::Any, why: String::new() })
    }

    fn refused(number: Number) -> Call {
        call(Outcome::Conflict { number, expected: Expected::NoStream, last: Some(0) })
    }

    fn assert_wrong(log: &[Entry], calls: &[Call], why: &str) {
        let found = check(log, calls).unwrap_err();
        assert!(found.contains(why), "{found}");
    }

    #[test]
    fn a_log_of_what_was_acknowledged_or_unknown_is_right() {
        let log = [entry(3, 0, 1), entry(4, 1, 2), entry(9, 2, 3)];
        let calls = [appended(1, 0), unknown(2), appended(3, 2), unknown(4), refused(5)];
        assert_eq!(check(&log, &calls), Ok(()));
    }

    #[test]
    fn a_lost_append_is_found() {
        assert_wrong(&[entry(0, 0, 1)], &[appended(1, 0), appended(2, 1)], "the log has None");
    }

    #[test]
    fn a_doubled_append_is_found() {
        let log = [entry(0, 0, 1), entry(1, 1, 1)];
        assert_wrong(&log, &[appended(1, 0)], "is there again");
    }

    #[test]
    fn an_append_at_another_version_is_found() {
        let log = [entry(0, 0, 2), entry(1, 1, 1)];
        assert_wrong(&log, &[appended(1, 0), unknown(2)], "the log has Some");
    }

    #[test]
    fn two_winners_of_a_version_are_found() {
        let log = [entry(0, 0, 1), entry(1, 0, 2)];
        assert_wrong(&log, &[appended(1, 0), appended(2, 0)], "expected to have version 1");
    }

    #[test]
    fn a_refused_append_in_the_log_is_found() {
        let log = [entry(0, 0, 1), entry(1, 1, 2)];
        assert_wrong(&log, &[appended(1, 0), refused(2)], "the log has Entry");
    }

    #[test]
    fn an_event_from_nowhere_and_a_wrong_order_are_found() {
        assert_wrong(&[entry(0, 0, 7)], &[], "no client has appended");
        assert_wrong(&[entry(1, 0, 1), entry(1, 1, 2)], &[], "follows partition and position");
    }

    #[test]
    fn each_partition_has_positions_of_its_own() {
        let second = Entry { partition: 1, stream: "t".to_owned(), ..entry(2, 0, 2) };
        let log = [entry(7, 0, 1), second.clone()];
        let call = Call { stream: "t".to_owned(), ..appended(2, 0) };
        assert_eq!(check(&log, &[appended(1, 0), call]), Ok(()));
        let third = Entry { version: 1, number: 3, ..second.clone() };
        assert_wrong(&[second, third], &[], "follows partition and position");
    }
}
