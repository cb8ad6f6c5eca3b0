//! gRPC messages: each is decoded or refused, and a decoded append is the same after it was encoded
//! and decoded again.

use leftfold_api::{
    Append, AppendError, Coded, Read, ReadError, RetentionRule, Streams, Subscribe,
};
use leftfold_wire::{append_page, decode, deliveries, recorded, result, v1};
use prost::Message;

/// The first byte selects the type of the message in the others.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 8 {
        0 => append(bytes),
        1 => check_request(bytes, |request: v1::ReadRequest| Read::try_from(request)),
        2 => check_request(bytes, |request: v1::SubscribeRequest| Subscribe::try_from(request)),
        3 => check_request(bytes, |request: v1::ListStreamsRequest| Streams::try_from(request)),
        4 => check_request(bytes, |rule: v1::Rule| RetentionRule::try_from(rule)),
        5 => page(bytes),
        6 => check_deliveries(bytes),
        _ => answer(bytes),
    }
}

fn append(bytes: &[u8]) {
    let Ok(request) = decode::<v1::NumberedAppend>(bytes) else { return };
    let Ok(append) = Append::try_from(request.append.unwrap_or_default()) else { return };
    let again = v1::AppendRequest::from(&append).encode_to_vec();
    let again = Append::try_from(decode::<v1::AppendRequest>(&again[..]).unwrap()).unwrap();
    assert_eq!(format!("{again:?}"), format!("{append:?}"));
}

fn check_request<M, T>(bytes: &[u8], convert: impl Fn(M) -> Result<T, leftfold_api::Invalid>)
where
    M: Message + Default + 'static,
{
    let Ok(request) = decode::<M>(bytes) else { return };
    if let Err(invalid) = convert(request) {
        assert_eq!(leftfold_api::code(invalid.code), invalid.code);
    }
}

fn page(bytes: &[u8]) {
    if let Ok(event) = decode::<v1::RecordedEvent>(bytes) {
        drop(recorded(event));
    }
    let Ok(part) = decode::<v1::ReadResponse>(bytes) else { return };
    if let Ok(Some(page)) = append_page(&mut Vec::new(), part) {
        page.events.iter().for_each(|event| drop((event.tags().count(), event.data())));
    }
}

fn check_deliveries(bytes: &[u8]) {
    let Ok(part) = decode::<v1::SubscribeResponse>(bytes) else { return };
    if let Ok((deliveries, _)) = deliveries(part) {
        deliveries.for_each(drop);
    }
}

fn answer(bytes: &[u8]) {
    let Ok(answer) = decode::<v1::NumberedAnswer>(bytes) else { return };
    if let Err(error) = result(answer) {
        assert_eq!(leftfold_api::code(error.code()), error.code());
    }
    let Ok(problem) = decode::<v1::Problem>(bytes) else { return };
    drop(AppendError::from(problem.clone()).to_string());
    drop(ReadError::from(problem).to_string());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let event = leftfold_api::NewEvent::json("Paid", "{}").tag("a", "b").correlation("c");
    let query: leftfold_api::Query = "category:order not (type:A or tag:x=1)".parse().unwrap();
    let to = leftfold_api::CheckpointMove {
        name: "c".to_owned(),
        expected: None,
        to: leftfold_api::Cursor::START,
    };
    let append = Append::new()
        .event("a-1", event.clone())
        .event("a-1", event.clone())
        .expect("a-1", leftfold_api::Expected::NoStream)
        .none_after(query.clone(), leftfold_api::Cursor::START)
        .checkpoint(to);
    let append = v1::NumberedAppend { number: 7, append: Some((&append).into()) };
    let time = leftfold_api::Timestamp(1);
    let event = leftfold_api::Recorded::from_parts("a-1", 0, 1, time, &event).unwrap();
    let start = leftfold_api::Cursor::START;
    let form = leftfold_wire::EventForm::Packed(leftfold_api::RecordFormat::release_0_1());
    let page = leftfold_wire::page_part(vec![event.clone()], &form, Some((start.clone(), true)));
    let part =
        leftfold_wire::delivery_part(vec![(event.clone(), start.clone())], &form, start, true);
    let refused = AppendError::from(leftfold_api::Conflict::Tombstoned { stream: "a".to_owned() });
    let of = |kind: u8, message: Vec<u8>| [vec![kind], message].concat();
    vec![
        of(0, append.encode_to_vec()),
        of(1, v1::ReadRequest::from(&Read::forward(query.clone())).encode_to_vec()),
        of(2, v1::SubscribeRequest::from(&Subscribe::to(query)).encode_to_vec()),
        of(3, v1::ListStreamsRequest::from(&Streams::default()).encode_to_vec()),
        of(5, page.encode_to_vec()),
        of(5, v1::RecordedEvent::from(&event).encode_to_vec()),
        of(6, part.encode_to_vec()),
        of(7, leftfold_wire::answer(1, Err(refused)).encode_to_vec()),
    ]
}
