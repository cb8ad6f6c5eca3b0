//! Recomputes checksums in changed files, as `docs/format.md` describes them. Bytes without the
//! expected structure stay unchanged.

use crate::disk::Files;

const STORE_BYTES: usize = 128;
const HEAD_BYTES: usize = 64;
const FOOTER_BYTES: usize = 96;
const INDEX_BLOCK: usize = 4096;

/// Returns the start value of a segment's checksums, which derives from its store and number.
pub(crate) fn salt(store_id: [u8; 16], id: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&store_id), &id.to_le_bytes())
}

fn crc(start: u32, parts: &[&[u8]]) -> u32 {
    parts.iter().fold(start, |crc, part| crc32c::crc32c_append(crc, part))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn slice(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let (at, end) = (usize::try_from(at).ok()?, usize::try_from(at.checked_add(length)?).ok()?);
    bytes.get(at..end)
}

/// Writes bytes at an offset, if they fit.
pub(crate) fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = at.checked_add(what.len()).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(what);
    }
}

/// Recomputes the checksums of all files of a store.
pub(crate) fn all(files: &mut Files, store_id: [u8; 16]) {
    for (name, bytes) in files {
        file(name, bytes, store_id);
    }
}

fn file(name: &str, bytes: &mut [u8], store_id: [u8; 16]) {
    match (name, numbers_of(name)) {
        ("STORE", _) => store(bytes),
        ("MANIFEST", _) => manifest(bytes),
        (_, Some((1, id, _))) => segment(bytes, store_id, id),
        (_, Some((kind, id, generation))) => {
            index(bytes, store_id, kind << 56 ^ generation << 40 ^ id);
        }
        _ => {}
    }
}

/// Returns the kind, number and generation of a file.
fn numbers_of(name: &str) -> Option<(u64, u64, u64)> {
    let (_, name) = name.split_once('/')?;
    let mut parts = name.split('.');
    let (id, generation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let kind = match parts.next()? {
        "seg" => 1,
        "idx" => 2,
        other => other.strip_prefix('k')?.parse().ok()?,
    };
    Some((kind, id, generation))
}

fn store(bytes: &mut [u8]) {
    let sum = crc(0, &[bytes.get(..STORE_BYTES - 4).unwrap_or_default()]);
    put(bytes, STORE_BYTES - 4, &sum.to_le_bytes());
}

pub(crate) fn manifest(bytes: &mut [u8]) {
    let Some((head, entries)) = bytes.split_at_checked(HEAD_BYTES) else { return };
    let sum = crc(0, &[&head[..HEAD_BYTES - 4], entries]);
    put(bytes, HEAD_BYTES - 4, &sum.to_le_bytes());
}

pub(crate) fn index(bytes: &mut [u8], store_id: [u8; 16], id: u64) {
    let salt = salt(store_id, id);
    for (number, block) in (0u64..).zip(bytes.chunks_exact_mut(INDEX_BLOCK)) {
        let sum = crc(salt, &[&number.to_le_bytes(), &block[..INDEX_BLOCK - 4]]);
        put(block, INDEX_BLOCK - 4, &sum.to_le_bytes());
    }
}

pub(crate) fn segment(bytes: &mut [u8], store_id: [u8; 16], id: u64) {
    let salt = salt(store_id, id);
    let sum = crc(0, &[bytes.get(..HEAD_BYTES - 4).unwrap_or_default()]);
    put(bytes, HEAD_BYTES - 4, &sum.to_le_bytes());
    let end = footer(bytes, salt).unwrap_or(bytes.len());
    frames(bytes, salt, end);
}

/// Recomputes the footer and the tables before it, if there are any; returns where the frames end.
fn footer(bytes: &mut [u8], salt: u32) -> Option<usize> {
    let at = bytes.len().checked_sub(FOOTER_BYTES)?;
    bytes[at..].starts_with(b"LFSEGEND").then_some(())?;
    let (version, blocks) = (u32_at(bytes, at + 8)?, u32_at(bytes, at + 12)?);
    let data_end = u64_at(bytes, at + 40)?;
    let tables = if version == 2 { u64_at(bytes, at + 80)? } else { data_end };
    let tables = usize::try_from(tables).ok().filter(|tables| *tables <= at)?;
    if version == 2 {
        compressed(&mut bytes[..at], salt, tables.checked_add(blocks as usize * 48)?);
    }
    let sum = crc(0, &[&bytes[tables..at]]);
    put(bytes, at + 88, &sum.to_le_bytes());
    let sum = crc(0, &[&bytes[at..at + FOOTER_BYTES - 4]]);
    put(bytes, at + FOOTER_BYTES - 4, &sum.to_le_bytes());
    Some(if version == 2 { 0 } else { tables })
}

/// Recomputes the compressed blocks whose table of entries begins at `at`.
fn compressed(bytes: &mut [u8], salt: u32, mut at: usize) {
    while let (Some(from), Some(length)) = (u64_at(bytes, at), u32_at(bytes, at + 8)) {
        if let Some(stored) = slice(bytes, from, length.into()) {
            let sum = crc(salt, &[stored]);
            put(bytes, at + 12, &sum.to_le_bytes());
        }
        at += 16;
    }
}

fn frames(bytes: &mut [u8], salt: u32, end: usize) {
    let mut at = HEAD_BYTES;
    while at < end && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"LFRM")) {
        let Some(next) = frame(bytes, salt, at) else { return };
        at = next;
    }
}

/// Recomputes a frame; returns the offset of the next one.
fn frame(bytes: &mut [u8], salt: u32, at: usize) -> Option<usize> {
    let (extensions, records) = (u32_at(bytes, at + 8)?, u32_at(bytes, at + 12)?);
    let first = u64_at(bytes, at + 24)?;
    let start = at + HEAD_BYTES;
    let extension = slice(bytes, start as u64, extensions.into())?;
    let head = bytes.get(at..start)?;
    let sum = crc(salt, &[&(at as u64).to_le_bytes(), &head[..16], &head[20..], extension]);
    put(bytes, at + 16, &sum.to_le_bytes());
    let mut record_at = start + extensions as usize;
    let end = record_at + records as usize;
    let mut position = first;
    while record_at < end
        && let Some(next) = record(bytes, salt, record_at, position)
    {
        (record_at, position) = (next, position.wrapping_add(1));
    }
    Some(end)
}

fn record(bytes: &mut [u8], salt: u32, at: usize, position: u64) -> Option<usize> {
    let length = u32_at(bytes, at)?;
    let body = slice(bytes, at as u64 + 16, length.into())?;
    let time = bytes.get(at + 8..at + 16)?;
    let sum = crc(salt, &[&position.to_le_bytes(), &length.to_le_bytes(), time, body]);
    put(bytes, at + 4, &sum.to_le_bytes());
    Some(at + 16 + length as usize)
}
