//! How events are encoded: serde's attributes, and other encodings than JSON.

use leftfold::golden::{Missing, check};
use leftfold::{
    Append, Decider, Event, EventStore, Execute, Kind, NewEvent, Payload, State, StreamState,
    Unencodable, WrongShape, decode,
};
use pollster::block_on;

use crate::bank::store;

#[derive(Debug, PartialEq, Event)]
#[serde(rename_all_fields = "camelCase")]
enum Camel {
    Booked {
        room_number: u32,
        #[serde(rename = "who")]
        guest_name: String,
    },
    #[serde(rename_all = "UPPERCASE")]
    Moved {
        room: u32,
    },
    Noted(Note),
    Closed,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Note {
    the_text: String,
}

#[test]
fn serde_renames_the_fields_of_all_variants() {
    for (event, json) in [
        (
            Camel::Booked { room_number: 1, guest_name: "Ann".into() },
            r#"{"roomNumber":1,"who":"Ann"}"#,
        ),
        (Camel::Moved { room: 2 }, r#"{"ROOM":2}"#),
        (Camel::Noted(Note { the_text: "x".into() }), r#"{"the_text":"x"}"#),
        (Camel::Closed, "{}"),
    ] {
        let payload = event.encode().unwrap();
        assert_eq!(payload, Payload::json(json.as_bytes()));
        assert_eq!(Camel::decode(event.kind().event_type, 1, &payload), Ok(Some(event)));
    }
}

/// An enum that is written by hand. Version 1 was JSON, version 2 is eight bytes.
#[derive(Debug, Clone, PartialEq)]
enum Meter {
    Read { kwh: u64 },
}

const BYTES: &str = "application/x-kwh";

impl Event for Meter {
    const KINDS: &'static [Kind] = &[Kind { event_type: "MeterRead", version: 2 }];

    fn kind(&self) -> &'static Kind {
        &Self::KINDS[0]
    }

    fn tags(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn encode(&self) -> Result<Payload<'static>, Unencodable> {
        let Meter::Read { kwh } = self;
        Ok(Payload::new(BYTES, kwh.to_le_bytes().to_vec()))
    }

    fn decode(event_type: &str, _: u16, payload: &Payload<'_>) -> Result<Option<Self>, WrongShape> {
        if event_type != "MeterRead" {
            return Ok(None);
        }
        let wrong = || WrongShape::payload("it is no number");
        let kwh = if payload.is_json() {
            serde_json::from_slice(&payload.data).map_err(|_| wrong())?
        } else {
            payload.expect(BYTES)?;
            u64::from_le_bytes(payload.data[..].try_into().map_err(|_| wrong())?)
        };
        Ok(Some(Meter::Read { kwh }))
    }
}

#[derive(Debug, Default, PartialEq)]
struct Total(u64);

impl State for Total {
    type Event = Meter;

    fn apply(&mut self, Meter::Read { kwh }: &Meter) {
        self.0 += kwh;
    }
}

struct Take(u64);

impl leftfold::Command for Take {
    type Event = Meter;
    type Error = std::convert::Infallible;
    type Reads = StreamState<Total>;

    fn reads(&self) -> StreamState<Total> {
        StreamState::of("meter-1")
    }

    fn decide(&self, total: &Total) -> Result<Vec<Meter>, Self::Error> {
        Ok(vec![Meter::Read { kwh: self.0 + total.0 }])
    }
}

#[test]
fn an_enum_with_another_encoding_is_stored_and_read_by_its_media_type() {
    let store = store();
    let json = NewEvent::json("MeterRead", "5");
    block_on(store.append(Append::new().event("meter-1", json))).unwrap();
    let done = block_on(store.execute(Take(1))).unwrap();
    assert_eq!(done.events[0].event, Meter::Read { kwh: 6 });
    let total = StreamState::<Total>::of("meter-1");
    assert_eq!(block_on(Decider::new(&store).load(&total)).unwrap(), Total(11));
    let read = leftfold::Read::forward(leftfold::Query::stream("meter-1"));
    let events = block_on(store.read(read)).unwrap().events;
    assert_eq!((events[1].content_type(), &events[1].data()[..1]), (BYTES, &[6][..]));
    assert_eq!(decode(&events[1]), Ok(Some(Meter::Read { kwh: 6 })));

    let past = [Meter::Read { kwh: 5 }, Meter::Read { kwh: 6 }];
    assert_eq!(leftfold::given(past.clone()).state::<Total>(), Total(11));
    assert_eq!(leftfold::given(past).when(Take(1)), Ok(vec![Meter::Read { kwh: 12 }]));
}

#[test]
fn another_media_type_than_expected_is_an_error_that_names_both() {
    let store = store();
    let mut event = NewEvent::new("Moved", "<room/>");
    for (media_type, reason) in [
        (
            "text/xml",
            r#"its content type is "text/xml", and this program reads "application/json""#,
        ),
        ("application/octet-stream", "its data is not version 1 of the event"),
    ] {
        event.content_type = media_type.into();
        block_on(store.append(Append::new().event(media_type, event.clone()))).unwrap();
        let read = leftfold::Read::forward(leftfold::Query::stream(media_type));
        let stored = &block_on(store.read(read)).unwrap().events[0];
        let sentence = decode::<Camel>(stored).unwrap_err().to_string();
        assert!(sentence.contains(reason), "{sentence}");
    }
    // JSON that was appended as arbitrary bytes, or as a kind of JSON, is read.
    for media_type in ["application/octet-stream", "application/json; charset=utf-8", "a/b+json"] {
        let payload = Payload::new(media_type, br#"{"ROOM":2}"#);
        assert_eq!(Camel::decode("Moved", 1, &payload), Ok(Some(Camel::Moved { room: 2 })));
    }
}

#[test]
fn golden_samples_of_another_encoding_are_bytes_and_old_ones_may_be_json() {
    let dir = tempfile::tempdir().unwrap();
    let samples = [Meter::Read { kwh: 5 }];
    std::fs::write(dir.path().join("MeterRead.v1.json"), "5").unwrap();
    check(dir.path(), &samples, Missing::Write).unwrap();
    let file = dir.path().join("MeterRead.v2.bin");
    assert_eq!(std::fs::read(&file).unwrap(), 5_u64.to_le_bytes());
    // Another value is no other shape.
    check(dir.path(), &[Meter::Read { kwh: 6 }], Missing::Fail).unwrap();
    std::fs::write(&file, "short").unwrap();
    let sentence = check(dir.path(), &samples, Missing::Fail).unwrap_err();
    assert!(sentence.contains("version 2 can't be read any more"), "{sentence}");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(dir.path().join("Gone.v1.bin"), "x").unwrap();
    let sentence = check(dir.path(), &samples, Missing::Fail).unwrap_err();
    for part in ["no golden sample of version 2", "Gone has golden samples"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}
