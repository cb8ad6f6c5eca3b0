//! What a check finds, and that it writes nothing.

use leftfold_connect::connectors::{Check, ConnectorDefinition};
use reqwest::Method;
use serde_json::{Value, json};

use super::engine::{definition, engine, fresh};
use super::fake::Fake;
use crate::support::World;

const PAGE: &str = include_str!("../../../../../docs/connectors/search.md");

#[test]
fn the_files_of_the_documentation_are_definitions() {
    let blocks: Vec<&str> = PAGE.split("```toml\n").skip(1).collect();
    let blocks: Vec<&str> = blocks.iter().map(|block| block.split_once("```").unwrap().0).collect();
    let [whole, part] = blocks[..] else { panic!("{blocks:?}") };
    ConnectorDefinition::parse(whole).unwrap();
    ConnectorDefinition::parse(&format!("{whole}{part}")).unwrap();
}

async fn check(world: &World, text: &str) -> Check {
    world.connectors.test(&ConnectorDefinition::parse(text).unwrap()).await
}

/// Checks that there is a finding with these words.
async fn finds(world: &World, text: &str, ok: bool, part: &str) {
    let check = check(world, text).await;
    let mut found = check.findings.iter();
    assert!(found.any(|one| one.ok == ok && one.detail.contains(part)), "{part}: {check:?}");
    assert_eq!(check.is_ok(), ok, "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_how_the_index_comes_to_be() {
    let (world, engine) = (World::new().await, engine().await);
    let (index, stream, never) = (fresh("check"), fresh("stream"), fresh("never"));
    finds(&world, &engine.definition(&index, ""), true, "OpenSearch 2.").await;
    finds(&world, &engine.definition(&index, ""), true, "without a template").await;
    let template = async |name: &str, body: Value| {
        engine.put(&format!("_index_template/{name}"), body).await;
    };
    template("check", json!({"index_patterns": ["check-*"], "priority": 2})).await;
    template("check-low", json!({"index_patterns": ["check*"], "data_stream": {}, "priority": 1}))
        .await;
    finds(&world, &engine.definition(&index, ""), true, "by the template check").await;
    template("stream", json!({"index_patterns": ["stream-*"], "data_stream": {}})).await;
    finds(&world, &engine.definition(&stream, ""), false, "by the template stream").await;
    engine.put(&format!("_data_stream/{stream}"), Value::Null).await;
    finds(&world, &engine.definition(&stream, ""), false, "is a data stream").await;
    // The other tests have indices too.
    let setting = json!({"persistent": {"action.auto_create_index": "-never-*,+*"}});
    engine.put("_cluster/settings", setting).await;
    finds(&world, &engine.definition(&never, ""), false, "action.auto_create_index").await;
    let (status, _) = engine.ask(Method::HEAD, &index, Value::Null).await;
    assert_eq!(status, 404);
    engine.put(&index, Value::Null).await;
    finds(&world, &engine.definition(&index, ""), true, "exists").await;
    finds(&world, &engine.definition("check-{key}", ""), true, "depends on the event").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_wrong_with_the_cluster_or_the_user() {
    let (world, fake) = (World::new().await, Fake::start().await);
    let text = definition(&fake.url(), "orders", "api_key = \"env:KEY\"");
    finds(&world, &text, false, "answers 404").await;
    fake.answer_path("/", 401, json!({}));
    finds(&world, &text, false, "answers 401").await;
    fake.answer_path("/", 200, json!({"hello": "world"}));
    finds(&world, &text, false, "not that of a search engine").await;
    fake.answer_path("/", 200, json!({"version": {"number": "9.1.0"}}));
    finds(&world, &text, true, "Elasticsearch 9.1.0").await;
    fake.answer_path("/_security/user/_has_privileges", 200, json!({"has_all_requested": false}));
    finds(&world, &text, false, "needs index for the index orders").await;
    fake.answer_path("/_security/user/_has_privileges", 200, json!({"has_all_requested": true}));
    finds(&world, &text, true, "index: granted").await;
    fake.answer_path("/orders", 403, json!({}));
    finds(&world, &text, false, "403").await;
    let writes = |method: &Method| !matches!(*method, Method::GET | Method::HEAD);
    let received = fake.received();
    let writing = received.iter().filter(|one| writes(&one.method));
    assert!(
        writing.map(|one| one.uri.path()).all(|path| path == "/_security/user/_has_privileges")
    );

    let none = text.replace("env:KEY", "env:NONE");
    finds(&world, &none, false, "env:NONE is not set").await;
    let away = text.replace(&fake.address.port().to_string(), "1");
    finds(&world, &away, false, "can't be reached").await;
    let ca = format!("{text}ca = \"/none\"\n");
    finds(&world, &ca, false, "ca: /none").await;
}
