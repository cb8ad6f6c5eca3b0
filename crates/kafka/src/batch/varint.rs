use bytes::{BufMut, Bytes, BytesMut};

/// Appends a number in zigzag encoding with a variable length.
pub(super) fn put(buffer: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        buffer.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.put_u8(rest as u8);
}

/// Returns the bytes that [`put`] takes for a number.
pub(super) fn size(value: i64) -> usize {
    let bits = 64 - (((value << 1) ^ (value >> 63)) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes a number from the start.
pub(super) fn get(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// Appends a length and the bytes; the length is -1 for `None`.
pub(super) fn put_bytes(buffer: &mut BytesMut, bytes: Option<&Bytes>) {
    put(buffer, bytes.map_or(-1, |bytes| bytes.len() as i64));
    buffer.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
}

/// Takes a length and the bytes from the start.
pub(super) fn get_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = get(bytes)?;
    if length < 0 {
        return Some(None);
    }
    Some(Some(bytes.split_off(..usize::try_from(length).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_a_round_trip() {
        for value in [0, -1, 1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut buffer = BytesMut::new();
            put(&mut buffer, value);
            assert_eq!(size(value), buffer.len());
            assert_eq!(get(&mut &buffer[..]), Some(value));
        }
        assert_eq!(get(&mut &[0x80; 11][..]), None);
        assert_eq!(get_bytes(&mut &[8, 1][..]), None);
    }
}
