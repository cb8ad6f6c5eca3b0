//! What Kafka's tools show of a record.

use leftfold_api::{Cursor, NewEvent, Origin};
use leftfold_cluster::ledger::Stamp;
use leftfold_kafka::Record;
use leftfold_store::OwnAppend;
use uuid::Uuid;

use super::support::{FIRST, append, encoder, full_event};

/// Returns a record as text: the headers, then key and value.
fn show(record: &Record) -> String {
    let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let headers =
        record.headers.iter().map(|(name, value)| format!("{}: {}\n", text(name), text(value)));
    let [key, value] =
        [&record.key, &record.value].map(|part| part.as_ref().map_or("null".to_owned(), text));
    format!("{}{key} -> {value}\n", headers.collect::<String>())
}

#[test]
fn a_record_shows_everything_as_text() {
    let plain = NewEvent::new("Seen", "x").id(Uuid::from_u128(1));
    let origin = Origin { store: [1; 4], incarnation: [2; 4] };
    let own = OwnAppend {
        checkpoints: vec![("mail".to_owned(), Cursor::at(origin, 41))],
        ..append(43, "order-7", 0, &[full_event(), plain])
    };
    let records = encoder().encode(&own, FIRST).unwrap();
    let expected = r#"ce_specversion: 1.0
ce_id: 0192d3a4-0000-7000-8000-000000000001
ce_source: /leftfold/shop
ce_type: OrderPlaced
ce_time: 2026-03-01T11:59:59Z
content-type: application/json
lf-version: 0
lf-time: given
lf-schema: 2
lf-correlation: checkout-7
lf-causation: cart-7
lf-metadata: {"user":"eve"}
lf-tag: customer=42
lf-tag: note=a=b
lf-append: 4bf92f3577b34da6a3ce929d0e0e4736
lf-commit-time: 2026-03-01T12:00:00.123456Z
lf-checkpoint: 02010101010202020200010000000000000029 mail
lf-stamp: 3.1042 1/2
order-7 -> {"total":120}
"#;
    assert_eq!(show(&records[0]), expected);
    let expected = "ce_specversion: 1.0
ce_id: 00000000-0000-0000-0000-000000000001
ce_source: /leftfold/shop
ce_type: Seen
ce_time: 2026-03-01T12:00:00.123456Z
content-type: application/octet-stream
lf-version: 1
lf-stamp: 3.1043 2/2
order-7 -> x
";
    assert_eq!(show(&records[1]), expected);
}

#[test]
fn records_without_an_event_show_what_they_are() {
    let own = append(43, "", 0, &[]);
    let barrier = encoder().encode(&own, FIRST).unwrap();
    assert_eq!(barrier, [FIRST.add_to(Record::default())]);
    let own = OwnAppend { checkpoints: vec![("mail".to_owned(), Cursor::START)], ..own };
    let records = encoder().encode(&own, FIRST).unwrap();
    let expected = "lf-append: 4bf92f3577b34da6a3ce929d0e0e4736
lf-commit-time: 2026-03-01T12:00:00.123456Z
lf-checkpoint: 02000000000000000000010000000000000000 mail
lf-stamp: 3.1042 1/1
null -> null
";
    assert_eq!((records.len(), show(&records[0])), (1, expected.to_owned()));
    assert_eq!(
        show(&Stamp::claim(4, r#"{"node":"n1"}"#)),
        "lf-stamp: 4.0\nnull -> {\"node\":\"n1\"}\n"
    );
    assert_eq!(show(&FIRST.add_to(Record::default())), "lf-stamp: 3.1042\nnull -> null\n");
}
