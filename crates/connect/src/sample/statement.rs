//! One statement: an account, its balances, its entries.

use super::dialect::Dialect;
use super::entry::{Entry, decimal};
use super::xml::Xml;

pub(super) struct Statement<'a> {
    pub(super) id: String,
    pub(super) iban: &'a str,
    pub(super) day: &'a str,
    pub(super) opening_cents: i64,
    pub(super) entries: Vec<Entry>,
}

impl Statement<'_> {
    pub(super) fn write(&self, xml: &mut Xml, dialect: &Dialect) {
        let moved: i64 = self.entries.iter().map(Entry::signed_cents).sum();
        xml.element("Stmt", |xml| {
            xml.leaf("Id", &self.id);
            xml.leaf("CreDtTm", &format!("{}T23:15:00+02:00", self.day));
            xml.element("Acct", |xml| {
                xml.element("Id", |xml| xml.leaf("IBAN", self.iban));
                xml.leaf("Ccy", "EUR");
            });
            self.balance(xml, "OPBD", self.opening_cents);
            self.balance(xml, "CLBD", self.opening_cents + moved);
            for entry in &self.entries {
                entry.write(xml, dialect);
            }
        });
    }

    fn balance(&self, xml: &mut Xml, code: &str, cents: i64) {
        xml.element("Bal", |xml| {
            xml.element("Tp", |xml| {
                xml.element("CdOrPrtry", |xml| xml.leaf("Cd", code));
            });
            xml.raw_leaf("Amt", " Ccy=\"EUR\"", &decimal(cents.unsigned_abs()));
            xml.leaf("CdtDbtInd", if cents < 0 { "DBIT" } else { "CRDT" });
            xml.element("Dt", |xml| xml.leaf("Dt", self.day));
        });
    }
}

/// Writes the XML before the statements.
pub(super) fn begin(xml: &mut Xml, dialect: &Dialect, message: &str, day: &str) {
    xml.text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    xml.begin("Document", &dialect.namespace());
    xml.begin("BkToCstmrStmt", "");
    xml.element("GrpHdr", |xml| {
        xml.leaf("MsgId", message);
        xml.leaf("CreDtTm", &format!("{day}T23:20:00+02:00"));
    });
}

/// Writes the XML behind the statements.
pub(super) fn end(xml: &mut Xml) {
    xml.end("BkToCstmrStmt");
    xml.end("Document");
    xml.text.push('\n');
}
