use std::collections::BTreeSet;

use crate::record::{KNOWN_FLAGS, Layout};

/// The layout of the records of this release; the next change of the header's fields makes it 2.
const RECORD_VERSION: u32 = 1;

/// The flags of release 0.1.
const FLAGS_0_1: u16 = 0b1111;

/// The records that a reader understands: a server sends no others to it as bytes.
///
/// Records travel as they lie on disk. So a client says which it reads, and a new flag or codec on
/// disk does not break the clients of an older release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFormat {
    /// The newest layout of a record, from 1.
    pub version: u32,
    /// The flags of a record's header, as a bit set.
    pub flags: u16,
    /// The codecs beside 0, which every reader understands.
    pub codecs: BTreeSet<u8>,
}

impl RecordFormat {
    /// Returns the records that this release reads.
    pub const fn current() -> Self {
        RecordFormat { version: RECORD_VERSION, flags: KNOWN_FLAGS, codecs: BTreeSet::new() }
    }

    /// Returns the records that release 0.1 reads: the format of a client that names none.
    pub const fn release_0_1() -> Self {
        RecordFormat { version: 1, flags: FLAGS_0_1, codecs: BTreeSet::new() }
    }

    /// Whether a reader of this format understands a record of this release.
    pub fn can_read(&self, record: &[u8]) -> bool {
        let layout = Layout::of(record);
        self.version >= RECORD_VERSION
            && layout.flags() & !self.flags == 0
            && (layout.codec() == 0 || self.codecs.contains(&layout.codec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewEvent;
    use crate::record::encode;

    /// Offsets in the header, as `docs/format.md` draws them.
    const FLAGS: usize = 40;
    const CODEC: usize = 44;

    fn record() -> Vec<u8> {
        encode("a-1", &NewEvent::json("Paid", "{}"), [1; 16], &[0; 16])
    }

    #[test]
    fn a_record_of_this_release_is_understood_by_it_and_by_release_0_1() {
        assert!(RecordFormat::current().can_read(&record()));
        assert!(RecordFormat::release_0_1().can_read(&record()));
        assert!(Layout::read(&record()).is_ok());
    }

    #[test]
    fn a_newer_flag_is_understood_only_by_a_reader_that_names_it() {
        let mut newer = record();
        newer[FLAGS] |= 16;
        assert!(Layout::read(&newer).is_err(), "this release does not read it either");
        assert!(!RecordFormat::current().can_read(&newer));
        let newer_reader = RecordFormat { flags: KNOWN_FLAGS | 16, ..RecordFormat::current() };
        assert!(newer_reader.can_read(&newer));
    }

    #[test]
    fn a_codec_is_understood_only_by_a_reader_that_names_it() {
        let mut encoded = record();
        encoded[CODEC] = 3;
        assert!(!RecordFormat::current().can_read(&encoded));
        let newer_reader = RecordFormat { codecs: [3].into(), ..RecordFormat::current() };
        assert!(newer_reader.can_read(&encoded));
    }

    #[test]
    fn an_older_layout_is_no_reader_of_this_one() {
        let older = RecordFormat { version: RECORD_VERSION - 1, ..RecordFormat::current() };
        assert!(!older.can_read(&record()));
    }
}
