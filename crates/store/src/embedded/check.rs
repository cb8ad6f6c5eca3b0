//! The caller's half of an append: checked against what is durable now, on the caller's thread,
//! however much there is to look up.

use leftfold_index::Order;

use super::core::Core;
use super::draft::{Draft, DraftStream, Guard};
use super::repeat::Known;
use super::retention::StreamRetention;
use leftfold_api::{AppendError, Appended, Conflict, Failure, Overlap, ReadError, Recorded};

/// What the caller's half comes to.
pub(crate) enum Verdict {
    /// Let the writer have it.
    Admissible,
    /// It was written before.
    Repeated(Appended),
}

/// What a stream of the draft comes to.
enum Finding {
    Fits,
    Conflicts(Conflict),
    Repeats(Known),
    Overlaps(Overlap),
}

impl Core {
    /// Checks a draft against the durable head. A repeat answers before any condition does: the
    /// first time, they held.
    pub(crate) fn check(&self, draft: &mut Draft) -> Result<Verdict, AppendError> {
        let head = self.log.head();
        let mut findings = Vec::with_capacity(draft.streams.len());
        for at in 0..draft.streams.len() {
            findings.push(self.look_at(draft, at, head.position)?);
        }
        if let Some(appended) = self.whole_repeat(draft, &mut findings)? {
            return Ok(Verdict::Repeated(appended));
        }
        self.check_tombstones(draft, head.position)?;
        for finding in findings {
            if let Finding::Conflicts(conflict) = finding {
                return Err(conflict.into());
            }
        }
        self.check_guards(draft, head.position)?;
        self.check_checkpoints(draft)?;
        draft.checked = head;
        Ok(Verdict::Admissible)
    }

    fn look_at(&self, draft: &mut Draft, at: usize, upto: u64) -> Result<Finding, Failure> {
        let version = self.index.version(&draft.streams[at].keys.stream, upto)?;
        draft.streams[at].version = version;
        let stream = &draft.streams[at];
        let holds = stream.expected.holds(version);
        // With a version expected and found, the ids need not be looked for: were this a repeat,
        // the stream would be further on.
        let look_for_ids = stream.events > 0 && (!holds || stream.expected.next().is_none());
        if look_for_ids {
            let known = match stream.expected.next() {
                Some(first) => self.known_at(draft, at, first, upto)?,
                None => self.known_anywhere(draft, at, upto)?,
            };
            match known {
                Known { overlap: Some(overlap), .. } => return Ok(Finding::Overlaps(overlap)),
                Known { first: Some(_), .. } => return Ok(Finding::Repeats(known)),
                Known { .. } => {}
            }
        }
        Ok(if holds { Finding::Fits } else { Finding::Conflicts(wrong_version(stream)) })
    }

    /// The first answer, if all streams with events repeat; an error if only some do.
    fn whole_repeat(
        &self,
        draft: &Draft,
        findings: &mut [Finding],
    ) -> Result<Option<Appended>, AppendError> {
        if let Some(overlap) = findings.iter_mut().find_map(|finding| match finding {
            Finding::Overlaps(overlap) => Some(overlap.clone()),
            _ => None,
        }) {
            return Err(overlap.into());
        }
        let repeats: Vec<_> = findings
            .iter()
            .enumerate()
            .filter_map(|(at, finding)| match finding {
                Finding::Repeats(known) => Some((at, known)),
                _ => None,
            })
            .collect();
        let with_events = draft.streams.iter().filter(|stream| stream.events > 0).count();
        match repeats.first() {
            None => Ok(None),
            Some(_) if repeats.len() == with_events => Ok(Some(self.first_answer(draft, &repeats))),
            Some((at, known)) => Err(known.as_overlap(draft, *at).into()),
        }
    }

    /// A stream that was closed takes nothing, and nothing may rest on it.
    fn check_tombstones(&self, draft: &Draft, upto: u64) -> Result<(), AppendError> {
        for stream in &draft.streams {
            if self.stream_state(&stream.name, upto)?.kept == StreamRetention::Tombstoned {
                return Err(Conflict::Tombstoned { stream: stream.name.to_string() }.into());
            }
        }
        Ok(())
    }

    /// Goes on from where the last attempt stopped, so that a broad condition catches up with the
    /// log however long it takes.
    fn check_guards(&self, draft: &mut Draft, upto: u64) -> Result<(), AppendError> {
        for guard in &mut draft.guards {
            if guard.holds_upto < upto {
                let range = [guard.holds_upto + 1, upto];
                if let Some(found) = self.first_match(guard, range)? {
                    return Err(Conflict::Query {
                        query: guard.query.to_string(),
                        position: found.position(),
                        stream: found.stream().to_owned(),
                        event_type: found.event_type().to_owned(),
                    }
                    .into());
                }
                guard.holds_upto = upto;
            }
        }
        Ok(())
    }

    fn first_match(&self, guard: &Guard, range: [u64; 2]) -> Result<Option<Recorded>, ReadError> {
        let (plan, wanted) = (&guard.plan, guard.wanted());
        if let Some(postings) = &plan.postings
            && !self.index.set.load().may_match_after(postings, range[0] - 1)?
        {
            return Ok(None);
        }
        let mut candidates = self.candidates(plan, wanted, range, Order::Ascending)?;
        while let Some(event) = candidates.next()? {
            // Nobody knows any more whether a lost event matched: the condition must not pass.
            if plan.exact || event.is_lost() || wanted.matches(&event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn check_checkpoints(&self, draft: &Draft) -> Result<(), AppendError> {
        let checkpoints = self.definitions.checkpoints.read();
        for to in &draft.checkpoints {
            let actual = checkpoints.get(&to.name).cloned();
            if actual != to.expected {
                let (name, expected) = (to.name.clone(), to.expected.clone());
                return Err(Conflict::Checkpoint { name, expected, actual }.into());
            }
            let (count, allowed) = (checkpoints.len() + 1, self.limits.checkpoints);
            if actual.is_none() && count > allowed {
                let what = "checkpoints";
                return Err(super::limit_error("too_many_checkpoints", what, count, allowed).into());
            }
        }
        Ok(())
    }
}

fn wrong_version(stream: &DraftStream) -> Conflict {
    Conflict::Version {
        stream: stream.name.to_string(),
        expected: stream.expected,
        actual: stream.version,
    }
}
