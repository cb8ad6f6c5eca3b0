//! Records that another program wrote, or damaged ones.

use bytes::Bytes;
use leftfold_api::NewEvent;
use leftfold_cluster::ledger::Stamp;
use leftfold_cluster::record::{Decoded, RecordError};
use leftfold_kafka::{Record, StoredBatch};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{FIRST, append, decoder, encoder, full_event, stored};

/// The records of an append of two events.
fn records() -> Vec<Record> {
    let other = NewEvent::new("Seen", "x").id(Uuid::from_u128(1));
    encoder().encode(&append(101, "order-7", 0, &[full_event(), other]), FIRST).unwrap()
}

/// Returns the error at a batch, and checks that the decoder still stands before it.
fn error_at(batch: &StoredBatch) -> RecordError {
    let mut decoder = decoder(100);
    let error = decoder.decode(batch).unwrap_err();
    assert_eq!((decoder.next_offset(), decoder.ledger().next()), (100, FIRST));
    assert_eq!(error.code(), "record_unreadable");
    assert_eq!(decoder.decode(batch).unwrap_err(), error);
    error
}

/// Sets a header, or removes it.
fn set(record: &mut Record, name: &str, value: Option<&str>) {
    record.headers.retain(|(found, _)| found != name);
    if let Some(value) = value {
        record.headers.push((Bytes::copy_from_slice(name.as_bytes()), value.to_owned().into()));
    }
}

#[test]
fn a_record_that_counts_and_cannot_be_read_is_an_error_with_its_offset() {
    let long = "x".repeat(70_000);
    for (at, name, value, expected) in [
        (0, "ce_id", None, "ce_id is missing"),
        (0, "ce_id", Some("7"), "a UUID"),
        (1, "ce_type", None, "ce_type is missing"),
        (1, "ce_type", Some(long.as_str()), "too long"),
        (0, "ce_time", Some("noon"), "a time"),
        (0, "ce_time", None, "ce_time is missing"),
        (1, "content-type", None, "content-type is missing"),
        (1, "lf-version", Some("-1"), "a number"),
        (1, "lf-version", None, "lf-version is missing"),
        (1, "lf-version", Some("1 "), "a number"),
        (0, "lf-schema", Some("65536"), "at most 65535"),
        (0, "lf-time", Some("guessed"), "given"),
        (0, "lf-tag", Some("customer"), "key=value"),
        (0, "lf-append", None, "lf-append is missing"),
        (0, "lf-append", Some("+bf92f3577b34da6a3ce929d0e0e4736"), "32 hexadecimal"),
        (0, "lf-commit-time", None, "lf-commit-time is missing"),
        (0, "lf-checkpoint", Some("mail"), "a cursor"),
        (0, "lf-checkpoint", Some("01 mail"), "a cursor"),
        (1, "lf-checkpoint", Some("01000000000000000000000000 mail"), "only the first record"),
        (1, "lf-append", Some("4bf92f3577b34da6a3ce929d0e0e4736"), "only the first record"),
        (0, "lf-encryption", Some("aes"), "does not know the header \"lf-encryption\""),
        (0, "lf-stamp", Some("3.1042"), "the first record of an append"),
        (0, "lf-stamp", Some("3.1042 2/2"), "the first record of an append"),
        (0, "lf-stamp", Some("3.1042 1/0"), "the first record of an append"),
        (0, "lf-stamp", Some("3.1042 one"), "the first record of an append"),
        (1, "lf-stamp", Some("3.1043 1/2"), "record 2 of 2"),
        (1, "lf-stamp", Some("3.1044 2/2"), "record 2 of 2"),
        (1, "lf-stamp", Some("2.1043 2/2"), "record 2 of 2"),
        (1, "lf-stamp", None, "record 2 of 2"),
    ] {
        let mut records = records();
        set(&mut records[at], name, value);
        let error = error_at(&stored(100, records));
        assert!(error.reason.contains(expected), "{name} {value:?}: {error}");
        assert_eq!(error.offset, 100 + at as i64, "{name} {value:?}: {error}");
    }
}

#[test]
fn an_append_whose_records_are_not_whole_in_its_batch_is_an_error() {
    let mut cut = records();
    cut.truncate(1);
    let error = error_at(&stored(100, cut));
    assert!(error.reason.contains("holds 1 of the append's 2 records"), "{error}");
    let mut huge = records();
    set(&mut huge[0], "lf-stamp", Some("3.1042 1/9999999999999999999"));
    set(&mut huge[1], "lf-stamp", Some("3.1043 2/9999999999999999999"));
    assert!(error_at(&stored(100, huge)).reason.contains("holds 2 of"));
    let mut longer = records();
    set(&mut longer[0], "lf-stamp", Some("3.1042 1/3"));
    assert!(error_at(&stored(100, longer)).reason.contains("record 2 of 3"));
    let mut apart = stored(100, records());
    apart.records[1].offset += 1;
    assert!(error_at(&apart).reason.contains("record 2 of 2"));
}

#[test]
fn an_event_without_key_or_value_is_an_error() {
    for (key, value) in [(false, true), (true, false), (false, false)] {
        let mut records = records();
        let record = &mut records[1];
        record.key = record.key.take().filter(|_| key);
        record.value = record.value.take().filter(|_| value);
        assert_eq!(error_at(&stored(100, records)).offset, 101);
    }
    let one = append(101, "order-7", 0, &[full_event()]);
    let mut records = encoder().encode(&one, FIRST).unwrap();
    (records[0].key, records[0].value) = (None, None);
    assert!(error_at(&stored(100, records)).reason.contains("has a key"));
}

#[test]
fn a_header_of_ours_whose_name_is_not_text_is_an_error() {
    let mut records = records();
    records[1].headers.push((Bytes::from_static(b"lf-\xff"), Bytes::from_static(b"1")));
    assert_eq!(error_at(&stored(100, records)).offset, 101);
}

#[test]
fn foreign_headers_are_ignored() {
    let mut records = records();
    for record in &mut records {
        record.headers.insert(0, ("traceparent".into(), "00-1".into()));
        record.headers.push((Bytes::from_static(b"\xff\xfe"), Bytes::from_static(b"\xff")));
    }
    assert_eq!(decoder(100).decode(&stored(100, records)).unwrap().len(), 1);
}

#[test]
fn an_error_names_the_offset_and_what_to_do() {
    let mut records = records();
    set(&mut records[0], "lf-version", Some("x"));
    let expected = "the record at offset 100 cannot be read: expected in lf-version is a number. Check which programs \
                    may write to the topic, and that all nodes run the same release";
    assert_eq!(error_at(&stored(100, records)).to_string(), expected);
}

const NAMES: [&str; 18] = [
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "content-type",
    "lf-version",
    "lf-time",
    "lf-schema",
    "lf-correlation",
    "lf-causation",
    "lf-metadata",
    "lf-tag",
    "lf-append",
    "lf-commit-time",
    "lf-checkpoint",
    "lf-stamp",
    "other",
];

const VALUES: [&str; 14] = [
    "",
    "0",
    "1",
    "given",
    "3.1042 1/1",
    "3.1042 1/2",
    "3.1043 2/2",
    "3.0",
    "9.0",
    "a=b",
    "3.1042",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "2026-03-01T12:00:00Z",
    "01000000000000000000000000 mail",
];

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => proptest::sample::select(&VALUES[..]).prop_map(Bytes::from_static_str),
        1 => vec(any::<u8>(), 0..60).prop_map(Bytes::from),
    ]
}

trait FromStaticStr {
    fn from_static_str(text: &'static str) -> Bytes;
}

impl FromStaticStr for Bytes {
    fn from_static_str(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }
}

prop_compose! {
    fn record()(
        key in proptest::option::of(value()),
        value in proptest::option::of(value()),
        headers in vec((proptest::sample::select(&NAMES[..]), value()), 0..12),
    ) -> Record {
        let headers = headers.into_iter().map(|(name, value)| (Bytes::from_static_str(name), value));
        Record { key, value, headers: headers.collect() }
    }
}

/// A change of a good record.
#[derive(Debug, Clone)]
enum Change {
    Remove(usize),
    Replace(usize, Bytes),
    Add(&'static str, Bytes),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..20_usize).prop_map(Change::Remove),
        (0..20_usize, value()).prop_map(|(at, value)| Change::Replace(at, value)),
        (proptest::sample::select(&NAMES[..]), value())
            .prop_map(|(name, value)| Change::Add(name, value)),
    ]
}

fn apply(change: Change, headers: &mut Vec<(Bytes, Bytes)>) {
    let len = headers.len().max(1);
    match change {
        Change::Remove(at) if !headers.is_empty() => _ = headers.remove(at % len),
        Change::Replace(at, value) if !headers.is_empty() => headers[at % len].1 = value,
        Change::Add(name, value) => headers.push((Bytes::from_static_str(name), value)),
        Change::Remove(_) | Change::Replace(..) => {}
    }
}

/// Reads a batch that may hold anything; what is read must be whole.
fn read(batch: &StoredBatch) {
    let mut decoder = decoder(batch.base_offset);
    let Ok(decoded) = decoder.decode(batch) else { return };
    let records = decoded.iter().map(|decoded| match decoded {
        Decoded::Append { append, .. } => append.positions(),
        _ => 1,
    });
    assert_eq!(records.sum::<u64>(), batch.records.len() as u64);
    for decoded in decoded {
        let Decoded::Append { append, .. } = decoded else { continue };
        for event in append.events {
            assert!(leftfold_api::record::fits(&event.stream, &event.event));
        }
    }
}

proptest! {
    #[test]
    fn any_record_is_read_without_panic(
        records in vec(record(), 1..4),
        base in proptest::sample::select(&[0, i64::MIN, i64::MAX - 9][..]),
    ) {
        read(&stored(base, records));
    }

    #[test]
    fn a_changed_record_is_read_without_panic(at in 0..2_usize, changes in vec(change(), 1..4)) {
        let mut changed = records();
        changes.into_iter().for_each(|change| apply(change, &mut changed[at].headers));
        read(&stored(100, changed));
    }

    #[test]
    fn records_that_do_not_count_need_not_be_readable(records in vec(record(), 1..4)) {
        let ledger = leftfold_cluster::ledger::Ledger::resume(Stamp { term: 1 << 60, number: 0 });
        let mut decoder = leftfold_cluster::record::Decoder::resume(ledger, 0);
        let decoded = decoder.decode(&stored(0, records)).unwrap();
        let void = decoded.iter().filter(|decoded| matches!(decoded, Decoded::Void { .. }));
        prop_assert_eq!(void.count(), decoded.len());
    }
}
