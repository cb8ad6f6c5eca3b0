//! The states of streams that the records of a batch expect, each before itself, as states before the batch.

use std::collections::HashMap;

use leftfold_api::Expected;

use super::record::Received;

/// A record that expects what cannot be, whatever is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// Its number in the batch.
    pub(super) record: usize,
    pub(super) why: String,
}

/// Returns the expected state of each stream before the batch, in the order of their first records.
///
/// # Errors
/// A record contradicts those before it.
pub(super) fn before_batch(received: &[Received]) -> Result<Vec<(&str, Expected)>, Contradiction> {
    let mut streams: Vec<(&str, Expected)> = Vec::new();
    let mut places: HashMap<&str, (usize, u64)> = HashMap::new();
    for (number, record) in received.iter().enumerate() {
        let place = places.entry(&record.stream).or_insert_with(|| {
            streams.push((&record.stream, Expected::Any));
            (streams.len() - 1, 0)
        });
        let (at, earlier) = *place;
        place.1 += 1;
        let (Some(expected), Some((_, so_far))) = (record.expected, streams.get_mut(at)) else {
            continue;
        };
        let contradiction = |why: String| Contradiction { record: number, why };
        let before = before(expected, earlier).ok_or_else(|| {
            contradiction(format!(
                "the record expects stream {} {expected}, but records of its batch come before it: {earlier}",
                record.stream
            ))
        })?;
        *so_far = both(*so_far, before).ok_or_else(|| {
            contradiction(format!(
                "the record expects stream {} {expected}, but an earlier record of its batch expects something else",
                record.stream
            ))
        })?;
    }
    streams.retain(|(_, expected)| *expected != Expected::Any);
    Ok(streams)
}

/// Returns the state before a batch of which `earlier` records come before the one that expects a state; `None` if there is
/// none.
fn before(expected: Expected, earlier: u64) -> Option<Expected> {
    match (expected, earlier) {
        (expected, 0) => Some(expected),
        // Those before it make the stream exist.
        (Expected::Any | Expected::Exists, _) => Some(Expected::Any),
        (Expected::NoStream, _) => None,
        (Expected::Exactly(version), earlier) if version.checked_add(1) == Some(earlier) => {
            Some(Expected::NoStream)
        }
        (Expected::Exactly(version), earlier) => {
            version.checked_sub(earlier).map(Expected::Exactly)
        }
    }
}

/// Returns the state that fulfils both expectations, if any does.
fn both(one: Expected, other: Expected) -> Option<Expected> {
    match (one, other) {
        (Expected::Any, other) => Some(other),
        (one, Expected::Any) => Some(one),
        (Expected::Exists, Expected::Exactly(version))
        | (Expected::Exactly(version), Expected::Exists) => Some(Expected::Exactly(version)),
        (one, other) => (one == other).then_some(one),
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;

    use super::*;

    fn received(expected: &[(&str, Option<Expected>)]) -> Vec<Received> {
        let record = |(stream, expected): &(&str, Option<Expected>)| Received {
            stream: (*stream).to_owned(),
            event: NewEvent::new("T", ""),
            expected: *expected,
            has_id: false,
        };
        expected.iter().map(record).collect()
    }

    #[test]
    fn expectations_are_of_the_state_before_the_record() {
        use Expected::{Exactly, Exists, NoStream};
        let records = received(&[
            ("a", Some(Exactly(4))),
            ("b", None),
            ("a", Some(Exactly(5))),
            ("b", Some(Exactly(0))),
            ("c", Some(NoStream)),
            ("c", Some(Exists)),
            ("d", None),
            ("e", Some(Exists)),
            ("d", Some(Exists)),
            ("e", Some(Exactly(8))),
        ]);
        let expected = [("a", Exactly(4)), ("b", NoStream), ("c", NoStream)];
        assert_eq!(
            before_batch(&records[..9]).unwrap(),
            [&expected[..], &[("e", Exists)]].concat()
        );
        assert_eq!(before_batch(&records).unwrap(), [&expected[..], &[("e", Exactly(7))]].concat());
    }

    #[test]
    fn contradictions_name_the_record() {
        use Expected::{Exactly, NoStream};
        for (records, number) in [
            (received(&[("a", None), ("a", Some(NoStream))]), 1),
            (received(&[("a", Some(Exactly(3))), ("b", None), ("a", Some(Exactly(3)))]), 2),
            (received(&[("a", None), ("a", None), ("a", Some(Exactly(0)))]), 2),
        ] {
            assert_eq!(before_batch(&records).unwrap_err().record, number);
        }
    }
}
