//! Servers with TLS and accounts.

use leftfold_api::{EventStore, Query, Read};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};

use super::server::{ANN, MailServer, PLAIN, Security, USER, definition};
use crate::support::{KEY, World};

/// A file with the certificate of a server, and the settings that trust it.
struct Trust {
    file: tempfile::NamedTempFile,
}

impl Trust {
    fn of(server: &MailServer) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &server.certificate).unwrap();
        Trust { file }
    }

    fn settings(&self, tls: &str) -> String {
        format!(
            "tls = \"{tls}\"\nca = \"{}\"\ntext = \"\"\nusername = \"{USER}\"\npassword = \"env:KEY\"",
            self.file.path().display()
        )
    }
}

fn local(server: &MailServer) -> String {
    format!("localhost:{}", server.address.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_used_with_tls_alone_and_never_shown() {
    for (security, tls) in [(Security::StartTls, "starttls"), (Security::Implicit, "required")] {
        let (world, server) = (World::new().await, MailServer::start(security).await);
        let settings = Trust::of(&server);
        let text = definition(&local(&server), "", &settings.settings(tls));
        let found = world.connectors.test(&ConnectorDefinition::parse(&text).unwrap()).await;
        assert!(found.is_ok() && !format!("{found:?}").contains(KEY), "{found:?}");
        assert!(server.commands().iter().any(|(_, command)| command == "NOOP"));
        assert!(!server.commands().iter().any(|(_, command)| command.starts_with("MAIL")));
        world.add(&text).await;
        world.append("order-1", "OrderPlaced", ANN).await;
        server.wait_for(1).await;
        let status =
            world.until("mail", |it| it.gauges.is_some_and(|gauges| gauges.events == 1)).await;
        assert!(!format!("{status:?}").contains(KEY));
        let all = world.store.read(Read::forward(Query::System)).await.unwrap();
        for event in &all.events {
            assert!(!String::from_utf8_lossy(&event.data()).contains(KEY));
        }
        // The certificate is of another name.
        let other = text.replace("localhost", "127.0.0.1");
        world.connectors.replace(&ConnectorDefinition::parse(&other).unwrap()).await.unwrap();
        world.append("order-2", "OrderPlaced", ANN).await;
        let status = world.until("mail", |it| it.phase == ConnectorPhase::Retrying).await;
        assert!(status.failure.unwrap().contains("certificate"));
        assert_eq!(server.taken().len(), 1);
    }
}

/// The password is wrong: nothing is parked, and neither the message nor the check shows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_stops_the_connector() {
    let (world, server) = (World::new().await, MailServer::start(Security::StartTls).await);
    let trust = Trust::of(&server);
    let settings = trust.settings("starttls").replace(USER, "another");
    let text = definition(&local(&server), "", &settings);
    world.append("order-1", "OrderPlaced", ANN).await;
    world.add(&text).await;
    let status = world.until("mail", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_unusable"));
    let failure = status.failure.unwrap();
    assert!(failure.contains("535") && !failure.contains(KEY), "{failure}");
    assert!(world.connectors.parked("mail", false).await.unwrap().is_empty());
    let found = world.connectors.test(&ConnectorDefinition::parse(&text).unwrap()).await;
    let found = format!("{found:?}");
    assert!(found.contains("connector_unusable") && !found.contains(KEY), "{found}");

    let right = definition(&local(&server), "", &trust.settings("starttls"));
    world.connectors.replace(&ConnectorDefinition::parse(&right).unwrap()).await.unwrap();
    server.wait_for(1).await;
}

/// Without TLS nothing is said to a server, if it was not asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_no_mail_unless_the_definition_says_so() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    let address = server.address.to_string();
    world.append("order-1", "OrderPlaced", ANN).await;
    world.add(&definition(&address, "", "text = \"\"")).await;
    let status = world.until("mail", |it| it.phase == ConnectorPhase::Failed).await;
    assert!(status.failure.unwrap().contains("no STARTTLS"));
    assert!(server.commands().iter().all(|(_, command)| command.starts_with("EHLO")));
    let plain = definition(&address, "", PLAIN);
    world.connectors.replace(&ConnectorDefinition::parse(&plain).unwrap()).await.unwrap();
    server.wait_for(1).await;
}
