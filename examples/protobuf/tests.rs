//! The output matches the README, and stored events stay readable.

use leftfold::{Event, Payload, WrongShape, given};
use leftfold_examples::protobuf::{AlreadyDelivered, Parcel, Posted, Scan, Scanned};

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::protobuf::story);
    assert_eq!(output, crate::shown_in(include_str!("README.md")));
}

#[test]
fn stored_events_stay_readable() {
    leftfold::golden!(
        "protobuf/golden",
        [
            Parcel::Posted(Posted { receiver: "Ann".into(), grams: 1_200 }),
            Parcel::Scanned(Scanned { depot: "Bern".into() }),
            Parcel::Delivered,
        ]
    );
}

#[test]
fn a_payload_in_another_encoding_or_of_a_newer_program_is_an_error() {
    let text = Payload::new("text/plain", &b"Ann"[..]);
    let wrong = Parcel::decode("parcel.Posted", 2, &text).unwrap_err().to_string();
    assert!(wrong.contains("text/plain") && wrong.contains("application/x-protobuf"), "{wrong}");
    let newer = Parcel::decode("parcel.Posted", 3, &text);
    assert_eq!(newer, Err(WrongShape::Newer { known: 2, found: 3 }));
    let broken = Payload::new("application/x-protobuf", &b"\xff"[..]);
    assert!(matches!(Parcel::decode("parcel.Posted", 2, &broken), Err(WrongShape::Payload { .. })));
}

#[test]
fn a_delivered_parcel_is_not_scanned() {
    let scan = || Scan { parcel: 1, depot: "Bern" };
    assert_eq!(given([Parcel::Delivered]).when(scan()), Err(AlreadyDelivered));
    let scanned = Parcel::Scanned(Scanned { depot: "Bern".into() });
    assert_eq!(given([] as [Parcel; 0]).when(scan()), Ok(vec![scanned]));
}
