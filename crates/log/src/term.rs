//! The terms of writers: each opening for writing is one.
//!
//! A frame has the lower half of its writer's number. `MANIFEST` says which term the open segment is in,
//! and where that began. So a frame that an earlier writer has laid over those of a later one is found.

use crate::format::SegmentHeader;

/// Frames of two terms that are further apart than this would be hard to order. A mark is laid before.
const FAR: u16 = 1 << 14;

/// What is wrong with a frame of a writer that a later one has superseded.
pub(crate) const SUPERSEDED: &str = "a writer wrote here after a later one had opened the store: what the later one \
     had written is lost";

/// The term of the writer of the open segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Term {
    /// Counts the openings for writing; 0 if the last writer was an earlier release.
    pub(crate) number: u32,
    /// The segment that was open when it began, or that was opened in it.
    pub(crate) segment: u64,
    /// Where its frames begin in that segment.
    pub(crate) start: u64,
}

impl Term {
    /// Returns the next term, which begins at this offset of a segment. `last` is what the segment's last
    /// frame has; 0 if there is none, or if earlier releases wrote all.
    pub(crate) fn next(self, last: u16, segment: u64, start: u64) -> Self {
        // A manifest that was made again, or that an earlier release wrote, may be behind the frames.
        let known = match self.number {
            0 => u32::from(last),
            number if is_before(self.mark(), last) => {
                number.wrapping_add(u32::from(last.wrapping_sub(self.mark())))
            }
            number => number,
        };
        let number = known.wrapping_add(1);
        // A frame with 0 has no term.
        let number = if number as u16 == 0 { number.wrapping_add(1) } else { number };
        Term { number, segment, start }
    }

    /// The same term in another open segment, which is new.
    pub(crate) fn in_segment(self, segment: u64) -> Self {
        match segment == self.segment {
            true => self,
            false => Term { segment, start: SegmentHeader::SIZE, ..self },
        }
    }

    /// What its frames have.
    pub(crate) fn mark(self) -> u16 {
        self.number as u16
    }

    /// Whether a mark should be laid, as this term is far from that of the segment's last frame.
    pub(crate) fn is_far_from(self, last: u16) -> bool {
        last != 0 && self.mark().wrapping_sub(last) >= FAR
    }
}

/// Checks that no frame of a segment lies behind one of a later writer.
#[derive(Debug, Clone, Default)]
pub(crate) struct TermOrder {
    last: u16,
    /// The term of the open segment, if this is it.
    open: Option<Term>,
}

impl TermOrder {
    /// Checks the frames of a segment; `term` is that of the store's open segment.
    pub(crate) fn of_segment(segment: u64, term: Term) -> Self {
        let open = Some(term).filter(|term| term.number != 0 && term.segment == segment);
        TermOrder { last: 0, open }
    }

    /// Checks the next frame, which begins at this offset.
    pub(crate) fn check(&mut self, offset: u64, found: u16) -> Result<(), &'static str> {
        if self.is_superseded(offset, found) {
            return Err(SUPERSEDED);
        }
        if found != 0 {
            self.last = found;
        }
        Ok(())
    }

    /// Whether a later writer had the store before the next frame was written, which begins at this offset.
    pub(crate) fn is_superseded(&self, offset: u64, found: u16) -> bool {
        let begun = self.open.filter(|term| offset >= term.start).map(Term::mark);
        is_before(found, self.last) || begun.is_some_and(|term| is_before(found, term))
    }

    /// The last frame's; 0 if none has one.
    pub(crate) fn last(&self) -> u16 {
        self.last
    }
}

/// The numbers go round.
fn is_before(term: u16, other: u16) -> bool {
    term != 0 && other != 0 && (term.wrapping_sub(other) as i16) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(term: Term, frames: &[(u64, u16)]) -> bool {
        let mut order = TermOrder::of_segment(1, term);
        frames.iter().all(|(offset, found)| order.check(*offset, *found).is_ok())
    }

    #[test]
    fn a_frame_of_an_earlier_writer_is_out_of_place_behind_a_later_ones() {
        let none = Term::default();
        assert!(order(none, &[(64, 0), (128, 3), (192, 0), (256, 3), (320, 4)]));
        assert!(!order(none, &[(64, 4), (128, 3)]));
        assert!(order(none, &[(64, u16::MAX), (128, 1)]), "the numbers go round");
        let term = Term { number: 5, segment: 1, start: 128 };
        assert!(order(term, &[(64, 4), (128, 5), (192, 5), (256, 0)]));
        assert!(!order(term, &[(64, 4), (128, 4)]), "where a later writer has begun");
        assert!(order(Term { segment: 2, ..term }, &[(64, 4), (128, 4)]), "another segment");
    }

    #[test]
    fn a_term_follows_the_manifest_and_the_frames() {
        let next = |number, last| Term { number, segment: 1, start: 64 }.next(last, 1, 64).number;
        assert_eq!([next(0, 0), next(5, 0), next(5, 5)], [1, 6, 6]);
        assert_eq!(next(0, 40_000), 40_001, "an earlier release has dropped the number");
        assert_eq!(next(5, 7), 8, "a manifest that was made again");
        assert_eq!([next(0xfffe, 0), next(0xffff, 0)], [0xffff, 0x1_0001], "never 0");
        let term = Term { number: 20_000, segment: 1, start: 64 };
        assert!(term.is_far_from(1) && !term.is_far_from(19_000) && !term.is_far_from(0));
    }
}
