//! Reads what gzip or zstd may have compressed.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes of one read.
const READ_AHEAD: usize = 256 << 10;
/// What gzip begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// What zstd begins with.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Returns the content of an input: gzip and zstd are recognised by their first bytes.
///
/// # Errors
/// The first bytes can't be read.
pub fn decompressed<'a>(
    mut input: impl Read + Send + 'a,
) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    let mut start = Vec::new();
    (&mut input).take(ZSTD.len() as u64).read_to_end(&mut start)?;
    let (is_gzip, is_zstd) = (start.starts_with(GZIP), start.starts_with(ZSTD));
    let whole = BufReader::with_capacity(READ_AHEAD, Cursor::new(start).chain(input));
    Ok(match (is_gzip, is_zstd) {
        (true, _) => Box::new(BufReader::with_capacity(READ_AHEAD, MultiGzDecoder::new(whole))),
        (_, true) => {
            let decoder = zstd::Decoder::with_buffer(whole)?;
            Box::new(BufReader::with_capacity(READ_AHEAD, decoder))
        }
        _ => Box::new(whole),
    })
}
