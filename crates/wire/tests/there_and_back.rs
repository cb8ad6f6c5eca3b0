//! What one side says is what the other understands.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Coded, Conflict, Cursor, Delivery, Direction,
    Expected, Failure, Field, From as Begin, IndexInfo, Invalid, NewEvent, Overlap, Point, Query,
    Read, ReadError, Recorded, Retention, RetentionRule, Span, StreamInfo, Streams, StreamsPage,
    Subscribe, Timestamp, Value, Versions,
};
use leftfold_wire::v1::{self, Form};
use leftfold_wire::{
    answer, append_page, deliveries, delivery_part, from_status, page_part, recorded, result,
    to_status,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;
use uuid::Uuid;

/// As the other side gets it.
fn sent<M: Message + Default>(message: M) -> M {
    M::decode(&message.encode_to_vec()[..]).unwrap()
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (any::<[u8; 4]>(), any::<u64>()).prop_map(|(store, position)| {
        let bytes = [&[1], &store[..], &position.to_be_bytes()[..]].concat();
        Cursor::from_bytes(&bytes).unwrap()
    })
}

fn event() -> impl Strategy<Value = NewEvent> {
    let ids = (of(any::<u128>()), of(any::<i64>()), of(".{0,9}"), of(".{0,9}"));
    let tags = vec(("[a-c]{1,3}", ".{0,5}"), 0..4);
    let content = (".{0,12}", any::<u16>(), vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..50));
    (".{0,12}", ids, tags, content).prop_map(|(event_type, ids, tags, content)| NewEvent {
        id: ids.0.map(Uuid::from_u128),
        event_type,
        event_time: ids.1.map(Timestamp),
        correlation: ids.2,
        causation: ids.3,
        tags,
        content_type: content.0,
        schema_version: content.1,
        metadata: content.2.into(),
        data: content.3.into(),
    })
}

fn stored() -> impl Strategy<Value = Recorded> {
    let stream = prop_oneof![Just("a".to_owned()), ".{1,9}"];
    (stream, any::<[u64; 2]>(), any::<i64>(), event()).prop_map(|(stream, places, time, event)| {
        Recorded::from_parts(&stream, places[0], places[1], Timestamp(time), &event).unwrap()
    })
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        Just(Expected::Any),
        Just(Expected::NoStream),
        Just(Expected::Exists),
        any::<u64>().prop_map(Expected::Exactly),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    const FIELDS: [Field; 5] =
        [Field::Stream, Field::Category, Field::Type, Field::Correlation, Field::Tag];
    let value = prop_oneof![".{0,6}".prop_map(Value::Exactly), ".{0,6}".prop_map(Value::Prefix),];
    let leaf = prop_oneof![
        Just(Query::All),
        (proptest::sample::select(&FIELDS[..]), vec(value, 0..3))
            .prop_map(|(field, values)| Query::Is(field, values)),
        (of(any::<i64>()), of(any::<i64>())).prop_map(|(from, to)| {
            Query::During(Span { from: from.map(Timestamp), to: to.map(Timestamp) })
        }),
        ".{0,6}".prop_map(Query::Index),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Query::And),
            vec(inner.clone(), 0..3).prop_map(Query::Or),
            inner.prop_map(|query| Query::Not(Box::new(query))),
        ]
    })
}

fn point() -> impl Strategy<Value = Point> {
    prop_oneof![
        cursor().prop_map(Point::Cursor),
        any::<u64>().prop_map(Point::Position),
        any::<u64>().prop_map(Point::Version),
        any::<u64>().prop_map(Point::Ordinal),
        any::<i64>().prop_map(|time| Point::CommitTime(Timestamp(time))),
    ]
}

fn begin() -> impl Strategy<Value = Begin> {
    prop_oneof![
        Just(Begin::Outermost),
        point().prop_map(Begin::Including),
        point().prop_map(Begin::Excluding),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    let stream = || prop_oneof![Just("a".to_owned()), Just("b".to_owned()), ".{0,4}"];
    let to = (".{0,5}", of(cursor()), cursor());
    let parts = (
        vec((stream(), event()), 0..5),
        vec((stream(), expected()), 0..3),
        vec((query(), cursor()), 0..2),
        vec(to, 0..3),
    );
    parts.prop_map(|(events, expectations, conditions, moves)| {
        let append = events.into_iter().fold(Append::new(), |a, (s, e)| a.event(s, e));
        let append = expectations.into_iter().fold(append, |a, (s, e)| a.expect(s, e));
        let append = conditions.into_iter().fold(append, |a, (q, c)| a.none_after(q, c));
        let moved = |(name, expected, to)| CheckpointMove { name, expected, to };
        moves.into_iter().map(moved).fold(append, Append::checkpoint)
    })
}

fn retention() -> impl Strategy<Value = Retention> {
    (of(any::<u64>()), of(any::<u64>()), of(any::<u64>())).prop_map(|(count, age, before)| {
        let max_age = age.map(Duration::from_micros);
        Retention { max_count: count, max_age, truncate_before: before }
    })
}

fn append_error() -> impl Strategy<Value = AppendError> {
    let text = || ".{0,9}";
    let known = || (text(), any::<u128>().prop_map(Uuid::from_u128), any::<u64>());
    prop_oneof![
        text().prop_map(|message| Invalid::new("name_invalid", message).into()),
        (text(), expected(), of(any::<u64>())).prop_map(|(stream, expected, actual)| {
            Conflict::Version { stream, expected, actual }.into()
        }),
        (text(), any::<u64>(), text(), text()).prop_map(|(query, position, stream, event_type)| {
            Conflict::Query { query, position, stream, event_type }.into()
        }),
        (text(), of(cursor()), of(cursor())).prop_map(|(name, expected, actual)| {
            Conflict::Checkpoint { name, expected, actual }.into()
        }),
        text().prop_map(|stream| Conflict::Tombstoned { stream }.into()),
        known().prop_map(|(stream, id, version)| Overlap::Partial { stream, id, version }.into()),
        known().prop_map(|(stream, id, version)| Overlap::Content { stream, id, version }.into()),
        any::<u32>().prop_map(|attempts| Failure::Busy { attempts }.into()),
    ]
}

/// Two events that say the same.
fn same(a: &Recorded, b: &Recorded) -> bool {
    let parts = |event: &Recorded| {
        let tags: Vec<_> = event.tags().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let names = (event.stream().to_owned(), event.event_type().to_owned(), tags);
        let ids = (event.correlation().map(str::to_owned), event.causation().map(str::to_owned));
        let times = (event.event_time(), event.event_time_given(), event.commit_time());
        let places = (event.position(), event.version(), event.id(), event.schema_version());
        let content = (event.content_type().to_owned(), event.metadata(), event.data());
        (names, ids, times, places, content)
    };
    parts(a) == parts(b)
}

proptest! {
    #[test]
    fn appends(append in append()) {
        let understood = Append::try_from(sent(v1::AppendRequest::from(&append))).unwrap();
        prop_assert_eq!(format!("{understood:?}"), format!("{append:?}"));
    }

    #[test]
    fn answers(
        number in any::<u64>(),
        cursor in cursor(),
        positions in of(any::<(u64, u64)>()),
        streams in vec((".{0,5}", any::<u64>(), any::<u64>()), 0..3),
        repeated in any::<bool>(),
    ) {
        let versions = |(stream, first, last)| Versions { stream, first, last };
        let streams = streams.into_iter().map(versions).collect();
        let appended = Appended { cursor, positions, streams, repeated, ordinals: Vec::new() };
        let understood = sent(answer(number, Ok(appended.clone())));
        prop_assert_eq!(understood.number, number);
        prop_assert_eq!(result(understood).unwrap(), appended);
    }

    #[test]
    fn errors_of_appends(error in append_error()) {
        let same = |other: &AppendError| {
            let told = |e: &AppendError| (e.code(), e.can_retry(), e.to_string());
            let is_failure = matches!(error, AppendError::Failure(_));
            told(other) == told(&error) && (is_failure || format!("{other:?}") == format!("{error:?}"))
        };
        let answered = sent(answer(1, Err(error.clone())));
        prop_assert!(same(&result(answered).unwrap_err()));
        let status = to_status(tonic::Code::Internal, (&error).into());
        prop_assert_eq!(status.metadata().get("leftfold-code").unwrap(), error.code());
        prop_assert!(same(&from_status(&status).unwrap().into()));
    }

    #[test]
    fn errors_of_reads(message in ".{0,9}", is_invalid in any::<bool>()) {
        let error: ReadError = match is_invalid {
            true => Invalid::new("cursor_ahead", message).into(),
            false => Failure::Disk { what: "reading".to_owned(), message }.into(),
        };
        let understood = ReadError::from(sent(v1::Problem::from(&error)));
        prop_assert_eq!(understood.code(), error.code());
        prop_assert_eq!(understood.to_string(), error.to_string());
        prop_assert_eq!(matches!(understood, ReadError::Invalid(_)), is_invalid);
    }

    #[test]
    fn reads_and_subscriptions(
        query in query(),
        from in begin(),
        is_forward in any::<bool>(),
        limit in prop_oneof![Just(usize::MAX), any::<u32>().prop_map(|n| n as usize)],
        at_least in of(cursor()),
    ) {
        let direction = if is_forward { Direction::Forward } else { Direction::Backward };
        let read = Read { query: query.clone(), from: from.clone(), direction, limit, at_least, with_ordinals: false };
        let understood = Read::try_from(sent(v1::ReadRequest::from(&read))).unwrap();
        prop_assert_eq!(format!("{understood:?}"), format!("{read:?}"));
        let subscribe = Subscribe { query, from, with_ordinals: false };
        let understood = Subscribe::try_from(sent(v1::SubscribeRequest::from(&subscribe))).unwrap();
        prop_assert_eq!(format!("{understood:?}"), format!("{subscribe:?}"));
    }

    #[test]
    fn pages_in_both_forms(
        events in vec(stored(), 0..6),
        cursor in cursor(),
        more in any::<bool>(),
        packed in any::<bool>(),
    ) {
        let form = if packed { Form::Packed } else { Form::Fields };
        let (first, rest) = events.split_at(events.len() / 2);
        let mut got = Vec::new();
        let part = sent(page_part(first.to_vec(), form, None));
        prop_assert!(append_page(&mut got, part).unwrap().is_none());
        let part = sent(page_part(rest.to_vec(), form, Some((cursor.clone(), more))));
        let page = append_page(&mut got, part).unwrap().unwrap();
        prop_assert_eq!((page.cursor, page.more), (cursor, more));
        prop_assert_eq!(page.events.len(), events.len());
        prop_assert!(page.events.iter().zip(&events).all(|(a, b)| same(a, b)));
        prop_assert!(!packed || page.events.iter().zip(&events).all(|(a, b)| a.record() == b.record()));
    }

    #[test]
    fn deliveries_in_both_forms(
        events in vec((stored(), cursor()), 0..6),
        end in cursor(),
        caught_up in any::<bool>(),
        packed in any::<bool>(),
    ) {
        let form = if packed { Form::Packed } else { Form::Fields };
        let part = sent(delivery_part(events.clone(), form, end.clone(), caught_up));
        let (got, after) = deliveries(part).unwrap();
        let got: Vec<_> = got.collect();
        prop_assert_eq!(after, end.clone());
        prop_assert_eq!(got.len(), events.len() + usize::from(caught_up));
        for (delivery, (event, cursor)) in got.iter().zip(&events) {
            let Delivery::Event(got, at) = delivery else { panic!("{delivery:?}") };
            prop_assert!(same(got, event) && at == cursor);
        }
        if caught_up {
            prop_assert!(matches!(got.last(), Some(Delivery::CaughtUp(at)) if *at == end));
        }
    }

    #[test]
    fn descriptions(
        names in vec(".{0,6}", 3),
        numbers in any::<[u64; 4]>(),
        retention in retention(),
        query in query(),
        cursor in cursor(),
        flag in any::<bool>(),
    ) {
        let stream = StreamInfo {
            name: names[0].clone(),
            version: numbers[0],
            first_position: numbers[1],
            last_position: numbers[2],
            retention,
            tombstoned: flag,
        };
        let page = StreamsPage { streams: vec![stream.clone(), stream], cursor: cursor.clone(), more: flag };
        let got = StreamsPage::try_from(sent(v1::ListStreamsResponse::from(page.clone()))).unwrap();
        prop_assert_eq!((got.streams, got.cursor, got.more), (page.streams, cursor.clone(), flag));
        let category = flag.then(|| names[1].clone());
        let wanted = Streams { category, after: Some(cursor), limit: numbers[3] as usize };
        let got = Streams::try_from(sent(v1::ListStreamsRequest::from(&wanted))).unwrap();
        prop_assert_eq!(format!("{got:?}"), format!("{wanted:?}"));
        let index = IndexInfo {
            partitioning: None,
            name: names[2].clone(),
            query: query.clone(),
            ready: flag,
            events: numbers[3],
        };
        let got = IndexInfo::try_from(sent(v1::IndexInfo::from(index.clone()))).unwrap();
        prop_assert_eq!(got, index);
        let rule = RetentionRule { name: names[0].clone(), query, retention };
        let got = RetentionRule::try_from(sent(v1::Rule::from(&rule))).unwrap();
        prop_assert_eq!(got, rule);
    }

    /// Whatever bytes come, they are a message that means something, or an error with a code.
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(request) = v1::NumberedAppend::decode(&bytes[..]) {
            let append = request.append.map(Append::try_from);
            prop_assert!(append.is_none_or(|a| a.map_err(|e| e.code).err() != Some("protocol_error")));
        }
        let events = v1::RecordedEvent::decode(&bytes[..]).map(recorded);
        drop(events);
        if let Ok(part) = v1::ReadResponse::decode(&bytes[..]) {
            drop(append_page(&mut Vec::new(), part));
        }
        if let Ok(part) = v1::SubscribeResponse::decode(&bytes[..]) {
            drop(deliveries(part).map(|(deliveries, _)| deliveries.count()));
        }
    }
}

#[test]
fn a_query_that_is_deep_travels_as_text_and_one_that_is_too_large_is_refused() {
    let deep =
        |depth: usize| (0..depth).fold(Query::stream("a"), |query, _| Query::Not(Box::new(query)));
    let understood =
        |query: Query| Subscribe::try_from(sent(v1::SubscribeRequest::from(&Subscribe::to(query))));
    assert_eq!(understood(deep(31)).unwrap().query, deep(31));
    let text = v1::Query::from(&deep(50));
    assert!(matches!(text.is, Some(v1::query::Is::Text(_))));
    let large = Query::event_type("x".repeat(70_000));
    assert_eq!(understood(large).unwrap_err().code, "query_too_large");
    let values = vec![Value::Exactly(String::new()); 70_000];
    let many = Query::Is(Field::Type, values);
    assert_eq!(understood(many).unwrap_err().code, "query_too_large");
}

#[test]
fn what_no_message_can_mean_is_refused_by_name() {
    let event = |change: fn(&mut v1::NewEvent)| {
        let mut event = v1::NewEvent { stream: Some("a".into()), ..v1::NewEvent::default() };
        change(&mut event);
        let request = v1::AppendRequest { events: vec![event], ..v1::AppendRequest::default() };
        Append::try_from(request).map(drop).map_err(|invalid| invalid.code)
    };
    assert_eq!(event(|_| ()), Ok(()));
    assert_eq!(event(|event| event.id = Some(vec![1; 15].into())), Err("request_invalid"));
    assert_eq!(event(|event| event.schema_version = 65_536), Err("request_invalid"));
    assert_eq!(event(|event| event.stream = None), Err("request_invalid"));
    let point = v1::Begin { at: Some(v1::begin::At::Including(v1::Point { is: None })) };
    let request = v1::ReadRequest { begin: Some(point), ..v1::ReadRequest::default() };
    assert_eq!(Read::try_from(request).unwrap_err().code, "request_invalid");
    let cursor = v1::Point { is: Some(v1::point::Is::Cursor(vec![1].into())) };
    let begin = v1::Begin { at: Some(v1::begin::At::Excluding(cursor)) };
    let request = v1::SubscribeRequest { begin: Some(begin), ..v1::SubscribeRequest::default() };
    assert_eq!(Subscribe::try_from(request).unwrap_err().code, "cursor_invalid");
}

#[test]
fn a_message_that_would_take_much_more_memory_than_its_bytes_is_refused_unread() {
    let refused = |bytes: &[u8]| {
        let status = leftfold_wire::decode::<v1::AppendRequest>(bytes).unwrap_err();
        from_status(&status).unwrap().code
    };
    assert_eq!(refused(&[0x0a, 0].repeat(200_000)), "too_many_events");
    assert_eq!(refused(&[0x12, 0].repeat(200_000)), "too_many_conditions");
    let tags = v1::NewEvent { tags: vec![v1::Tag::default(); 1 << 20], ..v1::NewEvent::default() };
    let request = |event| v1::AppendRequest { events: vec![event], ..v1::AppendRequest::default() };
    let mut bytes = request(tags).encode_to_vec();
    assert!(leftfold_wire::decode::<v1::AppendRequest>(&bytes[..]).is_ok());
    bytes.extend(
        request(v1::NewEvent { tags: vec![v1::Tag::default()], ..Default::default() })
            .encode_to_vec(),
    );
    assert_eq!(refused(&bytes), "too_many_tags");
    let numbered = [&[0x12, 0x80, 0x88, 0x18][..], &[0x0a, 0].repeat(197_120)].concat();
    assert!(leftfold_wire::decode::<v1::NumberedAppend>(&numbered[..]).is_err());
    let query = vec![0; 2 << 20];
    assert!(leftfold_wire::decode::<v1::ReadRequest>(&query[..]).is_err());
}

#[test]
fn a_status_has_room_for_what_is_long() {
    let query = "x".repeat(60_000);
    let (stream, event_type) = ("s".repeat(1024), "t".repeat(1024));
    let error: AppendError = Conflict::Query { query, position: 7, stream, event_type }.into();
    let status = to_status(tonic::Code::FailedPrecondition, (&error).into());
    assert!(status.details().len() + status.message().len() < 9_000, "{}", status.details().len());
    let problem = AppendError::from(from_status(&status).unwrap());
    assert_eq!(problem.code(), "query_matched");
}
