use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, crc_of};

const MAGIC: [u8; 8] = *b"LFBACKUP";

/// The head of the file `BACKUP`; the entries follow it.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BackupHeader {
    magic: [u8; 8],
    version: U32,
    files: U32,
    store_id: [u8; 16],
    incarnation: [u8; 16],
    number: U64,
    head: U64,
    time: I64,
    reserved: [u8; 20],
    crc: U32,
}

const _: () = assert!(size_of::<BackupHeader>() == BackupHeader::SIZE);

impl BackupHeader {
    const SIZE: usize = 96;

    fn checksum(&self, entries: &[u8]) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4], entries])
    }
}

/// One file; its two names follow.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BackupEntry {
    length: U64,
    crc: U32,
    stored: U16,
    restored: U16,
}

const _: () = assert!(size_of::<BackupEntry>() == 16);

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// Its name in the backup.
    pub stored: String,
    /// Its name in a store.
    pub restored: String,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of all of them.
    pub crc: u32,
}

/// What a backup consists of: the content of the file `BACKUP`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupList {
    /// The store.
    pub store_id: [u8; 16],
    /// Its incarnation.
    pub incarnation: [u8; 16],
    /// Which backup in this directory it is, from 1; 0: none is whole yet.
    pub number: u64,
    /// The last position in it.
    pub head: u64,
    /// When it was begun, in microseconds since 1970.
    pub time: i64,
    /// Its files.
    pub files: Vec<BackupFile>,
}

impl BackupList {
    /// Lays out the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        for file in &self.files {
            let entry = BackupEntry {
                length: file.length.into(),
                crc: file.crc.into(),
                stored: (file.stored.len() as u16).into(),
                restored: (file.restored.len() as u16).into(),
            };
            entries.extend_from_slice(entry.as_bytes());
            entries.extend_from_slice(file.stored.as_bytes());
            entries.extend_from_slice(file.restored.as_bytes());
        }
        let mut header = BackupHeader {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            files: (self.files.len() as u32).into(),
            store_id: self.store_id,
            incarnation: self.incarnation,
            number: self.number.into(),
            head: self.head.into(),
            time: self.time.into(),
            reserved: [0; 20],
            crc: U32::ZERO,
        };
        header.crc = header.checksum(&entries).into();
        [header.as_bytes(), &entries].concat()
    }

    /// Reads the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let Ok((header, mut rest)) = BackupHeader::read_from_prefix(bytes) else {
            return Err("it is cut short");
        };
        if header.magic != MAGIC || header.checksum(rest) != header.crc.get() {
            return Err("its checksum does not match");
        }
        if header.version.get() != FORMAT_VERSION {
            return Err("its format version is not one that this release reads");
        }
        let mut files = Vec::new();
        for _ in 0..header.files.get() {
            let (file, after) = entry(rest).ok_or("it does not list as many files as it says")?;
            rest = after;
            files.push(file);
        }
        let ours = |file: &BackupFile| is_ours(&file.stored) && is_ours(&file.restored);
        if !rest.is_empty() || !files.iter().all(ours) {
            return Err("it names files that are not those of a backup");
        }
        Ok(BackupList {
            store_id: header.store_id,
            incarnation: header.incarnation,
            number: header.number.get(),
            head: header.head.get(),
            time: header.time.get(),
            files,
        })
    }
}

fn entry(bytes: &[u8]) -> Option<(BackupFile, &[u8])> {
    let (entry, rest) = BackupEntry::read_from_prefix(bytes).ok()?;
    let (stored, rest) = rest.split_at_checked(usize::from(entry.stored.get()))?;
    let (restored, rest) = rest.split_at_checked(usize::from(entry.restored.get()))?;
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (length, crc) = (entry.length.get(), entry.crc.get());
    Some((BackupFile { stored: name(stored)?, restored: name(restored)?, length, crc }, rest))
}

/// A name leads nowhere but into the backup's or the store's own directories.
pub(crate) fn is_ours(name: &str) -> bool {
    let file = match name.split_once('/') {
        None => name,
        Some(("log" | "index", file)) => file,
        Some(_) => return false,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    file.starts_with(|first: char| first.is_ascii_alphanumeric()) && file.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[(&str, &str)]) -> BackupList {
        let file = |(stored, restored): &(&str, &str)| BackupFile {
            stored: (*stored).to_owned(),
            restored: (*restored).to_owned(),
            length: 7,
            crc: 9,
        };
        let files = names.iter().map(file).collect();
        BackupList { store_id: [1; 16], number: 3, head: 4, time: -5, files, ..Default::default() }
    }

    #[test]
    fn reads_what_it_wrote_and_notices_every_flipped_bit_and_every_cut() {
        let list = list(&[("log/1.0.77.part", "log/1.0.seg"), ("STORE.3", "STORE")]);
        let bytes = list.encode();
        assert_eq!(BackupList::parse(&bytes).unwrap(), list);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(BackupList::parse(&flipped).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(BackupList::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_directory_is_refused() {
        for name in ["../x", "log/../x", "/etc/x", "log/a/b", "other/x", "", "..", "log/", "a\\b"] {
            assert!(BackupList::parse(&list(&[("STORE.1", name)]).encode()).is_err(), "{name:?}");
            assert!(BackupList::parse(&list(&[(name, "STORE")]).encode()).is_err(), "{name:?}");
        }
    }
}
