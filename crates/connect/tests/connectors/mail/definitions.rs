//! Definitions that are wrong.

use leftfold_connect::connectors::ConnectorDefinition;

use super::server::definition;

#[test]
fn a_wrong_definition_is_refused_with_a_sentence() {
    let inside = "text = \"x\"\nusername = \"me\"\npassword = \"env:KEY\"";
    let valid = definition("mail.example", "", inside);
    for server in ["mail.example", "mail.example:2525", "[::1]", "[::1]:25", "127.0.0.1:25"] {
        ConnectorDefinition::parse(&valid.replace("mail.example", server)).unwrap();
    }
    for (from, to, part) in [
        ("mail.example", "mail.example:smtp", "server: expected"),
        ("mail.example", "smtp://mail.example", "server: expected"),
        ("mail.example", "::1", "server: expected"),
        ("env:KEY", "hunter2", "not the secret itself"),
        ("username = \"me\"", "", "both username and password"),
        ("password = \"env:KEY\"", "", "both username and password"),
        ("text =", "tls = \"none\"\ntext =", "in the clear"),
        ("text =", "tls = \"maybe\"\ntext =", "unknown variant"),
        ("text = \"x\"", "", "expected text or html"),
        ("[\"{data.to}\"]", "[]", "to: expected 1 to 100"),
        ("[\"{data.to}\"]", "[\"nobody\"]", "no address"),
        ("Shop <shop@shop.example>", "Shop", "no address"),
        ("text =", "headers = { Bcc = \"x@y.example\" }\ntext =", "set by the connector itself"),
        ("text =", "headers = { Content-Type = \"x\" }\ntext =", "set by the connector itself"),
        ("text =", "headers = { \"x y\" = \"x\" }\ntext =", "no name of a header"),
        ("text =", "reply_to = \"nobody\"\ntext =", "no address"),
        ("[mail]", "delivery = \"exactly-once\"\n[mail]", "delivery: for a connector of the kind"),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(part) && !refused.contains("hunter2"), "{to}: {refused}");
    }
}
