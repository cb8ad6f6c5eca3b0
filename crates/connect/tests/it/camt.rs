//! The built-in camt.053 mapping, on files of its versions.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;

const DAY: i64 = 86_400_000_000;
/// 2024-01-31T00:00:00Z.
const JANUARY_31: i64 = 19_753 * DAY;

fn camt(text: &str) -> Outcome {
    ingest(&Mapping::builtin("camt.053").unwrap(), text.as_bytes())
}

/// A document with one statement that holds `entries`.
fn statement(entries: &str) -> String {
    format!(
        "<Document><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt><Id>S1</Id>\
         <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>{entries}</Stmt>\
         </BkToCstmrStmt></Document>"
    )
}

/// An entry of 12.50 EUR with what comes after its direction.
fn entry(rest: &str) -> String {
    format!(
        "<Ntry><Amt Ccy=\"EUR\">12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>\
         <BookgDt><Dt>2024-01-31</Dt></BookgDt>{rest}</Ntry>"
    )
}

fn parts(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("<TxDtls>{part}</TxDtls>")).collect();
    format!("<AcctSvcrRef>R</AcctSvcrRef><NtryDtls>{parts}</NtryDtls>")
}

#[test]
fn reads_version_02() {
    let outcome = camt(include_str!("../fixtures/camt.053.001.02.xml"));
    assert_eq!(outcome.rejects, []);
    let draft = &outcome.drafts[0];
    assert_eq!(draft.stream, "account-DE89370400440532013000");
    assert_eq!(draft.event_type, "EntryBooked");
    assert_eq!(draft.event_time_micros, JANUARY_31);
    let tags = [("account", "DE89370400440532013000"), ("currency", "EUR")];
    assert_eq!(draft.tags, tags.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"DE89370400440532013000\",\"amount\":\"100.12345\",\
         \"currency\":\"EUR\",\"direction\":\"debit\",\"signed_amount\":\"-100.12345\",\
         \"reversal\":false,\"status\":\"BOOK\",\"booking_date\":\"2024-01-31\",\
         \"value_date\":\"2024-02-01\",\"reference\":\"REF-1\",\"end_to_end_id\":\"E2E-1\",\"counterparty\":\"Müller & Söhne\",\
         \"counterparty_account\":\"DE02100100100006820101\",\
         \"remittance\":\"Rechnung 1 vom Januar\",\"bank_transaction_code\":\"PMNT-ICDT-ESCT\"}"
    );
    assert_eq!((draft.line, &draft.raw[..6]), (29, "<Ntry>"));
    assert_eq!((outcome.summary.groups, outcome.summary.balances_held), (1, 1));
}

#[test]
fn reads_version_08_with_a_prefix_and_times() {
    let outcome = camt(include_str!("../fixtures/camt.053.001.08.xml"));
    assert_eq!(outcome.rejects, []);
    assert_eq!(outcome.drafts.len(), 3, "a batch of two and a pending entry");
    let [first, second, pending] = &outcome.drafts[..] else { panic!("three drafts") };
    assert_eq!(first.stream, "account-4711");
    assert_ne!(first.id, second.id);
    assert_eq!(first.event_time_micros, JANUARY_31 + DAY / 24 * 9, "10:00 in +01:00");
    assert!(outcome.data(0).contains("\"amount\":\"60.00\""));
    assert!(outcome.data(0).contains("\"counterparty\":\"Anna Becker\""));
    assert!(outcome.data(0).ends_with("\"part\":1}"));
    assert!(outcome.data(1).contains("\"signed_amount\":\"40.00\""));
    assert_eq!(pending.event_type, "EntryPending");
    assert_eq!(outcome.summary.balances_held, 1, "the pending entry is not in the balance");
}

#[test]
fn reads_version_13_with_many_statements() {
    let outcome = camt(include_str!("../fixtures/camt.053.001.13.xml"));
    assert_eq!(outcome.rejects, []);
    let streams: Vec<&str> = outcome.drafts.iter().map(|draft| &*draft.stream).collect();
    assert_eq!(streams, ["account-A", "account-B"]);
    assert_eq!(outcome.drafts[1].event_type, "EntryAnnounced");
    assert!(outcome.data(0).contains("\"counterparty\":\"Stadtwerke\""));
    assert!(outcome.data(0).contains("\"bank_transaction_code\":\"NTRF+166\""));
    let summary = outcome.summary;
    assert_eq!((summary.groups, summary.balances_held, summary.balances_unchecked), (2, 1, 1));
}

#[test]
fn a_repeated_file_gives_the_same_ids() {
    let text = include_str!("../fixtures/camt.053.001.08.xml");
    let ids = |outcome: Outcome| outcome.drafts.iter().map(|draft| draft.id).collect::<Vec<_>>();
    let first = ids(camt(text));
    assert_eq!(first, ids(camt(text)));
    assert_eq!(first, ids(camt(&text.replace("camt:", "ns2:").replace(":camt", ":ns2"))));
    // Frozen: another id here would make every file of the past new.
    assert_eq!(first[0].to_string(), "713e517a-1223-58cf-8d12-9f76c3f788b8");
}

#[test]
fn pending_then_booked_are_two_events() {
    let booked = entry("<AcctSvcrRef>R</AcctSvcrRef>");
    let pending = booked.replace("BOOK", "PDNG");
    let outcome = camt(&statement(&(pending + &booked)));
    assert_ne!(outcome.drafts[0].id, outcome.drafts[1].id);
}

#[test]
fn entries_of_a_kind_are_counted_and_others_are_of_other_kinds() {
    let found = |entries: &str| -> Vec<_> {
        let drafts = camt(&statement(entries)).drafts.into_iter();
        drafts.map(|draft| draft.occurrence.map(|o| (o.kind, o.number)).unwrap()).collect()
    };
    let by_reference = entry("<AcctSvcrRef>R</AcctSvcrRef>");
    let plain = entry("");
    let all = found(&(by_reference.clone() + &plain + &by_reference + &plain + &plain));
    let numbers: Vec<_> = all.iter().map(|one| one.1).collect();
    assert_eq!(numbers, [1, 1, 2, 2, 3]);
    assert_eq!((all[0].0, all[1].0), (all[2].0, all[4].0));
    assert_ne!(all[0].0, all[1].0);
    for placeholder in ["NONREF", "nonref", "NOTPROVIDED", "000000", " ", "-"] {
        let entry = entry(&format!("<AcctSvcrRef>{placeholder}</AcctSvcrRef>"));
        assert_eq!(found(&entry)[0].0, all[1].0, "{placeholder} is no reference");
    }
    // The number within the statement, and the way to write an amount, tell no entries apart.
    assert_eq!(found(&entry("<NtryRef>R</NtryRef>"))[0].0, all[1].0);
    assert_eq!(found(&plain.replace("12.50", "12.5"))[0].0, all[1].0);
}

#[test]
fn a_reversal_keeps_its_sign_and_the_parties_of_the_payment() {
    let parties = "<RltdPties><Dbtr><Nm>Own</Nm></Dbtr><Cdtr><Nm>Shop</Nm></Cdtr></RltdPties>";
    let text = statement(&entry(&format!("<RvslInd>1</RvslInd>{}", parts(&[parties]))));
    let outcome = camt(&text);
    assert!(outcome.data(0).contains("\"signed_amount\":\"12.50\",\"reversal\":true"));
    assert!(outcome.data(0).contains("\"counterparty\":\"Shop\""));
    let plain = camt(&text.replace("<RvslInd>1</RvslInd>", ""));
    assert!(plain.data(0).contains("\"counterparty\":\"Own\""));
    assert_ne!(plain.drafts[0].id, outcome.drafts[0].id);
}

#[test]
fn a_single_transaction_without_amount_takes_the_amount_of_its_entry() {
    let outcome = camt(&statement(&entry(&parts(&["<Refs><EndToEndId>E</EndToEndId></Refs>"]))));
    assert!(outcome.data(0).contains("\"amount\":\"12.50\""));
    assert!(outcome.data(0).contains("\"end_to_end_id\":\"E\""));
    assert!(!outcome.data(0).contains("\"part\""));
}

#[test]
fn a_batch_is_split_only_if_every_part_has_its_own_amount() {
    let amount = |amount: &str, currency: &str| format!("<Amt Ccy=\"{currency}\">{amount}</Amt>");
    let (ten, rest) = (amount("10.00", "EUR"), amount("2.50", "EUR"));
    let events = |list: &[&str]| {
        let outcome = camt(&statement(&entry(&parts(list))));
        assert_eq!(outcome.rejects, []);
        outcome.drafts.len()
    };
    assert_eq!(events(&[&ten, &rest]), 2);
    assert_eq!(events(&[&ten, "<Refs/>"]), 1, "one has no amount");
    assert_eq!(events(&[&ten, &amount("2.50", "USD")]), 1, "another currency");
    assert_eq!(
        events(&[&ten, &(rest.clone() + "<CdtDbtInd>DBIT</CdtDbtInd>")]),
        1,
        "a contrary one"
    );
    let whole = camt(&statement(&entry(&parts(&[&amount("99", "USD")]))));
    assert!(whole.data(0).contains("\"amount\":\"12.50\",\"currency\":\"EUR\""));
}

#[test]
fn a_batch_that_does_not_add_up_is_kept_whole() {
    let (ten, three) = ("<Amt Ccy=\"EUR\">10</Amt>", "<Amt Ccy=\"EUR\">3</Amt>");
    let outcome = camt(&statement(&entry(&parts(&[ten, three]))));
    assert_eq!((outcome.drafts.len(), outcome.rejects.len()), (1, 0));
    assert!(outcome.data(0).contains("\"amount\":\"12.50\""));
    let warning = &outcome.drafts[0].warnings[0];
    assert_eq!(warning.doubt.code(), "parts_differ");
    assert!(warning.message.contains("add up to 13, but its own amount is 12.50"));
}

fn balance(code: &str, amount: &str) -> String {
    format!(
        "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt>\
         <CdtDbtInd>CRDT</CdtDbtInd></Bal>"
    )
}

#[test]
fn a_statement_whose_balance_does_not_hold_is_reported_and_its_entries_stay() {
    let opening = balance("OPBD", "100");
    let outcome = camt(&statement(&(opening.clone() + &balance("CLBD", "112.51") + &entry(""))));
    assert_eq!((outcome.drafts.len(), outcome.codes()), (1, vec!["balance_mismatch"]));
    let message = &outcome.rejects[0].message;
    assert!(message.contains("statement S1 of account DE89370400440532013000"), "{message}");
    assert!(message.contains("make 112.50, but the closing balance is 112.51"), "{message}");
    let right = camt(&statement(&(opening + &balance("CLBD", "112.500") + &entry(""))));
    assert_eq!((right.summary.balances_held, right.rejects.len()), (1, 0));
}

#[test]
fn a_balance_that_cannot_be_checked_is_counted_and_not_rejected() {
    let closing = balance("CLBD", "112.51");
    let (opening, wrong) = (balance("OPBD", "100"), entry("").replace("12.50", "?"));
    for (text, rejects) in [
        (closing.clone() + &entry(""), 0),
        (opening.clone() + &entry(""), 0),
        (opening.clone() + &closing + &wrong, 1),
        (opening.clone() + &closing + &entry("").replace("EUR", "USD"), 0),
        (opening + &balance("CLBD", "many") + &entry(""), 0),
    ] {
        let outcome = camt(&statement(&text));
        assert_eq!(outcome.summary.balances_unchecked, 1, "{text}");
        assert_eq!(outcome.rejects.len(), rejects, "{text}");
    }
}

#[test]
fn the_previous_closing_balance_serves_as_opening() {
    let text = balance("PRCD", "100") + &balance("CLBD", "112.50") + &entry("");
    assert_eq!(camt(&statement(&text)).summary.balances_held, 1);
    let both = balance("PRCD", "1") + &balance("OPBD", "100") + &balance("CLBD", "112.50");
    assert_eq!(camt(&statement(&(both + &entry("")))).summary.balances_held, 1);
}

#[test]
fn another_zone_moves_plain_dates_only() {
    let berlin = Mapping::builtin("camt.053").unwrap().with_zone("Europe/Berlin").unwrap();
    let outcome = ingest(&berlin, statement(&entry("")).as_bytes());
    assert_eq!(outcome.drafts[0].event_time_micros, JANUARY_31 - DAY / 24);
    assert!(Mapping::builtin("camt.053").unwrap().with_zone("Mars/Base").is_err());
}

#[test]
fn the_value_date_stands_in_for_a_missing_booking_date() {
    let dated = entry("").replace("BookgDt", "ValDt");
    assert_eq!(camt(&statement(&dated)).drafts[0].event_time_micros, JANUARY_31);
}
