use bytes::Bytes;

use crate::wire::Record;

const STAMP: &[u8] = b"leftfold-term";
const CLAIM: &[u8] = b"leftfold-claim";

/// What every record says of itself: 16 bytes in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The term it was written in.
    pub term: u64,
    /// Its place in that term; the claim has 0.
    pub number: u64,
}

impl Stamp {
    /// The record with this stamp.
    pub fn put_on(self, record: Record) -> Record {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend(self.term.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        record.header(STAMP, bytes)
    }

    /// The claim that begins a term, in the name of this owner.
    pub fn claim(term: u64, owner: &str) -> Record {
        let claim = Record::default().header(CLAIM, Bytes::copy_from_slice(owner.as_bytes()));
        Stamp { term, number: 0 }.put_on(claim)
    }

    /// What a record says, if it says it.
    pub fn of(record: &Record) -> Option<Self> {
        let bytes = record.find_header(STAMP)?;
        let (term, number) = bytes.split_first_chunk::<8>()?;
        let number = number.try_into().ok()?;
        Some(Stamp { term: u64::from_le_bytes(*term), number: u64::from_le_bytes(number) })
    }
}

/// What a record comes to for whoever reads the log in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It begins a term.
    Claim,
    /// It counts.
    Counts,
    /// It does not, for nobody, ever.
    Void(Why),
}

/// Why a record is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has no stamp: somebody else writes to this topic.
    Foreign,
    /// Its term is over, or never began.
    Term,
    /// It is there already.
    Repeat,
    /// One before it is missing.
    Gap,
}

/// The state of the rule after some record of the log. It is a fold: equal prefixes of the log give
/// equal ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    term: u64,
    next: u64,
    owner: Bytes,
}

impl Ledger {
    /// Takes the next record of the log.
    pub fn see(&mut self, record: &Record) -> Verdict {
        let Some(stamp) = Stamp::of(record) else { return Verdict::Void(Why::Foreign) };
        if let Some(owner) = record.find_header(CLAIM) {
            return self.see_claim(stamp, owner);
        }
        if stamp.term != self.term || self.term == 0 {
            return Verdict::Void(Why::Term);
        }
        match stamp.number.cmp(&self.next) {
            std::cmp::Ordering::Less => Verdict::Void(Why::Repeat),
            std::cmp::Ordering::Greater => Verdict::Void(Why::Gap),
            std::cmp::Ordering::Equal => {
                self.next += 1;
                Verdict::Counts
            }
        }
    }

    fn see_claim(&mut self, stamp: Stamp, owner: &Bytes) -> Verdict {
        if stamp.term <= self.term || stamp.number != 0 {
            return Verdict::Void(Why::Term);
        }
        *self = Ledger { term: stamp.term, next: 1, owner: owner.clone() };
        Verdict::Claim
    }

    /// The present term; 0 before the first.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Who claimed it.
    pub fn owner(&self) -> &Bytes {
        &self.owner
    }

    /// The stamp of the next record that counts.
    pub fn next(&self) -> Stamp {
        Stamp { term: self.term, number: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(term: u64, number: u64) -> Record {
        Stamp { term, number }.put_on(Record::new("e"))
    }

    #[test]
    fn the_order_of_the_log_decides_what_counts() {
        let void = Verdict::Void;
        let log = [
            (event(1, 1), void(Why::Term)),
            (Stamp::claim(1, "a"), Verdict::Claim),
            (event(1, 1), Verdict::Counts),
            (event(1, 1), void(Why::Repeat)),
            (event(1, 3), void(Why::Gap)),
            (Record::new("x"), void(Why::Foreign)),
            (event(1, 2), Verdict::Counts),
            (Stamp::claim(1, "b"), void(Why::Term)),
            (event(2, 1), void(Why::Term)),
            (Stamp::claim(3, "b"), Verdict::Claim),
            (Stamp::claim(2, "c"), void(Why::Term)),
            (event(1, 3), void(Why::Term)),
            (event(0, 0), void(Why::Term)),
            (event(3, 1), Verdict::Counts),
        ];
        let mut ledger = Ledger::default();
        for (at, (record, expected)) in log.iter().enumerate() {
            assert_eq!(ledger.see(record), *expected, "record {at}");
        }
        assert_eq!((ledger.term(), ledger.owner().as_ref()), (3, b"b".as_slice()));
        assert_eq!(ledger.next(), Stamp { term: 3, number: 2 });
    }
}
