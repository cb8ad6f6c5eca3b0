//! Results of a reactor in other partitions than its event's.
//!
//! An append lies in one partition, so results elsewhere can't be one append with the progress. They are written
//! before it:
//!
//! - **Events without conditions** are appended to their partitions with ids that derive from the event. A repeat is
//!   recognised there by the ids.
//! - **What was decided on a state** lies with all its conditions in one partition. Its events are appended there, on
//!   its conditions, together with one fact in a stream that is named by the event. The fact has the rest of the
//!   reaction. A run that handles the event again finds the fact before it decides, and only delivers the rest. So
//!   nothing is decided twice, and no second decision sees the results of the first. In its own partition it looks
//!   before it calls the handler, because a handler may read there what the first call has written.
//!
//! The events of the reactor's own partition are appended with the progress.

use leftfold_api::{
    Append, AppendError, Conflict, EventStore, Expected, NewEvent, Query, Read, Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::engine::commit::{append_with_retries, is_own, stream_in};
use super::handler_error::NextStep;
use super::place::Place;
use super::{Cause, HandlerError, Reaction};
use crate::reads::Reads;
use crate::text::as_text;
use crate::timer::Payload;

/// The event type of a decision whose rest is elsewhere.
const DECIDED: &str = "leftfold.ReactionDecided";
/// The number from which the id of the fact derives. No reaction has as many events.
const FACT: u32 = u32::MAX;

/// The rest of a decided reaction: its events in other partitions.
#[derive(Serialize, Deserialize)]
struct Rest {
    events: Vec<(String, RestEvent)>,
}

/// An event that is still to be appended.
#[derive(Serialize, Deserialize)]
struct RestEvent {
    #[serde(with = "as_text")]
    id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    event_time: Option<i64>,
    correlation: Option<String>,
    causation: Option<String>,
    tags: Vec<(String, String)>,
    content_type: String,
    schema_version: u16,
    data: Payload,
    metadata: Payload,
}

/// Looks whether the event was decided on before in a partition that a command reads. Then the call ends: the rest of
/// that decision is to be delivered.
pub(super) async fn find_decision(
    store: &impl EventStore,
    cause: &Cause,
    reads: &impl Reads,
) -> Result<(), HandlerError> {
    let Some(place) = cause.place else { return Ok(()) };
    let mut looked = Vec::new();
    for source in reads.sources() {
        let Some(partition) = place.single(&source.query) else { continue };
        if looked.contains(&partition) {
            continue;
        }
        looked.push(partition);
        if read_decision(store, place, partition, cause).await?.is_some() {
            return Err(HandlerError::decided(partition));
        }
    }
    Ok(())
}

/// Calls the handler, writes what lies in other partitions, and returns what is to be appended with the progress.
pub(super) async fn settle(
    store: &impl EventStore,
    place: Place,
    cause: &Cause,
    call: impl Future<Output = Result<Reaction, HandlerError>>,
) -> Result<Reaction, HandlerError> {
    if store.stream(&place.decision(place.partition, cause.key)).await?.is_some() {
        return finish(store, place, place.partition, cause).await;
    }
    let reaction = match call.await {
        Ok(reaction) => reaction.caused_by(cause),
        Err(HandlerError { then: NextStep::Decided(partition), .. }) => {
            return finish(store, place, partition, cause).await;
        }
        Err(error) => return Err(error),
    };
    let is_local = reaction.events.iter().all(|(stream, _)| place.home(stream) == place.partition);
    match decided_in(place, &reaction)? {
        None if is_local => Ok(reaction),
        None => deliver(store, place, cause, reaction.events).await,
        Some(partition) if partition == place.partition && is_local => {
            // A paused run may have decided on the event, with results elsewhere.
            let decision = place.decision(partition, cause.key);
            let mut reaction = reaction;
            reaction.add_expected(decision, Expected::NoStream)?;
            Ok(reaction)
        }
        Some(partition) => {
            append_decision(store, place, partition, cause, reaction).await?;
            finish(store, place, partition, cause).await
        }
    }
}

/// Returns the partition of a reaction's conditions; `None` if it has none.
fn decided_in(place: Place, reaction: &Reaction) -> Result<Option<u32>, HandlerError> {
    let streams = reaction.expected.iter().map(|(stream, _)| Some(place.home(stream)));
    let queries = reaction.none_after.iter().map(|(query, _)| place.single(query));
    let mut all = streams.chain(queries);
    let Some(first) = all.next() else { return Ok(None) };
    match first.filter(|first| all.all(|other| other == Some(*first))) {
        Some(partition) => Ok(Some(partition)),
        None => Err(HandlerError::park(
            "crosses_partitions: what a reaction decides must lie in one partition; decide the next \
             command in the reaction to an event of its own",
        )),
    }
}

/// Appends the part of a reaction that rests on conditions, and keeps the rest beside it. Does nothing if the event was
/// decided on before.
async fn append_decision(
    store: &impl EventStore,
    place: Place,
    partition: u32,
    cause: &Cause,
    mut reaction: Reaction,
) -> Result<(), HandlerError> {
    let events = std::mem::take(&mut reaction.events);
    let (here, rest): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|(stream, _)| place.home(stream) == partition);
    let rest = Rest { events: rest.into_iter().map(|(to, new)| (to, new.into())).collect() };
    let data = serde_json::to_vec(&rest)?;
    let decision = place.decision(partition, cause.key);
    let fact = NewEvent::json(DECIDED, data).id(super::cause::derived(cause.key, FACT));
    reaction.events = here;
    let append = reaction.add_to(Append::new());
    let append = append.event(&decision, fact).expect(&decision, Expected::NoStream);
    match append_with_retries(store, append).await {
        Ok(_) => Ok(()),
        Err(AppendError::Conflict(Conflict::Version { stream, .. })) if stream == decision => {
            Ok(())
        }
        Err(AppendError::Conflict(Conflict::Version { stream, .. })) => {
            Err(HandlerError::overtaken(&stream))
        }
        Err(AppendError::Conflict(conflict)) => Err(HandlerError::overtaken(&conflict.to_string())),
        // Another run of the reactor has decided on the event meanwhile.
        Err(AppendError::Overlap(overlap))
            if stream_in(&overlap) == Some(&decision) || is_own(cause.key, &overlap) =>
        {
            Ok(())
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Delivers the rest of a decision; returns what is to be appended with the progress.
async fn finish(
    store: &impl EventStore,
    place: Place,
    partition: u32,
    cause: &Cause,
) -> Result<Reaction, HandlerError> {
    let Some(rest) = read_decision(store, place, partition, cause).await? else {
        return Err(HandlerError::retry("the decision on the event is not found any more"));
    };
    let events = rest.events.into_iter().map(|(to, event)| (to, event.into())).collect();
    deliver(store, place, cause, events).await
}

/// Appends events to other partitions than the reactor's own; returns the others.
async fn deliver(
    store: &impl EventStore,
    place: Place,
    cause: &Cause,
    events: Vec<(String, NewEvent)>,
) -> Result<Reaction, HandlerError> {
    let mut own = Reaction::none();
    let mut away = std::collections::BTreeMap::<u32, Append>::new();
    for (stream, event) in events {
        match place.home(&stream) {
            partition if partition == place.partition => own = own.event(stream, event),
            partition => {
                let append = away.remove(&partition).unwrap_or_default();
                away.insert(partition, append.event(stream, event));
            }
        }
    }
    for append in away.into_values() {
        match append_with_retries(store, append).await {
            Ok(_) => {}
            Err(AppendError::Overlap(overlap)) if is_own(cause.key, &overlap) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(own)
}

/// Reads the rest of the decision on an event in a partition; `None` if there is no decision.
async fn read_decision(
    store: &impl EventStore,
    place: Place,
    partition: u32,
    cause: &Cause,
) -> Result<Option<Rest>, HandlerError> {
    let decision = Query::stream(place.decision(partition, cause.key));
    let page = store.read(Read::forward(decision).limit(1)).await?;
    match page.events.first() {
        Some(fact) => Ok(Some(serde_json::from_slice(&fact.data()).map_err(|error| {
            HandlerError::park(format!("the decision on the event can't be read: {error}"))
        })?)),
        None => Ok(None),
    }
}

/// What follows from an append that failed.
fn failed(error: &AppendError) -> HandlerError {
    use leftfold_api::Coded;
    let reason = format!("{}: {error}", error.code());
    match error {
        AppendError::Failure(_) => HandlerError::retry(reason),
        _ if error.can_retry() => HandlerError::retry(reason),
        _ => HandlerError::park(reason),
    }
}

impl From<NewEvent> for RestEvent {
    fn from(new: NewEvent) -> Self {
        RestEvent {
            // It was set from the cause.
            id: new.id.unwrap_or_default(),
            event_type: new.event_type,
            event_time: new.event_time.map(Timestamp::micros),
            correlation: new.correlation,
            causation: new.causation,
            tags: new.tags,
            content_type: new.content_type,
            schema_version: new.schema_version,
            data: Payload::of(&new.data),
            metadata: Payload::of(&new.metadata),
        }
    }
}

impl From<RestEvent> for NewEvent {
    fn from(rest: RestEvent) -> Self {
        let mut new = NewEvent::new(rest.event_type, rest.data.into_bytes());
        new.id = Some(rest.id);
        new.event_time = rest.event_time.map(Timestamp);
        (new.correlation, new.causation) = (rest.correlation, rest.causation);
        new.tags = rest.tags;
        new.content_type = rest.content_type;
        new.schema_version = rest.schema_version;
        new.metadata = rest.metadata.into_bytes().into();
        new
    }
}
