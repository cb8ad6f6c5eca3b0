//! Values are translated into messages and back without a change.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Coded, Conflict, Cursor, Delivery, Direction,
    Expected, Failure, Field, IndexDefinition, IndexInfo, IndexOrdinal, Invalid, NewEvent, Overlap,
    PartitionKey, Partitioner, Partitioning, Point, Query, Read, ReadError, ReadLevel,
    RecordFormat, Recorded, Retention, RetentionRule, Span, Start, StreamInfo, Streams,
    StreamsPage, Subscribe, Timestamp, Value, Versions,
};
use leftfold_wire::v1;
use leftfold_wire::{
    EventForm, answer, append_page, deliveries, delivery_part, from_status, page_part, recorded,
    result, to_status,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;
use uuid::Uuid;

const LEVELS: [ReadLevel; 3] = [ReadLevel::Committed, ReadLevel::Local, ReadLevel::Linearizable];

fn form(packed: bool) -> EventForm {
    match packed {
        true => EventForm::Packed(RecordFormat::current()),
        false => EventForm::Fields,
    }
}

/// Returns a message as the other side receives it.
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

/// Events of one answer: all have ordinals, or none has.
fn answered() -> impl Strategy<Value = Vec<Recorded>> {
    (vec(stored(), 0..6), of(any::<u32>())).prop_map(|(events, first)| match first {
        None => events,
        Some(first) => {
            let events = (u64::from(first)..).zip(events);
            events.map(|(ordinal, event)| event.with_ordinal(ordinal)).collect()
        }
    })
}

fn partitioning() -> impl Strategy<Value = Partitioning> {
    let key = prop_oneof![
        Just(PartitionKey::Stream),
        Just(PartitionKey::StreamId),
        Just(PartitionKey::StoreKey),
        ".{0,6}".prop_map(PartitionKey::Behind),
        ".{0,6}".prop_map(PartitionKey::Tag),
    ];
    let partitioner = prop_oneof![Just(Partitioner::Murmur2), Just(Partitioner::Crc32)];
    let partitioning = |(count, key, partitioner)| Partitioning { count, key, partitioner };
    (any::<u32>(), key, partitioner).prop_map(partitioning)
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

fn begin() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::Outermost),
        point().prop_map(Start::Including),
        point().prop_map(Start::Excluding),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    let stream = || prop_oneof![Just("a".to_owned()), Just("b".to_owned()), "[^\\pC]{1,4}"];
    let to = (".{0,5}", of(cursor()), cursor());
    let parts = (
        vec((stream(), event()), 0..5),
        vec((stream(), expected()), 0..3),
        vec((query(), cursor()), 0..2),
        vec(to, 0..3),
        of(".{0,5}"),
    );
    parts.prop_map(|(events, expectations, conditions, moves, index)| {
        let append = events.into_iter().fold(Append::new(), |a, (s, e)| a.event(s, e));
        let append = expectations.into_iter().fold(append, |a, (s, e)| a.expect(s, e));
        let append = conditions.into_iter().fold(append, |a, (q, c)| a.none_after(q, c));
        let moved = |(name, expected, to)| CheckpointMove { name, expected, to };
        let append = moves.into_iter().map(moved).fold(append, Append::checkpoint);
        match index {
            Some(index) => append.ordinals_in(index),
            None => append,
        }
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

/// Whether two events have the same content.
fn same(a: &Recorded, b: &Recorded) -> bool {
    let parts = |event: &Recorded| {
        let tags: Vec<_> = event.tags().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let names = (event.stream().to_owned(), event.event_type().to_owned(), tags);
        let ids = (event.correlation().map(str::to_owned), event.causation().map(str::to_owned));
        let times = (event.event_time(), event.event_time_given(), event.commit_time());
        let places = (event.position(), event.version(), event.id(), event.schema_version());
        let ordinal = event.ordinal();
        let content = (event.content_type().to_owned(), event.metadata(), event.data());
        (names, ids, times, places, ordinal, content)
    };
    parts(a) == parts(b)
}

proptest! {
    #[test]
    fn appends_are_translated_back(append in append()) {
        let received = Append::try_from(sent(v1::AppendRequest::from(&append))).unwrap();
        prop_assert_eq!(format!("{received:?}"), format!("{append:?}"));
    }

    #[test]
    fn answers_are_translated_back(
        number in any::<u64>(),
        cursor in cursor(),
        positions in of(any::<(u64, u64)>()),
        streams in vec((".{0,5}", any::<u64>(), any::<u64>()), 0..3),
        repeated in any::<bool>(),
        ordinals in vec(of(any::<(u32, u64)>()), 0..3),
    ) {
        let ordinal = |(partition, ordinal)| IndexOrdinal { partition, ordinal };
        let ordinals = ordinals.into_iter().map(|place| place.map(ordinal)).collect();
        let versions = |(stream, first, last)| Versions { stream, first, last };
        let streams = streams.into_iter().map(versions).collect();
        let appended = Appended { cursor, positions, streams, repeated, ordinals };
        let received = sent(answer(number, Ok(appended.clone())));
        prop_assert_eq!(received.number, number);
        prop_assert_eq!(result(received).unwrap(), appended);
    }

    #[test]
    fn errors_of_appends_are_translated_back(error in append_error()) {
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
    fn errors_of_reads_are_translated_back(message in ".{0,9}", is_invalid in any::<bool>()) {
        let error: ReadError = match is_invalid {
            true => Invalid::new("cursor_ahead", message).into(),
            false => Failure::Disk { what: "reading".to_owned(), message }.into(),
        };
        let received = ReadError::from(sent(v1::Problem::from(&error)));
        prop_assert_eq!(received.code(), error.code());
        prop_assert_eq!(received.to_string(), error.to_string());
        prop_assert_eq!(matches!(received, ReadError::Invalid(_)), is_invalid);
    }

    #[test]
    fn requests_for_events_and_ordinals_are_translated_back(
        query in query(),
        from in begin(),
        is_forward in any::<bool>(),
        limit in prop_oneof![Just(usize::MAX), any::<u32>().prop_map(|n| n as usize)],
        at_least in of(cursor()),
        level in proptest::sample::select(&LEVELS[..]),
        with_ordinals in any::<bool>(),
    ) {
        let direction = if is_forward { Direction::Forward } else { Direction::Backward };
        let (wanted, begin) = (query.clone(), from.clone());
        let read =
            Read { query: wanted, from: begin, direction, limit, max_bytes: usize::MAX, at_least, level, with_ordinals };
        let received = Read::try_from(sent(v1::ReadRequest::from(&read))).unwrap();
        prop_assert_eq!(format!("{received:?}"), format!("{read:?}"));
        let request = sent(v1::OrdinalRequest::new(&query, from.clone()));
        prop_assert_eq!(request.into_parts().unwrap(), (query.clone(), from.clone()));
        let subscribe = Subscribe { query, from, with_ordinals };
        let received = Subscribe::try_from(sent(v1::SubscribeRequest::from(&subscribe))).unwrap();
        prop_assert_eq!(format!("{received:?}"), format!("{subscribe:?}"));
    }

    #[test]
    fn pages_are_translated_back_in_both_forms(
        events in answered(),
        cursor in cursor(),
        more in any::<bool>(),
        packed in any::<bool>(),
    ) {
        let form = form(packed);
        let (first, rest) = events.split_at(events.len() / 2);
        let mut got = Vec::new();
        let part = sent(page_part(first.to_vec(), &form, None));
        prop_assert!(append_page(&mut got, part).unwrap().is_none());
        let part = sent(page_part(rest.to_vec(), &form, Some((cursor.clone(), more))));
        let page = append_page(&mut got, part).unwrap().unwrap();
        prop_assert_eq!((page.cursor, page.more), (cursor, more));
        prop_assert_eq!(page.events.len(), events.len());
        prop_assert!(page.events.iter().zip(&events).all(|(a, b)| same(a, b)));
        prop_assert!(!packed || page.events.iter().zip(&events).all(|(a, b)| a.record() == b.record()));
    }

    #[test]
    fn deliveries_are_translated_back_in_both_forms(
        events in answered(),
        cursors in vec(cursor(), 6),
        end in cursor(),
        caught_up in any::<bool>(),
        packed in any::<bool>(),
    ) {
        let form = form(packed);
        let events: Vec<_> = events.into_iter().zip(cursors).collect();
        let part = sent(delivery_part(events.clone(), &form, end.clone(), caught_up));
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
    fn descriptions_are_translated_back(
        names in vec(".{0,6}", 3),
        numbers in any::<[u64; 4]>(),
        retention in retention(),
        query in query(),
        cursor in cursor(),
        flag in any::<bool>(),
        partitioning in of(partitioning()),
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
        let wanted = Streams { category, system: flag, after: Some(cursor), limit: numbers[3] as usize };
        let got = Streams::try_from(sent(v1::ListStreamsRequest::from(&wanted))).unwrap();
        prop_assert_eq!(format!("{got:?}"), format!("{wanted:?}"));
        let index = IndexInfo {
            partitioning: partitioning.clone(),
            name: names[2].clone(),
            query: query.clone(),
            ready: flag,
            events: numbers[3],
        };
        let got = IndexInfo::try_from(sent(v1::IndexInfo::from(index.clone()))).unwrap();
        prop_assert_eq!(got, index);
        let definition = IndexDefinition { name: names[2].clone(), query: query.clone(), partitioning };
        let got = IndexDefinition::try_from(sent(v1::DefineIndexRequest::from(&definition))).unwrap();
        prop_assert_eq!(got, definition);
        let rule = RetentionRule { name: names[0].clone(), query, retention };
        let got = RetentionRule::try_from(sent(v1::Rule::from(&rule))).unwrap();
        prop_assert_eq!(got, rule);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error_with_a_code(bytes in vec(any::<u8>(), 0..200)) {
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
fn a_deep_query_is_sent_as_text_and_a_too_large_one_is_refused() {
    let deep =
        |depth: usize| (0..depth).fold(Query::stream("a"), |query, _| Query::Not(Box::new(query)));
    let received =
        |query: Query| Subscribe::try_from(sent(v1::SubscribeRequest::from(&Subscribe::to(query))));
    assert_eq!(received(deep(31)).unwrap().query, deep(31));
    let text = v1::Query::from(&deep(50));
    assert!(matches!(text.is, Some(v1::query::Is::Text(_))));
    let large = Query::event_type("x".repeat(70_000));
    assert_eq!(received(large).unwrap_err().code, "query_too_large");
    let values = vec![Value::Exactly(String::new()); 70_000];
    let many = Query::Is(Field::Type, values);
    assert_eq!(received(many).unwrap_err().code, "query_too_large");
}

#[test]
fn messages_without_a_meaning_are_refused_with_a_code() {
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
fn a_message_that_would_take_much_more_memory_than_its_bytes_is_not_decoded() {
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
fn long_texts_are_shortened_in_a_status() {
    let query = "x".repeat(60_000);
    let (stream, event_type) = ("s".repeat(1024), "t".repeat(1024));
    let error: AppendError = Conflict::Query { query, position: 7, stream, event_type }.into();
    let status = to_status(tonic::Code::FailedPrecondition, (&error).into());
    assert!(status.details().len() + status.message().len() < 9_000, "{}", status.details().len());
    let problem = AppendError::from(from_status(&status).unwrap());
    assert_eq!(problem.code(), "query_matched");
}

/// Reads no records with this flag: to such a client the flag is newer than its release.
fn without_flag(flag: u16) -> RecordFormat {
    RecordFormat { flags: RecordFormat::current().flags & !flag, ..RecordFormat::current() }
}

#[test]
fn events_with_a_flag_that_the_client_does_not_read_are_sent_as_fields() {
    const JSON_FLAG: u16 = 2;
    let stored = |version, event: NewEvent| {
        Recorded::from_parts("a-1", version, version + 1, Timestamp(7), &event.id(Uuid::nil()))
            .unwrap()
            .with_ordinal(version)
    };
    let [json, bytes] = [NewEvent::json("Paid", "{}"), NewEvent::new("Paid", "x")];
    let (json, bytes) = (stored(0, json), stored(1, bytes));
    let older = EventForm::Packed(without_flag(JSON_FLAG));
    for (events, is_packed) in [
        (vec![bytes.clone()], true),
        (vec![json.clone()], false),
        // A message has one form: that of the event that the client reads least.
        (vec![bytes.clone(), json.clone()], false),
    ] {
        let part = sent(page_part(events.clone(), &older, Some((Cursor::START, false))));
        assert_eq!((part.packed.is_some(), part.events.is_empty()), (is_packed, is_packed));
        let page = append_page(&mut Vec::new(), part).unwrap().unwrap();
        assert!(page.events.iter().zip(&events).all(|(a, b)| same(a, b)), "{events:?}");
        let delivered = events.iter().map(|event| (event.clone(), Cursor::START)).collect();
        let part = sent(delivery_part(delivered, &older, Cursor::START, false));
        assert_eq!(part.packed.is_some(), is_packed);
        let part = page_part(events, &EventForm::Packed(RecordFormat::current()), None);
        assert!(part.packed.is_some(), "this release reads all of them");
    }
}

#[test]
fn a_client_that_names_no_records_gets_those_of_release_0_1() {
    let form = v1::Form::Packed as i32;
    let read = v1::ReadRequest { form, ..Default::default() };
    let oldest = EventForm::Packed(RecordFormat::release_0_1());
    assert_eq!(EventForm::of_read(&read), oldest);
    let subscribe = v1::SubscribeRequest { form, ..Default::default() };
    assert_eq!(EventForm::of_subscription(&subscribe), oldest);
    let fields = v1::ReadRequest { form: v1::Form::Fields as i32, ..Default::default() };
    assert_eq!(EventForm::of_read(&fields), EventForm::Fields);
    assert_eq!(EventForm::of_read(&v1::ReadRequest::default()), EventForm::Fields);
}

#[test]
fn a_client_of_this_release_names_the_records_that_it_reads() {
    let read = sent(v1::ReadRequest::from(&Read::forward(Query::All)));
    let current = EventForm::Packed(RecordFormat::current());
    assert_eq!(EventForm::of_read(&read), current);
    let subscribe = sent(v1::SubscribeRequest::from(&Subscribe::to(Query::All)));
    assert_eq!(EventForm::of_subscription(&subscribe), current);
}

#[test]
fn record_formats_of_newer_clients_are_understood() {
    let newer =
        v1::RecordFormat { version: 9, flags: 0x1_00ff, codecs: vec![0, 1, 1, 200, 256, 70_000] };
    let expected = RecordFormat { version: 9, flags: 0xff, codecs: [0, 1, 200].into() };
    assert_eq!(RecordFormat::from(newer.clone()), expected);
    let oldest = v1::RecordFormat::default();
    assert_eq!(RecordFormat::from(oldest).version, 1);
    let many = v1::RecordFormat { codecs: vec![1; 257], ..newer };
    let read = v1::ReadRequest { records: Some(many.clone()), ..Default::default() };
    assert_eq!(Read::try_from(read).unwrap_err().code, "request_invalid");
    let subscribe = v1::SubscribeRequest { records: Some(many), ..Default::default() };
    assert_eq!(Subscribe::try_from(subscribe).unwrap_err().code, "request_invalid");
}

#[test]
fn packed_events_without_an_ordinal_for_each_are_refused() {
    let event = Recorded::from_parts("a", 0, 1, Timestamp(0), &NewEvent::new("T", "")).unwrap();
    let packed = page_part(vec![event], &form(true), None).packed.unwrap();
    // Field 2, two ordinals for one event.
    let bytes = [packed.encode_to_vec(), vec![0x12, 2, 0, 1]].concat();
    let packed = leftfold_wire::PackedEvents::decode(&bytes[..]).unwrap();
    assert!(packed.into_events().is_err());
}

#[test]
fn a_read_without_a_level_is_committed_and_one_of_an_unknown_level_is_refused() {
    let read = Read::try_from(v1::ReadRequest::default()).unwrap();
    assert_eq!(read.level, ReadLevel::Committed);
    let unknown = v1::ReadRequest { level: 4, ..Default::default() };
    assert_eq!(Read::try_from(unknown).unwrap_err().code, "request_invalid");
}
