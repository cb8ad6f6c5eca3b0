//! Pairs the records of a statement with those that the store has of the same kind.
//!
//! Records of one kind are equal in all that tells them apart. The n-th of a statement is the n-th of those
//! in the store that come from overlapping statements, in the order in which they were stored.
//! `docs-identity.md` gives the rule, its counter-examples and its limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::changes::{Changes, Correction, Outcome};
use crate::item::{Draft, GroupEnd, Occurrence};
use crate::origin::{Origin, Relation};
use crate::pipeline::ambiguous;
use crate::plan::Kinds;
use crate::reason::{Doubt, Warning};
use crate::stored::{StoredRecord, StoredRecords};

/// The most records of a statement that wait for its end, and the most bytes of them.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 32 << 20;

/// What is done with a record.
pub(crate) enum Decision {
    /// The store has it.
    Repeated,
    /// It is appended under its ordinal.
    New(Draft),
    /// The store has it with other content, which stays.
    Kept,
    /// It corrects an event in the store.
    Correction(Draft, Correction),
    /// The store has it with other content, and the mapping refuses it with this sentence.
    Refused(Draft, String),
    /// The end of the statement decides.
    Waits(Draft),
}

/// The statement whose records are being paired.
#[derive(Default)]
pub(crate) struct Group {
    origin: Arc<Origin>,
    /// The records that wait for its end.
    pub(crate) waiting: Vec<Draft>,
    /// Whether a record of it was new.
    pub(crate) has_new: bool,
}

/// Returns the stream and the kind of a draft.
fn place_of(draft: &Draft) -> Option<(&str, Uuid)> {
    Some((&*draft.stream, draft.occurrence.as_ref()?.kind))
}

/// The drafts of one stream and kind, each with its place among all.
type OfKind = HashMap<(String, Uuid), Vec<(usize, Draft)>>;

impl Group {
    /// Goes on with the records of a statement.
    pub(crate) fn enter(&mut self, origin: &Arc<Origin>) {
        self.origin = origin.clone();
    }

    /// Decides what is done with each record of the statement. Until the end of the statement it is open
    /// which of the undecided statements overlap with it; then `accepted` lists them.
    pub(crate) fn decide(
        &self,
        kinds: &Kinds,
        changes: &Changes,
        drafts: Vec<Draft>,
        stored: &StoredRecords,
        accepted: Option<&[Arc<Origin>]>,
    ) -> Vec<Decision> {
        let mut of_kind = OfKind::new();
        for (at, draft) in drafts.into_iter().enumerate() {
            let kind = draft.occurrence.as_ref().map(|o| o.kind).unwrap_or_default();
            of_kind.entry((draft.stream.clone(), kind)).or_default().push((at, draft));
        }
        let waits: HashSet<_> = match accepted {
            None => self.waiting.iter().filter_map(place_of).collect(),
            Some(_) => HashSet::new(),
        };
        let mut decisions = Vec::new();
        for (key, drafts) in of_kind {
            let known = stored.get(&key).map_or(&[][..], Vec::as_slice);
            let relations: Vec<_> = known
                .iter()
                .map(|record| match kinds.by_statement {
                    true => self.origin.relation(&record.origin),
                    false => Relation::Overlapping,
                })
                .collect();
            // What comes later of a kind that waits must not overtake it.
            let is_open = accepted.is_none()
                && (relations.contains(&Relation::Unknown) || waits.contains(&(&*key.0, key.1)));
            if is_open {
                decisions.extend(drafts.into_iter().map(|(at, d)| (at, Decision::Waits(d))));
                continue;
            }
            let overlaps = |(record, relation): &(&StoredRecord, Relation)| match relation {
                Relation::Unknown => {
                    accepted.is_some_and(|accepted| accepted.contains(&record.origin))
                }
                relation => *relation == Relation::Overlapping,
            };
            let known: Vec<_> = known.iter().zip(relations).collect();
            let candidates: Vec<_> =
                known.iter().filter(|one| overlaps(one)).map(|one| one.0).collect();
            let doubtful: Vec<_> = known
                .iter()
                .filter(|one| one.1 == Relation::Unknown && !overlaps(one))
                .map(|one| one.0)
                .collect();
            let last = known.iter().map(|(record, _)| record.ordinal).max().unwrap_or(0);
            decisions.extend(pair(changes, drafts, candidates, &doubtful, last));
        }
        decisions.sort_by_key(|(at, _)| *at);
        decisions.into_iter().map(|(_, decision)| decision).collect()
    }

    /// Whether more records wait than may: they are decided before the end then, and kept.
    pub(crate) fn is_full(&self) -> bool {
        let bytes = self.waiting.iter().map(|draft| draft.data.len()).sum::<usize>();
        self.waiting.len() > MAX_WAITING || bytes > MAX_WAITING_BYTES
    }

    /// Returns the undecided statements that overlap with this one after all, each with a warning if only
    /// the order of the records shows it.
    pub(crate) fn accept(
        &self,
        waiting: &[Draft],
        stored: &StoredRecords,
        end: GroupEnd,
    ) -> Vec<(Arc<Origin>, Option<Warning>)> {
        let mut pairs = HashMap::<Arc<Origin>, Vec<(u64, u64, Uuid)>>::new();
        for draft in waiting {
            let Some(Occurrence { kind, number, index, .. }) = &draft.occurrence else { continue };
            let known = stored.get(&(draft.stream.clone(), *kind)).map_or(&[][..], Vec::as_slice);
            let mut known = known
                .iter()
                .map(|record| (record, self.origin.relation(&record.origin)))
                .filter(|(_, relation)| *relation != Relation::Disjoint);
            let nth = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
            if let Some((record, Relation::Unknown)) = known.nth(nth) {
                let of_origin = pairs.entry(record.origin.clone()).or_default();
                of_origin.push((*index, record.index, *kind));
            }
        }
        let known = self.accept_known(waiting, stored);
        if known.is_some() {
            pairs.remove(&self.origin);
        }
        let line = waiting.first().map_or(0, |draft| draft.line);
        let decide = |(origin, pairs): (Arc<Origin>, Vec<(u64, u64, Uuid)>)| {
            if self.origin.is_same_statement(&origin)
                && self.origin.has_moving_balances()
                && end.balance_holds == Some(true)
            {
                return Some((origin, None));
            }
            let is_window = !self.origin.is_numbered_apart(&origin) && is_window(&pairs);
            is_window.then(|| {
                let from = origin.statement.as_deref().unwrap_or("another file").to_owned();
                let message = format!(
                    "Nothing tells how this statement lies to {from}, but {} records follow each other in \
                     both: they count as the same.",
                    pairs.len()
                );
                (origin, Some(Warning { line, doubt: Doubt::AssumedOverlap, message }))
            })
        };
        pairs.into_iter().filter_map(decide).chain(known).collect()
    }

    /// Returns the statement in the store that says the same of itself, without a message, if each record that
    /// both have stands at the same place: it is the same one, from a file that was read before, or a part of it.
    /// If this one has new records, that is not certain, and a warning says so.
    pub(crate) fn accept_known(
        &self,
        waiting: &[Draft],
        stored: &StoredRecords,
    ) -> Option<(Arc<Origin>, Option<Warning>)> {
        let of_same = stored.iter().flat_map(|((stream, kind), records)| {
            let of_same = records.iter().filter(|record| record.origin == self.origin);
            of_same.map(move |record| ((stream.as_str(), *kind), record.index))
        });
        let mut counts = HashMap::<_, u64>::new();
        let mut places = HashSet::new();
        for (kind, index) in of_same {
            *counts.entry(kind).or_default() += 1;
            places.insert((kind, index));
        }
        // What is more than the store has of its kind is new.
        let common = waiting.iter().filter_map(|draft| {
            let Occurrence { number, index, .. } = draft.occurrence.as_ref()?;
            let kind = place_of(draft)?;
            counts.get(&kind).is_some_and(|count| number <= count).then_some((kind, *index))
        });
        let is_at_place: Vec<_> = common.map(|place| places.contains(&place)).collect();
        if is_at_place.is_empty() || is_at_place.contains(&false) {
            return None;
        }
        let warning = self.has_new.then(|| Warning {
            line: waiting.first().map_or(0, |draft| draft.line),
            doubt: Doubt::AssumedOverlap,
            message: "An earlier statement says the same of itself, and the records of both stand at the same \
                      places: they count as the same. This statement has others too."
                .to_owned(),
        });
        Some((self.origin.clone(), warning))
    }
}

/// Whether the common records of two statements are a window of both: at least two different ones, at the
/// same distance, from the first of one of them on.
fn is_window(pairs: &[(u64, u64, Uuid)]) -> bool {
    let kinds: HashSet<_> = pairs.iter().map(|pair| pair.2).collect();
    let distance = |pair: &(u64, u64, Uuid)| i128::from(pair.0) - i128::from(pair.1);
    let first = pairs.first().map(distance);
    let begins = pairs.iter().any(|(one, other, _)| *one == 1 || *other == 1);
    let indexes: HashSet<_> = pairs.iter().map(|pair| pair.0).collect();
    kinds.len() >= 2
        && indexes.len() >= 2
        && begins
        && pairs.iter().all(|pair| Some(distance(pair)) == first)
}

/// Pairs the drafts of a kind with the records in the store that are the same ones.
fn pair(
    changes: &Changes,
    drafts: Vec<(usize, Draft)>,
    candidates: Vec<&StoredRecord>,
    doubtful: &[&StoredRecord],
    mut last: u64,
) -> Vec<(usize, Decision)> {
    let mut free: Vec<_> = candidates.into_iter().map(Some).collect();
    let number = |draft: &Draft| draft.occurrence.as_ref().map_or(1, |o| o.number);
    let place = |draft: &Draft| usize::try_from(number(draft) - 1).unwrap_or(usize::MAX);
    let count = free.len();
    let (known, new): (Vec<_>, Vec<_>) =
        drafts.into_iter().partition(|(_, draft)| place(draft) < count);
    // The places of these drafts, whose records may have come in another order.
    let places: Vec<_> = known.iter().map(|(_, draft)| place(draft)).collect();
    let mut decisions = Vec::with_capacity(known.len() + new.len());
    let mut others = Vec::new();
    for (at, draft) in known {
        let equal = places.iter().find(|place| free[**place].is_some_and(|r| r.is_equal(&draft)));
        match equal {
            Some(place) => {
                free[*place] = None;
                decisions.push((at, Decision::Repeated));
            }
            None => others.push((at, draft)),
        }
    }
    let rest: Vec<_> = places.iter().filter_map(|place| free[*place]).collect();
    for ((at, draft), record) in others.into_iter().zip(rest) {
        let outcome = record.decide(changes, &draft);
        decisions.push((
            at,
            match outcome {
                Outcome::Kept => Decision::Kept,
                Outcome::Corrected(correction) => Decision::Correction(draft, correction),
                Outcome::Refused(message) => Decision::Refused(draft, message),
            },
        ));
    }
    for (at, mut draft) in new {
        last += 1;
        // It may have been paired before, when others appended the same.
        draft.warnings.retain(|warning| warning.doubt != Doubt::AmbiguousRepeat);
        let would_be_known = place(&draft) < count + doubtful.len();
        if let (true, Some(other)) = (would_be_known, doubtful.first()) {
            draft.warnings.push(ambiguous(&draft, &other.origin));
        }
        if let Some(occurrence) = &mut draft.occurrence {
            occurrence.ordinal = last;
            draft.id = Occurrence::id(occurrence.kind, last);
        }
        decisions.push((at, Decision::New(draft)));
    }
    decisions
}
