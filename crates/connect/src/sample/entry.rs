//! One entry of a statement, valid or with a flaw.

use super::dialect::Dialect;
use super::iban;
use super::people::{Payment, credit, debit};
use super::rng::Rng;
use super::xml::Xml;

/// The defect of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flaw {
    AmountWithComma,
    AmountTooFine,
    AmountMissing,
    DateMissing,
    DateImpossible,
    CurrencyCode,
    DirectionUnknown,
    EntityUnknown,
    AmountNegative,
}

impl Flaw {
    pub(super) const ALL: [Flaw; 9] = [
        Flaw::AmountWithComma,
        Flaw::AmountTooFine,
        Flaw::AmountMissing,
        Flaw::DateMissing,
        Flaw::DateImpossible,
        Flaw::CurrencyCode,
        Flaw::DirectionUnknown,
        Flaw::EntityUnknown,
        Flaw::AmountNegative,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Status {
    Booked,
    Pending,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) cents: u64,
    pub(super) is_credit: bool,
    pub(super) status: Status,
    is_reversal: bool,
    /// The booking day, as `YYYY-MM-DD`.
    day: &'static str,
    time: String,
    servicer_reference: Option<String>,
    entry_reference: Option<String>,
    code: (&'static str, &'static str),
    pub(super) parts: Vec<Part>,
    pub(super) flaw: Option<Flaw>,
}

#[derive(Debug)]
pub(super) struct Part {
    cents: u64,
    name: String,
    iban: String,
    remittance: String,
    end_to_end: String,
}

impl Entry {
    /// Makes entry number `number` of a file, which makes its references unique.
    ///
    /// It is booked on the last of `days`, or sometimes on an earlier one.
    pub(super) fn make(rng: &mut Rng, number: u64, days: &[&'static str; 3]) -> Entry {
        let is_credit = rng.percent(35);
        let first = if is_credit { credit(rng) } else { debit(rng) };
        let code = first.code;
        let mut parts = vec![Part::make(rng, first, number, 0)];
        if rng.percent(3) {
            for part in 1..2 + rng.below(6) {
                let payment = if is_credit { credit(rng) } else { debit(rng) };
                parts.push(Part::make(rng, payment, number, part));
            }
        }
        let referenced = rng.below(100);
        let day = if rng.percent(97) { days[2] } else { *rng.pick(&days[..2]) };
        Entry {
            cents: parts.iter().map(|part| part.cents).sum(),
            is_credit,
            status: if rng.percent(3) { Status::Pending } else { Status::Booked },
            is_reversal: rng.percent(1),
            day,
            time: format!("{:02}:{:02}:{:02}", rng.below(24), rng.below(60), rng.below(60)),
            servicer_reference: (referenced < 90).then(|| format!("{day}-{number:010}")),
            entry_reference: (referenced < 98).then(|| format!("N{number}")),
            code,
            parts,
            flaw: None,
        }
    }

    /// Adds a flaw to the entry.
    pub(super) fn add_flaw(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    /// Returns the entry's contribution to the balance, in cents.
    pub(super) fn signed_cents(&self) -> i64 {
        let cents = i64::try_from(self.cents).unwrap_or(i64::MAX);
        match (self.status, self.is_credit) {
            (Status::Pending, _) => 0,
            (Status::Booked, true) => cents,
            (Status::Booked, false) => -cents,
        }
    }

    /// Returns the number of events that the entry yields.
    pub(super) fn events(&self) -> u64 {
        if self.flaw.is_some() { 0 } else { self.parts.len() as u64 }
    }

    pub(super) fn write(&self, xml: &mut Xml, dialect: &Dialect) {
        xml.element("Ntry", |xml| {
            if let Some(reference) = &self.entry_reference {
                xml.leaf("NtryRef", reference);
            }
            self.write_amount(xml);
            let is_unknown = self.flaw == Some(Flaw::DirectionUnknown);
            xml.leaf("CdtDbtInd", if is_unknown { "BOTH" } else { self.direction() });
            if self.is_reversal {
                xml.leaf("RvslInd", "true");
            }
            self.write_status(xml, dialect);
            self.write_dates(xml, dialect);
            match (&self.servicer_reference, self.flaw) {
                (_, Some(Flaw::EntityUnknown)) => xml.raw_leaf("AcctSvcrRef", "", "R&hellip;1"),
                (Some(reference), _) => xml.leaf("AcctSvcrRef", reference),
                (None, _) => {}
            }
            self.write_code(xml);
            xml.element("NtryDtls", |xml| {
                for part in &self.parts {
                    part.write(xml, dialect, self);
                }
            });
        });
    }

    fn direction(&self) -> &'static str {
        if self.is_credit { "CRDT" } else { "DBIT" }
    }

    fn write_amount(&self, xml: &mut Xml) {
        let amount = match self.flaw {
            Some(Flaw::AmountMissing) => return,
            Some(Flaw::AmountWithComma) => format!("{},{:02}", self.cents / 100, self.cents % 100),
            Some(Flaw::AmountNegative) => format!("-{}", decimal(self.cents)),
            Some(Flaw::AmountTooFine) => format!("{}0001", decimal(self.cents)),
            _ => decimal(self.cents),
        };
        let currency = if self.flaw == Some(Flaw::CurrencyCode) { "EURO" } else { "EUR" };
        xml.raw_leaf("Amt", &format!(" Ccy=\"{currency}\""), &amount);
    }

    fn write_status(&self, xml: &mut Xml, dialect: &Dialect) {
        let status = match self.status {
            Status::Booked => "BOOK",
            Status::Pending => "PDNG",
        };
        if dialect.modern {
            xml.element("Sts", |xml| xml.leaf("Cd", status));
        } else {
            xml.leaf("Sts", status);
        }
    }

    fn write_dates(&self, xml: &mut Xml, dialect: &Dialect) {
        let day = match self.flaw {
            Some(Flaw::DateMissing) => return,
            Some(Flaw::DateImpossible) => "2026-02-30",
            _ => self.day,
        };
        xml.element("BookgDt", |xml| match dialect.times {
            true => xml.leaf("DtTm", &format!("{day}T{}+02:00", self.time)),
            false => xml.leaf("Dt", day),
        });
        xml.element("ValDt", |xml| xml.leaf("Dt", day));
    }

    fn write_code(&self, xml: &mut Xml) {
        xml.element("BkTxCd", |xml| {
            xml.element("Domn", |xml| {
                xml.leaf("Cd", "PMNT");
                xml.element("Fmly", |xml| {
                    xml.leaf("Cd", self.code.0);
                    xml.leaf("SubFmlyCd", self.code.1);
                });
            });
        });
    }
}

impl Part {
    fn make(rng: &mut Rng, payment: Payment, number: u64, part: u64) -> Part {
        Part {
            cents: payment.cents,
            name: payment.name,
            iban: iban::german(20_000_000 + rng.below(40), rng.next()),
            remittance: payment.remittance,
            end_to_end: format!("E2E-{number:010}-{part}"),
        }
    }

    fn write(&self, xml: &mut Xml, dialect: &Dialect, entry: &Entry) {
        xml.element("TxDtls", |xml| {
            xml.element("Refs", |xml| xml.leaf("EndToEndId", &self.end_to_end));
            self.write_amount(xml, dialect, entry);
            self.write_parties(xml, dialect, entry);
            xml.element("RmtInf", |xml| xml.leaf("Ustrd", &self.remittance));
        });
    }

    fn write_amount(&self, xml: &mut Xml, dialect: &Dialect, entry: &Entry) {
        if entry.parts.len() == 1 {
            return;
        }
        let amount = |xml: &mut Xml| xml.raw_leaf("Amt", " Ccy=\"EUR\"", &decimal(self.cents));
        if dialect.modern {
            amount(xml);
            xml.leaf("CdtDbtInd", entry.direction());
        } else {
            xml.element("AmtDtls", |xml| xml.element("TxAmt", amount));
        }
    }

    fn write_parties(&self, xml: &mut Xml, dialect: &Dialect, entry: &Entry) {
        // A reversal names the parties of the payment that it takes back.
        let payer = entry.is_credit != entry.is_reversal;
        let (party, account) = if payer { ("Dbtr", "DbtrAcct") } else { ("Cdtr", "CdtrAcct") };
        xml.element("RltdPties", |xml| {
            xml.element(party, |xml| match dialect.modern {
                true => xml.element("Pty", |xml| xml.leaf("Nm", &self.name)),
                false => xml.leaf("Nm", &self.name),
            });
            xml.element(account, |xml| xml.element("Id", |xml| xml.leaf("IBAN", &self.iban)));
        });
    }
}

/// Cents as a decimal of the whole currency.
pub(super) fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
