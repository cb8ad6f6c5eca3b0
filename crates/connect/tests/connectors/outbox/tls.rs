//! A PostgreSQL that has TLS.

use std::time::Duration;

use leftfold_connect::connectors::ConnectorPhase;
use leftfold_postgres_server::Server;
use rcgen::CertifiedKey;

use super::database::{Database, change, has_each_change_once};
use crate::support::{PATIENCE, World};

/// Gives a server a certificate for this name, and returns the certificate. The server trusts it as an authority.
pub(super) async fn encrypt(database: &Database, name: &str) -> String {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    for (file, pem) in [("server.crt", cert.pem()), ("server.key", signing_key.serialize_pem())] {
        // The server writes them itself, as they must be its own.
        let to = format!("umask 077; cat > \"$PWD\"/{file}");
        let lines = pem.trim().replace('\n', "'), ('");
        database.run(&format!("copy (values ('{lines}')) to program '{to}'")).await;
    }
    database.run("alter system set ssl = on").await;
    database.run("select pg_reload_conf()").await;
    let changing = async {
        loop {
            let row = database.connect().await.query_one("show ssl", &[]).await.unwrap();
            if row.get::<_, String>(0) == "on" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changing).await.expect("PostgreSQL has no TLS");
    cert.pem()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_tls_verifies_the_server() {
    let server = Server::start().unwrap();
    let (world, database) = (World::new().await, Database::of(&server).await);
    let definition = database.definition("", "");
    let url = &database.url;
    let definition = definition.replace(url, &format!("{url}?sslmode=require"));
    world.add(&definition).await;
    let without = world.until("out", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(without.failure.unwrap().contains("does not support TLS"));

    let certificate = encrypt(&database, "127.0.0.1").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let unknown = world
        .until("out", |it| it.failure.as_ref().is_some_and(|why| why.contains("certificate")))
        .await;
    assert_eq!(unknown.phase, ConnectorPhase::Retrying);

    let trusting = format!("{definition}ca = \"{}\"\n", file.path().display());
    let trusting = leftfold_connect::connectors::ConnectorDefinition::parse(&trusting).unwrap();
    world.connectors.replace(&trusting).await.unwrap();
    database.run(&change("1")).await;
    database.until_empty().await;
    assert_eq!(has_each_change_once(&world, &database).await, 1);
    let encrypted = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
                     where application_name = 'leftfold' and ssl";
    assert_eq!(database.number(encrypted).await, 1);
}
