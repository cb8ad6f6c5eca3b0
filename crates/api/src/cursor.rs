use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Invalid;

/// The form before incarnations: version, store (4), one position (8).
const VERSION_1: u8 = 1;
/// Version, store (4), incarnation (4), number of positions (2), the positions (8 each).
const VERSION_2: u8 = 2;

/// The most partitions of a cursor; a cluster has at most 1,000.
pub const MAX_PARTITIONS: usize = 4_096;

/// A token that resumes a query exactly: after it, the query yields only new events.
///
/// A cursor names its store, the store's incarnation (a new one begins at each restore or repair),
/// and one position for each partition: one in an embedded store. Applications keep its text or its
/// bytes and do not look inside. A cursor is valid only in the store that returned it.
///
/// Cursors are partially ordered: a cursor is greater than another if it covers it. Cursors of different
/// stores or incarnations are not comparable.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    origin: Origin,
    positions: Positions,
}

/// The store and the incarnation that a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The first bytes of the store's id.
    pub store: [u8; 4],
    /// The first bytes of the incarnation's id; zeros if unknown, as in a cursor of an old release.
    pub incarnation: [u8; 4],
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Positions {
    One(u64),
    Many(Arc<[u64]>),
}

impl Origin {
    const NONE: Origin = Origin { store: [0; 4], incarnation: [0; 4] };

    /// Returns the origin with these ids.
    pub fn new(store_id: &[u8; 16], incarnation: &[u8; 16]) -> Self {
        let start = |id: &[u8; 16]| [id[0], id[1], id[2], id[3]];
        Origin { store: start(store_id), incarnation: start(incarnation) }
    }

    /// Whether positions of the two origins mean the same events. An unknown incarnation counts as
    /// the same.
    fn is_comparable(self, other: Origin) -> bool {
        let unknown = [0; 4];
        self.store == other.store
            && (self.incarnation == other.incarnation
                || self.incarnation == unknown
                || other.incarnation == unknown)
    }
}

impl Cursor {
    /// The cursor before the first event of any store.
    pub const START: Cursor = Cursor { origin: Origin::NONE, positions: Positions::One(0) };

    /// Returns the cursor behind the event at a position of a store with one partition.
    pub fn at(origin: Origin, position: u64) -> Self {
        match position {
            0 => Cursor::START,
            _ => Cursor { origin, positions: Positions::One(position) },
        }
    }

    /// Returns the cursor behind a position in each partition, in the order of the partitions.
    ///
    /// # Errors
    /// `cursor_invalid`: no position, or more than [`MAX_PARTITIONS`].
    pub fn at_all(origin: Origin, positions: &[u64]) -> Result<Self, Invalid> {
        match positions {
            [position] => Ok(Cursor::at(origin, *position)),
            [] => Err(not_a_cursor()),
            _ if positions.len() > MAX_PARTITIONS => Err(not_a_cursor()),
            _ if positions.iter().all(|position| *position == 0) => Ok(Cursor::START),
            _ => Ok(Cursor { origin, positions: Positions::Many(positions.into()) }),
        }
    }

    /// Returns the store and the incarnation that the cursor belongs to.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether the cursor lies before the first event.
    pub fn is_start(&self) -> bool {
        *self == Cursor::START
    }

    /// Returns the position, if the cursor has exactly one.
    pub fn position(&self) -> Option<u64> {
        match self.positions {
            Positions::One(position) => Some(position),
            Positions::Many(_) => None,
        }
    }

    /// Returns the position in each partition, in their order. [`Cursor::START`] has one, 0, whatever
    /// the number of partitions.
    pub fn positions(&self) -> &[u64] {
        match &self.positions {
            Positions::One(position) => std::slice::from_ref(position),
            Positions::Many(positions) => positions,
        }
    }

    /// Whether a reader at this cursor has seen all events that a reader at the other one has seen.
    pub fn covers(&self, other: &Cursor) -> bool {
        let (ours, theirs) = (self.positions(), other.positions());
        other.is_start()
            || (self.origin.is_comparable(other.origin)
                && ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| ours >= theirs))
    }

    /// Returns the cursor's bytes, for keeping it in a database: 19 for one position.
    pub fn to_bytes(&self) -> Vec<u8> {
        let positions = self.positions();
        let mut bytes = Vec::with_capacity(11 + 8 * positions.len());
        bytes.push(VERSION_2);
        bytes.extend_from_slice(&self.origin.store);
        bytes.extend_from_slice(&self.origin.incarnation);
        bytes.extend_from_slice(&(positions.len() as u16).to_be_bytes());
        for position in positions {
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Cursor::to_bytes`] returned, of this release or an earlier one.
    ///
    /// # Errors
    /// `cursor_invalid`: the bytes are not exactly one cursor.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        match Cursor::split_first(bytes) {
            Some((cursor, [])) => Ok(cursor),
            _ => Err(not_a_cursor()),
        }
    }

    /// Reads the cursor that bytes begin with, and returns the bytes behind it.
    pub fn split_first(bytes: &[u8]) -> Option<(Cursor, &[u8])> {
        let (version, rest) = bytes.split_first()?;
        let (store, rest) = rest.split_first_chunk()?;
        let (incarnation, count, rest) = match *version {
            VERSION_1 => ([0; 4], 1, rest),
            VERSION_2 => {
                let (incarnation, rest) = rest.split_first_chunk()?;
                let (count, rest) = rest.split_first_chunk()?;
                (*incarnation, usize::from(u16::from_be_bytes(*count)), rest)
            }
            _ => return None,
        };
        let (positions, rest) = rest.split_at_checked(count * size_of::<u64>())?;
        let (positions, _) = positions.as_chunks();
        let positions: Vec<_> = positions.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        let origin = Origin { store: *store, incarnation };
        Cursor::at_all(origin, &positions).ok().map(|cursor| (cursor, rest))
    }
}

fn not_a_cursor() -> Invalid {
    let message = "this is not a cursor: use one that a read, a subscription or an append of this \
                   store returned";
    Invalid::new("cursor_invalid", message)
}

/// Returns [`Cursor::START`].
impl Default for Cursor {
    fn default() -> Self {
        Cursor::START
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.covers(other), other.covers(self)) {
            _ if self == other => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            _ => None,
        }
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

/// Writes text in human-readable formats, and bytes in others.
impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => serializer.serialize_bytes(&self.to_bytes()),
        }
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Cursor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a cursor")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cursor, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Cursor, E> {
                Cursor::from_bytes(bytes).map_err(E::custom)
            }
        }

        match deserializer.is_human_readable() {
            true => deserializer.deserialize_str(Reader),
            false => deserializer.deserialize_bytes(Reader).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(store: u8, incarnation: u8) -> Origin {
        Origin { store: [store; 4], incarnation: [incarnation; 4] }
    }

    fn many(positions: &[u64]) -> Cursor {
        Cursor::at_all(origin(1, 1), positions).unwrap()
    }

    #[test]
    fn covers_what_lies_before_it_in_the_same_store() {
        let at = |store, position| Cursor::at(origin(store, 1), position);
        assert!(at(1, 5).covers(&at(1, 5)) && at(1, 5).covers(&at(1, 4)));
        assert!(!at(1, 5).covers(&at(1, 6)) && !at(1, 5).covers(&at(2, 4)));
        assert!(Cursor::START.covers(&Cursor::START) && at(1, 5).covers(&Cursor::START));
        assert!(!Cursor::START.covers(&at(1, 1)));
    }

    #[test]
    fn covers_only_its_own_incarnation_and_the_unknown_one() {
        let at = |incarnation| Cursor::at(origin(1, incarnation), 5);
        assert!(at(1).covers(&at(1)) && !at(1).covers(&at(2)));
        assert!(at(1).covers(&at(0)) && at(0).covers(&at(1)));
        assert_eq!(at(1).partial_cmp(&at(0)), None);
    }

    #[test]
    fn orders_cursors_of_many_partitions_partially() {
        assert_eq!(many(&[3, 4]).partial_cmp(&many(&[3, 5])), Some(Ordering::Less));
        assert_eq!(many(&[4, 4]).partial_cmp(&many(&[3, 4])), Some(Ordering::Greater));
        assert_eq!(many(&[3, 4]).partial_cmp(&many(&[4, 3])), None);
        assert_eq!(many(&[3, 4]).partial_cmp(&many(&[3, 4, 5])), None);
        assert!(many(&[0, 1]) > Cursor::START && many(&[0, 0]) == Cursor::START);
    }

    #[test]
    fn reads_cursors_of_the_first_form() {
        let old = "0101020304000000000000002a".parse::<Cursor>().unwrap();
        assert_eq!(old.position(), Some(42));
        let store = [1, 2, 3, 4];
        assert_eq!(old.origin(), Origin { store, incarnation: [0; 4] });
        assert!(Cursor::at(Origin { store, incarnation: [7; 4] }, 42).covers(&old));
        assert!("01000000000000000000000000".parse::<Cursor>().unwrap().is_start());
    }

    #[test]
    fn refuses_what_is_not_a_cursor() {
        let cut = Cursor::at(origin(1, 1), 7).to_string();
        let texts =
            ["", "17", "01", "zz", "0201020304000000000000", &"03".repeat(19), &cut[..36], "ää"];
        for text in texts {
            assert_eq!(text.parse::<Cursor>().unwrap_err().code, "cursor_invalid", "{text}");
        }
        assert!(Cursor::at_all(origin(1, 1), &[]).is_err());
        assert!(Cursor::at_all(origin(1, 1), &vec![1; MAX_PARTITIONS + 1]).is_err());
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(positions in proptest::collection::vec(any::<u64>(), 1..9)) {
            let cursor = Cursor::at_all(origin(9, 8), &positions).unwrap();
            prop_assert_eq!(&cursor.to_string().parse::<Cursor>().unwrap(), &cursor);
            let json = serde_json::to_string(&cursor).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Cursor>(&json).unwrap(), &cursor);
            let mut bytes = cursor.to_bytes();
            bytes.extend_from_slice(b"rest");
            prop_assert_eq!(Cursor::split_first(&bytes), Some((cursor, &b"rest"[..])));
        }

        #[test]
        fn reads_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            _ = Cursor::from_bytes(&bytes);
        }
    }
}
