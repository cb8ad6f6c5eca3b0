//! The rule by which every reader of the log decides which records count.

use bytes::Bytes;

use leftfold_kafka::Record;

const STAMP: &[u8] = b"leftfold-term";
const CLAIM: &[u8] = b"leftfold-claim";

/// The term and number of a record: 16 bytes in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The term in which the record was written.
    pub term: u64,
    /// The record's number in that term; the claim has 0.
    pub number: u64,
}

impl Stamp {
    /// Returns the record with this stamp.
    pub fn add_to(self, record: Record) -> Record {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend(self.term.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        record.header(STAMP, bytes)
    }

    /// Returns the claim that begins a term of this owner.
    pub fn claim(term: u64, owner: &str) -> Record {
        let claim = Record::default().header(CLAIM, Bytes::copy_from_slice(owner.as_bytes()));
        Stamp { term, number: 0 }.add_to(claim)
    }

    /// Returns the stamp of a record, or `None` if it has none.
    pub fn of(record: &Record) -> Option<Self> {
        let bytes = record.find_header(STAMP)?;
        let (term, number) = bytes.split_first_chunk::<8>()?;
        let number = number.try_into().ok()?;
        Some(Stamp { term: u64::from_le_bytes(*term), number: u64::from_le_bytes(number) })
    }
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
    /// Applies the next record of the log and returns its meaning.
    pub fn apply(&mut self, record: &Record) -> Verdict {
        let Some(stamp) = Stamp::of(record) else { return Verdict::Void(VoidReason::Foreign) };
        if let Some(owner) = record.find_header(CLAIM) {
            return self.apply_claim(stamp, owner);
        }
        if stamp.term != self.term || self.term == 0 {
            return Verdict::Void(VoidReason::WrongTerm);
        }
        match stamp.number.cmp(&self.next) {
            std::cmp::Ordering::Less => Verdict::Void(VoidReason::Repeat),
            std::cmp::Ordering::Greater => Verdict::Void(VoidReason::Gap),
            std::cmp::Ordering::Equal => {
                self.next += 1;
                Verdict::Counts
            }
        }
    }

    fn apply_claim(&mut self, stamp: Stamp, owner: &Bytes) -> Verdict {
        if stamp.term <= self.term || stamp.number != 0 {
            return Verdict::Void(VoidReason::WrongTerm);
        }
        *self = Ledger { term: stamp.term, next: 1, owner: owner.clone() };
        Verdict::Claim
    }

    /// Returns the current term; 0 before the first claim.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Returns the name of the term's owner.
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

    #[test]
    fn the_order_of_the_log_decides_what_counts() {
        let void = Verdict::Void;
        let log = [
            (event(1, 1), void(VoidReason::WrongTerm)),
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
            (event(0, 0), void(VoidReason::WrongTerm)),
            (event(3, 1), Verdict::Counts),
        ];
        let mut ledger = Ledger::default();
        for (at, (record, expected)) in log.iter().enumerate() {
            assert_eq!(ledger.apply(record), *expected, "record {at}");
        }
        assert_eq!((ledger.term(), ledger.owner().as_ref()), (3, b"b".as_slice()));
        assert_eq!(ledger.next(), Stamp { term: 3, number: 2 });
    }
}
