use super::SeededRandom;

/// The units that disks write atomically.
const SECTORS: [usize; 2] = [512, 4096];

/// An unsynced change.
#[derive(Debug, Clone)]
enum Change {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Length(usize),
    /// The file is at least this long.
    Growth(usize),
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
            Change::Growth(len) => to.resize(to.len().max(*len), 0),
        }
    }

    /// Splits a write into what the disk keeps independently: its sectors, and the length of the file.
    fn parts(&self, sector: usize) -> Vec<Change> {
        let Change::Write { offset, bytes } = self else { return vec![self.clone()] };
        let mut parts = vec![Change::Growth(offset + bytes.len())];
        let (mut at, mut rest) = (*offset, &bytes[..]);
        while !rest.is_empty() {
            let (part, tail) = rest.split_at(rest.len().min(sector - at % sector));
            parts.push(Change::Write { offset: at, bytes: part.to_vec() });
            at += part.len();
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
        let sector = SECTORS[random.below(SECTORS.len() as u64) as usize];
        let parts = self.pending.iter().flat_map(|change| change.parts(sector));
        let mut parts: Vec<Change> = parts.collect();
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
