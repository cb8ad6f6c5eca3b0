//! Compression of the records of a batch.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};

/// A compression of the records of a batch to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// The records are written as they are.
    #[default]
    None,
    /// LZ4: quick.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

const ZSTD_LEVEL: i32 = 3;

/// What the blocks of snappy's stream begin with, as Java's library writes it: a name and two versions.
const SNAPPY_NAME: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_HEADER: usize = 16;

impl Compression {
    /// Returns the bits of a batch's attributes that name the compression.
    pub(super) fn code(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => LZ4,
            Compression::Zstd => ZSTD,
        }
    }

    /// Compresses the records; `None` if they do not get smaller.
    pub(super) fn compress(self, records: &[u8]) -> Option<Vec<u8>> {
        let compressed = match self {
            Compression::None => return None,
            Compression::Lz4 => compress_lz4(records),
            Compression::Zstd => zstd::bulk::compress(records, ZSTD_LEVEL),
        };
        compressed.ok().filter(|compressed| compressed.len() < records.len())
    }
}

fn compress_lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(records)?;
    Ok(encoder.finish()?)
}

/// Decompresses records to at most `most` bytes.
pub(super) fn decompress(code: i16, bytes: Bytes, most: usize) -> io::Result<Bytes> {
    match code {
        0 => Ok(bytes),
        GZIP => read(flate2::read::MultiGzDecoder::new(bytes.reader()), most),
        SNAPPY => decompress_snappy(bytes, most),
        LZ4 => read(lz4_flex::frame::FrameDecoder::new(bytes.reader()), most),
        ZSTD => read(zstd::stream::read::Decoder::with_buffer(bytes.reader())?, most),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "its compression is unknown")),
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "its records are too large when decompressed")
}

fn read(from: impl Read, most: usize) -> io::Result<Bytes> {
    let mut whole = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut whole)?;
    if whole.len() > most {
        return Err(too_large());
    }
    Ok(whole.into())
}

/// Decompresses blocks with their lengths behind a header, or one block without a header.
fn decompress_snappy(mut bytes: Bytes, most: usize) -> io::Result<Bytes> {
    let mut whole = Vec::new();
    if !bytes.starts_with(SNAPPY_NAME) {
        append_snappy(&mut whole, &bytes, most)?;
        return Ok(whole.into());
    }
    bytes.advance(SNAPPY_HEADER.min(bytes.len()));
    while bytes.has_remaining() {
        let size = bytes.try_get_u32().ok().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size <= bytes.len());
        let size = size.ok_or(io::ErrorKind::UnexpectedEof)?;
        append_snappy(&mut whole, &bytes.split_to(size), most)?;
    }
    Ok(whole.into())
}

fn append_snappy(whole: &mut Vec<u8>, block: &[u8], most: usize) -> io::Result<()> {
    let size = snap::raw::decompress_len(block)?;
    if size > most.saturating_sub(whole.len()) {
        return Err(too_large());
    }
    whole.extend(snap::raw::Decoder::new().decompress_vec(block)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = &[b'x'; 10_000];

    fn all() -> Vec<(i16, Bytes)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT).unwrap();
        let raw = snap::raw::Encoder::new().compress_vec(TEXT).unwrap();
        let half = snap::raw::Encoder::new().compress_vec(&TEXT[..5_000]).unwrap();
        let mut blocks = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for _ in 0..2 {
            blocks.extend((half.len() as u32).to_be_bytes());
            blocks.extend(&half);
        }
        vec![
            (GZIP, gzip.finish().unwrap().into()),
            (SNAPPY, raw.into()),
            (SNAPPY, blocks.into()),
            (LZ4, Compression::Lz4.compress(TEXT).unwrap().into()),
            (ZSTD, Compression::Zstd.compress(TEXT).unwrap().into()),
        ]
    }

    #[test]
    fn every_compression_of_kafka_is_read() {
        for (code, bytes) in all() {
            assert_eq!(decompress(code, bytes, TEXT.len()).unwrap(), TEXT, "{code}");
        }
    }

    #[test]
    fn nothing_grows_beyond_its_bound() {
        for (code, bytes) in all() {
            let error = decompress(code, bytes, TEXT.len() - 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{code}");
        }
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        for (code, bytes) in all() {
            assert!(
                decompress(code, bytes.slice(..bytes.len() / 2), TEXT.len()).is_err(),
                "{code}"
            );
        }
        assert!(decompress(7, Bytes::new(), 1).is_err());
    }

    #[test]
    fn what_does_not_get_smaller_stays_plain() {
        assert_eq!(Compression::Zstd.compress(b"x"), None);
        assert_eq!(Compression::None.compress(TEXT), None);
    }
}
