use std::sync::Arc;

use bytes::Bytes;
use leftfold_io::{Disk, File, OpenMode, read_exact_at};
use zerocopy::{FromBytes, IntoBytes};

use super::cache::IndexCache;
use super::encode::block_crc;
use super::layout::{
    BLOCK, FILTER_PIECE, FileHead, Header, ListEntry, MAGIC, PAYLOAD, Section, SingleEntry,
    VERSION, filter_bits, place_of,
};
use crate::error::IndexError;
use crate::key::Key;
use crate::list::{List, Origin};

/// A sealed part. Holds nothing but its header in memory; the rest comes by block, through a
/// cache that all files share.
pub struct IndexFile {
    name: String,
    number: u64,
    head: FileHead,
    header: Header,
    file: Arc<dyn File>,
    cache: Arc<IndexCache>,
}

impl IndexFile {
    /// Opens a file that must be this store's and this number's.
    pub fn open(
        disk: &dyn Disk,
        name: &str,
        head: FileHead,
        cache: Arc<IndexCache>,
    ) -> Result<Arc<Self>, IndexError> {
        let file = disk.open(name, OpenMode::Read).map_err(|source| io(name, source))?;
        let number = cache.enter();
        let header = Header {
            magic: MAGIC,
            ..Header::read_from_bytes(&[0; Header::SIZE]).map_err(|_| bad_header(name))?
        };
        let mut opened = IndexFile { name: name.to_owned(), number, head, header, file, cache };
        let mut bytes = [0; Header::SIZE];
        opened.read(0, &mut bytes)?;
        opened.header = Header::read_from_bytes(&bytes).map_err(|_| bad_header(name))?;
        let found = &opened.header;
        let range = (found.first.get(), found.last.get());
        let right = found.magic == MAGIC
            && found.version.get() == VERSION
            && (found.store_id, found.id.get()) == (head.store_id, head.id)
            && range == (head.first, head.last);
        if right { Ok(Arc::new(opened)) } else { Err(bad_header(name)) }
    }

    /// What it is called on the disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first position that it covers.
    pub fn first(&self) -> u64 {
        self.head.first
    }

    /// The last position that it covers.
    pub fn last(&self) -> u64 {
        self.head.last
    }

    /// The bytes that it keeps for whoever is above.
    pub fn attachment(&self) -> Result<Vec<u8>, IndexError> {
        let Section { at, length } = self.header.attachment;
        if length.get() > self.file.len().map_err(|source| io(&self.name, source))? {
            return Err(bad_header(&self.name));
        }
        let mut bytes = vec![0; length.get() as usize];
        self.read(at.get(), &mut bytes)?;
        Ok(bytes)
    }

    /// Checks every block; calls `visit` with each key's ordinal and positions.
    pub fn verify(&self, mut visit: impl FnMut(Key, u64, &[u64])) -> Result<(), IndexError> {
        let len = self.file.len().map_err(|source| io(&self.name, source))?;
        for block in 0..len.div_ceil(BLOCK as u64) {
            self.block_from_disk(block as u32)?;
        }
        let mut offsets = Vec::new();
        for i in 0..self.header.lists.get() {
            let entry: ListEntry = self.entry(self.header.list_entries, i as usize)?;
            offsets.clear();
            self.copy(entry.at.get() as usize, entry.count.get() as usize, &mut offsets)?;
            let positions: Vec<_> =
                offsets.iter().map(|offset| self.first() + u64::from(*offset)).collect();
            visit(entry.key, entry.ordinal.get(), &positions);
        }
        for i in 0..self.header.singles.get() {
            let entry: SingleEntry = self.entry(self.header.single_entries, i as usize)?;
            visit(entry.key, 0, &[self.first() + u64::from(entry.offset.get())]);
        }
        Ok(())
    }

    /// The postings of a key.
    pub(crate) fn list(self: &Arc<Self>, key: &Key) -> Result<Option<List>, IndexError> {
        if !self.may_hold(key)? {
            return Ok(None);
        }
        let (places, entries) = (self.header.list_places, self.header.list_entries);
        let first = self.first();
        let found = self.find(places, entries, key, |entry: &ListEntry| entry.key)?;
        if let Some(entry) = found {
            let source = Origin::File(self.clone(), entry.at.get());
            let ordinal = Some(entry.ordinal.get());
            return Ok(Some(List { first, ordinal, len: entry.count.get() as usize, source }));
        }
        let (places, entries) = (self.header.single_places, self.header.single_entries);
        let found = self.find(places, entries, key, |entry: &SingleEntry| entry.key)?;
        Ok(found.map(|entry| {
            let source = Origin::Single(entry.offset.get());
            List { first, ordinal: Some(0), len: 1, source }
        }))
    }

    /// Adds offsets from the postings, from an index on.
    pub(crate) fn copy(
        &self,
        from: usize,
        count: usize,
        to: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        let Section { at, length } = self.header.postings;
        if (from + count) as u64 * 4 > length.get() {
            return Err(self.damaged(at.get(), "a list goes beyond the postings"));
        }
        let mut bytes = vec![0; count * 4];
        self.read(at.get() + from as u64 * 4, &mut bytes)?;
        to.extend(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        Ok(())
    }

    fn may_hold(&self, key: &Key) -> Result<bool, IndexError> {
        let Section { at, length } = self.header.filter;
        let pieces = length.get() as usize / FILTER_PIECE;
        let (piece, mut bits) = filter_bits(key, pieces);
        let mut bytes = [0; FILTER_PIECE];
        self.read(at.get() + (piece * FILTER_PIECE) as u64, &mut bytes)?;
        Ok(bits.all(|bit| bytes[bit / 8] & 1 << (bit % 8) != 0))
    }

    fn find<E: FromBytes + IntoBytes>(
        &self,
        places: Section,
        entries: Section,
        key: &Key,
        key_of: impl Fn(&E) -> Key,
    ) -> Result<Option<E>, IndexError> {
        let count = (places.length.get() as usize / 4).saturating_sub(1);
        let place = place_of(key, count);
        let mut bytes = [0; 8];
        self.read(places.at.get() + place as u64 * 4, &mut bytes)?;
        let [low, high] = [&bytes[..4], &bytes[4..]]
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        for i in low..high {
            let entry: E = self.entry(entries, i)?;
            match key_of(&entry).cmp(key) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    fn entry<E: FromBytes + IntoBytes>(&self, section: Section, i: usize) -> Result<E, IndexError> {
        let mut entry = E::new_zeroed();
        self.read(section.at.get() + (i * size_of::<E>()) as u64, entry.as_mut_bytes())?;
        Ok(entry)
    }

    /// Reads payload, block by block.
    fn read(&self, mut at: u64, mut to: &mut [u8]) -> Result<(), IndexError> {
        while !to.is_empty() {
            let block = self.block((at / PAYLOAD as u64) as u32)?;
            let rest = &block[at as usize % PAYLOAD..PAYLOAD];
            let n = rest.len().min(to.len());
            let (now, later) = to.split_at_mut(n);
            now.copy_from_slice(&rest[..n]);
            (at, to) = (at + n as u64, later);
        }
        Ok(())
    }

    fn block(&self, number: u32) -> Result<Bytes, IndexError> {
        if let Some(block) = self.cache.get(self.number, number) {
            return Ok(block);
        }
        let block = self.block_from_disk(number)?;
        self.cache.put(self.number, number, block.clone());
        Ok(block)
    }

    fn block_from_disk(&self, number: u32) -> Result<Bytes, IndexError> {
        let mut block = vec![0; BLOCK];
        let offset = u64::from(number) * BLOCK as u64;
        read_exact_at(&*self.file, &mut block, offset).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.damaged(offset, "the file is cut short"),
            _ => io(&self.name, source),
        })?;
        let (payload, crc) = block.split_at(PAYLOAD);
        if block_crc(self.head.salt(), u64::from(number), payload).to_le_bytes() != crc {
            return Err(self.damaged(offset, "a block's checksum does not match"));
        }
        Ok(block.into())
    }

    fn damaged(&self, offset: u64, what: &'static str) -> IndexError {
        IndexError::Damaged { file: self.name.clone(), offset, what }
    }
}

fn bad_header(name: &str) -> IndexError {
    let what = "its header is not the one that was expected";
    IndexError::Damaged { file: name.to_owned(), offset: 0, what }
}

fn io(name: &str, source: std::io::Error) -> IndexError {
    IndexError::Io { file: name.to_owned(), source: Arc::new(source) }
}
