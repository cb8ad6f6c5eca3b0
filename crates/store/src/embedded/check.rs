//! The caller's half of an append: checks a draft against the durable head, in turns: the first
//! on the caller's thread, further ones, for broad conditions, on those of the reader pool. It may read any
//! number of files.

use leftfold_index::Order;

use super::checkpoints;
use super::core::Core;
use super::draft::{Draft, DraftStream, Guard};
use super::page::TURN_EVENTS;
use super::repeat::StoredRepeat;
use super::retention::StreamRetention;
use leftfold_api::names;
use leftfold_api::{
    AppendError, Appended, Conflict, Failure, Invalid, Overlap, ReadError, Recorded,
};

/// The outcome of the caller's check.
pub(crate) enum CheckOutcome {
    /// The draft goes to the writer.
    Admissible,
    /// The append was written before; this is its first answer.
    Repeat(Appended),
    /// The turn was over before all conditions were checked.
    Unfinished,
}

/// A bounded piece of work: so many events are checked without a pause.
pub(crate) struct Turn {
    /// The events that were checked and not counted yet.
    used: usize,
    left: usize,
}

impl Turn {
    /// A condition costs about as much as this many events, whatever it checks.
    const OF_CONDITION: usize = 16;

    /// Returns a turn of about a millisecond.
    pub(crate) fn short() -> Self {
        Turn { used: 0, left: TURN_EVENTS }
    }

    /// Returns a turn without end, for stores without threads.
    pub(crate) fn endless() -> Self {
        Turn { used: 0, left: usize::MAX }
    }

    fn add(&mut self, events: usize) {
        self.used += events;
        self.left = self.left.saturating_sub(events);
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// The outcome of a look at a condition.
enum GuardCheck {
    /// It holds up to this position.
    HoldsUpto(u64),
    /// This event matches.
    Match(Recorded),
}

/// The outcome of the check of one stream of a draft.
enum StreamCheck {
    Holds,
    Conflict(Conflict),
    Repeat(StoredRepeat),
    Overlap(Overlap),
}

impl Core {
    /// Checks a draft against the durable head. Repeats are looked for before conditions are checked:
    /// the conditions held when the append was first written.
    pub(crate) fn check(
        &self,
        draft: &mut Draft,
        mut turn: Turn,
    ) -> Result<CheckOutcome, AppendError> {
        let head = self.log.head();
        let is_new = draft.repeats_whole && !self.may_have_first(draft, head.position)?;
        let mut checks = Vec::with_capacity(draft.streams.len());
        for at in 0..draft.streams.len() {
            checks.push(self.check_stream(draft, at, head.position, is_new)?);
        }
        if let Some(appended) = self.find_whole_repeat(draft, &mut checks)? {
            return Ok(CheckOutcome::Repeat(appended));
        }
        self.check_tombstones(draft, head.position)?;
        for check in checks {
            if let StreamCheck::Conflict(conflict) = check {
                return Err(conflict.into());
            }
        }
        if !self.check_guards(draft, head.position, &mut turn)? {
            return Ok(CheckOutcome::Unfinished);
        }
        self.check_checkpoints(draft)?;
        draft.checked = head;
        Ok(CheckOutcome::Admissible)
    }

    /// Looks up a stream's version and, where needed, the ids of its events.
    fn check_stream(
        &self,
        draft: &mut Draft,
        at: usize,
        upto: u64,
        is_new: bool,
    ) -> Result<StreamCheck, Failure> {
        let version = self.index.version(&draft.streams[at].keys.stream, upto)?;
        draft.streams[at].version = version;
        let stream = &draft.streams[at];
        let holds = stream.expected.holds(version);
        // Ids are unique in their stream, so they are looked up even if the expected version is found.
        let repeat = match is_new {
            true => StoredRepeat::default(),
            false => self.find_repeat(draft, at, upto)?,
        };
        match repeat {
            StoredRepeat { overlap: Some(overlap), .. } => {
                return Ok(StreamCheck::Overlap(overlap));
            }
            known @ StoredRepeat { first: Some(_), .. } => return Ok(StreamCheck::Repeat(known)),
            StoredRepeat { .. } => {}
        }
        Ok(if holds { StreamCheck::Holds } else { StreamCheck::Conflict(wrong_version(stream)) })
    }

    /// Returns the first answer if all streams with events repeat; an error if only some do.
    fn find_whole_repeat(
        &self,
        draft: &Draft,
        checks: &mut [StreamCheck],
    ) -> Result<Option<Appended>, AppendError> {
        if let Some(overlap) = checks.iter_mut().find_map(|check| match check {
            StreamCheck::Overlap(overlap) => Some(overlap.clone()),
            _ => None,
        }) {
            return Err(overlap.into());
        }
        let repeats: Vec<_> = checks
            .iter()
            .enumerate()
            .filter_map(|(at, check)| match check {
                StreamCheck::Repeat(known) => Some((at, known)),
                _ => None,
            })
            .collect();
        let with_events = draft.streams.iter().filter(|stream| stream.events > 0).count();
        match repeats.first() {
            None => Ok(None),
            Some(_) if repeats.len() == with_events => self.first_answer(draft, &repeats).map(Some),
            Some((at, known)) => Err(known.to_overlap(draft, *at).into()),
        }
    }

    /// Refuses a draft that appends to a stream with a tombstone, or expects something of one.
    fn check_tombstones(&self, draft: &Draft, upto: u64) -> Result<(), AppendError> {
        if draft.is_filler {
            return Ok(());
        }
        for stream in &draft.streams {
            if self.stream_state(&stream.name, upto)?.retention == StreamRetention::Tombstoned {
                return Err(Conflict::Tombstoned { stream: stream.name.to_string() }.into());
            }
        }
        Ok(())
    }

    /// Checks the query conditions, at most as many events as a turn has. Each turn and each attempt
    /// continues where the last one stopped, so that a broad condition catches up with the log. Returns
    /// whether all conditions hold.
    fn check_guards(
        &self,
        draft: &mut Draft,
        upto: u64,
        turn: &mut Turn,
    ) -> Result<bool, AppendError> {
        for guard in &mut draft.guards {
            while guard.holds_upto < upto {
                draft.checked_events += turn.used;
                turn.used = 0;
                let (found, allowed) = (draft.checked_events, self.limits.condition_events);
                if found > allowed {
                    let message = format!(
                        "the conditions of the append have to check more than {allowed} events: narrow \
                         them by stream, category, type or tag, or begin at a later cursor"
                    );
                    return Err(Invalid::new("condition_too_broad", message).into());
                }
                if turn.is_over() {
                    return Ok(false);
                }
                let range = [guard.holds_upto + 1, upto];
                match self.first_match(guard, range, turn)? {
                    GuardCheck::HoldsUpto(position) => guard.holds_upto = position,
                    GuardCheck::Match(found) => {
                        return Err(Conflict::Query {
                            query: guard.query.to_string(),
                            position: found.position(),
                            stream: found.stream().to_owned(),
                            event_type: found.event_type().to_owned(),
                        }
                        .into());
                    }
                }
            }
        }
        Ok(true)
    }

    /// Looks for the first event in a range that matches a condition, until the turn is over.
    fn first_match(
        &self,
        guard: &Guard,
        range: [u64; 2],
        turn: &mut Turn,
    ) -> Result<GuardCheck, ReadError> {
        turn.add(Turn::OF_CONDITION);
        let (plan, wanted) = (&guard.plan, guard.wanted());
        if let Some(postings) = &plan.postings
            && !self.index.set.load().may_match_after(postings, range[0] - 1)?
        {
            return Ok(GuardCheck::HoldsUpto(range[1]));
        }
        let mut candidates = self.candidates(plan, wanted, range, Order::Ascending)?;
        while let Some(event) = candidates.next()? {
            // A lost event may have matched, so the condition must not hold, unless it is hidden.
            let is_lost =
                event.is_lost() && (wanted.shows(event.stream()) || event.stream() == names::LOST);
            if is_lost || plan.selects(wanted, &event) {
                return Ok(GuardCheck::Match(event));
            }
            turn.add(1);
            if turn.is_over() {
                return Ok(GuardCheck::HoldsUpto(event.position()));
            }
        }
        Ok(GuardCheck::HoldsUpto(range[1]))
    }

    fn check_checkpoints(&self, draft: &Draft) -> Result<(), AppendError> {
        let checkpoints = self.definitions.checkpoints.read();
        for to in &draft.checkpoints {
            let actual = checkpoints.get(&to.name).cloned();
            if actual != to.expected {
                let (name, expected) = (to.name.clone(), to.expected.clone());
                return Err(Conflict::Checkpoint { name, expected, actual }.into());
            }
        }
        let new = draft.new_checkpoints().map(|to| to.name.as_str());
        Ok(checkpoints::check_count(&checkpoints, new, &self.limits)?)
    }
}

fn wrong_version(stream: &DraftStream) -> Conflict {
    Conflict::Version {
        stream: stream.name.to_string(),
        expected: stream.expected,
        actual: stream.version,
    }
}
