//! The table `[mail]` of a definition.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lettre::message::header::HeaderName;
use serde::Deserialize;

use super::super::SecretRef;
use super::super::template::Template;
use super::message;

/// The most recipients of a mail.
const MOST_RECIPIENTS: usize = 100;

/// The table `[mail]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailSettings {
    /// The host, and its port if it is not the usual one.
    server: String,
    #[serde(default)]
    pub(super) tls: TlsMode,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretRef>,
    /// A file with the authorities that are trusted, instead of those of the system.
    pub(super) ca: Option<PathBuf>,
    pub(super) from: Template,
    pub(super) to: Vec<Template>,
    pub(super) reply_to: Option<Template>,
    pub(super) subject: Template,
    pub(super) text: Option<Template>,
    pub(super) html: Option<Template>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
}

/// When a connection has TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TlsMode {
    /// From the beginning.
    Required,
    /// From the command `STARTTLS` on, before anything else is said.
    #[default]
    StartTls,
    /// Never.
    None,
}

impl TlsMode {
    /// Returns the port that servers usually have.
    fn port(self) -> u16 {
        match self {
            TlsMode::Required => 465,
            TlsMode::StartTls => 587,
            TlsMode::None => 25,
        }
    }
}

impl MailSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.host_and_port()?;
        match (&self.username, &self.password) {
            (Some(_), Some(_)) if self.tls == TlsMode::None => {
                return Err("password: it would be sent in the clear; set tls to \"starttls\" or \"required\"".to_owned());
            }
            (Some(_), Some(_)) | (None, None) => {}
            _ => return Err("expected both username and password, or neither".to_owned()),
        }
        if self.ca.is_some() && self.tls == TlsMode::None {
            return Err("ca: the connection has no TLS".to_owned());
        }
        if !(1..=MOST_RECIPIENTS).contains(&self.to.len()) {
            return Err(format!("to: expected 1 to {MOST_RECIPIENTS} recipients"));
        }
        if self.text.is_none() && self.html.is_none() {
            return Err("expected text or html, or both".to_owned());
        }
        let addresses = self.to.iter().map(|to| ("to", to)).chain([("from", &self.from)]);
        for (what, template) in
            addresses.chain(self.reply_to.iter().map(|reply_to| ("reply_to", reply_to)))
        {
            if let Some(fixed) = template.fixed() {
                message::parse_mailbox(what, fixed)?;
            }
        }
        for name in self.headers.keys() {
            HeaderName::new_from_ascii(name.clone())
                .map_err(|_| format!("{name:?} is no name of a header"))?;
            if message::is_own(name) {
                return Err(format!("the header {name} is set by the connector itself"));
            }
        }
        Ok(())
    }

    pub(super) fn host_and_port(&self) -> Result<(String, u16), String> {
        let expected = || format!("server: expected HOST or HOST:PORT, found {:?}", self.server);
        let (host, port) = match self.server.rsplit_once(':') {
            // The colon is one of an address of IPv6.
            Some((_, behind)) if behind.ends_with(']') => (self.server.as_str(), self.tls.port()),
            Some((host, port)) => (host, port.parse().map_err(|_| expected())?),
            None => (self.server.as_str(), self.tls.port()),
        };
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or_else(expected)?,
            None if host.contains(':') => return Err(expected()),
            None => host,
        };
        let is_fit = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
        match !host.is_empty() && host.chars().all(is_fit) {
            true => Ok((host.to_owned(), port)),
            false => Err(expected()),
        }
    }
}
