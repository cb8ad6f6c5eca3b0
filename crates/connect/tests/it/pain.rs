//! The built-in pain.001 and pain.008 mappings, on files as programs of their versions write them.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;
use serde_json::Value;

fn read(mapping: &str, text: &str) -> Outcome {
    ingest(&Mapping::builtin(mapping).unwrap(), text.as_bytes())
}

fn transfers(text: &str) -> Outcome {
    read("pain.001", text)
}

fn data(outcome: &Outcome, draft: usize) -> Value {
    serde_json::from_str(outcome.data(draft)).unwrap()
}

/// A message of version 09 with one payment information that holds `transactions`.
fn message(id: &str, transactions: &str) -> String {
    format!(
        "<Document><CstmrCdtTrfInitn><GrpHdr><MsgId>{id}</MsgId><CreDtTm>2024-01-30T08:00:00+01:00</CreDtTm>\
         <InitgPty><Nm>Schuldner GmbH</Nm></InitgPty></GrpHdr><PmtInf><PmtInfId>P-1</PmtInfId><PmtMtd>TRF</PmtMtd>\
         <ReqdExctnDt><Dt>2024-01-31</Dt></ReqdExctnDt><Dbtr><Nm>Schuldner GmbH</Nm></Dbtr><DbtrAcct><Id>\
         <IBAN>DE87200500001234567890</IBAN></Id></DbtrAcct>{transactions}</PmtInf></CstmrCdtTrfInitn></Document>"
    )
}

fn transfer(end_to_end: &str, amount: &str, name: &str) -> String {
    format!(
        "<CdtTrfTxInf><PmtId><EndToEndId>{end_to_end}</EndToEndId></PmtId><Amt><InstdAmt Ccy=\"EUR\">{amount}\
         </InstdAmt></Amt><Cdtr><Nm>{name}</Nm></Cdtr><CdtrAcct><Id><IBAN>DE37112589611964645802</IBAN></Id>\
         </CdtrAcct></CdtTrfTxInf>"
    )
}

#[test]
fn reads_transfers_of_version_03() {
    let outcome = transfers(include_str!("../fixtures/pain.001.001.03.xml"));
    assert_eq!(outcome.rejects, []);
    let first = &outcome.drafts[0];
    assert_eq!(first.stream, "account-DE87200500001234567890");
    assert_eq!((&*first.event_type, first.line), ("TransferOrdered", 26));
    assert_eq!(first.correlation.as_deref(), Some("DE87200500001234567890/XYZ-1234/123"));
    // 2024-01-30T08:15:00Z, when the order was given.
    assert_eq!(first.event_time_micros, 1_706_602_500_000_000);
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"DE87200500001234567890\",\"amount\":\"102.50\",\"currency\":\"EUR\",\
         \"direction\":\"debit\",\"signed_amount\":\"-102.50\",\"execution_date\":\"2024-01-31\",\
         \"message\":\"MSG-2024-1\",\"payment\":\"MSG-2024-1/1\",\"instruction_id\":\"12345\",\
         \"end_to_end_id\":\"XYZ-1234/123\",\"counterparty\":\"Telekomiker AG\",\
         \"counterparty_account\":\"DE37112589611964645802\",\"counterparty_bank\":\"PBNKDEFF370\",\
         \"remittance\":\"Rechnung vom 22.08.2013\",\"service_level\":\"SEPA\",\"payment_method\":\"TRF\",\
         \"batch_booking\":true,\"initiator\":\"Schuldner GmbH\"}"
    );
    let second = data(&outcome, 1);
    assert_eq!(second["creditor_reference"], "RF712348231");
    assert_eq!(second["counterparty_account"], "4711", "an account without IBAN");
    assert_eq!(second["remittance"], Value::Null);
    assert_eq!(second["end_to_end_id"], Value::Null, "NOTPROVIDED is no reference");
    assert_eq!(outcome.drafts[1].correlation, None);
}

#[test]
fn reads_transfers_of_version_02_with_an_equivalent_amount() {
    let text = message("M", "<CdtTrfTxInf><PmtId><EndToEndId>E</EndToEndId></PmtId><Amt><EqvtAmt>\
        <Amt Ccy=\"USD\">1000</Amt><CcyOfTrf>EUR</CcyOfTrf></EqvtAmt></Amt><CdtrAcct><Id><PrtryAcct><Id>99</Id>\
        </PrtryAcct></Id></CdtrAcct><RmtInf><Strd><RfrdDocInf><RfrdDocNb>I1</RfrdDocNb></RfrdDocInf><CdtrRefInf>\
        <CdtrRef>R1</CdtrRef></CdtrRefInf></Strd></RmtInf></CdtTrfTxInf>")
        .replace("CstmrCdtTrfInitn", "pain.001.001.02")
        .replace("<ReqdExctnDt><Dt>2024-01-31</Dt></ReqdExctnDt>", "<ReqdExctnDt>2024-01-31</ReqdExctnDt>");
    let outcome = transfers(&text);
    assert_eq!(outcome.rejects, []);
    let order = data(&outcome, 0);
    for (field, value) in [
        ("message", "M"),
        ("amount", "1000"),
        ("currency", "USD"),
        ("transfer_currency", "EUR"),
        ("execution_date", "2024-01-31"),
        ("counterparty_account", "99"),
        ("creditor_reference", "R1"),
        ("document", "I1"),
    ] {
        assert_eq!(order[field], value, "{field}");
    }
}

#[test]
fn execution_is_a_date_or_a_time_in_new_versions() {
    let day = message("M", &transfer("E", "1", "A"));
    let time = day.replace("<Dt>2024-01-31</Dt>", "<DtTm>2024-01-31T09:30:00Z</DtTm>");
    assert_eq!(data(&transfers(&day), 0)["execution_date"], "2024-01-31");
    assert_eq!(data(&transfers(&time), 0)["execution_date"], "2024-01-31T09:30:00Z");
    let without = day.replace("<Dt>2024-01-31</Dt>", "");
    assert_eq!(transfers(&without).codes(), ["missing_field"]);
}

#[test]
fn a_cheque_is_another_event() {
    let outcome = transfers(&message("M", &transfer("E", "1", "A")).replace(">TRF<", ">CHK<"));
    assert_eq!(outcome.drafts[0].event_type, "ChequeOrdered");
}

#[test]
fn a_message_is_an_order_and_equal_transactions_in_it_are_counted() {
    let found = |text: &str| -> Vec<_> {
        let drafts = transfers(text).drafts.into_iter();
        drafts.map(|draft| draft.occurrence.map(|o| (o.kind, o.number)).unwrap()).collect()
    };
    let (named, plain) = (transfer("E-1", "5.00", "A"), transfer("NOTPROVIDED", "5.00", "A"));
    let all = found(&message("M", &[&*named, &named, &plain, &plain].concat()));
    assert_eq!(all.iter().map(|one| one.1).collect::<Vec<_>>(), [1, 2, 1, 2]);
    assert_eq!((all[0].0, all[2].0), (all[1].0, all[3].0));
    assert_ne!(all[0].0, all[2].0);
    // The same again is the same, under another message it is ordered again.
    assert_eq!(found(&message("M", &named))[0], all[0]);
    assert_ne!(found(&message("N", &named))[0].0, all[0].0);
    // With a reference another name is a correction, without one it is another order; an amount always is.
    assert_eq!(found(&message("M", &transfer("E-1", "5.0", "B")))[0], all[0]);
    assert_ne!(found(&message("M", &transfer("NOTPROVIDED", "5.00", "B")))[0].0, all[2].0);
    assert_ne!(found(&message("M", &transfer("E-1", "5.01", "A")))[0].0, all[0].0);
}

#[test]
fn a_transaction_that_cannot_be_read_is_one_reject_with_its_line() {
    let good = transfer("E", "1", "A");
    let bad = good.replace(">1<", ">1,50<");
    let outcome = transfers(&message("M", &format!("\n{good}\n{bad}\n{good}")));
    assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec!["bad_decimal"]));
    assert_eq!(outcome.rejects[0].line, 3);
    let other = transfers(include_str!("../fixtures/camt.053.001.02.xml"));
    assert_eq!(other.codes(), ["nothing_found"]);
}

#[test]
fn reads_debits_of_version_02() {
    let outcome = read("pain.008", include_str!("../fixtures/pain.008.001.02.xml"));
    assert_eq!(outcome.rejects, []);
    let draft = &outcome.drafts[0];
    assert_eq!(
        (&*draft.stream, &*draft.event_type),
        ("account-DE87200500001234567890", "DebitOrdered")
    );
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"DE87200500001234567890\",\"amount\":\"39.99\",\"currency\":\"EUR\",\
         \"direction\":\"credit\",\"signed_amount\":\"39.99\",\"collection_date\":\"2024-02-05\",\
         \"message\":\"DD-1\",\"payment\":\"DD-1/1\",\"end_to_end_id\":\"XYZ/2013-08-ABO/12345\",\
         \"counterparty\":\"Zahlemann & Söhne GbR\",\"counterparty_account\":\"DE21500500009876543210\",\
         \"counterparty_bank\":\"SPUEDE2UXXX\",\"remittance\":\"Unsere Rechnung vom 10.08.2013\",\
         \"service_level\":\"SEPA\",\"local_instrument\":\"CORE\",\"sequence_type\":\"FRST\",\
         \"mandate\":\"K-02-2011-12345\",\"mandate_date\":\"2011-01-25\",\
         \"creditor_id\":\"DE98ZZZ09999999999\",\"payment_method\":\"DD\",\"batch_booking\":true,\
         \"initiator\":\"Gläubiger GmbH\"}"
    );
    // The transaction's own values count before those of its payment information.
    let second = data(&outcome, 1);
    assert_eq!((&second["sequence_type"], &second["mandate_date"]), (&"RCUR".into(), &Value::Null));
    assert_eq!(outcome.drafts[1].warnings[0].doubt.code(), "unreadable_field");
}

#[test]
fn reads_debits_of_version_01() {
    let text = include_str!("../fixtures/pain.008.001.02.xml");
    let old = text.replace("CstmrDrctDbtInitn", "pain.008.001.01").replace("<Othr>", "<OthrId>");
    let old = old.replace("</Othr>", "</OthrId>");
    let outcome = read("pain.008", &old);
    assert_eq!((outcome.drafts.len(), outcome.rejects.len()), (2, 0));
    assert_eq!(data(&outcome, 0)["message"], "DD-1");
}
