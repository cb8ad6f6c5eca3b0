//! Blocks of sealed segments, compressed with zstd.
//!
//! A block is packed by itself, so that reading one event unpacks one block. What was packed is
//! never trusted for its size: whoever unpacks knows how long the content must be.

use std::cell::RefCell;
use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{DCtx, DDict};

use crate::blocks::BLOCK_BYTES;
use crate::options::Packing;

/// Blocks are closed after so many bytes where they are to be small.
const SMALL_BLOCK: u64 = 64 << 10;

/// Compression levels of zstd: about 400 MB/s, and about 40 MB/s, on one core.
const FAST_LEVEL: i32 = 1;
const SMALL_LEVEL: i32 = 12;

/// The longest dictionary: zstd finds little more in longer ones.
const DICTIONARY: usize = 64 << 10;
/// So many bytes of records a dictionary is trained on.
pub(crate) const SAMPLE: usize = 4 << 20;
/// Longer records are no examples for others.
pub(crate) const SAMPLE_RECORD: usize = 8 << 10;
/// The number of samples below which there is nothing to train on.
const SAMPLES: usize = 64;

/// A dictionary must save so many times its own length.
const PAYS: u64 = 2;

impl Packing {
    /// Where a segment's [`detail`](crate::LiveFile::detail) tells of it.
    pub(crate) const BITS: u32 = 0xff;

    /// What a segment's detail tells; none if a way that this release does not know.
    pub(crate) fn of(detail: u32) -> Option<Self> {
        [Packing::Off, Packing::Fast, Packing::Small]
            .into_iter()
            .find(|packing| *packing as u32 == detail & Self::BITS)
    }

    pub(crate) fn block_bytes(self) -> u64 {
        match self {
            Packing::Off | Packing::Fast => BLOCK_BYTES,
            Packing::Small => SMALL_BLOCK,
        }
    }

    fn level(self) -> i32 {
        match self {
            Packing::Off | Packing::Fast => FAST_LEVEL,
            Packing::Small => SMALL_LEVEL,
        }
    }
}

/// Compresses blocks.
pub(crate) struct Packer {
    compressor: Compressor<'static>,
    pub(crate) dictionary: Vec<u8>,
}

impl Packer {
    /// A packer with the dictionary that the samples yield, if that pays for so many bytes.
    pub(crate) fn new(packing: Packing, samples: &[Vec<u8>], bytes: u64) -> io::Result<Self> {
        let dictionary = match train(samples) {
            Some(dictionary) if pays(packing.level(), &dictionary, samples, bytes)? => dictionary,
            _ => Vec::new(),
        };
        let compressor = Compressor::with_dictionary(packing.level(), &dictionary)?;
        Ok(Packer { compressor, dictionary })
    }

    pub(crate) fn pack(&mut self, content: &[u8]) -> io::Result<Vec<u8>> {
        self.compressor.compress(content)
    }
}

fn train(samples: &[Vec<u8>]) -> Option<Vec<u8>> {
    // Samples that have nothing in common are an error to zstd, and no dictionary to us.
    (samples.len() >= SAMPLES).then(|| zstd::dict::from_samples(samples, DICTIONARY).ok()).flatten()
}

/// Tries a dictionary on blocks of samples and reckons up what it would save of all.
fn pays(level: i32, dictionary: &[u8], samples: &[Vec<u8>], bytes: u64) -> io::Result<bool> {
    let mut without = Compressor::new(level)?;
    let mut with = Compressor::with_dictionary(level, dictionary)?;
    let (mut content, mut saved, mut tried) = (Vec::new(), 0, 0);
    for sample in samples {
        content.extend_from_slice(sample);
        if content.len() as u64 >= SMALL_BLOCK {
            let [plain, packed] = [&mut without, &mut with]
                .map(|compressor| compressor.compress(&content).map(|packed| packed.len() as i128));
            saved += plain? - packed?;
            tried += content.len() as i128;
            content.clear();
        }
    }
    let whole = if tried == 0 { 0 } else { saved * i128::from(bytes) / tried };
    Ok(whole > i128::from(PAYS) * dictionary.len() as i128)
}

thread_local! {
    static UNPACKER: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// Whether a packed block says of itself that its content has so many bytes. Asked before memory is
/// taken for it.
pub(crate) fn is_of(stored: &[u8], content: u64) -> bool {
    matches!(zstd::zstd_safe::get_frame_content_size(stored), Ok(Some(found)) if found == content)
}

/// Unpacks a block that must fill `to` exactly.
pub(crate) fn unpack(
    stored: &[u8],
    dictionary: Option<&DDict<'static>>,
    to: &mut [u8],
) -> Result<(), &'static str> {
    const WRONG: &str = "a packed block can't be unpacked";
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = DCtx::try_create();
        }
        let Some(unpacker) = unpacker else { return Err("there is no memory to unpack a block") };
        let done = match dictionary {
            Some(dictionary) => unpacker.decompress_using_ddict(to, stored, dictionary),
            None => unpacker.decompress(to, stored),
        };
        if done == Ok(to.len()) { Ok(()) } else { Err(WRONG) }
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
    fn a_block_comes_back_with_and_without_a_dictionary() {
        for samples in [samples(), Vec::new()] {
            let mut packer = Packer::new(Packing::Small, &samples, 1 << 30).unwrap();
            assert_eq!(packer.dictionary.is_empty(), samples.is_empty());
            let dictionary = DDict::create(&packer.dictionary);
            let dictionary = (!packer.dictionary.is_empty()).then_some(&dictionary);
            let content = b"{\"account\":\"DE0000000001\",\"currency\":\"EUR\"}".repeat(3);
            let packed = packer.pack(&content).unwrap();
            let mut back = vec![0; content.len()];
            unpack(&packed, dictionary, &mut back).unwrap();
            assert_eq!(back, content);
            assert!(is_of(&packed, content.len() as u64));
            assert!(!is_of(&packed, content.len() as u64 + 1) && !is_of(&packed[..2], 1));
            assert!(unpack(&packed, dictionary, &mut vec![0; content.len() - 1]).is_err());
            assert!(unpack(&packed, dictionary, &mut vec![0; content.len() + 1]).is_err());
            assert!(unpack(&packed[..packed.len() - 1], dictionary, &mut back).is_err());
        }
    }

    #[test]
    fn a_dictionary_that_does_not_pay_is_not_kept() {
        assert!(Packer::new(Packing::Small, &samples(), 1_000).unwrap().dictionary.is_empty());
    }
}
