//! The URL of a database, by reference.

use std::fmt;
use std::time::Duration;

use leftfold_fold::view::ViewError;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::definition::UrlSource;

/// The most bytes of a file with a URL.
const MAX_URL: u64 = 64 << 10;
/// How long one address of the server may take to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may leave a packet without an answer.
const SILENCE: Duration = Duration::from_secs(15);
/// After how long without packets the connection is probed, how often, and how many times.
const IDLE: Duration = Duration::from_secs(15);
const PROBE: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// A URL of PostgreSQL. It is never printed.
#[derive(Clone)]
pub(crate) struct Url(Box<Config>);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url")
    }
}

impl Url {
    /// Reads a URL; `source` is its name in errors.
    ///
    /// # Errors
    /// `view_target_unusable`: it is no URL of PostgreSQL, or asks for TLS.
    pub(crate) fn parse(text: &str, source: &dyn fmt::Display) -> Result<Self, ViewError> {
        let unusable = |what: &str| Err(ViewError::Target { message: format!("{source} {what}") });
        // The error of the parser may quote the text.
        let Ok(mut config) = text.trim().parse::<Config>() else {
            return unusable(
                "has no URL of PostgreSQL, such as postgres://USER:PASSWORD@HOST:5432/DATABASE",
            );
        };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return unusable("has a URL without a host");
        }
        if config.get_ssl_mode() == SslMode::Require {
            return unusable(
                "asks for TLS (sslmode=require), which views do not have; use a local connection or a tunnel, \
                 with sslmode=disable",
            );
        }
        // Without TLS there is nothing to prefer.
        config.ssl_mode(SslMode::Disable);
        config.connect_timeout(CONNECT).tcp_user_timeout(SILENCE);
        config.keepalives(true).keepalives_idle(IDLE).keepalives_interval(PROBE);
        config.keepalives_retries(PROBES);
        if config.get_application_name().is_none() {
            config.application_name("leftfold");
        }
        Ok(Url(Box::new(config)))
    }

    /// Reads the URL that a view names.
    ///
    /// # Errors
    /// `view_target_unusable`: there is no such variable or file, or it has no URL.
    pub(super) fn of(source: &UrlSource) -> Result<Self, ViewError> {
        let unusable = |what: &str| ViewError::Target { message: format!("{source} {what}") };
        let text = match source {
            UrlSource::Env(name) => std::env::var(name).map_err(|_| {
                unusable("is not set in the process that runs the view; set it to the URL")
            })?,
            UrlSource::File(path) => {
                let unreadable = |error: std::io::Error| {
                    unusable(&format!(
                        "can't be read by the process that runs the view ({})",
                        error.kind()
                    ))
                };
                let metadata = std::fs::metadata(path).map_err(unreadable)?;
                if !metadata.is_file() || metadata.len() > MAX_URL {
                    return Err(unusable("is no file with a URL"));
                }
                std::fs::read_to_string(path).map_err(unreadable)?
            }
        };
        Url::parse(&text, source)
    }

    pub(super) fn config(&self) -> &Config {
        &self.0
    }
}
