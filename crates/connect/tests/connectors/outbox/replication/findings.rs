//! What is found before, and what is said about it.

use std::time::Duration;

use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, outbox_sql};
use leftfold_postgres_server::Server;

use crate::outbox::database::{Database, change, connect};
use crate::outbox::findings::{check, finds};
use crate::support::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_replication_needs() {
    let mut server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    let text = database.replicating("", "after = \"keep\"");
    finds(&world, &text, "is not there: run the SQL of `leftfold outbox init --replication").await;
    world.add(&text).await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("outbox init --replication"));

    database.run("create publication outbox_leftfold").await;
    finds(&world, &text, "does not have the table").await;
    database.run("alter publication outbox_leftfold add table outbox").await;
    database.run("alter publication outbox_leftfold set (publish = 'delete')").await;
    finds(&world, &text, "does not publish what is inserted").await;
    database.run("alter publication outbox_leftfold set (publish = 'insert')").await;
    let good = check(&world, &text).await;
    assert!(good.is_ok(), "{good:?}");

    database.run("create role reader login; grant select on outbox to reader").await;
    let of_reader = text.replace("postgres@", "reader@");
    finds(&world, &of_reader, "alter role ... replication").await;
    world.connectors.replace(&ConnectorDefinition::parse(&of_reader).unwrap()).await.unwrap();
    _ = world.connectors.resume("out").await;
    let failed = world.until("out", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(failed.failure.unwrap().contains("must be superuser or replication role"));
    database.run("alter role reader replication").await;
    let good = check(&world, &of_reader).await;
    assert!(good.is_ok(), "{good:?}");
    world.connectors.resume("out").await.unwrap();
    database.run(&change("1")).await;
    assert_eq!(database.until_each_change_is_in(&world).await, 1);

    world.connectors.pause("out").await.unwrap();
    let slot = database.slot();
    let in_other = text.replace(&format!("/{slot}\""), "/postgres\"");
    let other = connect(&server.url()).await.unwrap();
    other.batch_execute(&outbox_sql("outbox").unwrap()).await.unwrap();
    finds(&world, &in_other, "is not one of pgoutput in this database").await;

    let drop = format!("select pg_drop_replication_slot('{slot}')");
    database.run("alter system set wal_level = replica").await;
    database.run("alter system set max_replication_slots = 0").await;
    let dropping = async {
        while database.client.batch_execute(&drop).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dropping).await.unwrap();
    server.restart().unwrap();
    finds(&world, &text, "replica, expected logical").await;
    finds(&world, &text, "raise max_replication_slots").await;
}
