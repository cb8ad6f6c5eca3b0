//! The bytes of a snapshot. All integers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `LFSN` |
//! | 4 | CRC-32C of all that follows |
//! | 4, 4 | the version of the state's shape, of its logic |
//! | 8, 8, 16 | position, version and id of the last event that it holds |
//! | 4, n | the snapshot's key |
//! | n | the state |

use uuid::Uuid;

const MAGIC: &[u8; 4] = b"LFSN";

/// The last event in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) position: u64,
    pub(crate) version: u64,
    pub(crate) id: Uuid,
}

/// A stored state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot<'a> {
    /// The versions of its shape and its logic.
    pub(crate) versions: [u32; 2],
    pub(crate) anchor: Anchor,
    pub(crate) key: &'a str,
    pub(crate) state: &'a [u8],
}

impl<'a> Snapshot<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(44 + self.key.len() + self.state.len());
        body.extend(self.versions[0].to_le_bytes());
        body.extend(self.versions[1].to_le_bytes());
        body.extend(self.anchor.position.to_le_bytes());
        body.extend(self.anchor.version.to_le_bytes());
        body.extend(self.anchor.id.as_bytes());
        body.extend((self.key.len() as u32).to_le_bytes());
        body.extend(self.key.as_bytes());
        body.extend(self.state);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32c::crc32c(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// Decodes the bytes of [`Snapshot::encode`]; returns `None` if any bit differs.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (crc, body) = rest.split_first_chunk()?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
            return None;
        }
        let (schema, rest) = body.split_first_chunk()?;
        let (logic, rest) = rest.split_first_chunk()?;
        let (position, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, state) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some(Snapshot {
            versions: [u32::from_le_bytes(*schema), u32::from_le_bytes(*logic)],
            anchor: Anchor {
                position: u64::from_le_bytes(*position),
                version: u64::from_le_bytes(*version),
                id: Uuid::from_bytes(*id),
            },
            key: std::str::from_utf8(key).ok()?,
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_with_any_bit_flipped_is_none() {
        let anchor = Anchor { position: 7, version: 3, id: Uuid::from_u128(9) };
        let snapshot = Snapshot { versions: [1, 2], anchor, key: "account", state: b"{}" };
        let bytes = snapshot.encode();
        assert_eq!(Snapshot::decode(&bytes), Some(snapshot));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Snapshot::decode(&damaged), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..length]), None, "{length} bytes");
        }
    }
}
