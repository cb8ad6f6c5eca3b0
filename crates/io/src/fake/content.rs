use super::SeededRandom;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A change that no sync has made last yet.
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

    /// The sectors of a write, each of which reaches the platter on its own.
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

/// A file's bytes: what readers see now, and what a power cut would leave.
#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    seen: Vec<u8>,
    lasting: Vec<u8>,
    pending: Vec<Change>,
}

impl Content {
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.change(Change::Length(len));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.lasting);
        }
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        for bytes in [&mut self.seen, &mut self.lasting] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= mask;
            }
        }
    }

    /// After a power cut that lost all that was not synced.
    pub(super) fn forgetting(&self) -> Content {
        Content::settled(self.lasting.clone())
    }

    /// After a power cut by which all writes happened to have reached the disk.
    pub(super) fn keeping(&self) -> Content {
        Content::settled(self.seen.clone())
    }

    /// After a power cut that kept some unsynced sectors, in any order.
    pub(super) fn torn(&self, random: &SeededRandom) -> Content {
        let mut parts: Vec<Change> = self.pending.iter().flat_map(Change::sectors).collect();
        for i in (1..parts.len()).rev() {
            let other = random.below(i as u64 + 1) as usize;
            parts.swap(i, other);
        }
        let odds = random.below(5);
        let mut bytes = self.lasting.clone();
        for part in parts.iter().filter(|_| random.below(4) < odds) {
            part.apply(&mut bytes);
        }
        Content::settled(bytes)
    }

    fn settled(bytes: Vec<u8>) -> Content {
        Content { seen: bytes.clone(), lasting: bytes, pending: Vec::new() }
    }
}
