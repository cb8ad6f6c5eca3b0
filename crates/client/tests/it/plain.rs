//! The protocol as a client in another language uses it.

use leftfold_api::{AppendError, Conflict, Expected, RecordFormat};
use leftfold_wire::v1::store_client::StoreClient;
use leftfold_wire::v1::{self, Form};
use leftfold_wire::{CODE_TRAILER, append_page, deliveries, from_status};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::served::{RUNTIME, Served, url};

async fn client(served: &Served) -> StoreClient<Channel> {
    let endpoint = Endpoint::from_shared(url(served.address())).unwrap();
    StoreClient::new(endpoint.connect().await.unwrap())
}

fn append(expected: Expected) -> v1::AppendRequest {
    let event = v1::NewEvent {
        stream: Some("a-1".to_owned()),
        r#type: "Put".to_owned(),
        data: "{}".into(),
        tags: vec![v1::Tag { key: "k".to_owned(), value: "v".to_owned() }],
        ..v1::NewEvent::default()
    };
    let second = v1::NewEvent { stream: None, ..event.clone() };
    let expected = Some(expected.into());
    v1::AppendRequest {
        events: vec![event, second],
        expectations: vec![v1::Expectation { stream: "a-1".to_owned(), expected }],
        ..v1::AppendRequest::default()
    }
}

#[test]
fn appends_and_reads_fields() {
    let served = Served::fresh();
    RUNTIME.block_on(async {
        let mut client = client(&served).await;
        let answer = client.append(append(Expected::NoStream)).await.unwrap().into_inner();
        assert_eq!((answer.first_position, answer.last_position), (Some(1), Some(2)));
        let query = Some(v1::Query { is: Some(v1::query::Is::Text("tag:k=v".to_owned())) });
        let request = v1::ReadRequest { query, ..v1::ReadRequest::default() };
        let mut parts = client.read(request).await.unwrap().into_inner();
        let part = parts.message().await.unwrap().unwrap();
        assert!(part.packed.is_none() && part.cursor.is_some() && !part.more);
        assert_eq!(part.events.len(), 2);
        let event = &part.events[1];
        assert_eq!((&*event.stream, event.version, &*event.r#type), ("a-1", 1, "Put"));
        assert_eq!(
            (&event.data[..], &*event.content_type),
            (&b"{}"[..], "application/octet-stream")
        );
        assert_eq!((event.id.len(), event.event_time), (16, None));
        assert!(parts.message().await.unwrap().is_none());

        let request = v1::SubscribeRequest { form: Form::Fields as i32, ..Default::default() };
        let mut parts = client.subscribe(request).await.unwrap().into_inner();
        let first = parts.message().await.unwrap().unwrap();
        assert!(first.events.is_empty() && !first.cursor.is_empty());
        let part = parts.message().await.unwrap().unwrap();
        assert_eq!((part.events.len(), part.cursors.len(), part.caught_up), (2, 2 * 19, true));
    });
}

#[test]
fn a_refusal_is_a_status_with_code_and_what_was_found() {
    let served = Served::fresh();
    RUNTIME.block_on(async {
        let mut client = client(&served).await;
        client.append(append(Expected::NoStream)).await.unwrap();
        let status = client.append(append(Expected::Exactly(7))).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.metadata().get(CODE_TRAILER).unwrap(), "wrong_version");
        match from_status(&status).unwrap().into() {
            AppendError::Conflict(Conflict::Version { actual, expected, .. }) => {
                assert_eq!((actual, expected), (Some(1), Expected::Exactly(7)));
            }
            other => panic!("{other}"),
        }
        let query = Some(v1::Query { is: Some(v1::query::Is::Text("color:red".to_owned())) });
        let request = v1::ReadRequest { query, ..v1::ReadRequest::default() };
        let status = client.read(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.metadata().get(CODE_TRAILER).unwrap(), "query_syntax");
    });
}

/// Reads everything, as a client of other releases asks for it; returns whether it came packed.
async fn comes_packed(
    client: &mut StoreClient<Channel>,
    records: Option<v1::RecordFormat>,
) -> bool {
    let form = Form::Packed as i32;
    let read = v1::ReadRequest { form, records: records.clone(), ..Default::default() };
    let mut parts = client.read(read).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    let is_packed = part.packed.is_some();
    let page = append_page(&mut Vec::new(), part).unwrap().unwrap();
    assert_eq!(page.events.len(), 2);
    assert_eq!(page.events[1].data(), "{}");
    let subscribe = v1::SubscribeRequest { form, records, ..Default::default() };
    let mut parts = client.subscribe(subscribe).await.unwrap().into_inner();
    parts.message().await.unwrap();
    let part = parts.message().await.unwrap().unwrap();
    assert_eq!(part.packed.is_some(), is_packed);
    assert_eq!(deliveries(part).unwrap().0.count(), 3, "two events, and that it has caught up");
    is_packed
}

#[test]
fn records_that_a_client_does_not_read_come_as_fields() {
    const JSON_FLAG: u32 = 2;
    let served = Served::fresh();
    RUNTIME.block_on(async {
        let mut client = client(&served).await;
        let mut request = append(Expected::NoStream);
        request.events.iter_mut().for_each(|event| {
            event.content_type = Some("application/json".to_owned());
        });
        client.append(request).await.unwrap();
        let current = v1::RecordFormat::from(RecordFormat::current());
        assert!(comes_packed(&mut client, None).await, "release 0.1 named no records");
        assert!(comes_packed(&mut client, Some(current.clone())).await);
        let newer = v1::RecordFormat { version: 9, flags: u32::MAX, codecs: vec![1] };
        assert!(comes_packed(&mut client, Some(newer)).await);
        let older = v1::RecordFormat { flags: current.flags & !JSON_FLAG, ..current };
        assert!(!comes_packed(&mut client, Some(older)).await);
    });
}

/// What load balancers and generic clients ask first.
#[test]
fn tells_its_health_and_describes_itself() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

    let served = Served::fresh();
    RUNTIME.block_on(async {
        let endpoint = Endpoint::from_shared(url(served.address())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let mut health = HealthClient::new(channel.clone());
        for service in ["", "leftfold.v1.Store"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            assert_eq!(health.check(request.clone()).await.unwrap().into_inner().status, 1);
            let mut watched = health.watch(request).await.unwrap().into_inner();
            assert_eq!(watched.message().await.unwrap().unwrap().status, 1);
        }
        let unknown = HealthCheckRequest { service: "other.Service".to_owned() };
        assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);

        let mut reflection = ServerReflectionClient::new(channel);
        let ask = async |reflection: &mut ServerReflectionClient<Channel>, question| {
            let request =
                ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let requests = futures_util::stream::iter([request]);
            let answers = reflection.server_reflection_info(requests).await.unwrap();
            let answer: ServerReflectionResponse =
                answers.into_inner().message().await.unwrap().unwrap();
            answer.message_response.unwrap()
        };
        let listed = ask(&mut reflection, MessageRequest::ListServices(String::new())).await;
        let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
        let names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
        for service in ["leftfold.v1.Store", "leftfold.v1.Admin", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|name| name == service), "{service} of {names:?}");
        }
        let symbol = MessageRequest::FileContainingSymbol("leftfold.v1.Store.Append".to_owned());
        let found = ask(&mut reflection, symbol).await;
        assert!(matches!(found, MessageResponse::FileDescriptorResponse(_)), "{found:?}");
    });
}
