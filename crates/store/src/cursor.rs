use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

const VERSION: u8 = 1;

/// Resumes a query exactly: all that it yields after this is new, nothing of it was there before.
///
/// Opaque: its text is for keeping, not for reading. A cursor belongs to the store that gave it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) store: [u8; 4],
    pub(crate) position: u64,
}

impl Cursor {
    /// Before the first event of any store.
    pub const START: Cursor = Cursor { store: [0; 4], position: 0 };

    /// Whether whoever is here has seen all that somebody at the other has seen. Cursors of
    /// different stores say nothing about each other.
    pub fn covers(&self, other: Cursor) -> bool {
        other.position == 0 || (self.store == other.store && self.position >= other.position)
    }

    /// The cursor's bytes, for keeping it in a database.
    pub fn to_bytes(&self) -> [u8; 13] {
        let mut bytes = [VERSION; 13];
        bytes[1..5].copy_from_slice(&self.store);
        bytes[5..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// Reads what [`Cursor::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let read = || {
            let (&[version, a, b, c, d], position) = bytes.split_first_chunk()?;
            let position = u64::from_be_bytes(position.try_into().ok()?);
            (version == VERSION).then_some(Cursor { store: [a, b, c, d], position })
        };
        read().ok_or_else(|| {
            let message = "this is not a cursor: use one that a read, a subscription or an append \
                           of this store gave";
            Invalid::new("cursor_invalid", message)
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        let pair = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        Cursor::from_bytes(&bytes.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_what_lies_before_it_in_the_same_store() {
        let at = |store, position| Cursor { store: [store; 4], position };
        assert!(at(1, 5).covers(at(1, 5)) && at(1, 5).covers(at(1, 4)));
        assert!(!at(1, 5).covers(at(1, 6)) && !at(1, 5).covers(at(2, 4)));
        assert!(Cursor::START.covers(Cursor::START) && at(1, 5).covers(Cursor::START));
        assert!(!Cursor::START.covers(at(1, 1)));
    }

    #[test]
    fn reads_what_it_prints_and_nothing_else() {
        let cursor = Cursor { store: [1, 2, 3, 255], position: 123_456_789 };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for text in ["", "17", "01", "zz", "0201020304000000000000", &"01".repeat(14)] {
            assert_eq!(text.parse::<Cursor>().unwrap_err().code, "cursor_invalid", "{text}");
        }
    }
}
