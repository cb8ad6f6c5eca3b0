//! The settings of a connector to a search engine.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::action::Actions;
use super::document::Document;
use super::index_name::check_index_name;
use crate::connectors::SecretRef;
use crate::connectors::http::client::parse_url;
use crate::connectors::retry::Span;
use crate::connectors::template::Template;

/// How long a request may take, if the definition does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for a request; below the limit for one delivery.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The table `[search]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSettings {
    url: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretRef>,
    /// As the cluster writes it when it is created: base64.
    pub(super) api_key: Option<SecretRef>,
    /// A file with the authorities of TLS, instead of those of the system.
    pub(super) ca: Option<PathBuf>,
    timeout: Option<Span>,
    pub(super) index: Template,
    /// Of the document; the stream's name if it is missing.
    id: Option<Template>,
    #[serde(default)]
    document: Document,
    routing: Option<Template>,
    /// The types of events that delete their document.
    #[serde(default)]
    delete_types: Vec<String>,
    #[serde(default)]
    pub(super) deletes: Deletes,
}

/// How a document is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Deletes {
    /// A document that says so takes its place, and keeps its version.
    #[default]
    Tombstone,
    /// It is removed. The cluster forgets its version after `index.gc_deletes`.
    Delete,
}

impl SearchSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.parsed_url()?;
        if self.username.is_some() != self.password.is_some() {
            return Err("username and password need each other".to_owned());
        }
        if self.username.is_some() && self.api_key.is_some() {
            return Err("expected username and password or api_key, not both".to_owned());
        }
        if self.username.as_ref().is_some_and(|name| name.contains(':')) {
            return Err("username: expected a name without a colon".to_owned());
        }
        if self.timeout.is_some_and(|timeout| timeout.0 > LONGEST_TIMEOUT || timeout.0.is_zero()) {
            return Err(format!("timeout: expected at most {}s", LONGEST_TIMEOUT.as_secs()));
        }
        match self.index.fixed() {
            Some(name) => check_index_name(name),
            None => Ok(()),
        }
    }

    pub(super) fn parsed_url(&self) -> Result<Url, String> {
        let url = parse_url(&self.url, "username and password")?;
        match url.query().is_none() && url.fragment().is_none() {
            true => Ok(url),
            false => Err("url: expected no query behind its path".to_owned()),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, |timeout| timeout.0)
    }

    /// Whether each document is written by the events of one stream.
    pub(super) fn has_id_of_stream(&self) -> bool {
        self.id.as_ref().is_none_or(Template::names_stream)
    }

    pub(super) fn actions(&self) -> Actions {
        Actions {
            index: self.index.clone(),
            id: self.id.clone(),
            document: self.document.clone(),
            routing: self.routing.clone(),
            delete_types: self.delete_types.clone(),
            deletes: self.deletes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(more: &str) -> Result<(), String> {
        let text = format!("url = \"https://search.example\"\nindex = \"orders\"\n{more}");
        let settings: SearchSettings = toml::from_str(&text).map_err(|error| error.to_string())?;
        settings.check()
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let both = "username = \"u\"\npassword = \"env:P\"";
        assert_eq!(check(""), Ok(()));
        assert_eq!(check(both), Ok(()));
        for (more, part) in [
            ("username = \"u\"", "need each other"),
            ("password = \"env:P\"", "need each other"),
            (&format!("{both}\napi_key = \"env:K\""), "not both"),
            ("username = \"u:v\"\npassword = \"env:P\"", "without a colon"),
            ("timeout = \"61s\"", "at most 60s"),
            ("password = \"s3cret\"", "not the secret itself"),
            ("deletes = \"never\"", "unknown variant"),
            ("document = \"{nothing}\"", "no field of an event"),
            ("document = 7", "document: expected"),
            ("document = {}", "document: expected"),
        ] {
            let refused = check(more).unwrap_err();
            assert!(refused.contains(part), "{more}: {refused}");
        }
    }

    #[test]
    fn an_address_or_index_that_can_not_be_is_refused() {
        for (url, index, part) in [
            ("https://u:p@search.example", "orders", "username and password"),
            ("ftp://search.example", "orders", "expected http"),
            ("https://search.example/?a=b", "orders", "no query"),
            ("https://search.example", "Orders", "small letters"),
        ] {
            let text = format!("url = \"{url}\"\nindex = \"{index}\"");
            let settings: SearchSettings = toml::from_str(&text).unwrap();
            let refused = settings.check().unwrap_err();
            assert!(refused.contains(part) && !refused.contains("u:p"), "{refused}");
        }
    }
}
