use super::SeededRandom;

/// The unit that a disk writes atomically.
const SECTOR: usize = 512;

/// An unsynced change.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Change::Length(len) => to.resize(*len, 0),
        }
    }

    /// Splits a write into its sectors, each of which the disk writes independently.
    fn sectors(&self) -> Vec<Change> {
        let Change::Write { offset, bytes } = self else { return vec![self.clone()] };
        let mut parts = Vec::new();
        let (mut at, mut rest) = (*offset, &bytes[..]);
        while !rest.is_empty() {
            let (sector, tail) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            parts.push(Change::Write { offset: at, bytes: sector.to_vec() });
            at += sector.len();
            rest = tail;
        }
        parts
    }
}

/// A file's bytes: those that readers see, and those that survive a power cut.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    visible: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl Content {
    pub(super) fn visible(&self) -> &[u8] {
        &self.visible
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.change(Change::Length(len));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        for bytes in [&mut self.visible, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    /// Returns the content after a power cut that lost all unsynced writes.
    pub(super) fn without_unsynced(&self) -> Content {
        Content::synced(self.durable.clone())
    }

    /// Returns the content after a power cut at which all writes had reached the disk.
    pub(super) fn with_unsynced(&self) -> Content {
        Content::synced(self.visible.clone())
    }

    /// Returns the content after a power cut that kept some unsynced sectors, in any order.
    pub(super) fn with_some_unsynced(&self, random: &SeededRandom) -> Content {
        let mut parts: Vec<Change> = self.pending.iter().flat_map(Change::sectors).collect();
        for i in (1..parts.len()).rev() {
            let other = random.below(i as u64 + 1) as usize;
            parts.swap(i, other);
        }
        let odds = random.below(5);
        let mut bytes = self.durable.clone();
        for part in parts.iter().filter(|_| random.below(4) < odds) {
            part.apply(&mut bytes);
        }
        Content::synced(bytes)
    }

    fn synced(bytes: Vec<u8>) -> Content {
        Content { visible: bytes.clone(), durable: bytes, pending: Vec::new() }
    }
}
