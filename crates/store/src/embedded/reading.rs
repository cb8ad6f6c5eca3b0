use std::sync::atomic::Ordering;

use leftfold_index::{Key, Order};
use leftfold_log::Direction;

use super::core::Core;
use super::indexes::ordinal_needs_list;
use super::page::{PageRead, PageStart};
use super::retention::StreamRetention;
use crate::plan::Plan;
use leftfold_api::names;
use leftfold_api::{
    Field, Invalid, Page, Point, Query, Read, ReadError, Start, StreamInfo, Streams, StreamsPage,
};

/// The most events of a short page, which takes a few tens of microseconds from memory.
pub(super) const SHORT_PAGE: usize = 256;

/// The position of an event that does not exist yet.
const NOT_YET: u64 = u64::MAX - 1;

impl Core {
    /// Reads a page of at most this many events from memory, or returns `None` if a file is needed or the page is
    /// longer. Passing such a read to another thread would take longer.
    pub(crate) fn read_from_memory(&self, read: &Read, most: usize) -> Option<Page> {
        // An error is reported by the read with files.
        leftfold_io::from_memory(|| self.read_up_to(read, most))?.ok()?
    }

    /// Reads a page of at most this many events, or returns `None` if the page is longer.
    pub(crate) fn read_up_to(&self, read: &Read, most: usize) -> Result<Option<Page>, ReadError> {
        let Some((field, text)) = read.query.one_key() else { return Ok(None) };
        if read.limit > most && read.from == Start::Outermost {
            let key = self.keys.of(field, text);
            let count = self.index.set.load().count(&key, self.log.head().position)?;
            if count > most as u64 {
                return Ok(None);
            }
        }
        let page = self.read(&Read { limit: read.limit.min(most), ..read.clone() })?;
        let is_cut = page.more && page.events.len() == most && read.limit > most;
        Ok((!is_cut).then_some(page))
    }

    pub(crate) fn read(&self, read: &Read) -> Result<Page, ReadError> {
        match PageRead::start(self, read)? {
            PageStart::Ready(page) => Ok(page),
            PageStart::Reading(mut reading) => loop {
                if let Some(page) = reading.take_turn(self)? {
                    return Ok(page);
                }
            },
        }
    }

    /// Returns the first and the last position of a read.
    pub(crate) fn range(&self, read: &Read, head: u64) -> Result<[u64; 2], ReadError> {
        let span = |point: &Point| self.span_of(point, &read.query, head);
        Ok(match (read.direction, &read.from) {
            (_, Start::Outermost) => [1, head],
            (Direction::Forward, Start::Including(point)) => [span(point)?[0].max(1), head],
            (Direction::Forward, Start::Excluding(point)) => {
                [span(point)?[1].saturating_add(1), head]
            }
            (Direction::Backward, Start::Including(point)) => [1, span(point)?[1].min(head)],
            (Direction::Backward, Start::Excluding(point)) => {
                [1, span(point)?[0].saturating_sub(1).min(head)]
            }
        })
    }

    /// Returns the first and the last position of a point.
    fn span_of(&self, point: &Point, query: &Query, head: u64) -> Result<[u64; 2], ReadError> {
        let one = |position: u64| Ok([position, position]);
        match *point {
            Point::Cursor(ref cursor) => one(self.position_of(cursor)?),
            Point::Position(position) => one(position),
            Point::Version(version) => {
                let Some(stream) = query.as_stream() else {
                    return Err(version_needs_stream().into());
                };
                let key = self.keys.of(Field::Stream, stream);
                self.span_in_list(&key, version, head)
            }
            Point::Ordinal(ordinal) => {
                let key = self.single_list_key(query)?.ok_or_else(ordinal_needs_list)?;
                self.span_in_list(&key, ordinal, head)
            }
            Point::CommitTime(time) => {
                let first = self.log.position_at_commit_time(time.0)?;
                let after = self.log.position_at_commit_time(time.0.saturating_add(1))?;
                match after > head && time.0 > self.clock.now_micros() {
                    true => Ok([if first > head { NOT_YET } else { first }, NOT_YET]),
                    false => Ok([first.min(head + 1), after.min(head + 1) - 1]),
                }
            }
        }
    }

    /// Returns the first and the last position of the n-th event of a list. The next event begins behind
    /// the last one.
    fn span_in_list(&self, key: &Key, number: u64, head: u64) -> Result<[u64; 2], ReadError> {
        let set = self.index.set.load();
        if let Some(position) = set.nth(key, number, head)? {
            return Ok([position, position]);
        }
        let before = match number.checked_sub(1) {
            Some(before) => set.nth(key, before, self.last_known())?,
            None => Some(0),
        };
        Ok([before.map_or(NOT_YET, |before| before + 1), NOT_YET])
    }

    /// Returns the last position that any caller may know of.
    pub(crate) fn last_known(&self) -> u64 {
        self.progress.known.load(Ordering::Acquire).max(self.log.head().position)
    }

    pub(crate) fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        names::check("stream", name)?;
        let (head, index) = (self.log.head().position, self.index.set.load_full());
        let key = self.keys.of(Field::Stream, name);
        let Some(last) = index.last(&key, head)? else { return Ok(None) };
        let first_position = index.nth(&key, 0, head)?.unwrap_or_default();
        let retention = self.stream_state(name, head)?.retention;
        Ok(Some(StreamInfo {
            name: name.to_owned(),
            retention: retention.settings().retention(),
            tombstoned: retention == StreamRetention::Tombstoned,
            version: last.ordinal,
            first_position,
            last_position: last.position,
        }))
    }

    pub(crate) fn streams(&self, wanted: &Streams) -> Result<StreamsPage, ReadError> {
        let key = match &wanted.category {
            Some(category) => self.keys.starts_in(category),
            None => self.keys.starts(),
        };
        let head = self.log.head().position;
        let from = wanted.after.as_ref().map_or(Ok(0), |after| self.position_of(after))? + 1;
        let plan = Plan { postings: Some(leftfold_index::Expr::Key(key)), exact: true };
        let mut candidates = self.candidates(&plan, &Query::All, [from, head], Order::Ascending)?;
        let limit = if wanted.limit == 0 { usize::MAX } else { wanted.limit };
        let limit = limit.min(self.limits.page_events);
        let (mut streams, mut cursor) = (Vec::new(), self.cursor(head));
        let mut more = false;
        let shows_all = wanted.system || wanted.category.is_some();
        while let Some(event) = candidates.next()? {
            if !shows_all && names::is_bookkeeping(event.stream()) {
                continue;
            }
            streams.extend(self.stream(event.stream())?);
            if streams.len() == limit {
                (cursor, more) = (self.cursor(event.position()), true);
                break;
            }
        }
        Ok(StreamsPage { streams, cursor, more })
    }
}

fn version_needs_stream() -> Invalid {
    let message = "a read can begin at a version only if its query is exactly one stream; begin at a \
                   cursor, a position or a commit time instead";
    Invalid::new("version_needs_stream", message)
}
