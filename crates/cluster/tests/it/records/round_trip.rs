//! Every field of an append survives the way through Kafka.

use bytes::Bytes;
use leftfold_api::record::{self, DROPPED_TYPE};
use leftfold_api::{Cursor, NewEvent, Origin, Recorded, Timestamp};
use leftfold_cluster::ledger::{Ledger, Stamp, VoidReason};
use leftfold_cluster::record::{Claimant, Decoded, Decoder};
use leftfold_kafka::Record;
use leftfold_store::CommittedAppend;
use leftfold_store::OwnAppend;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{FIRST, append, decoder, encoder, full_event, stored};

/// Returns the event that a copy writes, to compare it with the owner's.
fn copies(append: &CommittedAppend) -> Vec<Recorded> {
    let copy = |(at, event): (u64, &leftfold_store::CommittedEvent)| {
        let position = append.first + at;
        let id = event.event.id.unwrap().into_bytes();
        let mut bytes = record::encode(&event.stream, &event.event, id, &[0; 16]);
        if event.event.event_type == DROPPED_TYPE {
            record::mark_dropped(&mut bytes);
        }
        record::set_version(&mut bytes, event.version);
        Recorded::from_record(position, event.event_time, append.commit_time, bytes.into()).unwrap()
    };
    (0..).zip(&append.events).map(copy).collect()
}

/// Checks that an append is the same after the way through Kafka: each event's record is, byte by byte.
fn check_same(own: &OwnAppend, read: &CommittedAppend) {
    assert_eq!((own.first, own.append_id), (read.first, read.append_id));
    assert_eq!(own.commit_time, read.commit_time);
    assert_eq!(own.checkpoints, read.checkpoints);
    let copies = copies(read);
    assert_eq!(own.events.len(), copies.len());
    for (own, copy) in own.events.iter().zip(&copies) {
        assert_eq!(own.record(), copy.record(), "{own:?}");
        assert_eq!((own.position(), own.event_time()), (copy.position(), copy.event_time()));
        assert_eq!(own.commit_time(), copy.commit_time());
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}-[0-9]{1,4}", "[ -~äß€😀]{1,30}"]
}

fn time() -> impl Strategy<Value = Timestamp> {
    let range = Timestamp::MIN.0..=Timestamp::MAX.0;
    prop_oneof![range, 1_700_000_000_000_000..1_800_000_000_000_000_i64].prop_map(Timestamp)
}

prop_compose! {
    fn new_event()(
        id in any::<u128>(),
        event_type in name(),
        event_time in proptest::option::of(time()),
        correlation in proptest::option::of(name()),
        causation in proptest::option::of(name()),
        tags in vec(("[a-z ]{1,5}", "[ -~ä]{0,9}"), 0..4),
        content_type in prop_oneof![
            Just("application/json".to_owned()),
            Just("application/octet-stream".to_owned()),
            name(),
        ],
        schema_version in prop_oneof![Just(0), any::<u16>()],
        metadata in vec(any::<u8>(), 0..40),
        data in vec(any::<u8>(), 0..200),
    ) -> NewEvent {
        NewEvent {
            id: Some(Uuid::from_u128(id)),
            event_type,
            event_time,
            correlation,
            causation,
            tags,
            content_type,
            schema_version,
            metadata: metadata.into(),
            data: data.into(),
        }
    }
}

fn cursor() -> impl Strategy<Value = Cursor> {
    vec(any::<u64>(), 1..4).prop_map(|positions| {
        let origin = Origin { store: [7; 4], incarnation: [9; 4] };
        Cursor::at_all(origin, &positions).unwrap()
    })
}

prop_compose! {
    fn own_append()(
        append_id in any::<u128>(),
        commit_time in time(),
        event_time in time(),
        events in vec((name(), 0..1_u64 << 63, new_event()), 0..6),
        checkpoints in vec((name(), cursor()), 0..3),
    ) -> OwnAppend {
        // Times that were not given are the commit time, or what an import says.
        let event = |(at, (stream, version, event)): (u64, (String, u64, NewEvent))| {
            let id = event.id.unwrap().into_bytes();
            let mut bytes = record::encode(&stream, &event, id, &[0; 16]);
            record::set_version(&mut bytes, version);
            let default = [commit_time, event_time][at as usize % 2];
            let time = event.event_time.unwrap_or(default);
            Recorded::from_record(at, time, commit_time, bytes.into()).unwrap()
        };
        let events: Vec<_> = (0..).zip(events).map(event).collect();
        let mut checkpoints = checkpoints;
        if events.is_empty() && checkpoints.is_empty() {
            // Without both it is a barrier.
            checkpoints.push(("mail".to_owned(), Cursor::START));
        }
        OwnAppend { first: 0, append_id, commit_time, events, checkpoints }
    }
}

/// Gives an append the positions that follow an offset.
fn place(own: &mut OwnAppend, offset: i64) {
    own.first = offset as u64 + 1;
    for (at, event) in (0..).zip(&mut own.events) {
        let (time, commit_time) = (event.event_time(), event.commit_time());
        let record = event.record().clone();
        *event = Recorded::from_record(own.first + at, time, commit_time, record).unwrap();
    }
}

proptest! {
    #[test]
    fn every_field_survives(
        mut appends in vec(own_append(), 1..5),
        base in 0..1_i64 << 40,
        cut in any::<proptest::sample::Index>(),
    ) {
        let (mut records, mut next, mut starts) = (Vec::new(), FIRST, Vec::new());
        for own in &mut appends {
            place(own, base + records.len() as i64);
            starts.push((records.len() as i64, next));
            let more = encoder().encode(own, next).unwrap();
            next = next.after(more.len() as u64);
            records.extend(more);
        }
        let batch = stored(base, records);
        let mut whole = decoder(base);
        let decoded = whole.decode(&batch).unwrap();
        prop_assert_eq!(decoded.len(), appends.len());
        prop_assert_eq!((whole.next_offset(), whole.ledger().next()), (batch.last_offset + 1, next));
        let ends = starts.iter().skip(1).map(|(_, stamp)| *stamp).chain([next]);
        for ((own, decoded), end) in appends.iter().zip(&decoded).zip(ends) {
            let Decoded::Append { append, last } = decoded else { panic!("{decoded:?}") };
            check_same(own, append);
            prop_assert_eq!(last.after(1), end);
        }
        // A reader that has read some appends of the batch resumes behind them.
        let from = cut.index(starts.len());
        let (start, stamp) = starts[from];
        let last = Stamp { number: stamp.number - 1, ..stamp };
        let ledger = Ledger::resume(last);
        let mut resumed = Decoder::resume(ledger, base + start);
        let decoded = resumed.decode(&batch).unwrap();
        prop_assert_eq!(decoded.len(), appends.len() - from);
        for (own, decoded) in appends[from..].iter().zip(&decoded) {
            let Decoded::Append { append, .. } = decoded else { panic!("{decoded:?}") };
            check_same(own, append);
        }
        prop_assert!(resumed.decode(&batch).unwrap().is_empty(), "it is read only once");
    }
}

#[test]
fn the_placeholder_of_a_dropped_event_stays_one() {
    let event = NewEvent::new(DROPPED_TYPE, "").id(Uuid::from_u128(7));
    let mut bytes = record::encode("a-1", &event, [7; 16], &[0; 16]);
    record::mark_dropped(&mut bytes);
    let dropped = Recorded::from_record(5, Timestamp(1), Timestamp(2), bytes.into()).unwrap();
    let own =
        OwnAppend { events: vec![dropped], commit_time: Timestamp(2), ..append(5, "a-1", 0, &[]) };
    let batch = stored(4, encoder().encode(&own, FIRST).unwrap());
    let decoded = decoder(4).decode(&batch).unwrap();
    let [Decoded::Append { append, .. }] = &decoded[..] else { panic!("{decoded:?}") };
    check_same(&own, append);
}

#[test]
fn what_a_record_cannot_hold_is_refused() {
    let event = append(5, "a-1", 0, &[full_event()]).events.remove(0);
    let scavenged = Bytes::from(event.scavenged());
    let scavenged = Recorded::from_record(5, Timestamp(1), Timestamp(2), scavenged).unwrap();
    let lost = Bytes::from(record::encode_placeholder("a-1", 0, 5));
    let lost = Recorded::from_record(5, Timestamp(1), Timestamp(2), lost).unwrap();
    let late = Recorded::from_record(5, Timestamp(i64::MAX), Timestamp(2), event.record().clone());
    for refused in [scavenged, lost, late.unwrap()] {
        let own = OwnAppend { events: vec![refused], ..append(5, "a-1", 0, &[]) };
        assert_eq!(encoder().encode(&own, FIRST).unwrap_err().position, 5);
    }
}

#[test]
fn claims_barriers_and_void_records_are_told_apart() {
    let claimant = Claimant { node: "n1".to_owned(), ..Claimant::default() };
    let barrier = Stamp { term: 4, number: 1 }.add_to(Record::default());
    let own = append(103, "a-1", 0, &[full_event(), full_event()]);
    let mut records = vec![Stamp::claim(4, &claimant.to_json()), barrier];
    records.extend(encoder().encode(&own, Stamp { term: 4, number: 2 }).unwrap());
    records.push(Record::new("another program's"));
    records.push(Stamp { term: 3, number: 1042 }.add_to(Record::new("late")));
    let mut decoder = decoder(100);
    let decoded = decoder.decode(&stored(100, records)).unwrap();
    let [
        Decoded::Claim { offset: 100, term: 4, owner },
        Decoded::Barrier { offset: 101, stamp: Stamp { term: 4, number: 1 } },
        Decoded::Append { append, last: Stamp { term: 4, number: 3 } },
        Decoded::Void { offset: 104, reason: VoidReason::Foreign },
        Decoded::Void { offset: 105, reason: VoidReason::WrongTerm },
    ] = &decoded[..]
    else {
        panic!("{decoded:?}")
    };
    assert_eq!(*owner, claimant);
    check_same(&own, append);
    assert_eq!((decoder.next_offset(), decoder.ledger().term()), (106, 4));
}

#[test]
fn an_owner_passes_over_its_own_records_only_where_they_count() {
    let mut decoder = decoder(100);
    assert!(!decoder.apply_own(101, FIRST, 2), "another record came between");
    assert!(!decoder.apply_own(100, FIRST.after(1), 2), "one is missing");
    assert!(decoder.apply_own(100, FIRST, 2));
    assert!(!decoder.apply_own(100, FIRST, 2), "it is known already");
    assert_eq!((decoder.next_offset(), decoder.ledger().next()), (102, FIRST.after(2)));
    assert!(!decoder.apply_own(i64::MAX, FIRST.after(2), 2));
}
