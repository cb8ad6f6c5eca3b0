//! Connectors are added, replaced, paused, resumed, reset and removed while they run.

use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorPhase, ConnectorStart, MAX_CONNECTORS,
};

use crate::receiver::Receiver;
use crate::support::{World, code};

pub(crate) fn hook(receiver: &Receiver, more: &str) -> String {
    format!(
        "name = \"hook\"\nkind = \"http\"\nquery = \"category:order\"\n{more}\n[http]\nurl = \"http://{}/hook\"\n\
         allow_private = true\nsecret = \"env:KEY\"\n",
        receiver.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_added_paused_resumed_reset_and_removed() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    world.append("order-1", "OrderPlaced", "{}").await;
    world.append("cart-1", "CartFilled", "{}").await;
    world.add(&hook(&receiver, "")).await;
    assert_eq!(receiver.wait_for(1).await[0].place(), ("order-1".to_owned(), 0));
    let status = world.until("hook", |it| it.gauges.is_some_and(|gauges| gauges.events == 1)).await;
    assert_eq!((status.phase, status.kind.as_str()), (ConnectorPhase::Running, "http"));
    assert_eq!(status.query.as_deref(), Some("category:order"));
    let again = ConnectorDefinition::parse(&hook(&receiver, "")).unwrap();
    let added = world.connectors.add(&again, ConnectorStart::Beginning).await;
    assert_eq!(code(added), "connector_exists");

    world.connectors.pause("hook").await.unwrap();
    assert_eq!(world.connectors.status("hook").await.unwrap().phase, ConnectorPhase::Paused);
    world.append("order-2", "OrderPlaced", "{}").await;
    world.connectors.resume("hook").await.unwrap();
    assert_eq!(receiver.wait_for(2).await[1].place(), ("order-2".to_owned(), 0));
    assert_eq!(receiver.received().len(), 2);

    // It goes on where it is when it is replaced, and begins anew when it is reset.
    let other = hook(&receiver, "in_flight = 3");
    world.connectors.replace(&ConnectorDefinition::parse(&other).unwrap()).await.unwrap();
    assert_eq!(world.connectors.status("hook").await.unwrap().text, other);
    world.append("order-3", "OrderPlaced", "{}").await;
    assert_eq!(receiver.wait_for(3).await[2].place(), ("order-3".to_owned(), 0));
    world.connectors.reset("hook").await.unwrap();
    receiver.wait_for(6).await;
    world.connectors.remove("hook").await.unwrap();
    assert_eq!(code(world.connectors.status("hook").await), "connector_unknown");
    assert_eq!(code(world.connectors.pause("hook").await), "connector_unknown");
    assert!(world.connectors.list().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_survive_a_restart() {
    let (mut world, receiver) = (World::new().await, Receiver::start().await);
    world.add(&hook(&receiver, "")).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    receiver.wait_for(1).await;
    world.stop().await;
    world.append("order-2", "OrderPlaced", "{}").await;
    world.start().await;
    receiver.wait_for(2).await;
    world.stop().await;
    // What was delivered when it stopped was noted down.
    let places: Vec<_> = receiver.received().iter().map(crate::receiver::Received::place).collect();
    assert_eq!(places, [("order-1".to_owned(), 0), ("order-2".to_owned(), 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_begins_where_it_is_told() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let first = world.append("order-1", "OrderPlaced", "{}").await;
    world.append("order-1", "OrderPaid", "{}").await;
    let definition = ConnectorDefinition::parse(&hook(&receiver, "")).unwrap();
    let start = ConnectorStart::After(first.cursor.to_string());
    world.connectors.add(&definition, start).await.unwrap();
    assert_eq!(receiver.wait_for(1).await[0].place(), ("order-1".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_the_same_time_one_wins() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    world.add(&hook(&receiver, "")).await;
    let changes = (0..8).map(|_| world.connectors.pause("hook"));
    let changes = futures_util::future::join_all(changes).await;
    assert!(changes.iter().any(Result::is_ok), "{changes:?}");
    let refused: Vec<_> = changes.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for error in refused {
        assert_eq!(leftfold_api::Coded::code(&error), "connector_changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_has_at_most_a_hundred_connectors() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let named =
        |number: usize| hook(&receiver, "").replace("\"hook\"", &format!("\"hook-{number}\""));
    for number in 0..MAX_CONNECTORS {
        world.add(&named(number)).await;
    }
    let more = ConnectorDefinition::parse(&named(MAX_CONNECTORS)).unwrap();
    let added = world.connectors.add(&more, ConnectorStart::Beginning).await;
    assert_eq!(code(added), "connectors_too_many");
    world.connectors.remove("hook-7").await.unwrap();
    world.connectors.add(&more, ConnectorStart::Beginning).await.unwrap();
}

#[test]
fn a_wrong_definition_is_refused_with_a_sentence() {
    let valid = "name = \"a\"\nkind = \"http\"\nquery = \"category:order\"\n[http]\nurl = \"https://example.com\"\n";
    ConnectorDefinition::parse(valid).unwrap();
    for (from, to, part) in [
        ("name = \"a\"", "name = \"A b\"", "no name of a connector"),
        ("kind = \"http\"", "kind = \"smoke\"", "smoke is no kind of connector"),
        ("query = \"category:order\"\n", "", "query is missing"),
        ("category:order", "category:", "query:"),
        ("[http]", "[htpt]", "htpt is no setting of a connector of the kind http"),
        ("url =", "uri =", "[http]: "),
        ("https://example.com", "ftp://example.com", "expected http:// or https://"),
        ("https://example.com", "https://me:pw@example.com", "would be stored"),
        ("https://example.com", "http://169.254.169.254/", "allow_private"),
        ("[http]", "in_flight = 0\n[http]", "in_flight: expected 1 to"),
        ("[http]\n", "[http]\nbatch = 0\n", "batch: expected 1 to 1000"),
        ("[http]", "delivery = \"exactly-once\"\n[http]", "delivery: for a connector of the kind"),
        ("[http]", "[retry]\nattempts = 0\n[http]", "retry.attempts is 0"),
        ("[http]\n", "[http]\nsecret = \"hunter2\"\n", "not the secret itself"),
        ("[http]\n", "[http]\nheaders = { webhook-id = \"x\" }\n", "set by the connector itself"),
        ("[http]\n", "[http]\nbody = \"{data.}\"\n", "no path"),
        ("[http]\n", "[http]\ntimeout = \"5m\"\n", "timeout: expected at most"),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err();
        assert_eq!(leftfold_api::Coded::code(&refused), "connector_invalid");
        let refused = refused.to_string();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{to}: {refused}");
    }
}
