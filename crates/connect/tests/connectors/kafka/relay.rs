//! Events become records, once each.

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, Connectors, Secrets};
use leftfold_kafka::{Isolation, StoredRecord};

use super::broker::{Broker, USER, broker, fresh, header, secured};
use crate::support::{KEY, World};

/// Returns a definition with its own cursor topic. `more` stands before the table, `settings` in it.
pub(super) fn relay(broker: &Broker, topic: &str, more: &str, settings: &str) -> String {
    let bootstrap = broker.cluster.bootstrap();
    format!(
        "name = \"relay\"\nkind = \"kafka\"\nquery = \"category:order\"\n{more}\n[kafka]\n\
         bootstrap = \"{bootstrap}\"\ntopic = \"{topic}\"\ncursor_topic = \"{topic}-cursors\"\n{settings}\n"
    )
}

/// Returns streams and versions of records, as CloudEvents names them.
fn places(records: &[StoredRecord]) -> Vec<String> {
    let place =
        |record| format!("{}@{}", header(record, "ce_subject"), header(record, "stream-version"));
    records.iter().map(place).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_a_record_with_key_headers_and_partition_of_templates() {
    let (broker, world, topic) = (broker().await, World::new().await, fresh("order"));
    let kind = topic.strip_prefix("order").unwrap();
    let settings = "create_topics = true\npartitions = 3\nkey = \"{data.user}\"\nsource = \"shop\"\n\
                    compression = \"zstd\"\nheaders = { kind = \"{category}/{type}\" }";
    let text = relay(&broker, &topic, "", settings);
    let text =
        text.replace(&format!("topic = \"{topic}\""), &format!("topic = \"{{category}}{kind}\""));
    world.add(&text).await;
    world.append("order-1", "Placed", r#"{"user":"ada"}"#).await;
    world.append("cart-1", "Filled", r#"{"user":"ada"}"#).await;
    world.append("order-2", "Placed", r#"{"user":"ada"}"#).await;
    let read = broker.wait_for(&topic, 2).await;
    assert_eq!(read.len(), 3);
    // What has the same key is in the same partition, in its order.
    let number = leftfold_api::Partitioner::Murmur2.partition_of(b"ada", 3) as usize;
    let [first, second] = &read[number][..] else { panic!("{read:?}") };
    assert_eq!(first.record.key.as_deref(), Some(&b"ada"[..]));
    assert_eq!(first.record.value.as_deref(), Some(&br#"{"user":"ada"}"#[..]));
    for (name, value) in [
        ("ce_type", "Placed"),
        ("ce_source", "shop"),
        ("ce_subject", "order-1"),
        ("content-type", "application/json"),
        ("kind", "order/Placed"),
    ] {
        assert_eq!(header(first, name), value);
    }
    assert_eq!(header(second, "ce_subject"), "order-2");
    let status = world.until("relay", |it| it.gauges.is_some_and(|it| it.events == 2)).await;
    assert_eq!(
        (status.phase, status.gauges.unwrap().lag_micros),
        (ConnectorPhase::Running, Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_goes_on_where_it_was_and_begins_anew_after_a_reset() {
    let (broker, mut world, topic) = (broker().await, World::new().await, fresh("restarts"));
    broker.create(&topic, 1, &[]).await;
    world.add(&relay(&broker, &topic, "", "shape = \"debezium\"")).await;
    world.append("order-1", "Placed", "{}").await;
    broker.wait_for(&topic, 1).await;
    world.stop().await;
    world.append("order-1", "Paid", "{}").await;
    world.start().await;
    let read = broker.wait_for(&topic, 2).await;
    let types: Vec<_> = read[0].iter().map(|it| header(it, "eventType")).collect();
    assert_eq!(types, ["Placed", "Paid"]);
    assert_eq!(header(&read[0][0], "aggregateId"), "1");
    world.connectors.reset("relay").await.unwrap();
    assert_eq!(broker.wait_for(&topic, 4).await[0].len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_that_is_still_alive_is_fenced_and_writes_nothing() {
    let (broker, world, topic) = (broker().await, World::new().await, fresh("zombie"));
    broker.create(&topic, 1, &[]).await;
    world.add(&relay(&broker, &topic, "", "")).await;
    world.append("order-1", "Placed", "{}").await;
    broker.wait_for(&topic, 1).await;
    let newer = Connectors::new(world.store.clone(), Secrets::default());
    let running = newer.clone();
    let running = tokio::spawn(async move { running.run_until(std::future::pending()).await });
    broker
        .until(async || {
            let cursors = broker.read(&format!("{topic}-cursors"), Isolation::Committed).await?;
            let last = |at: usize| Some(header(cursors[0].iter().rev().nth(at)?, "run"));
            // The newer run has written its first cursor.
            (last(0)? != header(cursors[0].first()?, "run")).then_some(())
        })
        .await;
    for _ in 0..20 {
        world.append("order-1", "Paid", "{}").await;
    }
    let failed = world.until("relay", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(
        failed.failure.as_deref().unwrap().contains("another run of this connector"),
        "{failed:?}"
    );
    assert_eq!(failed.code.as_deref(), Some("connector_unusable"));
    let expected: Vec<_> = (0..21).map(|version| format!("order-1@{version}")).collect();
    assert_eq!(places(&broker.wait_for(&topic, 21).await[0]), expected);
    assert_eq!(places(&broker.read(&topic, Isolation::Uncommitted).await.unwrap()[0]), expected);
    assert_eq!(newer.status("relay").await.unwrap().phase, ConnectorPhase::Running);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cursor_stops_the_relay_until_it_is_reset() {
    let (broker, mut world, topic) = (broker().await, World::new().await, fresh("lost"));
    let cursors = format!("{topic}-cursors");
    broker.create(&topic, 1, &[]).await;
    world.add(&relay(&broker, &topic, "", "")).await;
    world.append("order-1", "Placed", "{}").await;
    broker.wait_for(&topic, 1).await;
    for is_made_again in [false, true] {
        world.stop().await;
        if is_made_again {
            broker.create(&cursors, 1, &[("cleanup.policy", "compact")]).await;
        } else {
            broker.delete(&cursors).await;
        }
        world.start().await;
        let failed = world.until("relay", |it| it.phase == ConnectorPhase::Failed).await;
        assert!(failed.failure.as_deref().unwrap().contains("reset the connector"), "{failed:?}");
    }
    assert_eq!(broker.read(&topic, Isolation::Uncommitted).await.unwrap()[0].len(), 1);
    world.connectors.reset("relay").await.unwrap();
    assert_eq!(broker.wait_for(&topic, 2).await[0].len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_not_be_sent_stops_the_relay_behind_those_before_it_or_is_skipped() {
    let (broker, world, topic) = (broker().await, World::new().await, fresh("refused"));
    broker.create(&topic, 1, &[("max.message.bytes", "3000")]).await;
    let large = format!(r#"{{"user":"{}"}}"#, "x".repeat(4_000));
    let mut append = Append::new();
    for data in [r#"{"user":"ada"}"#, r#"{"user":"bob"}"#, "{}", &large, r#"{"user":"eve"}"#] {
        append = append.event("order-1", NewEvent::json("Placed", data.to_owned()));
    }
    world.store.append(append).await.unwrap();
    let settings = "headers = { user = \"{data.user}\" }";
    world.add(&relay(&broker, &topic, "", settings)).await;
    let failed = world.until("relay", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(failed.code.as_deref(), Some("connector_event_refused"));
    let failure = failed.failure.unwrap();
    assert!(failure.contains("order-1@2: the event has no data.user"), "{failure}");
    assert_eq!(places(&broker.wait_for(&topic, 2).await[0]), ["order-1@0", "order-1@1"]);

    let optional = relay(&broker, &topic, "", &settings.replace("user}", "user?}"));
    world.connectors.replace(&ConnectorDefinition::parse(&optional).unwrap()).await.unwrap();
    let failed = world.until("relay", |it| it.phase == ConnectorPhase::Failed).await;
    let failure = failed.failure.unwrap();
    assert!(failure.contains("order-1@3: its record has"), "{failure}");

    let skipping = relay(&broker, &topic, "on_error = \"skip\"", settings);
    world.connectors.replace(&ConnectorDefinition::parse(&skipping).unwrap()).await.unwrap();
    let expected = ["order-1@0", "order-1@1", "order-1@2", "order-1@4"];
    assert_eq!(places(&broker.wait_for(&topic, 4).await[0]), expected);
    world.until("relay", |it| it.gauges.is_some_and(|gauges| gauges.skipped == 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_transactions_the_place_is_a_checkpoint_of_the_store() {
    let (broker, mut world, topic) = (broker().await, World::new().await, fresh("plain"));
    broker.create(&topic, 2, &[]).await;
    let more = "delivery = \"at-least-once\"";
    world.add(&relay(&broker, &topic, more, "key = \"one\"")).await;
    world.append("order-1", "Placed", "{}").await;
    broker.wait_for(&topic, 1).await;
    world.until("relay", |it| it.gauges.is_some_and(|it| it.events == 1)).await;
    world.stop().await;
    world.append("order-1", "Paid", "{}").await;
    world.start().await;
    world.until("relay", |it| it.gauges.is_some_and(|it| it.events == 1)).await;
    let read = broker.wait_for(&topic, 2).await;
    let read = read.iter().find(|records| !records.is_empty()).unwrap();
    assert_eq!(places(read), ["order-1@0", "order-1@1"]);
    assert!(world.store.checkpoint("connector-relay").await.unwrap().is_some());
    let cursors = broker.client.describe_topic(&format!("{topic}-cursors")).await.unwrap();
    assert_eq!(cursors, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_looks_at_brokers_topics_and_transactions_and_makes_nothing() {
    let (broker, world, topic) = (broker().await, World::new().await, fresh("checked"));
    let test = async |settings: &str, change: [&str; 2]| {
        let text = relay(&broker, &topic, "", settings).replace(change[0], change[1]);
        world.connectors.test(&ConnectorDefinition::parse(&text).unwrap()).await
    };
    let missing = test("", ["", ""]).await;
    assert!(!missing.is_ok());
    assert_eq!(missing.findings.iter().filter(|found| !found.ok).count(), 1, "{missing:?}");
    assert!(missing.findings.iter().any(|found| found.detail.contains("create_topics = true")));
    assert!(test("create_topics = true", ["", ""]).await.is_ok());
    assert_eq!(broker.client.describe_topic(&topic).await.unwrap(), None);
    broker.create(&topic, 4, &[]).await;
    let found = test("", ["", ""]).await;
    assert!(found.is_ok(), "{found:?}");
    assert!(found.findings.iter().any(|found| found.detail == "has 4 partitions"), "{found:?}");
    // A topic that is not compacted forgets cursors.
    let (forgetful, from) = (fresh("forgetful"), format!("{topic}-cursors"));
    broker.create(&forgetful, 1, &[]).await;
    let refused = test("", [&from, &forgetful]).await;
    let refused = refused.findings.iter().find(|found| !found.ok).unwrap();
    assert!(refused.detail.contains("expected compact"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_logs_in_with_a_secret_that_is_never_shown() {
    let (broker, world, topic) = (broker().await, World::new().await, fresh("secured"));
    broker.create(&topic, 1, &[]).await;
    let of = |user: &str| {
        let settings = format!("security = {{ user = \"{user}\", password = \"env:KEY\" }}");
        let text = relay(&broker, &topic, "", &settings);
        text.replace(&broker.cluster.bootstrap(), &secured())
    };
    let other = world.connectors.test(&ConnectorDefinition::parse(&of("eve")).unwrap()).await;
    let refused = other.findings.iter().find(|found| !found.ok).unwrap();
    assert!(refused.detail.contains("SaslAuthenticationFailed"), "{refused:?}");
    assert!(!format!("{other:?}").contains(KEY));
    world.add(&of(USER)).await;
    world.append("order-1", "Placed", "{}").await;
    assert_eq!(places(&broker.wait_for(&topic, 1).await[0]), ["order-1@0"]);
    let status = world.connectors.status("relay").await.unwrap();
    assert!(!format!("{status:?}").contains(KEY));
}

#[test]
fn wrong_settings_are_refused_with_a_sentence() {
    let valid = "name = \"a\"\nkind = \"kafka\"\nquery = \"category:order\"\n[kafka]\nbootstrap = \"kafka:9092\"\n\
                 topic = \"orders\"\n";
    ConnectorDefinition::parse(valid).unwrap();
    for (from, to, part) in [
        ("kafka:9092", "kafka", "bootstrap: expected the address of a broker"),
        ("topic = \"orders\"", "topic = \"a b\"", "no name of a topic"),
        ("topic = \"orders\"", "topic = \"leftfold-connector-cursors\"", "topic of the cursors"),
        (
            "[kafka]",
            "delivery = \"at-most-once\"\n[kafka]",
            "delivery: for a connector of the kind",
        ),
        ("[kafka]", "on_error = \"park\"\n[kafka]", "kind kafka expected stop or skip"),
        ("[kafka]", "[kafka]\npartitions = 0", "partitions: expected 1 to"),
        ("[kafka]", "[kafka]\nreplication = 0", "replication: expected at least 1"),
        ("[kafka]", "[kafka]\nshape = \"avro\"", "[kafka]:"),
        ("[kafka]", "[kafka]\nsecurity = { user = \"me\" }", "user and password belong together"),
        ("[kafka]", "[kafka]\nsecurity = { password = \"hunter2\" }", "not the secret itself"),
        (
            "[kafka]",
            "[kafka]\nsecurity = { mechanism = \"PLAIN\", user = \"me\", password = \"env:P\" }",
            "set tls = true",
        ),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{to}: {refused}");
    }
}
