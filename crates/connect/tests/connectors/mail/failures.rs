//! Servers that refuse, cut, and say nothing.

use leftfold_api::{EventStore, Query, Read};
use leftfold_connect::connectors::ConnectorPhase;

use super::content::id;
use super::server::{ANN, MailServer, PLAIN, Security, Trouble, definition};
use crate::support::World;

const REPEAT: &str =
    "delivery = \"at-least-once\"\n[retry]\nfirst = \"5ms\"\nlongest = \"5ms\"\nattempts = 4";

async fn start(before: &str) -> (World, MailServer) {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    world.add(&definition(&server.address.to_string(), before, PLAIN)).await;
    (world, server)
}

/// A mail that the server may have taken is not sent again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn at_most_once_sends_no_mail_twice() {
    let (mut world, server) = start("").await;
    server.trouble([Trouble::CutAfterContent, Trouble::SilentAfterContent]);
    world.append("order-1", "OrderPlaced", ANN).await;
    world.append("order-1", "OrderPaid", ANN).await;
    let parked = world.parked("mail", 1).await;
    assert_eq!((parked[0].stream.as_str(), parked[0].version), ("order-1", 0));
    // It is interrupted while the server is silent.
    world.append("order-2", "OrderPlaced", ANN).await;
    server.wait_for(2).await;
    world.interrupt().await;
    world.start().await;
    assert_eq!(world.parked("mail", 2).await[1].stream, "order-2");
    world.append("order-3", "OrderPlaced", ANN).await;
    server.wait_for(3).await;
    // What is over stays so, and an operator decides about the rest.
    world.connectors.skip("mail", "order-2", 0).await.unwrap();
    world.connectors.retry("mail", Some("order-1")).await.unwrap();
    let taken = server.wait_for(5).await;
    assert_eq!(id(&taken[3].content), id(&taken[0].content));
    world.parked("mail", 0).await;
    assert_eq!(server.taken().len(), 5);
}

/// An answer of 4xx says that the server has not taken the mail: no harm is done by another attempt.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_surely_not_taken_is_tried_again_at_most_once_too() {
    let retry = "[retry]\nfirst = \"5ms\"\nlongest = \"5ms\"\nattempts = 4";
    let (world, server) = start(retry).await;
    server.trouble([Trouble::Recipient(450, "greylisted"), Trouble::Content(451, "greylisted")]);
    world.append("order-1", "OrderPlaced", ANN).await;
    server.wait_for(1).await;
    // Attempts end, and the last answer is the reason.
    server.trouble([Trouble::Recipient(450, "busy"); 4]);
    world.append("order-2", "OrderPlaced", ANN).await;
    let parked = world.parked("mail", 1).await;
    assert!(parked[0].reason.contains("450") && parked[0].stream == "order-2", "{parked:?}");
    assert_eq!(server.taken().len(), 1);
    world.connectors.retry("mail", None).await.unwrap();
    server.wait_for(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_tries_again_with_the_same_id() {
    let (world, server) = start(REPEAT).await;
    for trouble in [
        Trouble::Recipient(450, "busy"),
        Trouble::Recipient(421, "going away"),
        Trouble::Content(451, "greylisted"),
        Trouble::CutAfterContent,
        Trouble::EndlessAnswer,
    ] {
        let before = server.taken().len();
        server.trouble([trouble]);
        world.append("order-1", "OrderPlaced", ANN).await;
        let was_taken = matches!(trouble, Trouble::CutAfterContent | Trouble::EndlessAnswer);
        let taken = server.wait_for(before + 1 + usize::from(was_taken)).await;
        let ids: std::collections::HashSet<_> =
            taken[before..].iter().map(|mail| id(&mail.content)).collect();
        assert_eq!(ids.len(), 1, "{trouble:?}");
    }
    world.until("mail", |it| it.gauges.is_some_and(|gauges| gauges.events == 5)).await;
    assert_eq!(server.taken().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_refusal_parks_the_event_with_what_the_server_says() {
    let (world, server) = start(REPEAT).await;
    server.trouble([Trouble::Recipient(550, "no such user here")]);
    world.append("order-1", "OrderPlaced", ANN).await;
    let parked = world.parked("mail", 1).await;
    assert_eq!(parked[0].attempts, 1);
    let reason = &parked[0].reason;
    assert!(reason.contains("550") && reason.contains("no such user here"), "{reason}");
    server.trouble([Trouble::Content(554, "spam")]);
    world.append("order-2", "OrderPlaced", ANN).await;
    let parked = world.parked("mail", 2).await;
    assert!(parked[1].reason.contains("554: spam"), "{parked:?}");
    assert_eq!(server.taken().len(), 0);
    world.connectors.retry("mail", None).await.unwrap();
    server.wait_for(2).await;
    world.parked("mail", 0).await;
}

/// Several recipients get a mail all together, or none of them does.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_to_all_its_recipients_or_to_none() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    let text = definition(&server.address.to_string(), "", PLAIN)
        .replace("\"{data.to}\"", "\"first@home.example\", \"{data.to}\"");
    server.trouble([Trouble::Recipient(550, "the first one")]);
    world.add(&text).await;
    world.append("order-1", "OrderPlaced", ANN).await;
    world.parked("mail", 1).await;
    assert!(server.taken().is_empty());
}

/// No mail is parked because the server is away, though each is sent at most once.
#[tokio::test(flavor = "multi_thread")]
async fn mails_wait_while_the_server_is_away() {
    let (world, server) = start("").await;
    let address = server.stop();
    for order in 0..4 {
        world.append(&format!("order-{order}"), "OrderPlaced", ANN).await;
    }
    let status = world.until("mail", |it| it.phase == ConnectorPhase::Retrying).await;
    assert_eq!(status.code.as_deref(), Some("connector_unavailable"));
    let server = MailServer::start_at(address).await;
    // It is there, and takes no one yet; then it greets without an end.
    server.greet(["421 too many\r\n".to_owned(), "2".repeat(1 << 20)]);
    server.wait_for(4).await;
    world.parked("mail", 0).await;
    assert_eq!(server.taken().len(), 4);
}

/// It is no fault of an event that the server wants an account.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_an_account_stops_the_connector() {
    let (world, server) = start("").await;
    server.trouble([Trouble::Recipient(530, "authentication required")]);
    world.append("order-1", "OrderPlaced", ANN).await;
    let status = world.until("mail", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_unusable"));
    assert!(status.failure.unwrap().contains("authentication required"));
    world.connectors.resume("mail").await.unwrap();
    server.wait_for(1).await;
    world.parked("mail", 0).await;
}

/// The server's own words are in the status.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_stops_at_a_refusal_if_it_is_told_to() {
    let (world, server) = start("delivery = \"at-least-once\"\non_error = \"stop\"").await;
    server.trouble([Trouble::Recipient(550, "no such user here")]);
    world.append("order-1", "OrderPlaced", ANN).await;
    let status = world.until("mail", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_event_refused"));
    assert!(status.failure.unwrap().contains("no such user here"));
    world.connectors.resume("mail").await.unwrap();
    server.wait_for(1).await;
    let all = world.store.read(Read::forward(Query::category("order"))).await.unwrap();
    assert_eq!(all.events.len(), 1);
}
