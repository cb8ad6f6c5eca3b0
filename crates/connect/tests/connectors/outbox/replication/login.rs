//! Passwords and TLS.

use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, outbox_publication_sql};
use leftfold_postgres_server::Server;

use crate::outbox::database::{Database, change};
use crate::outbox::tls::encrypt;
use crate::support::{KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_has_a_password_and_tls() {
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    database.run(&outbox_publication_sql("outbox").unwrap()).await;
    let mut access = Vec::new();
    for (role, method, encryption) in [
        ("scram", "scram-sha-256", "scram-sha-256"),
        ("hash", "md5", "md5"),
        ("plain", "password", "md5"),
    ] {
        database
            .run(&format!(
                "set password_encryption = '{encryption}'; create role {role} superuser login password '{KEY}'"
            ))
            .await;
        access.push(format!("host all {role} all {method}"));
    }
    access.push("host all all all trust".to_owned());
    let lines = access.join("'), ('");
    database
        .run(&format!("copy (values ('{lines}')) to program 'cat > \"$PWD\"/pg_hba.conf'"))
        .await;
    let certificate = encrypt(&database, "127.0.0.1").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let ca = format!("ca = \"{}\"\n", file.path().display());
    world.add(&database.replicating("", "")).await;
    for role in ["scram", "hash", "plain"] {
        let text = database.replicating("", &ca);
        let url = &database.url;
        let with_tls = format!("{}?sslmode=require", url.replace("postgres@", &format!("{role}@")));
        let text = text.replace(url, &with_tls);
        let without = ConnectorDefinition::parse(&text).unwrap();
        world.connectors.replace(&without).await.unwrap();
        _ = world.connectors.resume("out").await;
        world.until("out", |it| it.phase != ConnectorPhase::Running).await;
        let with = ConnectorDefinition::parse(&format!("{text}password = \"env:KEY\"\n")).unwrap();
        world.connectors.replace(&with).await.unwrap();
        _ = world.connectors.resume("out").await;
        database.run(&change("1")).await;
        database.until_each_change_is_in(&world).await;
        let encrypted = format!(
            "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
             where application_name = 'leftfold' and ssl and usename = '{role}' and backend_type = 'walsender'"
        );
        assert_eq!(database.number(&encrypted).await, 1, "{role}");
    }
}
