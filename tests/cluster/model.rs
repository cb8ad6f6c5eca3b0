//! The linearizability of the calls to each stream, checked by porcupine-rs, which is the algorithm of Wing, Gong and
//! Lowe. The sequential object is a stream: its state is its last event.

use std::collections::HashMap;
use std::time::Duration;

use leftfold::Expected;
use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};

use crate::history::{Call, Last, Number, Outcome};
use crate::log::Entry;

/// The most time for one stream.
const CHECKED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
struct Stream;

/// What a call has done to its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Appended { number: Number, expected: Expected, version: u64 },
    Refused { expected: Expected, last: Option<u64> },
    Read(Last),
}

impl Model for Stream {
    type State = Last;
    type Op = Step;
    type Metadata = ();

    fn init() -> Last {
        None
    }

    fn step(state: &Last, step: &Step) -> (bool, Last) {
        let found = state.map(|(version, _)| version);
        match *step {
            Step::Appended { number, expected, version } => {
                let next = found.map_or(0, |version| version + 1);
                (expected.holds(found) && version == next, Some((version, number)))
            }
            Step::Refused { expected, last } => (is_refusal(expected, last, found), *state),
            Step::Read(last) => (last == *state, *state),
        }
    }
}

/// Whether a stream whose last version is `found` may refuse an append, and name `last` as its last version.
///
/// A deposed owner may know an older version. If that is enough to refuse for ever, it may name it.
fn is_refusal(expected: Expected, last: Option<u64>, found: Option<u64>) -> bool {
    let is_for_ever = match expected {
        Expected::NoStream => last.is_some(),
        Expected::Exactly(version) => last > Some(version),
        Expected::Any | Expected::Exists => false,
    };
    !expected.holds(found) && (found == last || is_for_ever && found > last)
}

/// Checks that the calls to each stream are linearizable.
///
/// The log settles the calls whose outcome is unknown: one that is in the log was executed at some time after its
/// beginning, as the version that it has there; one that is not was never executed.
pub(crate) fn check(log: &[Entry], calls: &[Call]) -> Result<(), String> {
    let versions: HashMap<Number, u64> = log.iter().map(|e| (e.number, e.version)).collect();
    let mut streams: HashMap<&str, Vec<Operation<Stream>>> = HashMap::new();
    for call in calls {
        let mut to = call.to;
        let op = match call.outcome {
            Outcome::Appended { number, expected, version } => {
                Step::Appended { number, expected, version }
            }
            Outcome::Conflict { expected, last, .. } => Step::Refused { expected, last },
            Outcome::Unknown { number, expected, .. } => {
                let Some(&version) = versions.get(&number) else { continue };
                to = i64::MAX;
                Step::Appended { number, expected, version }
            }
            Outcome::Read(last) => Step::Read(last),
        };
        let client_id = Some(call.client);
        let operation =
            Operation { client_id, call_time: call.from, return_time: to, op, metadata: None };
        streams.entry(&call.stream).or_default().push(operation);
    }
    for (name, operations) in streams {
        let result = check_operations_timeout(&operations, CHECKED_WITHIN);
        if result != CheckResult::Ok {
            let count = operations.len();
            let stale = find_stale(name, calls);
            return Err(format!(
                "the {count} calls to {name} are not linearizable: {result:?}; {stale}"
            ));
        }
    }
    Ok(())
}

/// Returns the first call that saw less than another one that had ended before it began.
fn find_stale(stream: &str, calls: &[Call]) -> String {
    let seen = |call: &Call| match &call.outcome {
        Outcome::Appended { version, .. } => Some(Some(*version)),
        Outcome::Conflict { last, .. } => Some(*last),
        Outcome::Read(last) => Some(last.map(|(version, _)| version)),
        Outcome::Unknown { .. } => None,
    };
    let all = calls.iter().filter(|call| call.stream == stream);
    let mut all: Vec<_> = all.filter_map(|call| Some((call, seen(call)?))).collect();
    all.sort_by_key(|(call, _)| call.from);
    let stale = all.iter().find_map(|(call, last)| {
        let before = all.iter().find(|(before, seen)| before.to < call.from && seen > last)?;
        Some(format!("{call:?} follows {:?}", before.0))
    });
    stale.unwrap_or_else(|| "no call saw less than one before it".to_owned())
}

mod tests {
    use super::*;

    /// Makes a history of one stream: each call with its beginning and its end.
    fn calls(all: &[(i64, i64, Outcome)]) -> Vec<Call> {
        let call = |(client, (from, to, outcome)): (u32, &(i64, i64, Outcome))| Call {
            client,
            stream: "s".to_owned(),
            from: *from,
            to: *to,
            outcome: outcome.clone(),
        };
        (0..).zip(all).map(call).collect()
    }

    fn appended(number: Number, version: u64) -> Outcome {
        let expected = version.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
        Outcome::Appended { number, expected, version }
    }

    fn unknown(number: Number, expected: Expected) -> Outcome {
        Outcome::Unknown { number, expected, why: String::new() }
    }

    fn entry(version: u64, number: Number) -> Entry {
        Entry { partition: 0, position: version, stream: "s".to_owned(), version, number }
    }

    fn is_linearizable(log: &[Entry], all: &[(i64, i64, Outcome)]) -> bool {
        check(log, &calls(all)).is_ok()
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_any_order() {
        let conflict = Outcome::Conflict { number: 3, expected: Expected::NoStream, last: Some(0) };
        let history = [
            (0, 9, appended(1, 0)),
            (1, 10, appended(2, 1)),
            (2, 3, Outcome::Read(None)),
            (4, 5, Outcome::Read(Some((0, 1)))),
            (4, 8, conflict),
            (11, 12, Outcome::Read(Some((1, 2)))),
        ];
        assert!(is_linearizable(&[], &history));
    }

    #[test]
    fn a_stale_read_is_found() {
        let history = [(0, 1, appended(1, 0)), (2, 3, Outcome::Read(None))];
        assert!(!is_linearizable(&[], &history));
        let back = [
            (0, 9, appended(1, 0)),
            (1, 2, Outcome::Read(Some((0, 1)))),
            (3, 4, Outcome::Read(None)),
        ];
        assert!(!is_linearizable(&[], &back));
    }

    #[test]
    fn a_lost_append_is_found() {
        let lost = [(0, 1, appended(1, 0)), (2, 3, appended(2, 0))];
        assert!(!is_linearizable(&[], &lost));
        let read =
            [(0, 1, appended(1, 0)), (2, 3, appended(2, 1)), (4, 5, Outcome::Read(Some((0, 1))))];
        assert!(!is_linearizable(&[], &read));
    }

    #[test]
    fn a_doubled_append_is_found() {
        let history = [(0, 1, appended(1, 0)), (2, 3, Outcome::Read(Some((1, 1))))];
        assert!(!is_linearizable(&[], &history));
    }

    #[test]
    fn two_winners_of_one_version_are_found() {
        let history = [(0, 9, appended(1, 0)), (0, 9, appended(2, 0))];
        assert!(!is_linearizable(&[], &history));
    }

    #[test]
    fn a_stale_refusal_is_found() {
        let refused =
            Outcome::Conflict { number: 3, expected: Expected::Exactly(1), last: Some(0) };
        let history = [(0, 1, appended(1, 0)), (2, 3, appended(2, 1)), (4, 5, refused)];
        assert!(!is_linearizable(&[], &history));
        let named = |last| Outcome::Conflict { number: 3, expected: Expected::NoStream, last };
        let of_old = [(0, 1, appended(1, 0)), (2, 3, appended(2, 1)), (4, 5, named(Some(0)))];
        assert!(is_linearizable(&[], &of_old), "it is right, whatever has happened since");
        let of_none = [(0, 1, appended(1, 0)), (2, 3, named(Some(1)))];
        assert!(!is_linearizable(&[], &of_none), "there was no such version yet");
    }

    #[test]
    fn the_log_settles_an_unknown_outcome() {
        let late = [
            (0, 1, unknown(1, Expected::Any)),
            (2, 3, Outcome::Read(None)),
            (4, 5, Outcome::Read(Some((0, 1)))),
        ];
        assert!(is_linearizable(&[entry(0, 1)], &late));
        assert!(!is_linearizable(&[], &late), "it was never executed, and was read");
        let early = [(0, 1, Outcome::Read(Some((0, 1)))), (2, 3, unknown(1, Expected::Any))];
        assert!(!is_linearizable(&[entry(0, 1)], &early), "it was read before it was sent");
        let wrong = [(0, 1, appended(1, 0)), (2, 3, unknown(2, Expected::NoStream))];
        assert!(
            !is_linearizable(&[entry(0, 1), entry(1, 2)], &wrong),
            "its condition did not hold"
        );
    }
}
