//! Compares what clients know with the log, and the copies of nodes with it.

use std::collections::{HashMap, HashSet};

use leftfold_api::{NewEvent, Recorded};
use leftfold_cluster::record::{Decoded, Decoder};
use leftfold_kafka::StoredBatch;
use uuid::Uuid;

use super::history::{ClientAppend, ClientRead, Events, Outcome};

/// The events of the log that count, in order.
pub(crate) struct Counted {
    pub(crate) events: Vec<Recorded>,
    /// Records that are void.
    pub(crate) void: u64,
    /// Terms that began.
    pub(crate) terms: u64,
    versions: HashMap<Uuid, (usize, u64)>,
}

impl Counted {
    /// Reads the whole log. Each stream's versions must have no gap, and no event may occur twice.
    pub(crate) fn read(log: &[StoredBatch]) -> Result<Self, String> {
        let mut decoder = Decoder::default();
        let (mut events, mut void, mut terms) = (Vec::new(), 0, 0);
        for batch in log {
            for decoded in decoder.decode(batch).map_err(|error| error.to_string())? {
                match decoded {
                    Decoded::Append { append, .. } => {
                        let (first, time) = (append.first, append.commit_time);
                        for (position, event) in (first..).zip(append.events) {
                            // Whether it was given does not matter here.
                            let event_time = Some(event.event_time);
                            let new = NewEvent { event_time, ..event.event };
                            let recorded = Recorded::from_parts(
                                &event.stream,
                                event.version,
                                position,
                                time,
                                &new,
                            );
                            events.push(recorded.map_err(|error| error.to_string())?);
                        }
                    }
                    Decoded::Void { .. } => void += 1,
                    Decoded::Claim { .. } => terms += 1,
                    Decoded::Barrier { .. } => {}
                }
            }
        }
        let (mut next, mut versions) = (HashMap::new(), HashMap::new());
        for (at, event) in events.iter().enumerate() {
            let expected = next.entry(event.stream().to_owned()).or_insert(0);
            if event.version() != *expected {
                return Err(format!("{event:?} was accepted, where version {expected} comes next"));
            }
            *expected += 1;
            if versions.insert(event.id(), (at, event.version())).is_some() {
                return Err(format!("{event:?} is stored twice"));
            }
        }
        Ok(Counted { events, void, terms, versions })
    }

    /// Checks all that clients know.
    pub(crate) fn check(&self, history: &Events) -> Result<(), String> {
        let mut placed = Vec::new();
        for append in &history.appends {
            if let Some(first) = self.check_append(append)? {
                placed.push((append, first));
            }
        }
        for (append, first) in &placed {
            self.check_order(append, *first, &placed)?;
        }
        let seen: HashSet<_> = history.appends.iter().flat_map(|append| &append.ids).collect();
        if let Some(stray) = self.events.iter().find(|event| !seen.contains(&event.id())) {
            return Err(format!("no client has sent {stray:?}"));
        }
        history.reads.iter().try_for_each(|read| check_read(read, &placed, &history.reads))
    }

    /// Checks that an append is stored as a whole or not at all, as its client knows. Returns its first version.
    fn check_append(&self, append: &ClientAppend) -> Result<Option<u64>, String> {
        let found: Vec<_> = append.ids.iter().filter_map(|id| self.versions.get(id)).collect();
        let Some((at, first)) = found.first() else {
            return match append.outcome {
                Outcome::Acknowledged(_) => Err(format!("lost although acknowledged: {append:?}")),
                Outcome::Unknown | Outcome::Refused => Ok(None),
            };
        };
        let is_whole = found.len() == append.ids.len()
            && (0..)
                .zip(&found)
                .all(|(place, found)| **found == (at + place, first + place as u64));
        if !is_whole {
            return Err(format!("stored in part: {append:?}"));
        }
        let holds = append.expected.holds(first.checked_sub(1));
        let is_known = match append.outcome {
            Outcome::Unknown => true,
            Outcome::Acknowledged(version) => version == *first,
            Outcome::Refused => false,
        };
        match holds && is_known {
            true => Ok(Some(*first)),
            false => Err(format!("stored as version {first}: {append:?}")),
        }
    }

    /// Checks that an append lies before all that were sent after it was acknowledged.
    fn check_order(
        &self,
        append: &ClientAppend,
        first: u64,
        placed: &[(&ClientAppend, u64)],
    ) -> Result<(), String> {
        let Some(ended) =
            append.ended.filter(|_| matches!(append.outcome, Outcome::Acknowledged(_)))
        else {
            return Ok(());
        };
        let is_later = |other: &ClientAppend| other.stream == append.stream && other.sent > ended;
        match placed.iter().find(|(other, version)| is_later(other) && *version < first) {
            Some((other, _)) => Err(format!("{other:?} lies before {append:?}, sent after it")),
            None => Ok(()),
        }
    }

    /// Checks that a copy holds exactly the events that count.
    pub(crate) fn check_copy(&self, name: &str, copy: &[Recorded]) -> Result<(), String> {
        let differs = |(ours, theirs): &(&Recorded, &Recorded)| !is_same(ours, theirs);
        if let Some((ours, theirs)) = self.events.iter().zip(copy).find(differs) {
            let [theirs, ours] = [theirs, ours].map(show);
            return Err(format!("the copy of {name} has {theirs} instead of {ours}"));
        }
        match self.events.len() == copy.len() {
            true => Ok(()),
            false => Err(format!(
                "the copy of {name} has {} events instead of {}",
                copy.len(),
                self.events.len()
            )),
        }
    }
}

/// Returns an event with its times, in which copies may differ.
fn show(event: &Recorded) -> String {
    format!("{event:?}, event time {}, commit time {}", event.event_time(), event.commit_time())
}

/// Whether two events are the same but for the digest, which depends on a store's key.
fn is_same(one: &Recorded, other: &Recorded) -> bool {
    let facts = |event: &Recorded| {
        let times = (event.event_time(), event.commit_time());
        (
            event.position(),
            event.stream().to_owned(),
            event.version(),
            event.id(),
            times,
            event.data(),
        )
    };
    facts(one) == facts(other)
}

/// Checks that a read saw all that was acknowledged before, and nothing that was sent later.
fn check_read(
    read: &ClientRead,
    placed: &[(&ClientAppend, u64)],
    reads: &[ClientRead],
) -> Result<(), String> {
    for (append, first) in placed.iter().filter(|(append, _)| append.stream == read.stream) {
        let last = first + append.ids.len() as u64 - 1;
        let is_acknowledged = matches!(append.outcome, Outcome::Acknowledged(_));
        let is_before = is_acknowledged && append.ended.is_some_and(|ended| ended < read.sent);
        if is_before && read.last.is_none_or(|seen| seen < last) {
            return Err(format!("{read:?} is stale: {append:?} was acknowledged before"));
        }
        if append.sent > read.ended && read.last.is_some_and(|seen| seen >= *first) {
            return Err(format!("{read:?} saw {append:?}, which was sent later"));
        }
    }
    let is_later = |other: &&ClientRead| other.stream == read.stream && other.sent > read.ended;
    match reads.iter().filter(is_later).find(|later| later.last < read.last) {
        Some(later) => Err(format!("{later:?} saw less than the earlier {read:?}")),
        None => Ok(()),
    }
}
