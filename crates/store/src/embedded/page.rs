//! Reads one page in turns, so that a broad scan does not keep a thread from other reads.

use std::sync::Arc;

use leftfold_api::{
    Direction, Failure, Invalid, Page, Point, Query, Read, ReadError, Recorded, Start, names,
};
use leftfold_index::{Expr, Order};

use super::candidates::Candidates;
use super::core::Core;
use super::indexes::ordinal_needs_list;
use super::pool::Pool;
use super::retention::Visibility;
use crate::plan::Plan;

/// The most events that one turn checks: about a millisecond of work.
pub(crate) const TURN_EVENTS: usize = 2_048;

/// A page that is being read.
pub(crate) struct PageRead {
    direction: Direction,
    query: Query,
    plan: Plan,
    /// The durable head at the start. Later events are not in the page.
    head: u64,
    limit: usize,
    max_bytes: usize,
    candidates: Candidates,
    ordinals: Option<Ordinals>,
    visibility: Visibility,
    events: Vec<Recorded>,
    bytes: usize,
    scanned: usize,
}

/// The state of a page after its start.
pub(crate) enum PageStart {
    /// The page is complete.
    Ready(Page),
    /// Events are still to be read.
    Reading(Box<PageRead>),
}

impl PageRead {
    /// Checks a read and resolves its query and its range.
    pub(crate) fn start(core: &Core, read: &Read) -> Result<PageStart, ReadError> {
        if read.limit == 0 {
            let message = "a read of 0 events was asked for; ask for at least 1";
            return Err(Invalid::new("limit_invalid", message).into());
        }
        if let Some(stream) = read.query.as_stream() {
            names::check("stream", stream)?;
        }
        // The index may hold events that are not durable yet.
        let head = core.log.head().position;
        let (expanded, plan) = core.resolve(&read.query)?;
        let range = core.range(read, head)?;
        if range[0] > range[1] {
            return Ok(PageStart::Ready(start_beyond(core, read, range[0], head)?));
        }
        let order = match read.direction {
            Direction::Forward => Order::Ascending,
            Direction::Backward => Order::Descending,
        };
        let mut candidates = core.candidates(&plan, &expanded, range, order)?;
        let limit = read.limit.min(core.limits.page_events);
        if plan.exact {
            candidates.expect(limit);
        }
        // A scan usually fills its page.
        let expected = if plan.postings.is_none() { limit } else { 0 };
        Ok(PageStart::Reading(Box::new(PageRead {
            direction: read.direction,
            head,
            limit,
            max_bytes: read.max_bytes.min(core.limits.page_bytes),
            candidates,
            ordinals: Ordinals::start(core, read, &plan, range)?,
            plan,
            visibility: core.visibility(head),
            events: Vec::with_capacity(expected),
            bytes: 0,
            scanned: 0,
            query: expanded.into_owned(),
        })))
    }

    /// Checks a bounded number of events. Returns the page once it is complete.
    pub(crate) fn take_turn(&mut self, core: &Core) -> Result<Option<Page>, ReadError> {
        for _ in 0..TURN_EVENTS {
            let Some(event) = self.candidates.next()? else {
                return Ok(Some(self.page(core, None)));
            };
            self.scanned += 1;
            let position = event.position();
            let event = match &mut self.ordinals {
                Some(ordinals) => event.with_ordinal(ordinals.next()),
                None => event,
            };
            let is_match = self.plan.selects(&self.query, &event);
            if is_match && self.visibility.shows(core, &event)? {
                self.bytes += event.size();
                // A few matches must not keep the blocks of many other events in memory.
                self.events.push(if self.plan.exact { event } else { event.detached() });
            }
            let is_full = self.events.len() == self.limit || self.bytes >= self.max_bytes;
            if is_full || self.scanned == core.limits.page_scanned {
                return Ok(Some(self.page(core, Some(position))));
            }
        }
        Ok(None)
    }

    fn page(&mut self, core: &Core, stopped: Option<u64>) -> Page {
        page(core, std::mem::take(&mut self.events), stopped, self.direction, self.head)
    }
}

/// Reads a page on the pool's threads, in turns with other reads.
pub(crate) async fn read_in_turns(
    pool: &Pool,
    core: Arc<Core>,
    read: Read,
) -> Result<Page, ReadError> {
    let mut reading = None;
    let mut turn = move || -> Result<Option<Page>, ReadError> {
        let reading = match &mut reading {
            Some(reading) => reading,
            None => match PageRead::start(&core, &read)? {
                PageStart::Ready(page) => return Ok(Some(page)),
                PageStart::Reading(begun) => reading.insert(begun),
            },
        };
        reading.take_turn(&core)
    };
    let answer = pool.run_in_turns(move || turn().transpose()).await;
    answer.unwrap_or_else(|| Err(Failure::Closed.into()))
}

/// Returns the empty page of a read that begins beyond the durable head. In a relaxed store the caller
/// may know of admitted events; its cursor then stays behind them. A start that is farther ahead is refused:
/// no cursor could say that the events before it are not wanted.
fn start_beyond(core: &Core, read: &Read, first: u64, head: u64) -> Result<Page, ReadError> {
    let mut end = head;
    if read.direction == Direction::Forward {
        if first > core.last_known() + 1 {
            return Err(start_ahead(&read.from).into());
        }
        end = end.max(first - 1);
    }
    Ok(page(core, Vec::new(), None, read.direction, end))
}

fn start_ahead(from: &Start) -> Invalid {
    let what = match from {
        Start::Including(Point::Version(version)) | Start::Excluding(Point::Version(version)) => {
            format!("version {version} is ahead of the stream: begin at most at its next version")
        }
        Start::Including(Point::Ordinal(ordinal)) | Start::Excluding(Point::Ordinal(ordinal)) => {
            format!("ordinal {ordinal} is ahead of the list: begin at most at its next ordinal")
        }
        Start::Including(Point::CommitTime(time)) | Start::Excluding(Point::CommitTime(time)) => {
            format!("{time} is ahead of the store's clock: begin after its head")
        }
        _ => "the position is ahead of the store: begin at most at its next position".to_owned(),
    };
    Invalid::new("start_ahead", what)
}

fn page(
    core: &Core,
    events: Vec<Recorded>,
    stopped: Option<u64>,
    direction: Direction,
    head: u64,
) -> Page {
    let end = match direction {
        // All events up to the head were checked, and none of them can match later.
        Direction::Forward => head,
        Direction::Backward => head.min(1),
    };
    Page { events, cursor: core.cursor(stopped.unwrap_or(end)), more: stopped.is_some() }
}

/// Counts the ordinals of the events of a list.
enum Ordinals {
    /// The next ordinal.
    Ascending(u64),
    /// One more than the next ordinal.
    Descending(u64),
}

impl Ordinals {
    /// Returns the ordinals of a read in a range, if the read wants them.
    fn start(
        core: &Core,
        read: &Read,
        plan: &Plan,
        [from, to]: [u64; 2],
    ) -> Result<Option<Self>, ReadError> {
        if !read.with_ordinals {
            return Ok(None);
        }
        // The key of the plan counts: the index may have been defined again since.
        let (true, Some(Expr::Key(key))) = (is_list(&read.query), &plan.postings) else {
            return Err(ordinal_needs_list().into());
        };
        let set = core.index.set.load();
        Ok(Some(match read.direction {
            Direction::Forward => Ordinals::Ascending(set.count(key, from - 1)?),
            Direction::Backward => Ordinals::Descending(set.count(key, to)?),
        }))
    }

    fn next(&mut self) -> u64 {
        match self {
            Ordinals::Ascending(next) => std::mem::replace(next, *next + 1),
            Ordinals::Descending(above) => {
                *above = above.saturating_sub(1);
                *above
            }
        }
    }
}

/// Whether a query selects a single list, whose events have ordinals.
fn is_list(query: &Query) -> bool {
    query.as_stream().is_some() || matches!(query, Query::Index(_) | Query::Partition(_))
}

#[cfg(test)]
mod tests {
    use leftfold_api::{Append, NewEvent};
    use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};

    use super::*;
    use crate::{Embedded, Options};

    #[test]
    fn a_broad_scan_gives_up_its_thread_after_each_turn() {
        let (disk, random) = (Arc::new(FakeDisk::new()), Arc::new(SeededRandom::new(1)));
        let clock = Arc::new(ManualClock::at(0));
        let store = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
        let append = (0..2 * TURN_EVENTS + 1)
            .fold(Append::new(), |append, _| append.event("a-1", NewEvent::new("Put", "")));
        store.blocking().append(append).unwrap();
        let read = Read::forward("not type:Put".parse().unwrap());
        let PageStart::Reading(mut reading) = PageRead::start(&store.core, &read).unwrap() else {
            panic!("there is something to scan")
        };
        assert!(reading.take_turn(&store.core).unwrap().is_none());
        assert!(reading.take_turn(&store.core).unwrap().is_none());
        let page = reading.take_turn(&store.core).unwrap().unwrap();
        assert_eq!((page.events.len(), page.more), (0, false));
        assert_eq!(page.cursor, store.blocking().head());
    }
}
