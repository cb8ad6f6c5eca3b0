//! What differs between the versions of camt.053 that banks send.

use super::xml::Layout;

/// A bank's style of writing statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) version: &'static str,
    /// The namespace's prefix with its colon, or nothing.
    pub(super) prefix: &'static str,
    pub(super) layout: Layout,
    /// `Sts/Cd` and `Dbtr/Pty/Nm` instead of `Sts` and `Dbtr/Nm`; amount and direction directly
    /// under a transaction.
    pub(super) modern: bool,
    /// Booking times (`DtTm`) instead of booking dates.
    pub(super) times: bool,
}

pub(super) const DIALECTS: [Dialect; 3] = [
    Dialect {
        version: "001.02",
        prefix: "",
        layout: Layout::Indented,
        modern: false,
        times: false,
    },
    Dialect {
        version: "001.08",
        prefix: "camt:",
        layout: Layout::Dense,
        modern: true,
        times: true,
    },
    Dialect { version: "001.13", prefix: "", layout: Layout::Dense, modern: true, times: false },
];

impl Dialect {
    /// The declaration of the namespace, for the root's tag.
    pub(super) fn namespace(&self) -> String {
        let colon = match self.prefix.strip_suffix(':') {
            Some(name) => format!(":{name}"),
            None => String::new(),
        };
        format!(" xmlns{colon}=\"urn:iso:std:iso:20022:tech:xsd:camt.053.{}\"", self.version)
    }
}
