//! Rebuilds the state in memory from the log when the store is opened.

use std::collections::BTreeMap;

use leftfold_index::ActivePart;
use leftfold_log::FrameView;
use leftfold_log::format::EXTENSION_CHECKPOINTS;
use smallvec::SmallVec;

use super::checkpoints::deleted_by;
use super::indexes::{IndexChange, IndexList};
use crate::embedded::events::decode_event;
use crate::keys::{EventPostings, Keys, Postings, StreamKeys};
use leftfold_api::{CheckpointMove, Cursor, Failure, Recorded};

/// The state that is rebuilt, frame by frame.
pub(crate) struct RebuildState {
    pub(crate) keys: Keys,
    pub(crate) checkpoints: BTreeMap<String, Cursor>,
    pub(crate) indexes: IndexList,
    /// Whether an event was lost by damage. It may have defined an index that is now unknown.
    pub(crate) lost: bool,
}

impl RebuildState {
    /// Adds a frame to the state and its events to the postings.
    pub(crate) fn frame(&mut self, frame: FrameView, active: &ActivePart) -> Result<(), Failure> {
        self.moves(&frame);
        let mut adding = active.writer();
        for record in frame.records {
            self.event(&decode_event(record)?, &mut adding);
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

    /// Adds an event's postings and its definition, if it has one.
    pub(crate) fn event(&mut self, event: &Recorded, adding: &mut impl Postings) {
        let (keys, position) = (self.keys, event.position());
        self.lost |= event.is_lost();
        let stream_keys = StreamKeys::new(&keys, event.stream());
        let (mut facts, mut indexes) = (SmallVec::<[_; 8]>::new(), SmallVec::<[_; 4]>::new());
        keys.facts(event, &mut facts);
        self.indexes.keys_of(event, stream_keys, &facts, &mut indexes);
        let postings = EventPostings {
            position,
            version: event.version(),
            stream: event.stream(),
            stream_keys,
            facts: &facts,
            indexes: &indexes,
            id: keys.event(&stream_keys.stream, event.id()),
        };
        postings.add_to(&keys, adding);
        if let Some(name) = deleted_by(event) {
            self.checkpoints.remove(name);
        }
        if let Some(change) = IndexChange::of_recorded(event) {
            self.change(position, &change);
        }
    }

    /// Applies a definition or removal at a position.
    pub(crate) fn change(&mut self, position: u64, change: &IndexChange) {
        let defined = change.defined_at(position, &self.keys);
        self.indexes = self.indexes.with(change.name(), defined, &self.keys);
    }
}

/// Encodes the checkpoint moves of a frame: for each the length of its name (2 bytes), name, cursor.
pub(crate) fn encode_moves(moves: &[CheckpointMove]) -> Vec<u8> {
    let mut out = Vec::new();
    moves.iter().for_each(|to| encode_checkpoint(&to.name, &to.to, &mut out));
    out
}

/// Encodes all checkpoints, for the index file of a segment.
pub(crate) fn encode_checkpoints(checkpoints: &BTreeMap<String, Cursor>) -> Vec<u8> {
    let mut out = Vec::new();
    checkpoints.iter().for_each(|(name, cursor)| encode_checkpoint(name, cursor, &mut out));
    out
}

fn encode_checkpoint(name: &str, cursor: &Cursor, out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&cursor.to_bytes());
}

/// Decodes checkpoint moves or checkpoints. Ends early at invalid bytes.
pub(crate) fn decode_moves(mut bytes: &[u8]) -> impl Iterator<Item = (String, Cursor)> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (cursor, rest) = Cursor::split_first(rest)?;
        bytes = rest;
        Some((String::from_utf8(name.to_vec()).ok()?, cursor))
    })
}
