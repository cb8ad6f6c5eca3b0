//! Blocks of sealed segments, compressed with zstd.
//!
//! Each block is compressed by itself, so that reading one event decompresses one block. The size that
//! a compressed block states is never trusted: the caller knows how long the content must be.

use std::cell::RefCell;
use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{DCtx, DDict, WriteBuf};

use crate::blocks::BLOCK_BYTES;
use crate::options::Compression;

/// Blocks are closed after this many bytes where files are to be small.
const SMALL_BLOCK: u64 = 64 << 10;

/// Compression levels of zstd: about 400 MB/s, and about 40 MB/s, on one core.
const FAST_LEVEL: i32 = 1;
const SMALL_LEVEL: i32 = 12;

/// The longest dictionary: zstd finds little more in longer ones.
const DICTIONARY: usize = 64 << 10;
/// A dictionary is trained on this many bytes of records.
pub(crate) const SAMPLE: usize = 4 << 20;
/// Longer records are not sampled.
pub(crate) const SAMPLE_RECORD: usize = 8 << 10;
/// With fewer samples no dictionary is trained.
const SAMPLES: usize = 64;

/// A dictionary must save this many times its own length.
const MIN_GAIN: u64 = 2;

impl Compression {
    /// The bits of a segment's [`detail`](crate::LiveFile::detail) that hold it.
    pub(crate) const BITS: u32 = 0xff;

    /// Reads it from a segment's detail; `None` if this release does not know it.
    pub(crate) fn of(detail: u32) -> Option<Self> {
        [Compression::Off, Compression::Fast, Compression::Small]
            .into_iter()
            .find(|compression| *compression as u32 == detail & Self::BITS)
    }

    pub(crate) fn block_bytes(self) -> u64 {
        match self {
            Compression::Off | Compression::Fast => BLOCK_BYTES,
            Compression::Small => SMALL_BLOCK,
        }
    }

    fn level(self) -> i32 {
        match self {
            Compression::Off | Compression::Fast => FAST_LEVEL,
            Compression::Small => SMALL_LEVEL,
        }
    }
}

/// Compresses blocks.
pub(crate) struct BlockCompressor {
    inner: Compressor<'static>,
    pub(crate) dictionary: Vec<u8>,
}

impl BlockCompressor {
    /// Returns a compressor for this many bytes, with a dictionary from the samples if that saves
    /// enough.
    pub(crate) fn new(
        compression: Compression,
        samples: &[Vec<u8>],
        bytes: u64,
    ) -> io::Result<Self> {
        let dictionary = match train(samples) {
            Some(dictionary)
                if is_worthwhile(compression.level(), &dictionary, samples, bytes)? =>
            {
                dictionary
            }
            _ => Vec::new(),
        };
        let inner = Compressor::with_dictionary(compression.level(), &dictionary)?;
        Ok(BlockCompressor { inner, dictionary })
    }

    pub(crate) fn compress(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        self.inner.compress(content)
    }
}

fn train(samples: &[Vec<u8>]) -> Option<Vec<u8>> {
    // Samples that have nothing in common are an error to zstd; then there is no dictionary.
    (samples.len() >= SAMPLES).then(|| zstd::dict::from_samples(samples, DICTIONARY).ok()).flatten()
}

/// Tries a dictionary on blocks of samples and estimates what it saves of all bytes.
fn is_worthwhile(
    level: i32,
    dictionary: &[u8],
    samples: &[Vec<u8>],
    bytes: u64,
) -> io::Result<bool> {
    let mut without = Compressor::new(level)?;
    let mut with = Compressor::with_dictionary(level, dictionary)?;
    let (mut content, mut saved, mut tried) = (Vec::new(), 0, 0);
    for sample in samples {
        content.extend_from_slice(sample);
        if content.len() as u64 >= SMALL_BLOCK {
            let [plain, compressed] = [&mut without, &mut with].map(|compressor| {
                compressor.compress(&content).map(|compressed| compressed.len() as i128)
            });
            saved += plain? - compressed?;
            tried += content.len() as i128;
            content.clear();
        }
    }
    let whole = if tried == 0 { 0 } else { saved * i128::from(bytes) / tried };
    Ok(whole > i128::from(MIN_GAIN) * dictionary.len() as i128)
}

thread_local! {
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// Whether a compressed block states that its content has this many bytes. Checked before memory is
/// allocated for it.
pub(crate) fn has_content_length(stored: &[u8], content: u64) -> bool {
    matches!(zstd::zstd_safe::get_frame_content_size(stored), Ok(Some(found)) if found == content)
}

/// Decompresses a block of this length.
pub(crate) fn decompress<C: WriteBuf + ?Sized>(
    stored: &[u8],
    dictionary: Option<&DDict<'static>>,
    to: &mut C,
    length: usize,
) -> Result<(), &'static str> {
    const WRONG: &str = "a compressed block can't be decompressed";
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = DCtx::try_create();
        }
        let Some(decompressor) = decompressor else {
            return Err("there is no memory to decompress a block");
        };
        let done = match dictionary {
            Some(dictionary) => decompressor.decompress_using_ddict(to, stored, dictionary),
            None => decompressor.decompress(to, stored),
        };
        if done == Ok(length) { Ok(()) } else { Err(WRONG) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let sample = |n: u32| {
            let name = n.wrapping_mul(2_654_435_761);
            format!(
                r#"{{"account":"DE{name:010}","currency":"EUR","booked":{n},"kind":"transfer"}}"#
            )
        };
        (0..5_000).map(|n| sample(n).into_bytes()).collect()
    }

    #[test]
    fn a_block_is_restored_with_and_without_a_dictionary() {
        for samples in [samples(), Vec::new()] {
            let mut compressor =
                BlockCompressor::new(Compression::Small, &samples, 1 << 30).unwrap();
            assert_eq!(compressor.dictionary.is_empty(), samples.is_empty());
            let dictionary = DDict::create(&compressor.dictionary);
            let dictionary = (!compressor.dictionary.is_empty()).then_some(&dictionary);
            let content = b"{\"account\":\"DE0000000001\",\"currency\":\"EUR\"}".repeat(3);
            let compressed = compressor.compress(&content).unwrap();
            let mut back = vec![0; content.len()];
            decompress(&compressed, dictionary, &mut back[..], content.len()).unwrap();
            assert_eq!(back, content);
            assert!(has_content_length(&compressed, content.len() as u64));
            assert!(
                !has_content_length(&compressed, content.len() as u64 + 1)
                    && !has_content_length(&compressed[..2], 1)
            );
            for length in [content.len() - 1, content.len() + 1] {
                let mut back = vec![0; length];
                assert!(decompress(&compressed, dictionary, &mut back[..], length).is_err());
            }
            assert!(
                decompress(
                    &compressed[..compressed.len() - 1],
                    dictionary,
                    &mut back[..],
                    content.len()
                )
                .is_err()
            );
        }
    }

    #[test]
    fn a_dictionary_that_saves_too_little_is_not_used() {
        assert!(
            BlockCompressor::new(Compression::Small, &samples(), 1_000)
                .unwrap()
                .dictionary
                .is_empty()
        );
    }
}
