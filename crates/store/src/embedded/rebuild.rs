//! What is in memory is made again from the log when the store is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_index::{ActivePart, Key, PostingWriter};
use leftfold_log::FrameView;
use leftfold_log::format::EXTENSION_CHECKPOINTS;

use super::indexes::{Change, Named};
use crate::append::CheckpointMove;
use crate::cursor::Cursor;
use crate::error::Failure;
use crate::keys::Keys;
use crate::names::category_of;
use crate::query::Field;
use crate::recorded::Recorded;

/// What takes postings.
pub(crate) trait Postings {
    fn add_posting(&mut self, key: Key, position: u64);
    fn add_numbered(&mut self, key: Key, position: u64, ordinal: u64);
    fn add_single(&mut self, key: Key, position: u64);
}

impl Postings for PostingWriter<'_> {
    fn add_posting(&mut self, key: Key, position: u64) {
        self.add_posting(key, position);
    }

    fn add_numbered(&mut self, key: Key, position: u64, ordinal: u64) {
        self.add_numbered(key, position, ordinal);
    }

    fn add_single(&mut self, key: Key, position: u64) {
        self.add_single(key, position);
    }
}

/// The state that frames build up, one after the other.
pub(crate) struct Rebuilt {
    pub(crate) keys: Keys,
    pub(crate) checkpoints: BTreeMap<String, Cursor>,
    pub(crate) named: BTreeMap<String, Arc<Named>>,
    /// Whether an event was lost by damage: it may have defined an index of which nothing is known.
    pub(crate) lost: bool,
}

impl Rebuilt {
    /// Takes a frame into the state and its events into the postings.
    pub(crate) fn frame(&mut self, frame: FrameView, active: &ActivePart) -> Result<(), Failure> {
        self.moves(&frame);
        let mut adding = active.writer();
        for record in frame.records {
            self.event(&Recorded::new(record)?, &mut adding);
        }
        Ok(())
    }

    fn moves(&mut self, frame: &FrameView) {
        for extension in frame.extensions() {
            if extension.kind == EXTENSION_CHECKPOINTS {
                self.checkpoints.extend(decode_moves(extension.value));
            }
        }
    }

    /// Takes an event's postings, and what it defines.
    pub(crate) fn event(&mut self, event: &Recorded, adding: &mut impl Postings) {
        let (keys, position) = (self.keys, event.position());
        self.lost |= event.is_lost();
        let stream = keys.of(Field::Stream, event.stream());
        let category = category_of(event.stream());
        adding.add_numbered(stream, position, event.version());
        adding.add_posting(keys.of(Field::Category, category), position);
        if event.version() == 0 {
            adding.add_posting(keys.starts(), position);
            adding.add_posting(keys.starts_in(category), position);
        }
        adding.add_posting(keys.of(Field::Type, event.event_type()), position);
        if let Some(id) = event.correlation() {
            adding.add_posting(keys.of(Field::Correlation, id), position);
        }
        for (key, value) in event.tags() {
            adding.add_posting(keys.tag(key, value), position);
        }
        adding.add_single(keys.event(&stream, event.id()), position);
        for named in self.named.values().filter(|named| named.query.matches(event)) {
            adding.add_posting(named.key, position);
        }
        if let Some(change) = Change::of_recorded(event) {
            self.change(position, &change);
        }
    }

    /// A definition or removal at a position.
    pub(crate) fn change(&mut self, position: u64, change: &Change) {
        self.named.remove(change.name());
        if let Some(named) = change.defined_at(position, &self.keys) {
            self.named.insert(named.name.clone(), named);
        }
    }
}

/// Checkpoint moves in a frame: for each the length of its name (2 bytes), its name, its cursor (13).
pub(crate) fn encode_moves(moves: &[CheckpointMove]) -> Vec<u8> {
    let mut out = Vec::new();
    moves.iter().for_each(|to| encode_checkpoint(&to.name, to.to, &mut out));
    out
}

/// All checkpoints, as a sealed part of the index keeps them.
pub(crate) fn encode_checkpoints(checkpoints: &BTreeMap<String, Cursor>) -> Vec<u8> {
    let mut out = Vec::new();
    checkpoints.iter().for_each(|(name, cursor)| encode_checkpoint(name, *cursor, &mut out));
    out
}

fn encode_checkpoint(name: &str, cursor: Cursor, out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&cursor.to_bytes());
}

/// Reads what was encoded; ends early where it makes no sense.
pub(crate) fn decode_moves(mut bytes: &[u8]) -> impl Iterator<Item = (String, Cursor)> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (cursor, rest) = rest.split_at_checked(size_of::<[u8; 13]>())?;
        bytes = rest;
        Some((String::from_utf8(name.to_vec()).ok()?, Cursor::from_bytes(cursor).ok()?))
    })
}
