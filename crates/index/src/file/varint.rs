//! Variable-length numbers: 7 bits per byte, lowest first; all bytes but the last have their
//! highest bit set.

/// The most bytes of a number.
pub(super) const MOST_BYTES: usize = 5;

pub(super) fn write(mut number: u32, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Returns the number at the start of `bytes` and its length.
pub(super) fn read(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0;
    for (i, byte) in bytes.iter().enumerate().take(MOST_BYTES) {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(number).ok()?, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_numbers_are_read_and_truncated_ones_refused() {
        for number in (0..32).flat_map(|bits| [1 << bits, (1 << bits) - 1, u32::MAX >> bits]) {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            assert_eq!(read(&bytes), Some((number, bytes.len())));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(read(&[0xff; 8]), None);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None);
    }
}
