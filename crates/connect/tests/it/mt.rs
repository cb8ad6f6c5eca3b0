//! The built-in mappings of MT940 and MT942, on messages as banks of several countries write them.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;
use serde_json::Value;

fn read(mapping: &str, text: &str) -> Outcome {
    ingest(&Mapping::builtin(mapping).unwrap(), text.as_bytes())
}

fn mt940(text: &str) -> Outcome {
    read("mt940", text)
}

fn data(outcome: &Outcome, draft: usize) -> Value {
    serde_json::from_str(outcome.data(draft)).unwrap()
}

/// A statement with these entries, whose balance goes from 100 to `closing`. The entries begin in line 5.
fn statement(entries: &str, closing: &str) -> String {
    format!(
        ":20:STARTUMS\r\n:25:DE89370400440532013000\r\n:28C:00004/00001\r\n:60F:C240130EUR100,\r\n{entries}\
         :62F:{closing}\r\n-\r\n"
    )
}

#[test]
fn reads_a_german_statement() {
    let text = "{1:F01BANKDEFFXXXX0000000000}{2:O940BANKDEFFXXXXN}{3:}{4:\r\n:20:T089413956000001\r\n\
        :25:50880050/0194777100888\r\n:28C:00004/00001\r\n:60F:D070903EUR970499,9\r\n\
        :61:0709040904CR15000,05NTRFNONREF//0724710290621954\r\n\
        :86:166?00GUTSCHRIFT?100399?20EREF+EndToEndIdTFNR20004000?2101?22SVWZ\r\n+TO 13 TFNr 20004 Einga?23ngskanal Mint\
        ?30PBNKDEFF100?31DE42100100100043921105?32Ri\r\nchter Renate 70 Zeichen B?33eginn?34000\r\n\
        :61:0709040904RCR204,88NRTINONREF\r\n:86:079?00SAMMLER/STORNO?109800?200904059003\r\n\
        :62F:D070904EUR955704,73\r\n:64:D070904EUR955704,73\r\n:86:Summe\r\n-}{5:}\r\n";
    let outcome = mt940(text);
    assert_eq!(outcome.rejects, []);
    let draft = &outcome.drafts[0];
    assert_eq!(
        (&*draft.stream, &*draft.event_type, draft.line),
        ("account-50880050/0194777100888", "EntryBooked", 6)
    );
    assert_eq!(draft.correlation.as_deref(), Some("50880050/0194777100888/0724710290621954"));
    // 2007-09-04.
    assert_eq!(draft.event_time_micros, 1_188_864_000_000_000);
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"50880050/0194777100888\",\"amount\":\"15000.05\",\"currency\":\"EUR\",\
         \"direction\":\"credit\",\"signed_amount\":\"15000.05\",\"reversal\":false,\"booking_date\":\"2007-09-04\",\
         \"value_date\":\"2007-09-04\",\"reference\":\"0724710290621954\",\
         \"end_to_end_id\":\"EndToEndIdTFNR2000400001\",\"counterparty\":\"Richter Renate 70 Zeichen Beginn\",\
         \"counterparty_account\":\"DE42100100100043921105\",\"counterparty_bank\":\"PBNKDEFF100\",\
         \"remittance\":\"TO 13 TFNr 20004 Eingangskanal Mint\",\"bank_transaction_code\":\"NTRF\",\
         \"business_code\":\"166\",\"posting_text\":\"GUTSCHRIFT\"}"
    );
    // The reversal of a credit is a debit.
    let reversal = data(&outcome, 1);
    assert_eq!(
        (&reversal["signed_amount"], &reversal["reversal"]),
        (&"-204.88".into(), &true.into())
    );
    assert_eq!(outcome.summary.balances_held, 1);
}

#[test]
fn reads_dutch_statements_one_after_the_other() {
    let text = "ABNANL2A\n940\nABNANL2A\n:20:940S130101\n:25:NL71RABO0123456789\n:28C:0\n\
        :60F:C130101EUR000000001000,00\n:61:130101D000000000025,00N102EREF            \nNL70ABNA0987654321\n\
        :86:/EREF/01-01-2013 12:00 0030000987654321/BENM//NAME/CONTRA ACCOUN\nT HOLDER/REMI//ISDT/2013-07-11\n\
        :62F:C130102EUR000000000975,00\n:20:940S130101\n:25:NL71RABO0123456789\n:28C:0\n\
        :60F:C130102EUR000000000975,00\n:61:1301020102D9,N192NONREF\n:86:GIRO   428428 KPN\nINCL. 1,44 BTW\n\
        :62F:C130103EUR000000000966,00\n";
    let outcome = mt940(text);
    assert_eq!((outcome.rejects.len(), outcome.summary.balances_held), (0, 2));
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"NL71RABO0123456789\",\"amount\":\"25.00\",\"currency\":\"EUR\",\"direction\":\"debit\",\
         \"signed_amount\":\"-25.00\",\"reversal\":false,\"value_date\":\"2013-01-01\",\
         \"end_to_end_id\":\"01-01-2013 12:00 0030000987654321\",\"counterparty\":\"CONTRA ACCOUNT HOLDER\",\
         \"bank_transaction_code\":\"N102\",\"additional_info\":\"NL70ABNA0987654321 /ISDT/2013-07-11\"}"
    );
    let second = data(&outcome, 1);
    assert_eq!(second["remittance"], "GIRO   428428 KPN INCL. 1,44 BTW");
    assert_eq!((&second["amount"], &second["reference"]), (&"9".into(), &Value::Null));
    assert_eq!(outcome.drafts[1].line, 17);
    let origin = &outcome.drafts[1].occurrence.as_ref().unwrap().origin;
    assert_eq!(
        (origin.statement.as_deref(), origin.message.as_deref()),
        (None, Some("940S130101 2013-01-02"))
    );
}

#[test]
fn the_year_of_the_booking_is_the_nearest_and_a_value_may_be_no_day() {
    let entries = ":61:2401021231D1,NMSC\r\n:61:1602300301DR6,00N024NONREF\r\n";
    let outcome = mt940(&statement(entries, "C240131EUR93,"));
    assert_eq!(outcome.rejects, []);
    assert_eq!(data(&outcome, 0)["booking_date"], "2023-12-31");
    // The 30th of February.
    let second = data(&outcome, 1);
    assert_eq!(
        (&second["booking_date"], &second["value_date"]),
        (&"2016-03-01".into(), &Value::Null)
    );
    assert_eq!(outcome.drafts[1].warnings[0].doubt.code(), "unreadable_field");
}

#[test]
fn a_balance_that_does_not_hold_is_reported() {
    let entry = ":61:2401310131D12,5NMSC\r\n";
    assert_eq!(mt940(&statement(entry, "C240131EUR87,50")).summary.balances_held, 1);
    let outcome = mt940(&statement(entry, "D240131EUR87,50"));
    assert_eq!((outcome.drafts.len(), outcome.codes()), (1, vec!["balance_mismatch"]));
    let message = &outcome.rejects[0].message;
    assert!(message.contains("statement 00004 of account DE89370400440532013000"), "{message}");
    assert!(message.contains("make 87.5, but the closing balance is -87.50"), "{message}");
    // Pages, and an entry that is only expected.
    let pages = statement(entry, "C240131EUR87,5")
        .replace(":62F:", ":61:240131ED5,NMSC\r\n:62M:")
        .replace(":60F:", ":60M:");
    let outcome = mt940(&pages);
    assert_eq!(outcome.drafts[1].event_type, "EntryAnnounced");
    assert_eq!((outcome.rejects.len(), outcome.summary.balances_held), (0, 1));
}

#[test]
fn an_entry_that_cannot_be_read_is_one_reject_with_its_line() {
    for (bad, code) in [
        (":61:2401310131D1.234,50NMSC", "bad_decimal"),
        (":61:2401310131X1,NMSC", "missing_field"),
        (":61:2401310131DNMSC", "missing_field"),
        (":61:2402310231D1,NMSC", "bad_date"),
        (":61:heute", "missing_field"),
        (":61:", "missing_field"),
    ] {
        let good = ":61:240131D1,NMSC\r\n:86:a\r\nb\r\n";
        let outcome = mt940(&statement(&format!("{good}{bad}\r\n:86:x\r\n{good}"), "C240131EUR0,"));
        assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec![code]), "{bad}");
        assert_eq!((outcome.rejects[0].line, outcome.summary.balances_unchecked), (8, 1));
    }
}

#[test]
fn entries_of_a_kind_are_counted_and_placeholders_are_no_references() {
    let found = |entries: &str| -> Vec<_> {
        let drafts = mt940(&statement(entries, "C240131EUR0,")).drafts.into_iter();
        drafts.map(|draft| draft.occurrence.map(|o| (o.kind, o.number)).unwrap()).collect()
    };
    let entry =
        |reference: &str, text: &str| format!(":61:2401310131D1,NMSC{reference}\r\n:86:{text}\r\n");
    let (named, plain) = (entry("X//R1", "a"), entry("NONREF", "a"));
    let all =
        found(&[&*named, &entry("X//R1", "b"), &plain, &plain, &entry("NONREF", "b")].concat());
    assert_eq!(all.iter().map(|one| one.1).collect::<Vec<_>>(), [1, 2, 1, 2, 1]);
    assert_eq!(all[0].0, all[1].0, "another text under a reference is a correction");
    assert_ne!(all[2].0, all[4].0);
    for placeholder in ["", "NONREF//NONREF", "NOTPROVIDED", "KREF+", "//0000"] {
        assert_eq!(found(&entry(placeholder, "a"))[0], all[2], "{placeholder}");
    }
    // A reversal is of another kind.
    assert_ne!(found(&named.replace("D1,", "RC1,"))[0].0, all[0].0);
}

#[test]
fn statements_are_told_apart_by_their_number_and_page() {
    let origin = |text: &str| mt940(text).drafts[0].occurrence.clone().unwrap().origin;
    let text = statement(":61:240131D1,NMSC\r\n", "C240131EUR99,");
    let one = origin(&text);
    assert_eq!((one.statement.as_deref(), one.page.as_deref()), (Some("00004"), Some("00001")));
    assert_eq!(one.opening.as_deref(), Some("100 EUR"));
    use leftfold_connect::Relation::{Disjoint, Overlapping, Unknown};
    assert_eq!(one.relation(&origin(&text)), Overlapping);
    assert_eq!(one.relation(&origin(&text.replace("/00001", "/00002"))), Disjoint);
    assert_eq!(one.relation(&origin(&text.replace("00004", "00005"))), Disjoint);
    // A bank that numbers nothing.
    let unnumbered = text.replace("00004/00001", "0");
    let later = unnumbered.replace(":60F:C240130", ":60F:C240131");
    assert_eq!(origin(&unnumbered).relation(&origin(&later)), Unknown);
}

#[test]
fn reads_an_interim_report_whose_entries_are_no_bookings() {
    let text = ":20:ST170119CYC/0001\n:25:PL29114010810000267002001002\n:28C:1/1\n:34F:PLN0\n:13D:1701191815+0100\n\
        :61:1701190119CN0,01NTRFNONREF//MB170119012058\n911-TRANSAKCJA IPH\n\
        :86:911 TRANSAKCJA COLLECT; ID IPH: XX000000000001; Z RACH.: \n56114010810000267002001001\n\
        :61:170119ED2,NTRFNONREF\n:90D:0PLN0,00\n:90C:3PLN0,03\n-\n";
    let outcome = read("mt942", text);
    assert_eq!(outcome.rejects, []);
    let types: Vec<&str> = outcome.drafts.iter().map(|draft| &*draft.event_type).collect();
    assert_eq!(types, ["EntryReported", "EntryAnnounced"]);
    assert_eq!(
        outcome.data(0),
        "{\"account\":\"PL29114010810000267002001002\",\"amount\":\"0.01\",\"currency\":\"PLN\",\
         \"direction\":\"credit\",\"signed_amount\":\"0.01\",\"reversal\":false,\"booking_date\":\"2017-01-19\",\
         \"value_date\":\"2017-01-19\",\"reference\":\"MB170119012058\",\
         \"remittance\":\"911 TRANSAKCJA COLLECT; ID IPH: XX000000000001; Z RACH.: 56114010810000267002001001\",\
         \"bank_transaction_code\":\"NTRF\",\"additional_info\":\"911-TRANSAKCJA IPH\"}"
    );
    // Each mapping reads its own messages.
    assert_eq!(mt940(text).codes(), ["nothing_found"]);
    assert!(mt940(text).rejects[0].message.contains("begins with MT/MT942"));
    assert_eq!(read("mt942", &statement("", "C240131EUR100,")).codes(), ["nothing_found"]);
}

#[test]
fn a_cut_file_and_one_of_another_kind_are_noticed() {
    let text = statement(":61:240131D1,NMSC\r\n:61:240131D2,NMSC\r\n", "C240131EUR97,");
    let outcome = mt940(text.split_at(text.find(":62F").unwrap()).0);
    // The last entry may be cut.
    assert_eq!((outcome.drafts.len(), outcome.codes()), (1, vec!["malformed_input"]));
    assert!(
        outcome.rejects[0].message.contains("no closing balance"),
        "{}",
        outcome.rejects[0].message
    );
    for text in ["", "Date;Amount\n1;2\n", "<Document><Stmt/></Document>", "{\"a\": 1}", ":20:X\n"]
    {
        assert_eq!(mt940(text).codes(), ["nothing_found"], "{text}");
    }
}

#[test]
fn an_entry_that_is_too_long_is_refused_and_the_file_goes_on() {
    let long = "x".repeat(2 << 20);
    let entry = ":61:240131D1,NMSC\r\n";
    let outcome =
        mt940(&statement(&format!("{entry}{entry}:86:{long}\r\n{entry}"), "C240131EUR97,"));
    assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec!["record_too_large"]));
    assert_eq!(outcome.rejects[0].line, 6);
}

#[test]
fn the_mapping_may_name_the_encoding() {
    let source = Mapping::builtin_source("mt940").unwrap();
    let latin = source.replace("zone =", "encoding = \"ibm866\"\nzone =");
    let text = statement(":61:240131D1,NMSC\r\n:86:\u{1}\r\n", "C240131EUR99,");
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == 1 { 0x80 } else { byte }).collect();
    let outcome = ingest(&Mapping::parse(&latin).unwrap(), &bytes);
    assert_eq!(data(&outcome, 0)["remittance"], "А");
}
