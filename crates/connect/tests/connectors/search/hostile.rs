//! Answers that a search engine, or what stands in front of it, gives when something is wrong.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{EventStore, Query, Read};
use leftfold_connect::connectors::ConnectorPhase;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::documents::{append_orders, has_delivered};
use super::engine::definition;
use super::fake::{Answer, Fake};
use crate::support::{KEY, World};

const RETRY: &str = "[retry]\nfirst = \"20ms\"\nlongest = \"20ms\"\nattempts = 50\n[search]";

fn of(fake: &Fake, more: &str) -> String {
    definition(&fake.url(), "orders", more).replace("[search]", RETRY)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_fail_for_now_are_sent_again() {
    let (world, fake) = (World::new().await, Fake::start().await);
    fake.answer([
        Answer::With(429, "retry-after", "1".to_owned()),
        Answer::Status(503, "busy".to_owned()),
        Answer::Status(502, "<html>".to_owned()),
        Answer::Items(429, "es_rejected_execution_exception"),
        Answer::Items(503, "unavailable_shards_exception"),
        Answer::Cut,
        Answer::Silence,
        Answer::Status(200, "<html>".to_owned()),
        Answer::Status(200, json!({"items": []}).to_string()),
        Answer::Status(200, "{".repeat(1_000_000)),
    ]);
    append_orders(&world, 1, 1).await;
    world.add(&of(&fake, "timeout = \"200ms\"")).await;
    world.until("index", has_delivered(1)).await;
    let received = fake.received();
    assert_eq!(received.len(), 11);
    // A little less than a second, because it begins when the handler does.
    assert!(received[1].at - received[0].at >= Duration::from_millis(700));
    assert_eq!(fake.ids(), ["order-0"]);
}

/// Among many good ones.
#[tokio::test(flavor = "multi_thread")]
async fn what_makes_whole_requests_fail_is_found_and_parked() {
    let (world, fake) = (World::new().await, Fake::start().await);
    append_orders(&world, 900, 900).await;
    for at in [7, 8, 500] {
        world.append(&format!("order-poison-{at}"), "OrderChanged", r#"{"poison":true}"#).await;
        append_orders(&world, 300, 300).await;
    }
    world.add(&of(&fake, "")).await;
    let parked = world.parked("index", 3).await;
    assert!(parked.iter().all(|one| one.stream.starts_with("order-poison-")), "{parked:?}");
    assert!(parked[0].reason.contains("parse_exception: poison"), "{}", parked[0].reason);
    world.until("index", has_delivered(1_800)).await;
    assert_eq!(fake.ids().len(), 900);
    let requests: Vec<usize> = fake.received().iter().map(|one| one.actions).collect();
    assert!(requests.len() < 100, "{requests:?}");
}

/// More than can be found in one batch: the others of it come again, and all is found in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_all_poison_is_parked_whole() {
    let (world, fake) = (World::new().await, Fake::start().await);
    for at in 0..150 {
        world.append(&format!("order-{at}"), "OrderChanged", r#"{"poison":true}"#).await;
    }
    world.add(&of(&fake, "")).await;
    world.parked("index", 150).await;
    assert!(fake.ids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_refused_stops_the_connector_and_secrets_are_never_shown() {
    let (world, fake) = (World::new().await, Fake::start().await);
    append_orders(&world, 1, 1).await;
    for (credentials, header) in [
        (
            "username = \"ann\"\npassword = \"env:KEY\"",
            "Basic YW5uOndoc2VjX2JHVm1kR1p2YkdRZ1kyOXVibVZqZEc5eWN5QjBaWE4wSUd0bGVRPT0=",
        ),
        ("api_key = \"env:KEY\"", &format!("ApiKey {KEY}")),
    ] {
        fake.answer([Answer::Status(401, "no such user".to_owned())]);
        world.add(&of(&fake, credentials)).await;
        let status = world.until("index", |it| it.phase == ConnectorPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("connector_unusable"));
        assert!(status.failure.as_ref().unwrap().contains("401 Unauthorized: no such user"));
        assert!(!format!("{status:?}").contains(KEY));
        assert_eq!(fake.received().last().unwrap().headers["authorization"], *header);
        world.connectors.resume("index").await.unwrap();
        world.until("index", has_delivered(1)).await;
        world.connectors.remove("index").await.unwrap();
    }
    let all = world.store.read(Read::forward(Query::System)).await.unwrap();
    assert!(all.events.iter().all(|event| !String::from_utf8_lossy(&event.data()).contains(KEY)));
}

/// What is no engine, or one that was told no.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_need_a_person_stop_the_connector() {
    let (world, fake) = (World::new().await, Fake::start().await);
    append_orders(&world, 1, 1).await;
    world.add(&of(&fake, "")).await;
    world.until("index", has_delivered(1)).await;
    for (answer, part) in [
        (
            Answer::With(302, "location", format!("{}/elsewhere", fake.url())),
            "redirects are not followed",
        ),
        (Answer::Status(403, String::new()), "403 Forbidden; mend"),
        (Answer::Status(404, String::new()), "404 Not Found; mend"),
        (Answer::Status(400, "<html>".to_owned()), "not that of a search engine"),
        (Answer::Items(403, "security_exception"), "security_exception"),
    ] {
        fake.answer([answer]);
        append_orders(&world, 1, 1).await;
        let status = world.until("index", |it| it.phase == ConnectorPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("connector_unusable"));
        assert!(status.failure.as_ref().unwrap().contains(part), "{status:?}");
        world.connectors.resume("index").await.unwrap();
        world.until("index", has_delivered(1)).await;
    }
    assert!(fake.received().iter().all(|received| received.uri.path() == "/_bulk"));
    assert!(world.connectors.parked("index", true).await.unwrap().is_empty());
}

/// It is split until one action is left, which can't be known to have an end.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_parks_its_event() {
    let (world, fake) = (World::new().await, Fake::start().await);
    fake.answer([Answer::Status(200, " ".repeat(5 << 20))]);
    append_orders(&world, 1, 1).await;
    world.add(&of(&fake, "")).await;
    let parked = world.parked("index", 1).await;
    assert!(parked[0].reason.contains("the answer has more than"), "{}", parked[0].reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_waited_for() {
    let world = World::new().await;
    let port = leftfold_ports::reserve().unwrap();
    append_orders(&world, 3, 30).await;
    world.add(&definition(&format!("http://127.0.0.1:{}", port.number), "orders", "")).await;
    let status = world.until("index", |it| it.phase == ConnectorPhase::Retrying).await;
    assert_eq!(status.code.as_deref(), Some("connector_unavailable"));
    assert!(status.failure.unwrap().contains("the search engine can't be reached"));
    // No event has used up an attempt.
    let held = world.connectors.parked("index", true).await.unwrap();
    assert!(held.iter().all(|one| one.attempts == 0), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_cluster_is_verified() {
    let world = World::new().await;
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let fake = Fake::start_with_tls(TlsAcceptor::from(Arc::new(config))).await;
    append_orders(&world, 1, 1).await;
    let unknown = definition(&format!("https://{}", fake.address), "orders", "");
    world.add(&unknown).await;
    let status = world.until("index", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.as_ref().unwrap().contains("certificate"), "{status:?}");
    assert!(fake.received().is_empty());

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cert.pem()).unwrap();
    let trusting = format!("{unknown}ca = \"{}\"\n", file.path().display());
    let trusting = leftfold_connect::connectors::ConnectorDefinition::parse(&trusting).unwrap();
    world.connectors.replace(&trusting).await.unwrap();
    world.until("index", has_delivered(1)).await;
    assert_eq!(fake.ids(), ["order-0"]);
}
