//! The check of a connector, and accounts that may not do all.

use leftfold_connect::connectors::{Check, ConnectorDefinition};

use super::cache::{Cache, ORDERS, definition, delivered, failed};
use crate::support::{KEY, World};

const PUBLISH: &str = "[[redis.rule]]\npublish = \"orders\"\n";

async fn check(world: &World, text: &str) -> Check {
    world.connectors.test(&ConnectorDefinition::parse(text).unwrap()).await
}

fn wrong(check: &Check) -> Vec<&str> {
    check.findings.iter().filter(|found| !found.ok).map(|found| &*found.what).collect()
}

/// Adds an account with the password `env:KEY`, and returns the settings for it.
async fn account(cache: &Cache, rights: &str) -> String {
    cache.run::<()>(&format!("ACL SETUSER leftfold reset on >{KEY} {rights}")).await;
    format!("username = \"leftfold\"\npassword = \"env:KEY\"\n{ORDERS}{PUBLISH}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_rights_memory_and_role_and_writes_nothing() {
    let (world, cache) = (World::new().await, Cache::start(&["--maxmemory", "100mb"]));
    let found = check(&world, &cache.definition("", &format!("{ORDERS}{PUBLISH}"))).await;
    assert!(found.is_ok(), "{found:?}");
    let memory = found.findings.iter().find(|found| found.what == "its memory").unwrap();
    assert!(memory.detail.contains("noeviction"), "{memory:?}");
    assert_eq!(cache.run::<i64>("DBSIZE").await, 0);

    let rights = "~order:* ~{order:* +eval +type +get +set +info +acl|whoami +acl|dryrun +select";
    let text = cache.definition("", &account(&cache, rights).await);
    assert_eq!(wrong(&check(&world, &text).await), ["DEL order:key", "PUBLISH orders"]);
    // An account that may not ask is not refused for that.
    let rights = "~order:* ~{order:* +eval +type +get +set +del +publish";
    let text = cache.definition("", &account(&cache, rights).await);
    assert!(check(&world, &text).await.is_ok());

    cache.run::<()>("REPLICAOF 127.0.0.1 1").await;
    let found = check(&world, &cache.definition("", ORDERS)).await;
    assert_eq!(wrong(&found), ["the server"], "{found:?}");
    let refused = definition("redis://127.0.0.1:1", "", ORDERS);
    let found = check(&world, &refused).await;
    assert_eq!(wrong(&found), ["Redis"], "{found:?}");
    assert!(found.findings[1].detail.contains("connector_unavailable"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_a_command_stops_the_connector() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let rights = "~order:* ~{order:* &* +eval +type +get +set +publish";
    world.add(&cache.definition("", &account(&cache, rights).await)).await;
    world.append("order-1", "OrderRemoved", "{}").await;
    let (code, failure) = failed(&world).await;
    assert_eq!(code, "connector_unusable");
    assert!(failure.contains("ACL SETUSER") && !failure.contains(KEY), "{failure}");
    cache.run::<()>("ACL SETUSER leftfold +del").await;
    world.connectors.resume("cache").await.unwrap();
    delivered(&world, 1).await;
}

/// A key that the account may not write is of one event.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_to_a_key_parks_the_event() {
    let (world, cache) = (World::new().await, Cache::start(&[]));
    let rights = "~order:1 ~{order:1* &* +eval +type +get +set +del +publish";
    world.add(&cache.definition("", &account(&cache, rights).await)).await;
    world.append("order-2", "OrderChanged", "{}").await;
    world.append("order-1", "OrderChanged", "{}").await;
    cache.wait_for("order:1", Some("{}")).await;
    let parked = world.parked("cache", 1).await;
    assert!(parked[0].stream == "order-2" && parked[0].reason.contains("NOPERM"), "{parked:?}");
}
