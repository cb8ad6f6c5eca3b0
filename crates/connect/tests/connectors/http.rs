//! Web hooks, with a receiver that answers in all the ways that receivers do.

use std::time::Duration;

use leftfold_api::{EventStore, Query, Read, Recorded};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};
use serde_json::json;
use standardwebhooks::Webhook;

use crate::lifecycle::hook;
use crate::receiver::{Answer, Received, Receiver, short};
use crate::support::{KEY, World, code};

fn places(received: &[Received]) -> Vec<(String, u64)> {
    received.iter().map(Received::place).collect()
}

/// The signature is checked by the library of those who wrote the specification.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_and_says_what_happened() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    world.append("order-1", "OrderPlaced", r#"{"total":"9.90"}"#).await;
    world.add(&hook(&receiver, "")).await;
    let received = receiver.wait_for(1).await;
    let request = &received[0];
    Webhook::new(KEY).unwrap().verify(&request.body, &request.headers).unwrap();
    let body = request.json();
    assert_eq!((&body["type"], &body["stream"]), (&json!("OrderPlaced"), &json!("order-1")));
    assert_eq!((&body["version"], &body["data"]), (&json!(0), &json!({"total": "9.90"})));
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("leftfold/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_body_are_made_by_templates() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let more = "body = \"{data.total} EUR\"\ncontent_type = \"text/plain\"\nheaders = { x-order = \"{key}\" }\n\
                secret_headers = { authorization = \"env:KEY\" }\n";
    world.add(&format!("{}{more}", hook(&receiver, ""))).await;
    world.append("order-7", "OrderPlaced", r#"{"total":"9.90"}"#).await;
    let received = receiver.wait_for(1).await;
    assert_eq!(&received[0].body[..], b"9.90 EUR");
    assert_eq!(received[0].header("content-type"), "text/plain");
    assert_eq!((received[0].header("x-order"), received[0].header("authorization")), ("7", KEY));
    // The secret is in the request alone.
    let status = world.connectors.status("hook").await.unwrap();
    assert!(!format!("{status:?}").contains(KEY));
    let all = world.store.read(Read::forward(Query::System)).await.unwrap();
    let mentions = |text: &str| {
        let has = |event: &&Recorded| String::from_utf8_lossy(&event.data()).contains(text);
        all.events.iter().filter(has).count()
    };
    assert_eq!((mentions("env:KEY"), mentions(KEY)), (1, 0));
}

/// The same event has the same id at each attempt; the stream waits for it, and others do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request_is_tried_again_and_holds_back_its_stream_alone() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let retry = "[retry]\nfirst = \"50ms\"\nlongest = \"50ms\"\nattempts = 20";
    receiver.answer("order-1", [Answer::Status(500), Answer::Status(404), Answer::Status(302)]);
    world.add(&hook(&receiver, retry)).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    world.append("order-1", "OrderPaid", "{}").await;
    world.append("order-2", "OrderPlaced", "{}").await;
    let received = receiver.wait_for(3).await;
    let mut of_first: Vec<_> = receiver.received();
    of_first.retain(|one| one.place() == ("order-1".to_owned(), 0));
    assert_eq!(of_first.len(), 4);
    let ids: std::collections::HashSet<_> =
        of_first.iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let mut in_order = places(&received);
    in_order.retain(|(stream, _)| stream == "order-1");
    assert_eq!(in_order, [("order-1".to_owned(), 0), ("order-1".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_good_is_parked_listed_retried_and_skipped() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer("order-1", [Answer::Status(500), Answer::Status(500), Answer::Status(500)]);
    world.add(&hook(&receiver, "[retry]\nschedule = [\"10ms\"]")).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    world.append("order-1", "OrderPaid", "{}").await;
    world.append("order-2", "OrderPlaced", "{}").await;
    receiver.wait_for(1).await;
    let found = world.parked("hook", 1).await;
    assert_eq!((found[0].stream.as_str(), found[0].version, found[0].attempts), ("order-1", 0, 2));
    assert!(found[0].reason.contains("500"), "{}", found[0].reason);
    assert_eq!(
        world.until("hook", |it| it.gauges.is_some_and(|gauges| gauges.held == 1)).await.phase,
        ConnectorPhase::Running
    );
    // Its full number of attempts comes again: one more fails, the next one goes well.
    assert_eq!(world.connectors.retry("hook", Some("order-9")).await.unwrap(), 0);
    assert_eq!(world.connectors.retry("hook", Some("order-1")).await.unwrap(), 1);
    let received = receiver.wait_for(3).await;
    assert_eq!(places(&received)[1..], [("order-1".to_owned(), 0), ("order-1".to_owned(), 1)]);
    world.parked("hook", 0).await;

    receiver.answer("order-2", [Answer::Status(500), Answer::Status(500)]);
    world.append("order-2", "OrderPaid", "{}").await;
    world.append("order-2", "OrderSent", "{}").await;
    let found = world.parked("hook", 1).await;
    assert_eq!(code(world.connectors.skip("hook", "order-2", 9).await), "event_not_parked");
    world.connectors.skip("hook", "order-2", found[0].version).await.unwrap();
    assert_eq!(receiver.wait_for(4).await[3].place(), ("order-2".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_stops_at_an_event_that_fails_if_it_is_told_to() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer("order-1", [Answer::With(422, "x-none", String::new()), Answer::Status(422)]);
    world.add(&hook(&receiver, "on_error = \"stop\"\n[retry]\nschedule = [\"1ms\"]")).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    let status = world.until("hook", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_event_refused"));
    let failure = status.failure.unwrap();
    assert!(failure.contains("order-1@0") && failure.contains("422"), "{failure}");
    world.connectors.resume("hook").await.unwrap();
    receiver.wait_for(1).await;
    assert!(world.until("hook", |it| it.phase == ConnectorPhase::Running).await.failure.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_leaves_out_what_fails_if_it_is_told_to() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer("order-1", [Answer::Status(500)]);
    world.add(&hook(&receiver, "on_error = \"skip\"\n[retry]\nschedule = []")).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    world.append("order-1", "OrderPaid", "{}").await;
    assert_eq!(receiver.wait_for(1).await[0].place(), ("order-1".to_owned(), 1));
    let gauges = |it: &leftfold_connect::connectors::ConnectorStatus| {
        it.gauges.map(|found| (found.events, found.skipped))
    };
    world.until("hook", |it| gauges(it) == Some((1, 1))).await;
}

/// Answers that say when to come back, that it is over, or nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_receivers_are_heeded() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    receiver.answer("order-1", [Answer::With(429, "retry-after", "1".to_owned())]);
    receiver.answer("order-2", [Answer::Silence]);
    receiver.answer(
        "order-3",
        [Answer::With(308, "location", format!("http://{}/other", receiver.address))],
    );
    world
        .add(&format!(
            "{}timeout = \"{}ms\"\n",
            hook(&receiver, "[retry]\nschedule = [\"1ms\"]"),
            short().as_millis()
        ))
        .await;
    let began = std::time::Instant::now();
    for stream in ["order-1", "order-2", "order-3"] {
        world.append(stream, "OrderPlaced", "{}").await;
    }
    receiver.wait_for(3).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(receiver.received().len(), 6);

    receiver.answer("order-1", [Answer::Status(410)]);
    world.append("order-1", "OrderPaid", "{}").await;
    let status = world.until("hook", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_unusable"));
    assert!(status.failure.unwrap().contains("410 Gone"));
}

/// A request whose outcome is unknown is not sent again, whatever its connector does with what fails.
#[tokio::test(flavor = "multi_thread")]
async fn at_most_once_sends_no_request_again() {
    for on_error in ["park", "skip", "stop"] {
        let (mut world, receiver) = (World::new().await, Receiver::start().await);
        receiver.answer("order-1", [Answer::Status(500)]);
        receiver.answer("order-2", [Answer::Silence]);
        let more = format!("delivery = \"at-most-once\"\non_error = \"{on_error}\"");
        world.add(&hook(&receiver, &more)).await;
        world.append("order-2", "OrderPlaced", "{}").await;
        receiver.wait_for_requests(1).await;
        // It is interrupted while the receiver is silent.
        world.interrupt().await;
        world.start().await;
        let interrupted = world.parked("hook", 1).await;
        assert_eq!(interrupted[0].stream, "order-2");
        world.append("order-1", "OrderPlaced", "{}").await;
        receiver.wait_for_requests(2).await;
        match on_error {
            "park" => _ = world.parked("hook", 2).await,
            "skip" => {
                world.until("hook", |it| it.gauges.is_some_and(|found| found.skipped == 1)).await;
            }
            _ => {
                world.until("hook", |it| it.phase == ConnectorPhase::Failed).await;
                world.connectors.resume("hook").await.unwrap();
                world.parked("hook", 2).await;
            }
        }
        world.append("order-3", "OrderPlaced", "{}").await;
        assert_eq!(receiver.wait_for(1).await[0].place(), ("order-3".to_owned(), 0));
        assert_eq!(receiver.received().len(), 3, "{on_error}");
    }
}

/// What was delivered before a kill may come again; nothing is lost, and each stream keeps its order.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_run_is_interrupted() {
    let (mut world, receiver) = (World::new().await, Receiver::start().await);
    world.add(&hook(&receiver, "in_flight = 4")).await;
    const STREAMS: usize = 5;
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        for stream in 0..STREAMS {
            for _ in 0..4 {
                world.append(&format!("order-{stream}"), "OrderPlaced", "{}").await;
            }
        }
        // In another place each time, while requests are under way.
        receiver.wait_for(round * STREAMS * 2 + round).await;
        world.interrupt().await;
        world.start().await;
    }
    let all = STREAMS * ROUNDS * 4;
    let seen = loop {
        let received = receiver.received();
        let mut firsts = places(&received);
        let mut seen = std::collections::HashSet::new();
        firsts.retain(|place| seen.insert(place.clone()));
        if firsts.len() == all {
            break firsts;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for stream in 0..STREAMS {
        let name = format!("order-{stream}");
        let versions: Vec<_> = seen
            .iter()
            .filter(|(stream, _)| *stream == name)
            .map(|(_, version)| *version)
            .collect();
        assert!(versions.is_sorted(), "{name}: {versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_missing() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let check = async |text: &str| {
        let definition = ConnectorDefinition::parse(text).unwrap();
        world.connectors.test(&definition).await
    };
    let all = check(&hook(&receiver, "")).await;
    assert!(all.is_ok() && all.findings.len() == 2, "{all:?}");
    let missing = check(&hook(&receiver, "").replace("env:KEY", "env:OTHER")).await;
    assert!(
        !missing.is_ok() && missing.findings[0].detail.contains("env:OTHER is not set"),
        "{missing:?}"
    );
    let private = check(
        &hook(&receiver, "")
            .replace("allow_private = true\n", "")
            .replace("127.0.0.1", "localhost"),
    )
    .await;
    assert!(
        private.findings.iter().any(|finding| finding.detail.contains("allow_private")),
        "{private:?}"
    );
    let unreachable =
        check(&hook(&receiver, "").replace(&receiver.address.to_string(), "127.0.0.1:1")).await;
    assert!(
        unreachable.findings.iter().any(|finding| finding.detail.contains("can't be reached")),
        "{unreachable:?}"
    );
    // Nothing was sent that could be taken for an event.
    assert!(receiver.received().iter().all(|request| request.body.is_empty()));
}

/// What failed in a batch is sent again alone: one event that the receiver never takes is parked, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn events_go_out_in_batches_and_the_one_that_is_refused_is_found() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    for n in 0..200 {
        world.append(&format!("order-{n}"), "OrderPlaced", &format!("{{\"n\":{n}}}")).await;
    }
    world.append("order-0", "OrderPaid", r#"{"n":200}"#).await;
    receiver.refuse("order-7");
    let retry = "[retry]\nfirst = \"5ms\"\nlongest = \"5ms\"\nattempts = 3";
    world.add(&format!("{}batch = 50\n", hook(&receiver, retry))).await;
    let parked = world.parked("hook", 1).await;
    assert_eq!((parked[0].stream.as_str(), parked[0].attempts), ("order-7", 3));
    world.until("hook", |it| it.gauges.is_some_and(|gauges| gauges.events == 200)).await;

    let received = receiver.received();
    let sizes: Vec<_> = received.iter().map(|one| one.batch().len()).collect();
    assert!(
        sizes.iter().all(|size| (1..=50).contains(size)) && sizes.iter().max() > Some(&10),
        "{sizes:?}"
    );
    let mut places = Vec::new();
    for request in &received {
        Webhook::new(KEY).unwrap().verify(&request.body, &request.headers).unwrap();
        assert_eq!(request.json()["type"], "events");
        if request.status == 204 {
            places.extend(request.batch());
        }
    }
    let of_first: Vec<_> =
        places.iter().filter(|place| place.0 == "order-0").map(|place| place.1).collect();
    assert_eq!(of_first, [0, 1]);
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 200);
    // Each of the refused event's own requests has one id.
    let alone: std::collections::HashSet<_> = received
        .iter()
        .filter(|one| one.batch() == [("order-7".to_owned(), 0)])
        .map(|one| one.header("webhook-id").to_owned())
        .collect();
    assert_eq!(alone.len(), 1, "{alone:?}");
}

#[test]
fn a_batch_has_no_body_or_header_of_one_event() {
    let file = |more: &str| {
        let text = format!(
            "name = \"a\"\nkind = \"http\"\nquery = \"category:order\"\n[http]\nurl = \"https://example.com\"\n{more}"
        );
        ConnectorDefinition::parse(&text).map(drop).map_err(|error| error.to_string())
    };
    file("batch = 10\nheaders = { x-from = \"shop\" }").unwrap();
    assert!(file("batch = 0").unwrap_err().contains("1 to 1000"));
    assert!(file("batch = 10\nbody = \"{data}\"").unwrap_err().contains("usual body"));
    assert!(file("batch = 10\nheaders = { x-key = \"{key}\" }").unwrap_err().contains("x-key"));
}
