//! What is found before, and what is said about it.

use leftfold_connect::connectors::{Check, ConnectorDefinition, ConnectorPhase};

use super::database::{Database, change};
use crate::support::{KEY, World};

pub(super) async fn check(world: &World, text: &str) -> Check {
    world.connectors.test(&ConnectorDefinition::parse(text).unwrap()).await
}

/// Checks that a finding with these words is not as it must be.
pub(super) async fn finds(world: &World, text: &str, part: &str) {
    let check = check(world, text).await;
    let is_found =
        |found: &leftfold_connect::connectors::Finding| !found.ok && found.detail.contains(part);
    assert!(check.findings.iter().any(is_found), "{part}: {check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_missing() {
    let (world, database) = (World::new().await, Database::new().await);
    let text = database.definition("", "");
    database.run(&change("1")).await;
    let good = check(&world, &text).await;
    // Transactions of other tests may hold it back.
    assert!(good.is_ok() && good.findings.last().unwrap().detail.starts_with("1 wait"), "{good:?}");

    finds(&world, &database.definition("", "table = \"other\""), "is not there: run the SQL").await;
    database.run("create role stranger login; create role reader login; grant select on outbox to reader").await;
    let of_role = |role: &str| text.replace("postgres@", &format!("{role}@"));
    finds(&world, &of_role("stranger"), "missing: select, update, delete").await;
    finds(&world, &of_role("reader"), "missing: update, delete").await;
    finds(&world, &of_role("none"), "refuses the connection: role \"none\" does not exist").await;
    let database_none = text.replace("/test", "/none");
    finds(&world, &database_none, "does not exist").await;
    finds(&world, &text.replace(&port(&text), "1"), "can't be reached (connection refused)").await;

    database.run("alter table outbox alter leftfold_seq set cache 20").await;
    finds(&world, &text, "cache 1").await;
    database.run("update outbox set leftfold_xid = '99999999'").await;
    finds(&world, &text, "transactions of another server").await;
    database.run("alter table outbox drop expected_version; alter table outbox alter event_time type timestamp").await;
    finds(
        &world,
        &text,
        "expected_version is missing, event_time is timestamp without time zone, expected",
    )
    .await;
}

fn port(text: &str) -> String {
    let (_, behind) = text.split_once("127.0.0.1:").unwrap();
    behind.split_once('/').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_none_fails_with_what_to_do() {
    let (world, database) = (World::new().await, Database::new().await);
    database.run("alter table outbox drop leftfold_xid").await;
    world.add(&database.definition("", "")).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    let failure = failed.failure.unwrap();
    assert!(failure.contains("leftfold_xid") && failure.contains("outbox init"), "{failure}");
    let sql = leftfold_connect::connectors::outbox_sql("outbox").unwrap();
    database.run(&sql).await;
    database.run(&change("1")).await;
    world.connectors.resume("out").await.unwrap();
    database.until_empty().await;

    // A copy of the table from another server.
    database
        .run(&format!("begin; {} update outbox set leftfold_xid = '99999999'; commit", change("1")))
        .await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.as_ref().unwrap().contains("set leftfold_xid = default"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_status_and_no_error() {
    let (world, database) = (World::new().await, Database::new().await);
    let with_password = database.definition("", "password = \"env:KEY\"");
    world.add(&with_password).await;
    database.run(&change("1")).await;
    database.until_empty().await;
    let unreachable = with_password.replace(&port(&with_password), "1");
    world.connectors.replace(&ConnectorDefinition::parse(&unreachable).unwrap()).await.unwrap();
    let retrying = world.until("out", |it| it.phase == ConnectorPhase::Retrying).await;
    let checked = check(&world, &unreachable).await;
    // The secret is no url, and could be quoted as a wrong one.
    let url = format!("url = \"{}\"", database.url);
    let by_secret = database.definition("", "").replace(&url, "url_secret = \"env:KEY\"");
    let wrong = check(&world, &by_secret).await;
    assert!(wrong.findings[0].detail.contains("env:KEY: expected a URL"), "{wrong:?}");
    let shown = format!("{retrying:?} {checked:?} {wrong:?}");
    assert!(!shown.contains(KEY) && !shown.contains("bGVmdGZvbGQ"), "{shown}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", database.url)).unwrap();
    let by_file = by_secret.replace("env:KEY", &format!("file:{}", file.path().display()));
    let good = check(&world, &by_file).await;
    assert!(good.is_ok(), "{good:?}");
}

#[test]
fn a_wrong_definition_of_an_outbox_is_refused_with_a_sentence() {
    let valid =
        "name = \"a\"\nkind = \"outbox\"\n[outbox]\nurl = \"postgres://me@localhost/shop\"\n";
    ConnectorDefinition::parse(valid).unwrap();
    let add = |line: &str| format!("{valid}{line}\n");
    for (text, part) in [
        (valid.replace("me@", "me:hunter2@"), "would be stored"),
        (valid.replace("postgres://me@localhost/shop", "hunter2"), "expected a URL such as"),
        (valid.replace("postgres://me@localhost/shop", "user=me"), "has no host"),
        (add("ca = \"ca.pem\""), "add ?sslmode=require"),
        (valid.replace("url =", "uri ="), "[outbox]: "),
        (add("url_secret = \"env:URL\""), "either url or url_secret"),
        (valid.replace("url = \"postgres://me@localhost/shop\"", ""), "either url or url_secret"),
        (add("password = \"hunter2\""), "not the secret itself"),
        (add("table = \"out box\""), "no name of a table"),
        (add("stream = \"{id}\""), "expected {aggregatetype} or {aggregateid}"),
        (add("batch = 0"), "expected 1 to 10000"),
        (add("batch = 10001"), "expected 1 to 10000"),
        (add("poll = \"0s\""), "expected 1ms to 1h"),
        (add("after = \"drop\""), "[outbox]: "),
        (add("after = \"keep\""), "would be read again"),
        (add("mode = \"push\""), "[outbox]: "),
        (add("slot = \"a\""), "of mode = \"replication\""),
        (add("mode = \"replication\"\nslot = \"A-b\""), "is no name"),
        (add("mode = \"replication\"\npoll = \"1s\""), "of mode = \"polling\""),
        (valid.replace("[outbox]", "query = \"category:a\"\n[outbox]"), "brings them in"),
        (
            valid.replace("[outbox]", "delivery = \"at-least-once\"\n[outbox]"),
            "delivery: for a connector of the kind",
        ),
    ] {
        let refused = ConnectorDefinition::parse(&text).unwrap_err().to_string();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{text}: {refused}");
    }
}
