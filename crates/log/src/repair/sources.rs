//! Chooses the file of each segment: the one that proves itself whole.

use std::collections::{BTreeMap, BTreeSet};

use leftfold_io::{Disk, OpenMode};

use super::content;
use super::finding::{FoundSegment, segment};
use super::identity::FoundStore;
use super::salvage::{positions_in, salvage};
use super::salvaged::Salvaged;
use crate::error::OpenError;
use crate::format::{SegmentFooter, SegmentHeader};
use crate::manifest::{FileKind, LiveFile, SegmentState};
use crate::options::Compression;
use crate::recovery::read_all;
use crate::segment::salt_of;
use crate::term::Term;

/// The first bytes of a block that zstd has compressed.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A segment, and the files that hold it.
pub(super) struct Source {
    pub(super) live: LiveFile,
    /// The file with its content; `None` if there is none.
    pub(super) path: Option<String>,
    /// Files of the same segment, if none of all is whole: each may have what the others have lost.
    pub(super) others: Vec<(LiveFile, String)>,
}

/// A file that may be taken for a segment.
struct Candidate {
    path: String,
    live: LiveFile,
    /// Whether it is known where it ends.
    is_settled: bool,
    is_named: bool,
}

/// The files that may be taken for the segments of a store.
pub(super) struct Sources<'a> {
    disk: &'a dyn Disk,
    store_id: [u8; 16],
    term: Term,
    named: BTreeMap<u64, LiveFile>,
    candidates: BTreeMap<u64, Vec<Candidate>>,
}

/// Chooses the file of each segment, in order. Fails if the files don't tell.
pub(super) fn choose(
    disk: &dyn Disk,
    store: &FoundStore,
    found: &[FoundSegment],
) -> Result<Vec<Source>, OpenError> {
    let segments = store.named.iter().filter(|file| file.kind == FileKind::SEGMENT);
    let mut sources = Sources {
        disk,
        store_id: store.identity.header.store_id,
        term: store.term,
        named: segments.map(|file| (file.id, *file)).collect(),
        candidates: BTreeMap::new(),
    };
    sources.collect(found)?;
    let mut chosen = Vec::new();
    let ids: BTreeSet<_> = sources.named.keys().chain(sources.candidates.keys()).copied().collect();
    for id in ids {
        chosen.push(sources.choose_one(id)?);
    }
    fill_gaps(&mut chosen);
    refuse_overlaps(&chosen)?;
    Ok(chosen)
}

impl Sources<'_> {
    fn collect(&mut self, found: &[FoundSegment]) -> Result<(), OpenError> {
        let mut strays = Vec::new();
        for file in found {
            let of_store = file.header.as_ref().filter(|header| header.store_id == self.store_id);
            let numbers = of_store.map(|header| (header.segment.get(), header.generation.get()));
            let named = file.name_numbers().filter(|_| file.header.is_none() && !file.is_other);
            let Some((id, generation)) = numbers.or(named) else {
                strays.push(file);
                continue;
            };
            let is_named = self.is_named(&file.path)
                && file.name_numbers().is_some_and(|name| name == (id, generation));
            // A new segment that nothing was written to.
            if !is_named && file.length <= SegmentHeader::SIZE {
                continue;
            }
            match self.describe(file, id, generation)? {
                Some((live, is_settled)) => {
                    let path = file.path.clone();
                    let candidate = Candidate { path, live, is_settled, is_named };
                    self.candidates.entry(id).or_default().push(candidate);
                }
                None => strays.push(file),
            }
        }
        strays.iter().try_for_each(|file| self.refuse_stray(file))
    }

    fn is_named(&self, path: &str) -> bool {
        self.named.values().any(|live| live.name() == path)
    }

    /// A file in `log` that holds anything but a segment of this store was put there by mistake, or is
    /// all that is left of one: nothing of it may be thrown away. Only what is left of an interrupted
    /// rewriting is known not to be needed.
    fn refuse_stray(&self, file: &FoundSegment) -> Result<(), OpenError> {
        let of_known = file.name_numbers().is_some_and(|(id, _)| {
            self.named.contains_key(&id) || self.candidates.contains_key(&id)
        });
        if of_known || !file.is_in_the_way() {
            return Ok(());
        }
        let what = "no segment of this store can be read from it; move it out of the directory";
        Err(OpenError::Ambiguous(format!("{}: {what}", file.path)))
    }

    /// Returns what is known of a segment from its manifest, its footer and its frames, and whether it is
    /// known where it ends. `None` if the file proves nothing.
    fn describe(
        &self,
        file: &FoundSegment,
        id: u64,
        generation: u32,
    ) -> Result<Option<(LiveFile, bool)>, OpenError> {
        let entry = self.named.get(&id).filter(|entry| entry.generation == generation);
        let header_first = file.header.as_ref().map(|header| header.first_position.get());
        let agrees = |entry: &&LiveFile| header_first.is_none_or(|first| first == entry.first);
        if let Some(entry) = entry.filter(agrees) {
            let is_open = entry.segment_state() == Some(SegmentState::Open);
            let is_last = self.named.keys().next_back() == Some(&id);
            if !is_open || (is_last && !self.is_sealed(file, id)?) {
                return Ok(Some((*entry, !is_open)));
            }
        }
        let bytes = self.read(&file.path)?;
        if let Some(footer) = footer_of(&bytes, id) {
            let first = header_first.unwrap_or(footer.first_position.get());
            let compression = match (footer.is_compressed(), footer.dictionary.get()) {
                (false, _) => Compression::Off,
                (true, 0) => Compression::Fast,
                (true, _) => Compression::Small,
            };
            let live = LiveFile {
                state: SegmentState::Sealed.code(),
                first,
                last: footer.last_position.get(),
                length: bytes.len() as u64,
                detail: compression as u32,
                ..segment(id, generation)
            };
            return Ok(Some((live, true)));
        }
        Ok(self.describe_by_frames(&bytes, header_first, segment(id, generation)))
    }

    fn describe_by_frames(
        &self,
        bytes: &[u8],
        first: Option<u64>,
        live: LiveFile,
    ) -> Option<(LiveFile, bool)> {
        let stored = bytes.get(SegmentHeader::SIZE as usize..).unwrap_or_default();
        let is_compressed = stored.starts_with(&ZSTD_MAGIC);
        let compression = if is_compressed { Compression::Fast } else { Compression::Off };
        let detail = compression as u32;
        let sealed = LiveFile {
            state: SegmentState::Sealed.code(),
            length: bytes.len() as u64,
            detail,
            ..live
        };
        let positions = match is_compressed {
            true => content::positions_without_tables(bytes, salt_of(self.store_id, live.id)),
            false => positions_in(bytes, salt_of(self.store_id, live.id)),
        };
        let first = first.or_else(|| positions.map(|(first, _)| first))?;
        if live.generation > 0 || is_compressed {
            let last = positions.map_or(first.saturating_sub(1), |(_, last)| last);
            return Some((LiveFile { first, last, ..sealed }, false));
        }
        Some((LiveFile { state: SegmentState::Open.code(), first, ..live }, false))
    }

    fn is_sealed(&self, file: &FoundSegment, id: u64) -> Result<bool, OpenError> {
        let Some(at) = file.length.checked_sub(SegmentFooter::SIZE as u64) else {
            return Ok(false);
        };
        let failed = |error| OpenError::io(&file.path, error);
        let opened = self.disk.open(&file.path, OpenMode::Read).map_err(failed)?;
        let mut last = [0; SegmentFooter::SIZE];
        opened.read_at(&mut last, at).map_err(failed)?;
        Ok(SegmentFooter::parse(&last, id).is_ok())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, OpenError> {
        let read = || read_all(&*self.disk.open(path, OpenMode::Read)?);
        Ok(read().map_err(|error| OpenError::io(path, error))?.to_vec())
    }

    fn choose_one(&mut self, id: u64) -> Result<Source, OpenError> {
        let next = self.first_behind(id);
        let candidates = self.candidates.remove(&id).unwrap_or_default();
        let mut settled = Vec::new();
        for candidate in candidates {
            let live = self.settle(&candidate, next)?;
            settled.push((live, candidate));
        }
        match (self.named.get(&id), &settled[..]) {
            (Some(named), []) => Ok(lost_segment(*named, next)),
            (_, [(live, one)]) => {
                Ok(Source { live: *live, path: Some(one.path.clone()), others: Vec::new() })
            }
            _ => self.choose_whole(id, settled),
        }
    }

    /// Returns the position at which the next segment begins.
    fn first_behind(&self, id: u64) -> Option<u64> {
        let named = self.named.range(id + 1..).next().map(|(id, live)| (*id, live.first));
        let found = self.candidates.range(id + 1..).next();
        let found =
            found.and_then(|(id, all)| Some((*id, all.iter().map(|c| c.live.first).min()?)));
        named.into_iter().chain(found).min().map(|(_, first)| first)
    }

    /// A segment with another one behind it is not open any more: its frames end where those begin.
    fn settle(&self, candidate: &Candidate, next: Option<u64>) -> Result<LiveFile, OpenError> {
        let (live, Some(next)) = (candidate.live, next) else { return Ok(candidate.live) };
        if candidate.is_settled {
            return Ok(live);
        }
        if live.segment_state() == Some(SegmentState::Sealed) {
            return Ok(LiveFile { last: live.last.max(next.saturating_sub(1)), ..live });
        }
        let frames = self.salvage(&live, &candidate.path)?;
        let state = SegmentState::Closed.code();
        let last = next.saturating_sub(1).max(live.first.saturating_sub(1));
        if frames.last == last && frames.damage.is_empty() {
            return Ok(LiveFile { state, last, length: frames.end, ..live });
        }
        // Behind damage, its frames end with the last one whose header is whole: a record may end with zeros.
        // What can't be told from damaged frames ends before the zeros of the file's end.
        let bytes = self.read(&candidate.path)?;
        let whole_file = LiveFile { state, last, length: bytes.len() as u64, ..live };
        let frames_end = self.salvage(&whole_file, &candidate.path)?.end;
        let content_end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
        Ok(LiveFile { length: frames_end.max(content_end), ..whole_file })
    }

    fn salvage(&self, live: &LiveFile, path: &str) -> Result<Salvaged, OpenError> {
        let content = content::read(self.disk, self.store_id, live, Some(path))
            .map_err(|error| OpenError::io(path, error))?;
        Ok(salvage(self.store_id, live, content, i64::MIN, self.term))
    }

    /// Chooses among several files of a segment.
    fn choose_whole(
        &self,
        id: u64,
        candidates: Vec<(LiveFile, Candidate)>,
    ) -> Result<Source, OpenError> {
        let mut whole: Vec<(Salvaged, &Candidate)> = Vec::new();
        let mut best: Option<(usize, usize)> = None;
        for (at, (live, candidate)) in candidates.iter().enumerate() {
            let salvaged = self.salvage(live, &candidate.path)?;
            let count = salvaged.records().count();
            if best.is_none_or(|(_, most)| count > most) {
                best = Some((at, count));
            }
            match salvaged.is_whole() {
                true if candidate.is_named => {
                    return Ok(Source {
                        live: *live,
                        path: Some(candidate.path.clone()),
                        others: Vec::new(),
                    });
                }
                true => whole.push((salvaged, candidate)),
                false => {}
            }
        }
        let longest = whole.iter().max_by_key(|(salvaged, _)| salvaged.frames.len());
        if let Some((longest, candidate)) = longest {
            if let Some((_, other)) = whole.iter().find(|(one, _)| !one.is_prefix_of(longest)) {
                let (a, b) = (&candidate.path, &other.path);
                return Err(OpenError::Ambiguous(format!(
                    "{a} and {b} are both whole and differ: move the wrong one out of the directory"
                )));
            }
            let (live, path) = (longest.live, Some(candidate.path.clone()));
            return Ok(Source { live, path, others: Vec::new() });
        }
        let mut files: Vec<_> =
            candidates.into_iter().map(|(live, candidate)| (live, candidate.path)).collect();
        let at = best.map_or(0, |(at, _)| at);
        if at >= files.len() {
            return Err(OpenError::Ambiguous(format!("segment {id} has no file")));
        }
        let (live, path) = files.swap_remove(at);
        Ok(Source { live, path: Some(path), others: files })
    }
}

/// A segment without a file. All positions before the next one are lost.
fn lost_segment(named: LiveFile, next: Option<u64>) -> Source {
    let state = SegmentState::Sealed.code();
    let live = match (named.segment_state(), next) {
        (Some(SegmentState::Open), Some(next)) => LiveFile { state, last: next - 1, ..named },
        _ => named,
    };
    Source { live, path: None, others: Vec::new() }
}

fn footer_of(bytes: &[u8], id: u64) -> Option<SegmentFooter> {
    let at = bytes.len().checked_sub(SegmentFooter::SIZE)?;
    SegmentFooter::parse(bytes.get(at..)?, id).ok()
}

/// Adds the segments of which no file and no entry is left, but whose positions are missing.
fn fill_gaps(chosen: &mut Vec<Source>) {
    let (mut id, mut next, mut missing) = (0, 1, Vec::new());
    for Source { live, .. } in &*chosen {
        if live.id > id + 1 && live.first > next {
            let (first, last) = (next, live.first - 1);
            let state = SegmentState::Sealed.code();
            missing.push(LiveFile { state, first, last, ..segment(id + 1, 0) });
        }
        (id, next) = (live.id, (live.last + 1).max(live.first));
    }
    let missing = missing.into_iter();
    chosen.extend(missing.map(|live| Source { live, path: None, others: Vec::new() }));
    chosen.sort_by_key(|source| source.live.id);
}

fn refuse_overlaps(chosen: &[Source]) -> Result<(), OpenError> {
    for pair in chosen.windows(2) {
        let [before, after] = [&pair[0].live, &pair[1].live];
        if after.first < before.first || before.last >= after.first {
            let (a, b) = (before.name(), after.name());
            let what = "have the same positions: move the wrong one out of the directory";
            return Err(OpenError::Ambiguous(format!("{a} and {b} {what}")));
        }
    }
    Ok(())
}
