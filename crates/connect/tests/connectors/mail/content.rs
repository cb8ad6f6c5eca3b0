//! What a mail has.

use mail_parser::MessageParser;

use super::server::{ANN, MailServer, PLAIN, Security, definition};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_as_it_was_meant() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    let inside = "
tls = \"none\"
reply_to = \"Hilfe für alle <help@shop.example>\"
text = \"{data.text}\"
html = \"<p>{data.text}</p>\"
headers = { x-order = \"{stream} Größe\" }
";
    let text = definition(&server.address.to_string(), "", inside)
        .replace("\"{data.to}\"", "\"{data.to}\", \"Jörg <joerg@home.example>\"")
        .replace("Order {key}", "Bestellung {key}: schöne Grüße an {data.name} 🎁 {data.name}");
    world.add(&text).await;
    let body = "Grüße\n.\n..und mehr\n\nend\r\n.\r\nQUIT";
    let data =
        serde_json::json!({ "to": "ann@home.example", "text": body, "name": "Änne".repeat(30) });
    world.append("order-7", "OrderPlaced", &data.to_string()).await;
    let taken = server.wait_for(1).await;
    assert_eq!(taken[0].from, "shop@shop.example");
    assert_eq!(taken[0].to, ["ann@home.example", "joerg@home.example"]);
    assert!(taken[0].content.is_ascii());
    let mail = MessageParser::default().parse(&taken[0].content).unwrap();
    let name = "Änne".repeat(30);
    assert_eq!(mail.subject().unwrap(), format!("Bestellung 7: schöne Grüße an {name} 🎁 {name}"));
    let lines = |text: &str| text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&mail.body_text(0).unwrap()), lines(body));
    assert_eq!(lines(&mail.body_html(0).unwrap()), lines(&format!("<p>{body}</p>")));
    let address = |found: Option<&mail_parser::Address<'_>>, at: usize| {
        let found = found.unwrap().as_list().unwrap()[at].clone();
        (found.name.map(|name| name.into_owned()), found.address.unwrap().into_owned())
    };
    let named = |name: &str, address: &str| (Some(name.to_owned()), address.to_owned());
    assert_eq!(address(mail.from(), 0), named("Shop", "shop@shop.example"));
    assert_eq!(address(mail.to(), 1), named("Jörg", "joerg@home.example"));
    assert_eq!(address(mail.reply_to(), 0), named("Hilfe für alle", "help@shop.example"));
    let id = mail.message_id().unwrap();
    assert!(id.ends_with("@shop.example") && id.len() > 40, "{id}");
    assert!(mail.date().is_some());
    // The parser decodes only the headers that it knows.
    assert_eq!(mail.header("X-Order").unwrap().as_text(), Some("order-7 =?utf-8?b?R3LDtsOfZQ==?="));
    assert_eq!(mail.header("Auto-Submitted").unwrap().as_text(), Some("auto-generated"));
}

/// Neither a header nor a recipient can come out of the data of an event.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_add_a_header_or_a_recipient_is_refused() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    let inside = format!(
        "{PLAIN}\nheaders = {{ x-note = \"{{data.note?}}\" }}\nreply_to = \"{{data.reply}}\""
    );
    let text = definition(&server.address.to_string(), "", &inside)
        .replace("Order {key}", "Order {data.subject?}");
    world.add(&text).await;
    let good = [("to", "ann@home.example"), ("reply", "bob@home.example")];
    for (at, (field, value, part)) in [
        ("subject", "x\r\nBcc: eve@evil.example", "subject would have a line break"),
        ("subject", "x\nBcc: eve@evil.example", "subject would have a line break"),
        ("note", "x\r\n\r\nnew body", "x-note would have a line break"),
        ("to", "ann@home.example\r\nRCPT TO:<eve@evil.example>", "to would have a line break"),
        ("to", "ann@home.example, eve@evil.example", "no address"),
        ("to", "<ann@home.example> NOTIFY=SUCCESS", "no address"),
        ("to", "", "no address"),
        ("reply", "bob@home.example\u{85}x", "reply_to would have a line break"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut data: serde_json::Map<_, _> =
            good.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        data.insert(field.to_owned(), value.into());
        let stream = format!("order-{at}");
        world.append(&stream, "OrderPlaced", &serde_json::Value::from(data).to_string()).await;
        let parked = world.parked("mail", 1).await;
        assert!(parked[0].reason.contains(part), "{value:?}: {}", parked[0].reason);
        world.connectors.skip("mail", &stream, 0).await.unwrap();
        world.parked("mail", 0).await;
    }
    assert_eq!(server.commands(), []);
}

/// What an event holds is text in a mail of HTML, as it is in one of text.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_adds_no_markup() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    let inside = format!("{PLAIN}\nhtml = \"<a href='x?a={{data.text}}'>{{data.text}}</a>\"");
    world.add(&definition(&server.address.to_string(), "", &inside)).await;
    let data = r#"{"to":"ann@home.example","text":"<b> & \"it's\""}"#;
    world.append("order-1", "OrderPlaced", data).await;
    let taken = server.wait_for(1).await;
    let mail = MessageParser::default().parse(&taken[0].content).unwrap();
    let escaped = "&lt;b&gt; &amp; &quot;it&#39;s&quot;";
    let html = format!("<a href='x?a={escaped}'>{escaped}</a>");
    assert_eq!(mail.body_html(0).unwrap().trim_end(), html);
    assert_eq!(mail.body_text(0).unwrap().trim_end(), "<b> & \"it's\"");
}

/// Mails share a connection, and their ids are their own.
#[tokio::test(flavor = "multi_thread")]
async fn mails_use_a_connection_again() {
    let (world, server) = (World::new().await, MailServer::start(Security::None).await);
    world.add(&definition(&server.address.to_string(), "in_flight = 2", PLAIN)).await;
    for order in 0..20 {
        world.append(&format!("order-{order}"), "OrderPlaced", ANN).await;
    }
    let taken = server.wait_for(20).await;
    let connections: std::collections::HashSet<_> =
        server.commands().into_iter().map(|(port, _)| port).collect();
    assert!(connections.len() <= 2, "{connections:?}");
    let ids: std::collections::HashSet<_> = taken.iter().map(|mail| id(&mail.content)).collect();
    assert_eq!(ids.len(), 20);
}

pub(crate) fn id(content: &[u8]) -> String {
    MessageParser::default().parse(content).unwrap().message_id().unwrap().to_owned()
}
