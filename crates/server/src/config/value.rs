//! What a setting's value may be, and how it is written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leftfold_api::Partitioner;
use leftfold_store::{Compression, Durability};

/// A type of setting: read from text, and printed as text that reads the same.
pub trait Value: Sized {
    /// What may be written.
    const ALLOWED: &'static str;
    /// Whether its flag needs no value.
    const IS_SWITCH: bool = false;

    /// Reads what a person wrote.
    fn parse(text: &str) -> Option<Self>;

    /// The text that [`Value::parse`] reads as this.
    fn show(&self) -> String;
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// As a size in memory.
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What keeps the log of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// The disk of this machine.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// Splits a number from the unit behind it.
fn with_unit<'a>(text: &'a str, units: &[(&'a str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The largest unit that a number is a whole multiple of.
fn in_units(number: u64, units: &[(&str, u64)], space: &str) -> String {
    let largest = |(_, factor): &&(&str, u64)| number != 0 && number.is_multiple_of(*factor);
    match units.iter().rev().find(largest) {
        Some((unit, factor)) => format!("{}{space}{unit}", number / factor).trim_end().to_owned(),
        None => number.to_string(),
    }
}

const BYTES: [(&str, u64); 4] = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl Value for Bytes {
    const ALLOWED: &'static str = "a number of bytes, such as 65536, 64 KiB, 16 MiB or 1 GiB";

    fn parse(text: &str) -> Option<Self> {
        with_unit(text, &BYTES).map(Bytes)
    }

    fn show(&self) -> String {
        in_units(self.0, &BYTES, " ")
    }
}

impl Value for Duration {
    const ALLOWED: &'static str = "a time, such as 500ms, 10s, 5m or 2h";

    fn parse(text: &str) -> Option<Self> {
        with_unit(text, &TIMES).filter(|millis| *millis > 0).map(Duration::from_millis)
    }

    fn show(&self) -> String {
        in_units(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), &TIMES, "")
    }
}

impl Value for usize {
    const ALLOWED: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const ALLOWED: &'static str = "true or false";
    const IS_SWITCH: bool = true;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const ALLOWED: &'static str = "text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for SocketAddr {
    const ALLOWED: &'static str = "an address and a port, such as 127.0.0.1:2113 or [::1]:2113";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<SocketAddr> {
    const ALLOWED: &'static str = "an address and a port, or nothing";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    fn show(&self) -> String {
        self.map(|address| address.to_string()).unwrap_or_default()
    }
}

impl Value for Partitioner {
    const ALLOWED: &'static str = "murmur2 or crc32";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Option<PathBuf> {
    const ALLOWED: &'static str = "a path, or nothing";

    fn parse(text: &str) -> Option<Self> {
        Some(PathBuf::parse(text))
    }

    fn show(&self) -> String {
        self.as_ref().map(PathBuf::show).unwrap_or_default()
    }
}

impl Value for Compression {
    const ALLOWED: &'static str = "off, fast or small";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "off" => Compression::Off,
            "fast" => Compression::Fast,
            "small" => Compression::Small,
            _ => return None,
        })
    }

    fn show(&self) -> String {
        match self {
            Compression::Off => "off",
            Compression::Fast => "fast",
            Compression::Small => "small",
        }
        .to_owned()
    }
}

impl Value for Durability {
    const ALLOWED: &'static str = "synced, or relaxed and the time within which a sync follows, \
                                   such as relaxed 10ms";

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("relaxed ") {
            Some(within) => Duration::parse(within).map(Durability::Relaxed),
            None => (text == "synced").then_some(Durability::Synced),
        }
    }

    fn show(&self) -> String {
        match self {
            Durability::Synced => "synced".to_owned(),
            Durability::Relaxed(within) => format!("relaxed {}", within.show()),
        }
    }
}

impl Value for LogFormat {
    const ALLOWED: &'static str = "text or json";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return None,
        })
    }

    fn show(&self) -> String {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
        .to_owned()
    }
}

impl Value for EngineKind {
    const ALLOWED: &'static str = "embedded or kafka";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "embedded" => EngineKind::Embedded,
            "kafka" => EngineKind::Kafka,
            _ => return None,
        })
    }

    fn show(&self) -> String {
        match self {
            EngineKind::Embedded => "embedded",
            EngineKind::Kafka => "kafka",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: Value + PartialEq + std::fmt::Debug>(text: &str) {
        assert_eq!(T::parse(text).unwrap().show(), text);
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["0", "1000", "64 KiB", "16 MiB", "3 GiB"] {
            same::<Bytes>(text);
        }
        for text in ["500ms", "10s", "5m", "2h"] {
            same::<Duration>(text);
        }
        for text in ["synced", "relaxed 10ms"] {
            same::<Durability>(text);
        }
        same::<Option<PathBuf>>("");
        same::<EngineKind>("embedded");
        same::<EngineKind>("kafka");
        same::<SocketAddr>("[::1]:2113");
        assert_eq!(Bytes::parse("64KiB"), Some(Bytes(65_536)));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["", "-1", "1.5 MiB", "1 MB", "99999999999999999999", "20000000000 GiB"] {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
        for text in ["", "0s", "10", "1 day", "relaxed"] {
            assert_eq!(Duration::parse(text), None, "{text}");
            assert!(Durability::parse(text).is_none(), "{text}");
        }
    }
}
