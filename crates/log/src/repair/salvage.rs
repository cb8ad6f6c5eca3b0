//! Finds frames and records that are whole, wherever they are.

use std::ops::Range;

use bytes::Bytes;
use zerocopy::FromBytes;

use super::DamagedBytes;
use super::content::Content;
use super::salvaged::{Salvaged, SalvagedFrame};
use crate::format::{FRAME_MAGIC, FrameHeader, MAX_RECORD, RecordPrefix, SegmentHeader};
use crate::manifest::{LiveFile, SegmentState};
use crate::segment::salt_of;
use crate::term::{SUPERSEDED, Term, TermOrder};
use crate::walk::Record;

/// After damage in a frame, records are searched for by checksums over at most this many bytes.
const SEARCH_LIMIT: u64 = 1 << 30;

pub(super) fn salvage(
    store_id: [u8; 16],
    live: &LiveFile,
    mut content: Content,
    floor: i64,
    term: Term,
) -> Salvaged {
    let header = SegmentHeader::parse(&content.bytes, store_id, live.id).ok();
    let floor = header.map_or(floor, |header| header.commit_floor.get());
    let is_open = live.segment_state() == Some(SegmentState::Open);
    let bytes = Bytes::from(std::mem::take(&mut content.bytes));
    let mut search = Search {
        salt: salt_of(store_id, live.id),
        bytes,
        last: (!is_open).then_some(live.last),
        synced: u64::MAX,
        next: live.first,
        commit_time: floor,
        frames: Vec::new(),
        damaged: Vec::new(),
        order: TermOrder::of_segment(live.id, term),
        superseded_last: 0,
        is_short: false,
        end: SegmentHeader::SIZE,
    };
    if is_open {
        search.synced = search.furthest_mark();
    }
    search.run(content.end.is_some());
    let file = content.file;
    let damage = locate_damage(content, &search);
    let last = search.next - 1;
    let Search { frames, commit_time, end, .. } = search;
    Salvaged { live: *live, damage, frames, last, commit_time, floor, end, file }
}

/// Finds where in the file the damaged ranges of the content are.
fn locate_damage(mut content: Content, search: &Search) -> Vec<DamagedBytes> {
    for (damaged, what) in &search.damaged {
        if content.stored.is_empty() {
            let end = damaged.end.min(content.file);
            content.note(damaged.start.min(end), end.saturating_sub(damaged.start), what);
            continue;
        }
        let upto = |offset| content.stored.partition_point(|stored| stored.offset <= offset);
        let blocks = upto(damaged.start).saturating_sub(1)..upto(damaged.end.saturating_sub(1));
        let whole = |stored: &&super::content::StoredBlock| !stored.damaged;
        let found: Vec<_> = content.stored[blocks].iter().filter(whole).collect();
        let found: Vec<_> = found.iter().map(|stored| (stored.at, stored.length)).collect();
        found.into_iter().for_each(|(at, length)| content.note(at, length, what));
    }
    if content.damage.is_empty() && search.is_short {
        content.note(content.file, 0, "the file is cut short");
    }
    content.damage
}

/// Returns the first and the last position in any frames whose headers are whole.
pub(super) fn positions_in(content: &[u8], salt: u32) -> Option<(u64, u64)> {
    let offsets = memchr::memmem::find_iter(content, &FRAME_MAGIC);
    let headers = offsets.filter_map(|at| FrameHeader::parse(&content[at..], salt, at as u64).ok());
    let ranges = headers.filter(|header| !header.is_mark()).map(|header| {
        let first = header.first_position.get();
        (first, (first + u64::from(header.count.get())).saturating_sub(1))
    });
    ranges.reduce(|found, range| (found.0.min(range.0), found.1.max(range.1)))
}

struct Search {
    salt: u32,
    bytes: Bytes,
    /// The last position, if it is known.
    last: Option<u64>,
    /// Frames behind this offset may be torn: they were never acknowledged.
    synced: u64,
    next: u64,
    commit_time: i64,
    frames: Vec<SalvagedFrame>,
    damaged: Vec<DamagedRange>,
    order: TermOrder,
    /// The last position in superseded frames that no other frame follows; 0 if there is none.
    superseded_last: u64,
    /// Whether positions are missing at the end.
    is_short: bool,
    /// Where the last frame ends.
    end: u64,
}

impl Search {
    fn run(&mut self, end_is_known: bool) {
        let (mut at, end) = (SegmentHeader::SIZE, self.bytes.len() as u64);
        while at < end {
            if let Some(behind) = self.pass_superseded(at) {
                at = behind;
                continue;
            }
            let Some(header) = self.frame_at(at) else {
                if at >= self.synced {
                    return;
                }
                let next = self.next_frame(at + 1);
                if next.is_some() || end_is_known {
                    self.damaged.push((at..next.unwrap_or(end), "there is no whole frame"));
                }
                at = next.unwrap_or(end);
                continue;
            };
            let (frame, damaged) = self.frame(&header, at);
            let cut = at + header.total() as u64 > end;
            if at >= self.synced && (cut || !damaged.is_empty()) {
                return;
            }
            self.lose_before(frame.first.max(self.next));
            self.damaged.extend(damaged);
            self.commit_time = frame.commit_time;
            _ = self.order.check(at, header.term.get());
            self.superseded_last = 0;
            self.next += frame.records.len() as u64;
            if !header.is_mark() {
                self.frames.push(frame);
            }
            at += header.total() as u64;
            self.end = at;
        }
        if let Some(last) = self.last.filter(|last| self.next <= *last) {
            self.is_short = true;
            self.lose_before(last + 1);
        }
        if self.last.is_none() {
            self.lose_before(self.superseded_last.saturating_add(1));
        }
    }

    /// Notes the frame here as damage if its writer had been superseded; returns where it ends. It lies over
    /// frames of the later writer, or behind them. Those were acknowledged perhaps, so nothing behind it
    /// counts as torn, and its positions are lost if no frame follows.
    fn pass_superseded(&mut self, at: u64) -> Option<u64> {
        let header = self.superseded_at(at)?;
        let behind = at + header.total() as u64;
        self.damaged.push((at..behind.min(self.bytes.len() as u64), SUPERSEDED));
        let (first, count) = (header.first_position.get(), u64::from(header.count.get()));
        if count > 0 && first <= self.next.max(self.superseded_last + 1) {
            self.superseded_last = self.superseded_last.max(first.saturating_add(count - 1));
        }
        self.synced = u64::MAX;
        Some(behind)
    }

    fn superseded_at(&self, at: u64) -> Option<FrameHeader> {
        let is_superseded = |header: &FrameHeader| self.order.is_superseded(at, header.term.get());
        self.header_at(at).filter(is_superseded)
    }

    fn header_at(&self, at: u64) -> Option<FrameHeader> {
        FrameHeader::parse(self.bytes.get(at as usize..)?, self.salt, at).ok()
    }

    /// Returns the furthest synced mark of any frame.
    fn furthest_mark(&self) -> u64 {
        let offsets = memchr::memmem::find_iter(&self.bytes, &FRAME_MAGIC);
        let head = |at| FrameHeader::parse(&self.bytes[at..], self.salt, at as u64).ok();
        offsets.filter_map(head).map(|header| header.synced_mark.get()).max().unwrap_or(0)
    }

    /// Returns the header of a frame here, if it is whole and can follow.
    fn frame_at(&self, at: u64) -> Option<FrameHeader> {
        let header = self.header_at(at)?;
        let (first, count) = (header.first_position.get(), u64::from(header.count.get()));
        let last = self.last.unwrap_or(u64::MAX - 1);
        let fits = first >= self.next && first.checked_add(count)? <= last.checked_add(1)?;
        (fits && header.commit_time.get() >= self.commit_time).then_some(header)
    }

    /// Returns where the next frame is that can follow, or that is superseded.
    fn next_frame(&self, from: u64) -> Option<u64> {
        let rest = self.bytes.get(from as usize..)?;
        let mut offsets = memchr::memmem::find_iter(rest, &FRAME_MAGIC);
        offsets.find_map(|at| {
            let at = from + at as u64;
            self.superseded_at(at).or_else(|| self.frame_at(at)).map(|_| at)
        })
    }

    /// Adds the positions before this one as lost, with their frames.
    fn lose_before(&mut self, position: u64) {
        if position > self.next {
            self.frames.push(SalvagedFrame::lost(self.next..=position - 1, self.commit_time));
            self.next = position;
        }
    }

    /// Returns a frame's records, and where in the content the lost ones are.
    fn frame(&self, header: &FrameHeader, at: u64) -> (SalvagedFrame, Vec<DamagedRange>) {
        let start = at as usize + header.to_records();
        let end = (at as usize + header.total()).min(self.bytes.len());
        let mut records = Records {
            bytes: self.bytes.slice(..end),
            salt: self.salt,
            commit_time: header.commit_time.get(),
            last: (header.first_position.get() + u64::from(header.count.get())).saturating_sub(1),
            budget: SEARCH_LIMIT,
        };
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        let (mut at, mut position) = (start, header.first_position.get());
        while found.len() < header.count.get() as usize {
            if let Some((record, next)) = records.at(at, position) {
                found.push(Some(record));
                (at, position) = (next, position + 1);
                continue;
            }
            let (next, next_position) =
                records.after(at, position).unwrap_or((end, records.last + 1));
            found.resize(found.len() + (next_position - position) as usize, None);
            damaged.push((at as u64..next as u64, "a record's checksum does not match"));
            (at, position) = (next, next_position);
        }
        let frame = SalvagedFrame {
            first: header.first_position.get(),
            commit_time: header.commit_time.get(),
            records: found,
            has_head: true,
            append_id: u128::from_le_bytes(header.append_id),
            extensions: self
                .bytes
                .slice(start.saturating_sub(header.extensions.get() as usize)..start),
        };
        (frame, damaged)
    }
}

/// A range of the content, and what is wrong with it.
type DamagedRange = (Range<u64>, &'static str);

/// The records of a frame whose header is whole.
struct Records {
    /// Up to the frame's end.
    bytes: Bytes,
    salt: u32,
    commit_time: i64,
    /// The last position.
    last: u64,
    /// At most this many bytes more are searched for what follows damage.
    budget: u64,
}

impl Records {
    /// Returns the record of this position if it begins here, and where it ends.
    fn at(&self, at: usize, position: u64) -> Option<(Record, usize)> {
        let (prefix, start, end) = self.prefix(at)?;
        let bytes = self.bytes.slice(start..end);
        let (commit_time, time) = (self.commit_time, prefix.time.get());
        prefix
            .matches(self.salt, position, &bytes)
            .then_some((Record { position, commit_time, time, begins_frame: false, bytes }, end))
    }

    fn prefix(&self, at: usize) -> Option<(RecordPrefix, usize, usize)> {
        let (prefix, _) = RecordPrefix::read_from_prefix(self.bytes.get(at..)?).ok()?;
        let (start, length) = (at + RecordPrefix::SIZE, prefix.length.get() as usize);
        let fits = length <= MAX_RECORD && length <= self.bytes.len() - start;
        fits.then_some((prefix, start, start + length))
    }

    /// Returns where the first whole record after a damaged one begins, and its position.
    fn after(&mut self, at: usize, position: u64) -> Option<(usize, u64)> {
        // Nearly always the damaged record's length is right.
        if let Some((_, _, end)) = self.prefix(at)
            && self.at(end, position + 1).is_some()
        {
            return Some((end, position + 1));
        }
        for next in at + 1..self.bytes.len() {
            let zeros = self.bytes[next..].iter().take(RecordPrefix::SIZE).all(|byte| *byte == 0);
            let Some((prefix, start, end)) = self.prefix(next).filter(|_| !zeros) else { continue };
            let between = (next - at) / RecordPrefix::SIZE + 1;
            for found in (position + 1..=self.last).take(between) {
                self.budget = self.budget.checked_sub((end - next) as u64)?;
                if prefix.matches(self.salt, found, &self.bytes[start..end]) {
                    return Some((next, found));
                }
            }
        }
        None
    }
}
