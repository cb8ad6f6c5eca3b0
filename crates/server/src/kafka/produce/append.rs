use std::time::Instant;

use leftfold_api::{
    Append, AppendError, Appended, Coded, Conflict, EventStore, NewEvent, Overlap, Point, Query,
    Read,
};
use leftfold_kafka::ResponseError;
use uuid::Uuid;

use super::expectations::before_batch;
use super::record::Received;
use super::{NAMED, Refused};
use crate::access::Refusal;
use crate::kafka::dispatch::Call;
use crate::kafka::errors::of_failure;
use crate::kafka::topics::Topic;

/// The streams of a batch whose events are looked up to recognise them as repeats.
const LOOKED_UP: usize = 256;

impl Call {
    /// Appends events, and returns the offset of the first.
    ///
    /// Producers stamp a record with the time at which they send it, so an event that comes again with its id (`ce_id`) has
    /// another time. It takes the time that is stored, if all else is the same.
    pub(super) async fn append(
        &self,
        topic: &Topic,
        partition: u32,
        mut received: Vec<Received>,
    ) -> Result<i64, Refused> {
        let may_be_repeat = received.iter().any(|record| record.has_id);
        for _ in 0..LOOKED_UP {
            let again = may_be_repeat.then(|| received.clone());
            let error = match self.try_append(topic, partition, received).await? {
                Ok(offset) => return Ok(offset),
                Err(error) => error,
            };
            let (Some(again), AppendError::Overlap(Overlap::Content { stream, version, .. })) =
                (again, &error.0)
            else {
                return Err(refused(&error.0, &error.1));
            };
            received = again;
            if !self.adopt_times(&mut received, stream, *version).await {
                return Err(refused(&error.0, &error.1));
            }
        }
        let why = format!(
            "the events of {LOOKED_UP} streams were looked up, and there are more: send smaller batches"
        );
        Err(Refused::because(ResponseError::PolicyViolation, why))
    }

    /// Appends events once. A refusal by the store comes with what names the records.
    async fn try_append(
        &self,
        topic: &Topic,
        partition: u32,
        received: Vec<Received>,
    ) -> Result<Result<i64, (AppendError, Vec<Named>)>, Refused> {
        let expected = before_batch(&received).map_err(|contradiction| {
            let records = vec![(contradiction.record, contradiction.why)];
            Refused { code: ResponseError::PolicyViolation, ..Refused::of_records(records) }
        })?;
        let expected: Vec<_> =
            expected.into_iter().map(|(stream, expected)| (stream.to_owned(), expected)).collect();
        // An idempotent producer sends a batch again as it was; their ids derive from its sequence.
        let repeats_whole =
            received.iter().all(|record| !record.has_id && record.event.id.is_some());
        let mut append = Append::with_capacity(received.len());
        if repeats_whole {
            append = append.repeats_whole();
        }
        let mut named = Vec::with_capacity(received.len());
        for Received { stream, event, expected, .. } in received {
            named.push(Named { stream: stream.clone(), id: event.id, expects: expected.is_some() });
            append = append.event(stream, event);
        }
        for (stream, expected) in expected {
            append = append.expect(stream, expected);
        }
        let permit = self.caller.authorize_append(append).map_err(|refusal| match refusal {
            Refusal::Denial(denial) => {
                Refused::because(ResponseError::TopicAuthorizationFailed, denial.to_string())
            }
            Refusal::Invalid(invalid) => {
                Refused::because(ResponseError::InvalidRecord, invalid.to_string())
            }
        })?;
        let (append, answers) = permit.into_parts();
        let state = &self.broker.state;
        let (started, events) = (Instant::now(), named.len());
        // Its offsets say nothing of events that are not its own but their number.
        let appended = state.store.append(append.ordinals_in(topic.name.as_str())).await;
        state.metrics.appended(started, events, appended.is_ok());
        match answers.translate(appended) {
            Ok(appended) => Ok(Ok(self.first_offset(topic, partition, &appended))),
            Err(error) => Ok(Err((error, named))),
        }
    }

    fn first_offset(&self, topic: &Topic, partition: u32, appended: &Appended) -> i64 {
        match appended.ordinals.first() {
            Some(Some(place)) if place.partition == partition => place.ordinal.cast_signed(),
            // The topic was defined anew while this was written: its offset in the new one is not known.
            _ => {
                self.broker.topics.forget(&topic.name);
                -1
            }
        }
    }

    /// Gives the records for a stream the times of the events that are stored from a version on, as long as these are the
    /// same but for their times. Returns whether any has another time now.
    async fn adopt_times(&self, received: &mut [Received], stream: &str, version: u64) -> bool {
        let of_stream = received.iter_mut().filter(|record| record.stream == stream);
        let mut records: Vec<_> = of_stream.collect();
        let read = Read::forward(Query::stream(stream))
            .including(Point::Version(version))
            .limit(records.len());
        let Ok(page) = self.broker.state.store.read(read).await else { return false };
        let first = page.events.first().map(|event| event.id());
        let Some(begin) = records.iter().position(|record| record.event.id == first) else {
            return false;
        };
        let mut has_adopted = false;
        for (record, stored) in records.iter_mut().skip(begin).zip(&page.events) {
            let stored = NewEvent::from(stored);
            let time = std::mem::replace(&mut record.event.event_time, stored.event_time);
            if record.event != stored {
                record.event.event_time = time;
                break;
            }
            has_adopted |= time != stored.event_time;
        }
        has_adopted
    }
}

/// What tells the record of an event from others, once it is appended.
struct Named {
    stream: String,
    id: Option<Uuid>,
    /// Whether it expects a state of its stream.
    expects: bool,
}

/// Returns the refusal of a batch, with the records that are the cause.
fn refused(error: &AppendError, named: &[Named]) -> Refused {
    let why = || format!("{}: {error}", error.code());
    let of = |is: &dyn Fn(&Named) -> bool| {
        let records = named.iter().enumerate().filter(|(_, record)| is(record));
        records.take(NAMED).map(|(number, _)| (number, why())).collect::<Vec<_>>()
    };
    // What the store refuses for what it holds has another code than a record that is wrong by itself.
    let by_state =
        |records| Refused { code: ResponseError::PolicyViolation, ..Refused::of_records(records) };
    match error {
        AppendError::Conflict(Conflict::Version { stream, .. }) => {
            // The first that expects something; those behind it expect the same.
            let mut records = of(&|record| record.stream == *stream && record.expects);
            records.truncate(1);
            by_state(records)
        }
        AppendError::Conflict(Conflict::Tombstoned { stream }) => {
            by_state(of(&|record| record.stream == *stream))
        }
        AppendError::Overlap(
            Overlap::Partial { id, stream, .. } | Overlap::Content { id, stream, .. },
        ) => by_state(of(&|record| record.stream == *stream && record.id == Some(*id))),
        AppendError::Failure(failure) => Refused::because(of_failure(failure), why()),
        AppendError::Invalid(invalid) if invalid.code == "append_too_large" => {
            Refused::because(ResponseError::MessageTooLarge, why())
        }
        _ => Refused::because(ResponseError::InvalidRecord, why()),
    }
}
