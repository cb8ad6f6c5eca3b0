//! Events of older and newer versions.

use leftfold::{Event, Payload, WrongShape};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, PartialEq, Event)]
enum Shop {
    #[event(name = "OrderPlaced", version = 3, upcast(with_currency, in_cents))]
    Placed {
        #[event(tag = "customer")]
        by: u32,
        cents: u64,
        currency: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    Noted(Note),
    Closed,
    Emptied {},
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

fn with_currency(mut old: Value) -> Value {
    old["currency"] = "EUR".into();
    old
}

#[derive(Deserialize)]
struct InEuros {
    by: u32,
    euros: u64,
    currency: String,
}

#[derive(Serialize)]
struct InCents {
    by: u32,
    cents: u64,
    currency: String,
}

fn in_cents(old: InEuros) -> InCents {
    InCents { by: old.by, cents: old.euros * 100, currency: old.currency }
}

fn placed(currency: &str) -> Shop {
    Shop::Placed { by: 7, cents: 500, currency: currency.into(), note: None }
}

fn decode(name: &str, version: u16, data: &str) -> Result<Option<Shop>, WrongShape> {
    Shop::decode(name, version, &Payload::json(data.as_bytes()))
}

#[test]
fn every_older_version_is_upcast_to_the_newest() {
    for (version, data, currency) in [
        (0, r#"{"by":7,"euros":5}"#, "EUR"),
        (1, r#"{"by":7,"euros":5}"#, "EUR"),
        (2, r#"{"by":7,"euros":5,"currency":"CHF"}"#, "CHF"),
        (3, r#"{"by":7,"cents":500,"currency":"CHF","color":"red"}"#, "CHF"),
    ] {
        assert_eq!(decode("OrderPlaced", version, data), Ok(Some(placed(currency))), "{version}");
    }
}

#[test]
fn events_survive_encoding_and_decoding() {
    let note = || Note { text: "hello".into() };
    for event in [placed("EUR"), Shop::Noted(note()), Shop::Closed, Shop::Emptied {}] {
        let kind = event.kind();
        let data = event.encode().unwrap();
        assert_eq!(Shop::decode(kind.event_type, kind.version, &data), Ok(Some(event)));
    }
    assert_eq!(Shop::Closed.encode().unwrap(), Payload::json(b"{}"));
    assert_eq!(Shop::Noted(note()).encode().unwrap(), Payload::json(br#"{"text":"hello"}"#));
    assert_eq!(placed("EUR").tags(), [("customer".to_owned(), "7".to_owned())]);
    assert_eq!(placed("EUR").to_new().unwrap().schema_version, 3);
}

#[test]
fn a_newer_version_is_an_error_and_an_unknown_type_is_none() {
    let newer = decode("OrderPlaced", 4, "{}");
    assert_eq!(newer, Err(WrongShape::Newer { known: 3, found: 4 }));
    assert_eq!(decode("OrderShipped", 1, "{}"), Ok(None));
    let wrong = decode("OrderPlaced", 2, r#"{"by":"ann"}"#).unwrap_err().to_string();
    assert!(wrong.contains("version 2"), "{wrong}");
}
