//! The mail of an event.

use std::str::FromStr;

use lettre::message::header::{HeaderName, HeaderValue, MessageId};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use uuid::Uuid;

use super::super::template::{EventFields, Template};
use super::settings::MailSettings;

/// The headers that a connector sets itself, and those that belong to servers.
const OWN: [&str; 14] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "auto-submitted",
    "return-path",
    "received",
    "dkim-signature",
];

/// Whether a header is set by the connector itself.
pub(super) fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWN.contains(&name.as_str()) || name.starts_with("content-") || name.starts_with("resent-")
}

/// Makes the mail of an event; the error says why there can be none.
///
/// Its id is made of the delivery's key, so that a receiver may recognise a second copy.
pub(super) fn compose(
    settings: &MailSettings,
    fields: &EventFields<'_>,
    key: Uuid,
) -> Result<Message, String> {
    let mailbox = |what: &str, template: &Template| {
        let text = template.render(fields)?;
        parse_mailbox(what, &text)
    };
    let from = mailbox("from", &settings.from)?;
    let domain = Some(from.email.domain()).filter(|domain| domain.is_ascii());
    let id = format!("<{key}@{}>", domain.unwrap_or("leftfold"));
    let mut mail = Message::builder().from(from).header(MessageId::from(id)).date_now();
    for to in &settings.to {
        mail = mail.to(mailbox("to", to)?);
    }
    if let Some(reply_to) = &settings.reply_to {
        mail = mail.reply_to(mailbox("reply_to", reply_to)?);
    }
    let subject = line("subject", settings.subject.render(fields)?)?;
    // Other programs then send no automatic answer (RFC 3834).
    mail = mail.subject(subject).raw_header(header("Auto-Submitted", "auto-generated".to_owned())?);
    for (name, template) in &settings.headers {
        let value = line(name, template.render(fields)?)?;
        mail = mail.raw_header(header(name, value)?);
    }
    let text = settings.text.as_ref().map(|text| text.render(fields)).transpose()?;
    let html = settings.html.as_ref().map(|html| html.render_html(fields)).transpose()?;
    let mail = match (text, html) {
        (Some(text), Some(html)) => mail.multipart(MultiPart::alternative_plain_html(text, html)),
        (None, Some(html)) => mail.singlepart(SinglePart::html(html)),
        (text, None) => mail.singlepart(SinglePart::plain(text.unwrap_or_default())),
    };
    mail.map_err(|error| format!("the mail can't be made: {error}"))
}

/// Parses `ADDRESS` or `NAME <ADDRESS>`: one mailbox and nothing else, so that a value of an event adds no recipient.
pub(super) fn parse_mailbox(what: &str, text: &str) -> Result<Mailbox, String> {
    let text = line(what, text.to_owned())?;
    let wrong =
        || format!("{what}: {text:?} is no address: expected NAME@DOMAIN or TEXT <NAME@DOMAIN>");
    let (name, address) = match text.trim().strip_suffix('>') {
        Some(text) => {
            let (name, address) = text.rsplit_once('<').ok_or_else(wrong)?;
            (name.trim(), address)
        }
        None => ("", text.trim()),
    };
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    if name.contains(['<', '>']) {
        return Err(wrong());
    }
    let address = Address::from_str(address).map_err(|_| wrong())?;
    Ok(Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address))
}

/// Returns a text that is one line: a line break would be the begin of another header.
fn line(what: &str, text: String) -> Result<String, String> {
    match text.chars().any(char::is_control) {
        true => Err(format!("{what} would have a line break or another control character")),
        false => Ok(text),
    }
}

fn header(name: &str, value: String) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| format!("{name:?} is no name of a header"))?;
    Ok(HeaderValue::new(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_mailbox() {
        for (text, shown) in [
            ("a@b.example", "a@b.example"),
            ("Ann B <a@b.example>", "\"Ann B\" <a@b.example>"),
            ("\"B, Ann\" <a@b.example>", "\"B, Ann\" <a@b.example>"),
            ("Jörg <a@b.example>", "\"Jörg\" <a@b.example>"),
        ] {
            let found = parse_mailbox("to", text).map(|found| found.to_string());
            let plain = |text: String| text.replace('"', "");
            assert_eq!(found.map(plain), Ok(plain(shown.to_owned())), "{text}");
        }
        for wrong in [
            "",
            "a",
            "a@b.example, c@d.example",
            "a@b.example c@d.example",
            "<a@b.example>, <c@d.example>",
            "a@b.example\r\nBcc: c@d.example",
            "x\n <a@b.example>",
            "a@b.example> BODY=8BITMIME <c@d.example",
            "a@b.example> SIZE=1",
        ] {
            assert!(parse_mailbox("to", wrong).is_err(), "{wrong}");
        }
    }
}
