//! Every byte that the log writes, as `docs/format.md` draws it; assertions beside each struct keep
//! the two equal. All integers are little-endian.

mod backup;
pub(crate) mod footer;
mod frame;
mod manifest;
mod segment;
mod store;

pub(crate) use backup::is_ours;
pub use backup::{BackupFile, BackupList};
pub use footer::{BlockEntry, CompressedEntry, SegmentFooter, Tables};
pub use frame::{
    EXTENSION_BARRIER, EXTENSION_CHECKPOINTS, Extension, FLAG_MARK, FRAME_MAGIC, FrameHeader,
    MAX_RECORD, RecordPrefix, extensions, push_extension,
};
pub(crate) use manifest::OTHER_MANIFEST_VERSION;
pub use manifest::{ManifestEntry, ManifestHeader, ManifestOwner};
pub use segment::SegmentHeader;
pub use store::{
    Ancestor, CATEGORY_FIRST_DASH, FEATURE_CURSORS, FEATURE_FINGERPRINTS, FEATURE_GENERATIONS,
    StoreHeader, StoreIdentity,
};

/// The version of the format that this release writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The greatest position, so that counting on from a position never overflows. A million events a
/// second reach it in 290,000 years.
pub(crate) const LAST_POSITION: u64 = i64::MAX as u64;

/// CRC-32C (Castagnoli) over several slices, as if they were one.
pub(crate) fn crc_of(start: u32, parts: &[&[u8]]) -> u32 {
    parts.iter().fold(start, |crc, part| crc32c::crc32c_append(crc, part))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_castagnoli() {
        assert_eq!(super::crc_of(0, &[b"1234", b"56789"]), 0xE306_9283);
    }
}
