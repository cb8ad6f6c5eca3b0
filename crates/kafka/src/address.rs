use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::KafkaError;

/// The host and the port of a broker. The host is resolved when a connection is opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: Arc<str>,
    port: u16,
}

impl Address {
    /// Creates an address of a host (a name or an IP address) and a port.
    pub fn new(host: &str, port: u16) -> Self {
        Address { host: host.into(), port }
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an address from the fields of an answer.
    pub(crate) fn of_answer(host: &str, port: i32) -> Result<Self, KafkaError> {
        match u16::try_from(port) {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Address::new(host, port)),
            _ => Err(KafkaError::NoBroker(format!("{host}:{port}"))),
        }
    }
}

impl FromStr for Address {
    type Err = KafkaError;

    /// Parses `host:port`; an IPv6 address is in brackets.
    fn from_str(text: &str) -> Result<Self, KafkaError> {
        let invalid = || KafkaError::InvalidAddress(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(invalid)?,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(invalid());
        }
        Ok(Address::new(host, port))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::new(&address.ip().to_string(), address.port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["kafka-1.example:9092", "127.0.0.1:1", "[::1]:9092"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "kafka",
            "kafka:",
            ":9092",
            "kafka:0",
            "kafka:70000",
            "::1:9092",
            "a b:1",
            "[::1:9",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_without_a_broker_is_no_address() {
        assert!(Address::of_answer("", -1).is_err());
        assert_eq!(Address::of_answer("a", 9).unwrap().to_string(), "a:9");
    }
}
