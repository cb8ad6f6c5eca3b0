//! A server whose commits wait for synchronous standbys.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use leftfold_connect::connectors::{ConnectorPhase, outbox_publication_sql};
use leftfold_postgres_server::{Server, programs};

use crate::outbox::database::{Database, change};
use crate::outbox::findings::finds;
use crate::support::{PATIENCE, World};

const SENTENCE: &str = "for a synchronous standby: commits would wait for it without end";

/// A standby that receives the log and nothing else.
struct Receiver {
    process: Child,
    /// Removed at the end.
    _dir: tempfile::TempDir,
}

impl Receiver {
    async fn start(server: &Server, database: &Database) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(programs().unwrap().join("pg_receivewal"));
        command.args(["--synchronous", "-d", &server.url(), "-D"]).arg(dir.path());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let streaming = "select count(*) from pg_stat_replication
                         where application_name = 'pg_receivewal' and state = 'streaming'";
        let starting = async {
            while database.number(streaming).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, starting).await.unwrap();
        Receiver { process, _dir: dir }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

async fn set_standbys(database: &Database, names: &str) {
    database.run(&format!("alter system set synchronous_standby_names = '{names}'")).await;
    database.run("select pg_reload_conf()").await;
    let changing = async {
        let set = format!(
            "select count(*) from pg_settings where name = 'synchronous_standby_names' and setting = '{names}'"
        );
        while database.number(&set).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changing).await.unwrap();
}

/// Commits would wait for the connector, and it for the rows of these commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_becomes_a_synchronous_standby_stops_and_commits_go_on() {
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    database.run(&outbox_publication_sql("outbox").unwrap()).await;
    world.add(&database.replicating("", "")).await;
    database.run(&change("1")).await;
    database.until_empty().await;
    let _receiver = Receiver::start(&server, &database).await;
    set_standbys(&database, "*").await;
    tokio::time::timeout(PATIENCE, database.run(&change("1"))).await.expect("a commit hangs");
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.as_ref().unwrap().contains(SENTENCE), "{failed:?}");
    assert_eq!(failed.code.as_deref(), Some("connector_unusable"));
    for _ in 0..10 {
        tokio::time::timeout(PATIENCE, database.run(&change("1"))).await.expect("a commit hangs");
    }

    set_standbys(&database, "pg_receivewal").await;
    world.connectors.resume("out").await.unwrap();
    assert_eq!(database.until_each_change_is_in(&world).await, 12);
    database.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_would_be_a_synchronous_standby_does_not_begin() {
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    database.run(&outbox_publication_sql("outbox").unwrap()).await;
    database.run(&change("1")).await;
    set_standbys(&database, "FIRST 1 (other, Leftfold)").await;
    let text = database.replicating("", "after = \"keep\"");
    finds(&world, &text, SENTENCE).await;
    world.add(&text).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.as_ref().unwrap().contains(SENTENCE), "{failed:?}");
    assert_eq!(database.number("select count(*) from pg_replication_slots").await, 0);
    set_standbys(&database, "").await;
    world.connectors.resume("out").await.unwrap();
    assert_eq!(database.until_each_change_is_in(&world).await, 1);
}
