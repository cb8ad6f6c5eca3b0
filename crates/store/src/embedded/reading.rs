use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use leftfold_index::{IndexError, Matches, Order};
use leftfold_log::{Direction, Fetcher, Scan, ScanRange};

use super::core::Core;
use super::events::Cached;
use super::indexes::no_list;
use super::retention::Kept;
use crate::embedded::events::recorded;
use crate::plan::Plan;
use leftfold_api::names;
use leftfold_api::{
    Failure, Field, From, Invalid, Page, Point, Query, Read, ReadError, Recorded, StreamInfo,
    Streams, StreamsPage,
};

/// Stands for the position of what is not there yet.
const TO_COME: u64 = u64::MAX - 1;

/// The events that a plan leads to, one after the other.
pub(crate) enum Candidates {
    Postings(Listed),
    Scan(Scan),
}

impl Candidates {
    pub(crate) fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        match self {
            Candidates::Scan(scan) => Ok(scan.next()?.map(recorded).transpose()?),
            Candidates::Postings(listed) => listed.next(),
        }
    }
}

/// Events by position. Once one had to be read from a file, those that come next are announced, so that
/// the disk reads them at the same time and not one after the other.
pub(crate) struct Listed {
    matches: Matches,
    fetcher: Fetcher,
    cached: Cached,
    /// What was taken from the matches already, and whether it is in another block than the one before.
    ahead: VecDeque<(Result<u64, IndexError>, bool)>,
    /// How many of those are.
    blocks: usize,
    /// Whether the matches have no more.
    ended: bool,
}

impl Listed {
    /// Positions that are looked at ahead.
    const MOST: usize = 64;

    fn new(matches: Matches, fetcher: Fetcher, cached: Cached) -> Self {
        Listed { matches, fetcher, cached, ahead: VecDeque::new(), blocks: 0, ended: false }
    }

    fn next(&mut self) -> Result<Option<Recorded>, ReadError> {
        let position = match self.ahead.pop_front() {
            Some((position, is_new)) => {
                self.blocks -= usize::from(is_new);
                Some(position?)
            }
            None if self.ended => None,
            None => self.matches.next()?,
        };
        let Some(position) = position else { return Ok(None) };
        self.look_ahead();
        fetch(position, &mut self.fetcher, &self.cached).map(Some)
    }

    fn look_ahead(&mut self) {
        while self.blocks < self.fetcher.ahead() && self.ahead.len() < Self::MOST && !self.ended {
            match self.matches.next() {
                Ok(Some(position)) => {
                    let is_new = !self.cached.has(position) && self.fetcher.announce(position);
                    self.blocks += usize::from(is_new);
                    self.ahead.push_back((Ok(position), is_new));
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ahead.push_back((Err(error), false));
                    self.ended = true;
                }
            }
        }
    }
}

fn fetch(position: u64, fetcher: &mut Fetcher, cached: &Cached) -> Result<Recorded, ReadError> {
    // What lies beside the last one is as near as the cache.
    let beside = fetcher.is_beside(position);
    if !beside && let Some(event) = cached.get(position) {
        return Ok(event);
    }
    match fetcher.get(position)? {
        // Scattered events must not each keep a whole block in memory.
        Some(record) => {
            let event = recorded(record.detached())?;
            if !beside {
                cached.keep(&event);
            }
            Ok(event)
        }
        None => {
            let what = "the index knows it, the log does not";
            Err(Failure::Record { position, what }.into())
        }
    }
}

/// The ordinals of the events of a list, one after the other.
enum Ordinals {
    /// The next one.
    Up(u64),
    /// One more than the next one.
    Down(u64),
}

impl Ordinals {
    fn next(&mut self) -> u64 {
        match self {
            Ordinals::Up(next) => std::mem::replace(next, *next + 1),
            Ordinals::Down(above) => {
                *above = above.saturating_sub(1);
                *above
            }
        }
    }
}

impl Core {
    /// What a plan leads to between two positions, both included and not beyond the durable head.
    pub(crate) fn candidates(
        &self,
        plan: &Plan,
        expanded: &Query,
        [from, to]: [u64; 2],
        toward: Order,
    ) -> Result<Candidates, ReadError> {
        Ok(match &plan.postings {
            Some(postings) => {
                let matches = self.index.load().matches(postings, [from, to], toward)?;
                Candidates::Postings(Listed::new(matches, self.log.fetcher(), self.events.now()))
            }
            None => {
                let direction = match toward {
                    Order::Ascending => Direction::Forward,
                    Order::Descending => Direction::Backward,
                };
                let range = ScanRange { from, to, times: expanded.span() };
                Candidates::Scan(self.log.scan(range, direction))
            }
        })
    }

    /// A read that is short and needs no file: to hand it to another thread would take longer.
    pub(crate) fn read_from_memory(&self, read: &Read) -> Option<Page> {
        /// So many events take a few tens of microseconds.
        const SHORT: usize = 256;
        let (field, text) = read.query.one_key()?;
        let short = Read { limit: read.limit.min(SHORT), ..read.clone() };
        let page = leftfold_io::from_memory(|| {
            if read.limit > SHORT && read.from == From::Outermost {
                let key = self.keys.of(field, text);
                let count = self.index.load().count(&key, self.log.head().position)?;
                if count > SHORT as u64 {
                    return Ok(None);
                }
            }
            self.read(&short).map(Some)
        });
        // What is wrong is said by whoever reads with files.
        let page = page?.ok()??;
        let is_cut = page.more && page.events.len() == SHORT && read.limit > SHORT;
        (!is_cut).then_some(page)
    }

    pub(crate) fn read(&self, read: &Read) -> Result<Page, ReadError> {
        Ok(self.read_from(read)?.0)
    }

    /// A page, and whether the place where it begins is reached yet.
    pub(crate) fn read_from(&self, read: &Read) -> Result<(Page, bool), ReadError> {
        if read.limit == 0 {
            let message = "a read of 0 events was asked for; ask for at least 1";
            return Err(Invalid::new("limit_invalid", message).into());
        }
        // What is durable now is the truth of this read: the index may know more.
        let head = self.log.head().position;
        let (expanded, plan) = self.resolve(&read.query)?;
        let range = self.range(read, head)?;
        let toward = match read.direction {
            Direction::Forward => Order::Ascending,
            Direction::Backward => Order::Descending,
        };
        if range[0] > range[1] {
            // The caller may be ahead of what is durable, in a relaxed store: it stays there.
            let start = Some(range[0] - 1).filter(|start| {
                read.direction == Direction::Forward
                    && *start > head
                    && *start <= self.known.load(Ordering::Acquire)
            });
            let page = self.page(Vec::new(), None, read.direction, start.unwrap_or(head));
            return Ok((page, read.direction == Direction::Backward || range[0] <= head + 1));
        }
        let mut candidates = self.candidates(&plan, &expanded, range, toward)?;
        let mut ordinals = self.ordinals(read, range)?;
        let limit = read.limit.min(self.limits.page_events);
        // Whoever goes through the log wants a full page.
        let expected = if plan.postings.is_none() { limit } else { 0 };
        let (mut events, mut bytes, mut looked_at) = (Vec::with_capacity(expected), 0, 0);
        let mut sight = self.sight(head);
        let mut stopped = None;
        while let Some(event) = candidates.next()? {
            looked_at += 1;
            let position = event.position();
            let event = match &mut ordinals {
                Some(ordinals) => event.with_ordinal(ordinals.next()),
                None => event,
            };
            if (plan.exact || expanded.matches(&event)) && sight.sees(self, &event)? {
                bytes += event.size();
                // Of many that were looked at few may be kept: those must not keep the others.
                events.push(if plan.exact { event } else { event.detached() });
            }
            let full = events.len() == limit || bytes >= self.limits.page_bytes;
            if full || looked_at == self.limits.page_scanned {
                stopped = Some(position);
                break;
            }
        }
        Ok((self.page(events, stopped, read.direction, head), true))
    }

    /// Counts the ordinals of what the read yields in a range, if it asks for them.
    fn ordinals(&self, read: &Read, [from, to]: [u64; 2]) -> Result<Option<Ordinals>, ReadError> {
        if !read.with_ordinals {
            return Ok(None);
        }
        let key = self.list_of(&read.query)?.ok_or_else(no_list)?;
        let index = self.index.load();
        Ok(Some(match read.direction {
            Direction::Forward => Ordinals::Up(index.count(&key, from - 1)?),
            Direction::Backward => Ordinals::Down(index.count(&key, to)?),
        }))
    }

    fn page(
        &self,
        events: Vec<Recorded>,
        stopped: Option<u64>,
        direction: Direction,
        head: u64,
    ) -> Page {
        let end = match direction {
            // All up to the head has been looked at; nothing in it will ever match later.
            Direction::Forward => head,
            Direction::Backward => head.min(1),
        };
        Page { events, cursor: self.cursor(stopped.unwrap_or(end)), more: stopped.is_some() }
    }

    pub(crate) fn range(&self, read: &Read, head: u64) -> Result<[u64; 2], ReadError> {
        let span = |point: &Point| self.span_of(point, &read.query, head);
        Ok(match (read.direction, &read.from) {
            (_, From::Outermost) => [1, head],
            (Direction::Forward, From::Including(point)) => [span(point)?[0].max(1), head],
            (Direction::Forward, From::Excluding(point)) => {
                [span(point)?[1].saturating_add(1), head]
            }
            (Direction::Backward, From::Including(point)) => [1, span(point)?[1].min(head)],
            (Direction::Backward, From::Excluding(point)) => {
                [1, span(point)?[0].saturating_sub(1).min(head)]
            }
        })
    }

    /// The positions that a point stands for.
    fn span_of(&self, point: &Point, query: &Query, head: u64) -> Result<[u64; 2], ReadError> {
        let one = |position: u64| Ok([position, position]);
        match *point {
            Point::Cursor(ref cursor) => one(self.position_of(cursor)?),
            Point::Position(position) => one(position),
            Point::Version(version) => {
                let Some(stream) = query.as_stream() else {
                    return Err(needs_one("version_needs_stream", "a version", "one stream"));
                };
                let key = self.keys.of(Field::Stream, stream);
                one(self.index.load().nth(&key, version, head)?.unwrap_or(TO_COME))
            }
            Point::Ordinal(ordinal) => {
                let key = self.list_of(query)?.ok_or_else(no_list)?;
                one(self.index.load().nth(&key, ordinal, head)?.unwrap_or(TO_COME))
            }
            Point::CommitTime(time) => {
                let first = self.log.position_at_commit_time(time.0)?;
                let after = self.log.position_at_commit_time(time.0.saturating_add(1))?;
                let first = if first > head { TO_COME } else { first };
                Ok([first, after.min(head + 1) - 1])
            }
        }
    }

    pub(crate) fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        names::check("stream", name)?;
        let (head, index) = (self.log.head().position, self.index.load_full());
        let key = self.keys.of(Field::Stream, name);
        let Some(last) = index.last(&key, head)? else { return Ok(None) };
        let first_position = index.nth(&key, 0, head)?.unwrap_or_default();
        let kept = self.stream_state(name, head)?.kept;
        Ok(Some(StreamInfo {
            name: name.to_owned(),
            retention: kept.retention(),
            tombstoned: kept == Kept::Nothing,
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
        let asked = if wanted.limit == 0 { usize::MAX } else { wanted.limit };
        let limit = asked.min(self.limits.page_events);
        let (mut streams, mut cursor) = (Vec::new(), self.cursor(head));
        let mut more = false;
        while let Some(event) = candidates.next()? {
            streams.extend(self.stream(event.stream())?);
            if streams.len() == limit {
                (cursor, more) = (self.cursor(event.position()), true);
                break;
            }
        }
        Ok(StreamsPage { streams, cursor, more })
    }
}

fn needs_one(code: &'static str, point: &str, what: &str) -> ReadError {
    let message = format!(
        "{point} is a place in a single list: it can be given where the query is {what} and \
         nothing else; give a cursor, a position or a commit time"
    );
    Invalid::new(code, message).into()
}
