//! The built-in OFX mapping, on files as banks of both versions write them.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;
use serde_json::Value;

fn read(text: &[u8]) -> Outcome {
    ingest(&Mapping::builtin("ofx").unwrap(), text)
}

fn data(outcome: &Outcome, draft: usize) -> Value {
    serde_json::from_str(outcome.data(draft)).unwrap()
}

const HEADER: &str = "OFXHEADER:100\nDATA:OFXSGML\nVERSION:102\nSECURITY:NONE\nENCODING:USASCII\nCHARSET:1252\n\
                      COMPRESSION:NONE\nOLDFILEUID:NONE\nNEWFILEUID:NONE\n\n";

/// A file of version 1 whose list of transactions is `list`, which begins in line 15.
fn statement(list: &str) -> String {
    format!(
        "{HEADER}<OFX><BANKMSGSRSV1><STMTTRNRS><TRNUID>1\n<STMTRS><CURDEF>EUR\n\
         <BANKACCTFROM><BANKID>5472369148<ACCTID>1452687~7<ACCTTYPE>CHECKING</BANKACCTFROM>\n\
         <BANKTRANLIST><DTSTART>20110301<DTEND>20110430\n{list}</BANKTRANLIST>\n\
         <LEDGERBAL><BALAMT>100.99<DTASOF>20130525</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>\n"
    )
}

fn transaction(amount: &str, id: &str, rest: &str) -> String {
    format!(
        "<STMTTRN>\n<TRNTYPE>DEBIT\n<DTPOSTED>20110405120000\n<TRNAMT>{amount}\n<FITID>{id}\n{rest}\n</STMTTRN>\n"
    )
}

#[test]
fn reads_a_bank_statement_of_version_1() {
    let list = "<STMTTRN>\n<TRNTYPE>CHECK\n<DTPOSTED>20110407120000.000[-5:EST]\n<DTAVAIL>20110408\n\
                <TRNAMT>-25.00\n<FITID>0000488\n<CHECKNUM>319\n<REFNUM>\n<NAME>R&D FEE, CHECK # 319\n\
                <BANKACCTTO><BANKID>1<ACCTID>99</BANKACCTTO>\n<MEMO>FOR $45.33 < 50 ON 04/07/11 &amp; M\u{fc}ller\n</STMTTRN>\n";
    let mut bytes = statement(list).into_bytes();
    // The header says windows-1252.
    let at = bytes.windows(2).position(|two| two == "ü".as_bytes()).unwrap();
    bytes.splice(at..at + 2, [0xfc]);
    let outcome = read(&bytes);
    assert_eq!(outcome.rejects, []);
    let draft = &outcome.drafts[0];
    assert_eq!(
        (&*draft.stream, &*draft.event_type, draft.line),
        ("account-1452687~7", "EntryBooked", 15)
    );
    // 2011-04-07T17:00:00Z.
    assert_eq!(draft.event_time_micros, 1_302_195_600_000_000);
    assert_eq!(draft.correlation.as_deref(), Some("1452687~7/0000488"));
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"1452687~7\",\"bank\":\"5472369148\",\"amount\":\"25.00\",\"currency\":\"EUR\",\
         \"direction\":\"debit\",\"signed_amount\":\"-25.00\",\"booking_date\":\"2011-04-07T12:00:00-05:00\",\
         \"value_date\":\"2011-04-08\",\"reference\":\"0000488\",\"counterparty\":\"R&D FEE, CHECK # 319\",\
         \"counterparty_account\":\"99\",\"remittance\":\"FOR $45.33 < 50 ON 04/07/11 & Müller\",\
         \"check_number\":\"319\",\"bank_transaction_code\":\"CHECK\"}"
    );
}

#[test]
fn reads_a_card_statement_of_version_2() {
    let outcome = read(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n\
         <?OFX OFXHEADER=\"200\" VERSION=\"211\" SECURITY=\"NONE\" OLDFILEUID=\"NONE\" NEWFILEUID=\"NONE\"?>\n\
         <OFX><CREDITCARDMSGSRSV1><CCSTMTTRNRS><CCSTMTRS><CURDEF>AUD</CURDEF>\
         <CCACCTFROM><ACCTID>1234123412341234</ACCTID></CCACCTFROM><BANKTRANLIST>\n\
         <STMTTRN><TRNTYPE>CREDIT</TRNTYPE><DTPOSTED>20170508</DTPOSTED><TRNAMT>+5,5</TRNAMT>\
         <FITID>201705080001</FITID><PAYEE><NAME>Jörg</NAME><CITY>Ulm</CITY></PAYEE>\
         <CURRENCY><CURRATE>1.5</CURRATE><CURSYM>USD</CURSYM></CURRENCY>\
         <MEMO><![CDATA[A & <B>  ]]></MEMO></STMTTRN></BANKTRANLIST></CCSTMTRS></CCSTMTTRNRS></CREDITCARDMSGSRSV1></OFX>"
            .as_bytes(),
    );
    assert_eq!(outcome.rejects, []);
    assert_eq!(outcome.drafts[0].line, 4);
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"1234123412341234\",\"amount\":\"5.5\",\"currency\":\"USD\",\"direction\":\"credit\",\
         \"signed_amount\":\"5.5\",\"booking_date\":\"2017-05-08\",\"reference\":\"201705080001\",\
         \"counterparty\":\"Jörg\",\"remittance\":\"A & <B>\",\"bank_transaction_code\":\"CREDIT\"}"
    );
}

#[test]
fn amounts_have_a_point_or_a_comma_and_no_thousands() {
    for (written, amount) in [
        ("-200,00", Some("-200.00")),
        ("200.00", Some("200.00")),
        ("+.5", Some("0.5")),
        ("-1,234.56", None),
        ("1.234,56", None),
        ("$120", None),
        ("", None),
    ] {
        let outcome = read(statement(&transaction(written, "F", "")).as_bytes());
        match amount {
            Some(amount) => assert_eq!(data(&outcome, 0)["signed_amount"], amount),
            None => assert_eq!((outcome.drafts.len(), outcome.rejects.len()), (0, 1), "{written}"),
        }
    }
}

#[test]
fn transactions_are_counted_by_the_id_of_the_bank_and_without_one_by_all_they_say() {
    let found = |list: &str| -> Vec<_> {
        let drafts = read(statement(list).as_bytes()).drafts.into_iter();
        drafts.map(|draft| draft.occurrence.map(|o| (o.kind, o.number)).unwrap()).collect()
    };
    let with_id = |memo: &str| transaction("-5", "F1", &format!("<MEMO>{memo}"));
    let plain = |memo: &str| transaction("-5", "0", &format!("<MEMO>{memo}"));
    let all = found(&[with_id("a"), with_id("b"), plain("a"), plain("a"), plain("b")].concat());
    assert_eq!(all.iter().map(|one| one.1).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);
    assert_eq!(all[0].0, all[1].0, "another text under an id is a correction");
    assert_eq!(all[2].0, all[3].0);
    assert_ne!(all[2].0, all[4].0);
    // An id that was used twice: other amounts and days are other transactions, another hour is not.
    assert_ne!(found(&with_id("a").replace("-5", "-6"))[0].0, all[0].0);
    assert_ne!(found(&with_id("a").replace("20110405", "20110406"))[0].0, all[0].0);
    assert_eq!(found(&with_id("a").replace("120000", "130000"))[0], all[0]);
    for placeholder in ["NONREF", "0000", "N/A", ""] {
        assert_eq!(
            found(&plain("a").replace("<FITID>0", &format!("<FITID>{placeholder}")))[0],
            all[2]
        );
    }
}

#[test]
fn the_bank_replaces_and_deletes_with_events_of_their_own() {
    let of = |rest: &str| {
        let text = transaction("-5", "F2", &format!("<CORRECTFITID>F1\n<CORRECTACTION>{rest}"));
        let outcome = read(statement(&text).as_bytes());
        assert_eq!(data(&outcome, 0)["corrected_reference"], "F1");
        outcome.drafts[0].event_type.clone()
    };
    assert_eq!((&*of("REPLACE"), &*of("DELETE")), ("EntryReplaced", "EntryDeleted"));
}

#[test]
fn a_transaction_that_cannot_be_read_is_one_reject_with_its_line() {
    let (good, bad) =
        (transaction("1", "A", ""), transaction("1", "A", "").replace("20110405", "20110231"));
    let outcome = read(statement(&[&*good, &bad, &good].concat()).as_bytes());
    assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec!["bad_date"]));
    assert_eq!(outcome.rejects[0].line, 22);
    assert!(outcome.rejects[0].message.contains("YYYYMMDD"), "{}", outcome.rejects[0].message);
}

#[test]
fn a_file_without_end_tags_of_transactions_is_read_and_a_cut_one_is_noticed() {
    let two = [transaction("1", "A", ""), transaction("2", "B", "")].concat();
    let outcome = read(statement(&two.replace("</STMTTRN>\n", "")).as_bytes());
    assert_eq!((outcome.drafts.len(), outcome.rejects.len()), (2, 0));
    let text = statement(&two);
    let outcome = read(text.split_at(text.find("</BANKTRANLIST>").unwrap()).0.as_bytes());
    assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec!["malformed_input"]));
    assert!(outcome.rejects[0].message.contains("cut short"), "{}", outcome.rejects[0].message);
}

#[test]
fn a_file_of_another_kind_holds_nothing() {
    for text in ["", "Date;Amount\n1;2\n", "<html><body>no</body></html>", "{\"a\": 1}", HEADER] {
        let outcome = read(text.as_bytes());
        assert_eq!(outcome.codes(), ["nothing_found"], "{text}");
    }
    let outcome = read(b"<OFX><SIGNONMSGSRSV1><SONRS></SONRS></SIGNONMSGSRSV1></OFX>");
    assert!(outcome.rejects[0].message.contains("begins with OFX/SIGNONMSGSRSV1/SONRS"));
    // A statement without transactions is one.
    assert_eq!(read(statement("").as_bytes()).codes(), [""; 0]);
}
