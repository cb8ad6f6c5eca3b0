//! Who was denied what, and who managed what.

use std::time::Duration;

use leftfold_api::{EventStore, Query, Read};
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ADMIN, PASSWORD, Served, served, until};

async fn records(served: &Served) -> Vec<(String, Value)> {
    let page = served.store.read(Read::forward(Query::stream("$audit"))).await.unwrap();
    let record = |event: &leftfold_api::Recorded| {
        (event.event_type().to_owned(), serde_json::from_slice(&event.data()).unwrap())
    };
    page.events.iter().map(record).collect()
}

/// Returns whether the audit has a record of this kind with these fields.
pub(crate) async fn has(served: &Served, kind: &str, fields: Value) -> bool {
    let fields = fields.as_object().unwrap().clone();
    records(served).await.iter().any(|(event_type, record)| {
        event_type == kind && fields.iter().all(|(key, value)| record[key] == *value)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_and_management_are_written_down_with_who_from_where_and_why() {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    let added = json!({"who": "user admin", "action": "$UserAdded", "what": "user ann"});
    assert!(has(&served, "$Managed", added).await, "with the change itself");

    let (status, _) = served.read(("ann", PASSWORD), "type:T").await;
    assert_eq!(status, 403);
    let denied = json!({"who": "user ann", "action": "read", "what": "type:T"});
    until("the denial is written", || has(&served, "$Denied", denied.clone())).await;
    let all = records(&served).await;
    let (_, record) = all.iter().find(|(kind, _)| kind == "$Denied").unwrap();
    assert!(record["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    assert!(!record["request"].as_str().unwrap().is_empty());
    assert!(record["why"].as_str().unwrap().contains("category:order"));

    let path = "/v1/streams/order-1/retention";
    served.admin(Method::PUT, path, json!({"max_count": 3})).await;
    let set = json!({"who": "user admin", "action": "set retention", "what": "stream order-1",
                     "outcome": "done"});
    until("the management is written", || has(&served, "$Managed", set.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_refused_is_recorded_with_its_code() {
    let served = served().await;
    let refused = [
        (Method::DELETE, "/v1/streams/none", "delete", "wrong_version"),
        (Method::DELETE, "/v1/streams/none?expected=odd", "delete", "parameter_invalid"),
        (Method::POST, "/v1/backups/daily", "back up", "backups_off"),
        (Method::DELETE, "/v1/indexes/none", "drop an index: none", "index_unknown"),
    ];
    for (method, path, action, code) in refused {
        let answer = served.ask(("admin", ADMIN), method, path, Value::Null).await;
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        let record = json!({"who": "user admin", "action": action, "outcome": code});
        until(path, || has(&served, "$Managed", record.clone())).await;
        let done = json!({"action": action, "outcome": "done"});
        assert!(!has(&served, "$Managed", done).await, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_denials_is_counted_and_not_written_one_by_one() {
    let served = served().await;
    served.user("ann", &[]).await;
    for _ in 0..300 {
        assert_eq!(served.read(("ann", PASSWORD), "*").await.0, 403);
    }
    until("the rest is counted", || async {
        // A second later a denial is told again, with the number of those that were not.
        served.read(("ann", PASSWORD), "*").await;
        let all = records(&served).await;
        all.iter().any(|(_, record)| record["not_told"].as_u64().is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_set_the_age_of_audit_records() {
    let served = served().await;
    let rules = served.admin(Method::GET, "/v1/retention-rules", Value::Null).await;
    let micros = 90 * 86_400 * 1_000_000u64;
    assert_eq!(rules["rules"][0]["rule"], "audit");
    assert_eq!(rules["rules"][0]["retention"]["max_age_micros"], json!(micros));
    assert!(!records(&served).await.is_empty());
    let shorter = json!({"query": "category:$audit", "max_age_micros": 1});
    served.admin(Method::PUT, "/v1/retention-rules/audit", shorter).await;
    until("they are old", || async {
        let old = records(&served).await.is_empty();
        // Each question waits for a sync of the store, so time goes by.
        tokio::time::sleep(Duration::from_millis(1)).await;
        old
    })
    .await;
}
