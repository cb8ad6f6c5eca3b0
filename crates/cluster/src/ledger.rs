//! The rule by which every reader of the log decides which records count.

use bytes::Bytes;
use std::io::Write;

use leftfold_kafka::Record;

/// The header that holds a record's stamp.
pub(crate) const STAMP: &str = "lf-stamp";

/// The term and number of a record. The header `lf-stamp` holds them as `TERM.NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The term in which the record was written.
    pub term: u64,
    /// The record's number in that term; the claim, and only it, has 0.
    pub number: u64,
}

/// What the header `lf-stamp` holds: the stamp, and the record's place in its append as ` INDEX/COUNT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark<'a> {
    pub(crate) stamp: Stamp,
    /// The text behind the stamp. The rule does not depend on it.
    pub(crate) place: &'a [u8],
}

impl Stamp {
    /// Returns the record with this stamp.
    pub fn add_to(self, record: Record) -> Record {
        record.header(STAMP, format!("{}.{}", self.term, self.number))
    }

    /// Returns the claim that begins a term. Its value describes the owner.
    pub fn claim(term: u64, owner: &str) -> Record {
        Stamp { term, number: 0 }.add_to(Record::new(owner.to_owned()))
    }

    /// Returns the stamp of a record, or `None` if it has none.
    pub fn of(record: &Record) -> Option<Self> {
        Mark::of(record).map(|mark| mark.stamp)
    }

    /// Returns the stamp of the record that follows `records` records later in the same term.
    pub fn after(self, records: u64) -> Self {
        Stamp { term: self.term, number: self.number.saturating_add(records) }
    }
}

impl<'a> Mark<'a> {
    /// Returns the mark of a record, or `None` if it has no stamp.
    pub(crate) fn of(record: &'a Record) -> Option<Self> {
        let text = record.find_header(STAMP.as_bytes())?;
        let (term, text) = split_number(text)?;
        let (number, place) = split_number(text.strip_prefix(b".")?)?;
        let is_whole = place.is_empty() || place.starts_with(b" ");
        is_whole.then_some(Mark { stamp: Stamp { term, number }, place })
    }

    /// Returns the record's place in its append, from 0, and the number of the append's records.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let (index, text) = split_number(self.place.strip_prefix(b" ")?)?;
        let (count, rest) = split_number(text.strip_prefix(b"/")?)?;
        let is_place = rest.is_empty() && (1..=count).contains(&index);
        is_place.then(|| (index - 1, count))
    }

    /// Writes the header of a record that has this place in its append, from 0.
    pub(crate) fn write(out: &mut impl Write, stamp: Stamp, place: (u64, u64)) {
        // The caller's buffer grows, so nothing fails.
        _ = write!(
            out,
            "{}.{} {}/{}",
            stamp.term,
            stamp.number,
            place.0.saturating_add(1),
            place.1
        );
    }
}

/// Splits a decimal number from the start of a text. A number has one form only, and one can be added to it.
pub(crate) fn split_number(text: &[u8]) -> Option<(u64, &[u8])> {
    /// All numbers of 19 digits are less than the greatest `u64`.
    const MAX_DIGITS: usize = 19;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let has_one_form = number == b"0" || !number.starts_with(b"0");
    if !(1..=MAX_DIGITS).contains(&digits) || !has_one_form {
        return None;
    }
    Some((number.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')), rest))
}

/// The meaning of a record for a reader of the log, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The record begins a term.
    Claim,
    /// The record counts.
    Counts,
    /// The record never counts, for any reader.
    Void(VoidReason),
}

/// The reason why a record is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidReason {
    /// The record has no stamp: another program writes to this topic.
    Foreign,
    /// The record's term is over, or never began.
    WrongTerm,
    /// The record is a duplicate.
    Repeat,
    /// An earlier record of the term is missing.
    Gap,
}

/// The state of the rule after a record of the log.
///
/// It is a fold: equal prefixes of the log give equal ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    term: u64,
    next: u64,
    owner: Bytes,
}

impl Ledger {
    /// Returns the ledger behind the last record that counted, or behind the claim if none has counted since. The
    /// owner of the term is not known until the next claim.
    pub fn resume(last: Stamp) -> Self {
        Ledger { term: last.term, next: last.number.saturating_add(1), owner: Bytes::new() }
    }

    /// Applies the next record of the log and returns its meaning.
    pub fn apply(&mut self, record: &Record) -> Verdict {
        self.apply_marked(Mark::of(record), record)
    }

    /// Applies the next record of the log, whose mark has been read.
    pub(crate) fn apply_marked(&mut self, mark: Option<Mark<'_>>, record: &Record) -> Verdict {
        let Some(Mark { stamp, .. }) = mark else { return Verdict::Void(VoidReason::Foreign) };
        if stamp.number == 0 {
            return self.apply_claim(stamp.term, record.value.as_ref());
        }
        if stamp.term != self.term || self.term == 0 {
            return Verdict::Void(VoidReason::WrongTerm);
        }
        match stamp.number.cmp(&self.next) {
            std::cmp::Ordering::Less => Verdict::Void(VoidReason::Repeat),
            std::cmp::Ordering::Greater => Verdict::Void(VoidReason::Gap),
            std::cmp::Ordering::Equal => {
                self.next = self.next.saturating_add(1);
                Verdict::Counts
            }
        }
    }

    fn apply_claim(&mut self, term: u64, owner: Option<&Bytes>) -> Verdict {
        if term <= self.term {
            return Verdict::Void(VoidReason::WrongTerm);
        }
        *self = Ledger { term, next: 1, owner: owner.cloned().unwrap_or_default() };
        Verdict::Claim
    }

    /// Applies consecutive records that their writer need not read, and returns whether they count.
    pub fn apply_own(&mut self, first: Stamp, records: u64) -> bool {
        let counts = self.term != 0 && first == self.next();
        if counts {
            self.next = self.next.saturating_add(records);
        }
        counts
    }

    /// Returns the current term; 0 before the first claim.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Returns the value of the claim that began the term; empty if it is not known.
    pub fn owner(&self) -> &Bytes {
        &self.owner
    }

    /// Returns the stamp of the next record that counts.
    pub fn next(&self) -> Stamp {
        Stamp { term: self.term, number: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(term: u64, number: u64) -> Record {
        Stamp { term, number }.add_to(Record::new("e"))
    }

    fn stamped(text: &str) -> Record {
        Record::new("e").header(STAMP, text.to_owned())
    }

    #[test]
    fn the_order_of_the_log_decides_what_counts() {
        let void = Verdict::Void;
        let log = [
            (event(1, 1), void(VoidReason::WrongTerm)),
            (Stamp::claim(0, "z"), void(VoidReason::WrongTerm)),
            (event(0, 0), void(VoidReason::WrongTerm)),
            (event(0, 1), void(VoidReason::WrongTerm)),
            (Stamp::claim(1, "a"), Verdict::Claim),
            (event(1, 1), Verdict::Counts),
            (event(1, 1), void(VoidReason::Repeat)),
            (event(1, 3), void(VoidReason::Gap)),
            (Record::new("x"), void(VoidReason::Foreign)),
            (event(1, 2), Verdict::Counts),
            (Stamp::claim(1, "b"), void(VoidReason::WrongTerm)),
            (event(2, 1), void(VoidReason::WrongTerm)),
            (Stamp::claim(3, "b"), Verdict::Claim),
            (Stamp::claim(2, "c"), void(VoidReason::WrongTerm)),
            (event(1, 3), void(VoidReason::WrongTerm)),
            (event(3, 1), Verdict::Counts),
        ];
        let mut ledger = Ledger::default();
        for (at, (record, expected)) in log.iter().enumerate() {
            assert_eq!(ledger.apply(record), *expected, "record {at}");
        }
        assert_eq!((ledger.term(), ledger.owner().as_ref()), (3, b"b".as_slice()));
        assert_eq!(ledger.next(), Stamp { term: 3, number: 2 });
    }

    #[test]
    fn a_ledger_resumes_behind_any_record_that_counted() {
        let log =
            [Stamp::claim(4, "a"), event(4, 1), event(4, 2), Stamp::claim(7, "b"), event(7, 1)];
        for cut in 1..log.len() {
            let mut whole = Ledger::default();
            log[..cut].iter().for_each(|record| _ = whole.apply(record));
            let mut resumed = Ledger::resume(Stamp::of(&log[cut - 1]).unwrap());
            assert_eq!(resumed.next(), whole.next());
            for record in &log[cut - 1..] {
                assert_eq!(resumed.apply(record), whole.apply(record));
            }
        }
    }

    #[test]
    fn an_owner_applies_its_records_without_reading_them() {
        let mut ledger = Ledger::default();
        assert!(!ledger.apply_own(ledger.next(), 1), "no term has begun");
        _ = ledger.apply(&Stamp::claim(2, "a"));
        assert!(ledger.apply_own(Stamp { term: 2, number: 1 }, 3));
        for wrong in [(2, 3), (2, 5), (1, 4), (3, 4)] {
            let first = Stamp { term: wrong.0, number: wrong.1 };
            assert!(!ledger.apply_own(first, 1), "{first:?}");
        }
        assert_eq!(ledger.next(), Stamp { term: 2, number: 4 });
    }

    #[test]
    fn a_number_has_one_form_and_a_stamp_nothing_else() {
        let wrong = [
            "",
            "1",
            "1.",
            ".1",
            "01.1",
            "1.01",
            "1.1.1",
            "+1.1",
            "-1.1",
            "1.1x",
            "1 .1",
            " 1.1",
            "a.b",
            "10000000000000000000.1",
            "1.10000000000000000000",
            "1.1\n",
            "1,1",
        ];
        for text in wrong {
            assert_eq!(Stamp::of(&stamped(text)), None, "{text:?}");
        }
        let most = 9_999_999_999_999_999_999;
        assert_eq!(Stamp::of(&event(most, most)), Some(Stamp { term: most, number: most }));
        let mut ledger = Ledger::resume(Stamp { term: most, number: most });
        assert_eq!(ledger.apply(&event(most, most)), Verdict::Void(VoidReason::Repeat));
    }

    #[test]
    fn the_rule_does_not_depend_on_the_place_in_the_append() {
        for (text, place) in [
            ("2.7 1/3", Some((0, 3))),
            ("2.7 3/3", Some((2, 3))),
            ("2.7", None),
            ("2.7 4/3", None),
            ("2.7 0/3", None),
            ("2.7 1/3 ", None),
            ("2.7 later", None),
        ] {
            let record = stamped(text);
            let mark = Mark::of(&record).unwrap();
            assert_eq!((mark.stamp, mark.place()), (Stamp { term: 2, number: 7 }, place), "{text}");
            assert_eq!(
                Ledger::resume(Stamp { term: 2, number: 6 }).apply(&record),
                Verdict::Counts
            );
        }
    }
}
