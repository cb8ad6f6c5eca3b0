//! Where the values are while a document passes.
//!
//! A value inside a record is two positions in the record's bytes; nothing is copied until it is
//! used. Values that must outlive the window (of the file and the group), and the few that are
//! put together from several pieces, are strings that are reused from record to record.

use super::text::{UnknownEntity, unescape};
use super::tokens::{Span, is_space};
use crate::plan::xml::{Scope, XmlPlan};
use crate::reason::{Problem, Reason};
use std::borrow::Cow;

/// How the text of a piece is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Piece {
    /// With references in it.
    #[default]
    Text,
    /// As it stands.
    CData,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Absent,
    Record(Piece),
    /// In the slot's own string.
    Built,
    /// In the strings of the parts.
    Parts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    place: Place,
    span: Span,
    /// The element has ended; further ones are ignored or joined.
    closed: bool,
    /// The value is the name of an entity that cannot be replaced.
    bad: bool,
}

pub(crate) struct Slots<'m> {
    plan: &'m XmlPlan,
    slots: Vec<Slot>,
    built: Vec<String>,
    /// The slots of each scope.
    members: [Vec<usize>; 5],
    /// Where a part's slot is among the slots of its part.
    part_places: Vec<usize>,
    parts: Vec<Slot>,
    part_count: usize,
    part_text: String,
}

impl<'m> Slots<'m> {
    pub(crate) fn new(plan: &'m XmlPlan) -> Self {
        let mut members: [Vec<usize>; 5] = Default::default();
        let mut part_places = vec![0; plan.scopes.len()];
        for (slot, scope) in plan.scopes.iter().enumerate() {
            part_places[slot] = members[*scope as usize].len();
            members[*scope as usize].push(slot);
        }
        Slots {
            plan,
            slots: vec![Slot::default(); plan.scopes.len()],
            built: vec![String::new(); plan.scopes.len()],
            members,
            part_places,
            parts: Vec::new(),
            part_count: 0,
            part_text: String::new(),
        }
    }

    /// Forgets the values of a scope, for the next of its kind.
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

    /// How many parts the record has.
    pub(crate) fn part_count(&self) -> usize {
        self.part_count
    }

    /// Keeps the values of the part that has ended.
    pub(crate) fn close_part(&mut self) {
        for slot in &self.members[Scope::Part as usize] {
            let mut kept = self.slots[*slot];
            if kept.place == Place::Built {
                let start = self.part_text.len();
                self.part_text.push_str(&self.built[*slot]);
                // Never longer than the record, which fits into u32.
                kept.span = Span { start: start as u32, end: self.part_text.len() as u32 };
                kept.place = Place::Parts;
            }
            self.parts.push(kept);
        }
        self.part_count += 1;
    }

    /// The element that fills `slot` has ended.
    pub(crate) fn close(&mut self, slot: u32) {
        let slot = &mut self.slots[slot as usize];
        slot.closed = slot.place != Place::Absent;
    }

    /// A piece of the element's text; `bytes` are the pinned ones. The error names the place of
    /// text that is not UTF-8.
    pub(crate) fn add(
        &mut self,
        at: u32,
        bytes: &[u8],
        span: Span,
        piece: Piece,
    ) -> Result<(), std::str::Utf8Error> {
        let at = at as usize;
        let slot = self.slots[at];
        let ignored = slot.bad || (slot.closed && self.plan.joins[at].is_none());
        let begins = slot.place == Place::Absent || slot.closed;
        if ignored || (begins && span.of(bytes).iter().all(|byte| is_space(*byte))) {
            return Ok(());
        }
        let in_record = matches!(self.plan.scopes[at], Scope::Record | Scope::Part);
        if in_record && slot.place == Place::Absent {
            self.slots[at].place = Place::Record(piece);
            self.slots[at].span = span;
            return Ok(());
        }
        if let Place::Record(first) = slot.place {
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
        slot.place = Place::Built;
        let text = if self.built[at].is_empty() { text.trim_start() } else { text };
        match read(text, piece) {
            Ok(text) => self.built[at].push_str(&text),
            Err(UnknownEntity(name)) => {
                slot.bad = true;
                self.built[at] = name;
            }
        }
    }

    /// The value of a slot; `record` is the whole record. Empty is absent.
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
                &self.parts[part * stride + self.part_places[at]]
            }
            _ => &self.slots[at],
        };
        let cut = |text: &'a str| text.get(slot.span.start as usize..slot.span.end as usize);
        let text = match slot.place {
            Place::Absent => return Ok(None),
            Place::Record(piece) => read(cut(record).unwrap_or_default().trim_ascii(), piece),
            Place::Built => Ok(Cow::Borrowed(self.built[at].trim_end())),
            Place::Parts => Ok(Cow::Borrowed(cut(&self.part_text).unwrap_or_default().trim_end())),
        };
        match text {
            Ok(name) if slot.bad => Err(unknown_entity(&name)),
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
