//! Collects the values of a document while the reader passes over it.
//!
//! A value inside a record is a span of the record's bytes, which is copied only when it is used.
//! Values of the file and the group outlive the window, and a few values consist of several pieces;
//! these are strings that are reused from record to record.

use super::text::{UnknownEntity, unescape};
use super::tokens::{Span, is_space};
use crate::plan::xml::{Scope, XmlPlan};
use crate::reason::{Problem, Reason};
use std::borrow::Cow;

/// The encoding of a piece of text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Piece {
    /// Text with references.
    #[default]
    Text,
    /// Text without references.
    CData,
}

/// The storage of a slot's value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Storage {
    #[default]
    Absent,
    /// A span of the record.
    Record(Piece),
    /// The slot's own string.
    Built,
    /// A span of the parts' string.
    Parts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    storage: Storage,
    span: Span,
    /// The element has ended; further elements are ignored or joined.
    closed: bool,
    fault: Fault,
}

/// Why a slot has no readable value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// The stored text is the name of an entity that cannot be replaced.
    Entity,
    /// The text is not UTF-8.
    Bytes,
}

pub(crate) struct Slots<'m> {
    plan: &'m XmlPlan,
    slots: Vec<Slot>,
    built: Vec<String>,
    /// The slots of each scope.
    members: [Vec<usize>; 5],
    /// The index of each part slot among the slots of a part.
    part_indexes: Vec<usize>,
    parts: Vec<Slot>,
    part_count: usize,
    part_text: String,
}

impl<'m> Slots<'m> {
    pub(crate) fn new(plan: &'m XmlPlan) -> Self {
        let mut members: [Vec<usize>; 5] = Default::default();
        let mut part_indexes = vec![0; plan.scopes.len()];
        for (slot, scope) in plan.scopes.iter().enumerate() {
            part_indexes[slot] = members[*scope as usize].len();
            members[*scope as usize].push(slot);
        }
        Slots {
            plan,
            slots: vec![Slot::default(); plan.scopes.len()],
            built: vec![String::new(); plan.scopes.len()],
            members,
            part_indexes,
            parts: Vec::new(),
            part_count: 0,
            part_text: String::new(),
        }
    }

    /// Clears the values of a scope, for its next element.
    pub(crate) fn reset(&mut self, scope: Scope) {
        for slot in &self.members[scope as usize] {
            self.slots[*slot] = Slot::default();
            self.built[*slot].clear();
        }
        if scope == Scope::Record {
            self.parts.clear();
            self.part_count = 0;
            self.part_text.clear();
        }
    }

    /// Returns the number of parts of the record.
    pub(crate) fn part_count(&self) -> usize {
        self.part_count
    }

    /// Saves the values of a part at its end.
    pub(crate) fn close_part(&mut self) {
        for slot in &self.members[Scope::Part as usize] {
            let mut kept = self.slots[*slot];
            if kept.storage == Storage::Built {
                let start = self.part_text.len();
                self.part_text.push_str(&self.built[*slot]);
                // Never longer than the record, which fits into u32.
                kept.span = Span { start: start as u32, end: self.part_text.len() as u32 };
                kept.storage = Storage::Parts;
            }
            self.parts.push(kept);
        }
        self.part_count += 1;
    }

    /// Marks the end of the element that fills `slot`.
    pub(crate) fn close(&mut self, slot: u32) {
        let slot = &mut self.slots[slot as usize];
        slot.closed = slot.storage != Storage::Absent;
    }

    /// Adds a piece of an element's text; `bytes` are the pinned bytes.
    ///
    /// A text that is not UTF-8 spoils the value: records that use it are refused.
    pub(crate) fn add(&mut self, at: u32, bytes: &[u8], span: Span, piece: Piece) {
        let at = at as usize;
        let slot = self.slots[at];
        let faulty = slot.fault != Fault::None;
        let ignored = faulty || (slot.closed && self.plan.joins[at].is_none());
        let begins = slot.storage == Storage::Absent || slot.closed;
        if ignored || (begins && span.of(bytes).iter().all(|byte| is_space(*byte))) {
            return;
        }
        let in_record = matches!(self.plan.scopes[at], Scope::Record | Scope::Part);
        if in_record && slot.storage == Storage::Absent {
            self.slots[at].storage = Storage::Record(piece);
            self.slots[at].span = span;
            return;
        }
        if self.add_text(at, bytes, span, piece).is_err() {
            let slot = &mut self.slots[at];
            (slot.storage, slot.fault) = (Storage::Built, Fault::Bytes);
            self.built[at].clear();
        }
    }

    /// Adds a piece to the slot's own string.
    fn add_text(
        &mut self,
        at: usize,
        bytes: &[u8],
        span: Span,
        piece: Piece,
    ) -> Result<(), std::str::Utf8Error> {
        let slot = self.slots[at];
        if let Storage::Record(first) = slot.storage {
            self.append(at, std::str::from_utf8(slot.span.of(bytes))?, first);
        }
        let text = std::str::from_utf8(span.of(bytes))?;
        if slot.closed {
            let separator = self.plan.joins[at].as_deref().unwrap_or_default();
            let length = self.built[at].trim_end().len();
            self.built[at].truncate(length);
            self.built[at].push_str(separator);
            self.slots[at].closed = false;
            self.append(at, text.trim_start(), piece);
        } else {
            self.append(at, text, piece);
        }
        Ok(())
    }

    fn append(&mut self, at: usize, text: &str, piece: Piece) {
        let slot = &mut self.slots[at];
        slot.storage = Storage::Built;
        let text = if self.built[at].is_empty() { text.trim_start() } else { text };
        match read(text, piece) {
            Ok(text) => self.built[at].push_str(&text),
            Err(UnknownEntity(name)) => {
                slot.fault = Fault::Entity;
                self.built[at] = name;
            }
        }
    }

    /// Returns the value of a slot; `record` is the whole record. An empty value is absent.
    pub(crate) fn value<'a>(
        &'a self,
        at: u32,
        record: &'a str,
        part: Option<usize>,
    ) -> Result<Option<Cow<'a, str>>, Problem> {
        let at = at as usize;
        let slot = match (self.plan.scopes[at], part) {
            (Scope::Part, None) => return Ok(None),
            (Scope::Part, Some(part)) => {
                let stride = self.members[Scope::Part as usize].len();
                &self.parts[part * stride + self.part_indexes[at]]
            }
            _ => &self.slots[at],
        };
        if slot.fault == Fault::Bytes {
            let message = "A value that the record needs is not UTF-8; declare the file's encoding \
                           in its first line, or repair the bytes.";
            return Err(Problem::new(Reason::MalformedRecord, message));
        }
        let cut = |text: &'a str| text.get(slot.span.start as usize..slot.span.end as usize);
        let text = match slot.storage {
            Storage::Absent => return Ok(None),
            Storage::Record(piece) => read(cut(record).unwrap_or_default().trim_ascii(), piece),
            Storage::Built => Ok(Cow::Borrowed(self.built[at].trim_end())),
            Storage::Parts => {
                Ok(Cow::Borrowed(cut(&self.part_text).unwrap_or_default().trim_end()))
            }
        };
        match text {
            Ok(name) if slot.fault == Fault::Entity => Err(unknown_entity(&name)),
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(UnknownEntity(name)) => Err(unknown_entity(&name)),
        }
    }
}

fn read(text: &str, piece: Piece) -> Result<Cow<'_, str>, UnknownEntity> {
    match piece {
        Piece::Text => unescape(text),
        Piece::CData => Ok(Cow::Borrowed(text)),
    }
}

fn unknown_entity(name: &str) -> Problem {
    let message = format!(
        "A value uses the reference '&{name};'. Only &lt; &gt; &amp; &quot; &apos; and character \
         numbers are replaced; write the text itself, and &amp; for a plain '&'."
    );
    Problem::new(Reason::UnknownEntity, message)
}
