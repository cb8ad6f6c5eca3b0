//! A test provokes every reason code.

use crate::common::ingest;
use leftfold_connect::{CUT_MARK, MAX_SHOWN_BYTES, Mapping, Reason};
use std::collections::BTreeSet;

const XML: &str = r#"
    name = "test"
    format = "xml"
    max_record_bytes = 2000
    stream = "s-{id}"
    data = ["id"]
    event = { type_field = "kind", types = { a = "A" }, time = "at" }
    id = { keys = [["key"]] }
    [xml]
    group = "list"
    record = "list/row"
    split = { path = "part", sum = ["part_amount", "amount"] }
    [balance]
    subject = "the list"
    element = "balance"
    kind = "@kind"
    amount = "."
    direction = "@direction"
    negative = "-"
    opening = "open"
    closing = "close"
    entry = "amount"
    [field]
    id = { path = "id", required = true }
    key = { path = "key" }
    kind = { path = "kind", default = "a" }
    at = { path = "at", type = "date_or_datetime" }
    amount = { path = "amount", type = "decimal", max_scale = 2, not_negative = true, default = "1" }
    part_amount = { path = "part:.", type = "decimal" }
    count = { path = "count", type = "integer" }
    flag = { path = "flag", type = "boolean" }
    extra = { path = "extra", type = "json" }
    code = { path = "code", pattern = "[A-Z]+" }
    color = { path = "color", one_of = ["red", "blue"] }
    size = { path = "size", map = { s = "small" } }
    name = { path = "name", min_length = 2, max_length = 4 }
"#;

/// What a row needs to be good, and what a test adds in front.
fn row(inside: &str) -> String {
    format!("<row>{inside}<id>1</id><key>k</key><at>2024-01-31</at></row>")
}

/// Reads the rows and gives code and message of the only reject.
fn only_reject(rows: &str) -> (&'static str, String) {
    let mapping = Mapping::parse(XML).unwrap();
    let outcome = ingest(&mapping, format!("<list>\n{rows}</list>").as_bytes());
    assert_eq!((outcome.drafts.len(), outcome.rejects.len()), (0, 1), "{:?}", outcome.rejects);
    let reject = &outcome.rejects[0];
    assert_eq!(reject.line, 2);
    (reject.reason.code(), reject.message.clone())
}

#[test]
fn each_wrong_record_is_refused_with_its_code_and_a_sentence() {
    let deep = format!("{}{}", "<x>".repeat(128), "</x>".repeat(128));
    let large = "x".repeat(2000);
    for (inside, code, sentence) in [
        (&*large, "record_too_large", "longer than 2000 bytes"),
        (&deep, "nested_too_deep", "more than 128 deep"),
        ("<name>&euro;</name>", "unknown_entity", "'&euro;'"),
        ("<amount>1,5</amount>", "bad_decimal", "Field 'amount' must be a decimal number"),
        ("<amount>1e5</amount>", "bad_decimal", "'1e5'"),
        ("<amount>1.234</amount>", "too_many_decimals", "at most 2 places"),
        ("<amount>-1</amount>", "negative", "not below zero"),
        ("<count>1.0</count>", "bad_integer", "whole number"),
        ("<flag>yes</flag>", "bad_boolean", "true, false, 1 or 0"),
        ("<extra>{</extra>", "bad_json", "must be JSON"),
        ("<at>2024-02-30</at>", "bad_date", "YYYY-MM-DD"),
        ("<code>AbC</code>", "pattern_mismatch", "matches [A-Z]+"),
        ("<color>green</color>", "not_allowed", "one of red, blue; it is 'green'"),
        ("<size>l</size>", "not_allowed", "one of s;"),
        ("<name>x</name>", "bad_length", "2 to 4 characters, not 1"),
        ("<name>xxxxx</name>", "bad_length", "not 5"),
        ("<kind>b</kind>", "unknown_event_type", "is 'b'; the mapping has types for a"),
    ] {
        let (found, message) = only_reject(&row(inside));
        assert_eq!(found, code, "{message}");
        assert!(message.contains(sentence) && message.ends_with('.'), "{message}");
    }
}

#[test]
fn a_missing_value_is_reported_with_its_field() {
    for (gone, code, sentence) in [
        ("<id>1</id>", "missing_field", "Field 'id' is required and is missing or empty"),
        ("<key>k</key>", "missing_key", "No natural key is complete"),
        ("<at>2024-01-31</at>", "missing_event_time", "comes from at"),
    ] {
        let (found, message) = only_reject(&row("").replace(gone, ""));
        assert_eq!(found, code);
        assert!(message.contains(sentence), "{message}");
    }
}

#[test]
fn a_time_at_the_end_of_the_calendar_is_out_of_range() {
    let last = row("").replace("2024-01-31", "9999-12-31T23:59:59-23:00");
    assert_eq!(only_reject(&last).0, "event_time_out_of_range");
}

#[test]
fn a_group_that_does_not_add_up_is_refused() {
    let mapping = Mapping::parse(XML).unwrap();
    let balance = |kind: &str, amount: &str| {
        format!("<balance kind='{kind}' direction='+'>{amount}</balance>")
    };
    let list = format!("<list>{}{}{}</list>", balance("open", "1"), row(""), balance("close", "3"));
    let outcome = ingest(&mapping, list.as_bytes());
    assert_eq!(outcome.codes(), ["balance_mismatch"]);
    assert_eq!(outcome.summary.balances_mismatched, 1);
}

#[test]
fn a_file_that_cannot_be_read_further_is_one_reject_and_incomplete() {
    let mapping = Mapping::parse(XML).unwrap();
    let good = row("");
    for (text, drafts, sentence) in [
        (format!("<list>{good}"), 1, "<list> is never closed"),
        (format!("<list>{good}<row><id>"), 1, "<id> is never closed"),
        (format!("<list>{good}</lisp>"), 1, "</lisp> stands where <list>"),
        (format!("<list>{good}</list></list>"), 1, "never opened"),
        (format!("<list>{good}</list><list/>"), 1, "second root"),
        (format!("<list>{good}</list>text"), 1, "outside the root"),
        (format!("<list>{good}< x"), 1, "does not begin a tag"),
        (format!("<list>{good}<!-- "), 1, "within a comment"),
        (format!("<list>{good}<x a='"), 1, "within a tag"),
        (String::new(), 0, "no XML element"),
        ("<?xml version='1.0' encoding='klingon'?><list/>".to_owned(), 0, "'klingon'"),
    ] {
        let outcome = ingest(&mapping, text.as_bytes());
        assert_eq!(outcome.codes(), ["malformed_input"], "{text}");
        assert_eq!(outcome.drafts.len(), drafts, "{text}");
        assert!(!outcome.summary.complete);
        let message = &outcome.rejects[0].message;
        assert!(message.contains(sentence), "{message}");
    }
}

#[test]
fn a_bad_byte_costs_its_record_and_no_other() {
    let file = include_bytes!("../fixtures/bad-byte.xml");
    let outcome = ingest(&Mapping::builtin("camt.053").unwrap(), file);
    assert_eq!(outcome.codes(), ["malformed_record"]);
    let reject = &outcome.rejects[0];
    assert_eq!((reject.line, outcome.drafts.len(), outcome.summary.complete), (6, 3, true));
    assert!(reject.message.contains("not UTF-8, in line 6"), "{}", reject.message);
    assert!(reject.record.contains("caf\u{fffd}"), "{}", reject.record);
}

#[test]
fn a_bad_byte_outside_of_records_costs_those_that_need_it() {
    let mapping = XML.replace("id = { path = \"id\"", "id = { path = \"group:@name\"");
    let mapping = Mapping::parse(&mapping).unwrap();
    let row = row("");
    let good = format!("<list name='b'>{row}</list></file>");
    let file = [b"<file><list name='\xff'>\n", row.as_bytes(), b"</list>", good.as_bytes()];
    let outcome = ingest(&mapping, &file.concat());
    assert_eq!((outcome.codes(), outcome.drafts.len()), (vec!["malformed_record"], 1));
    assert!(outcome.rejects[0].message.contains("not UTF-8"));
}

#[test]
fn malformed_lines_and_non_scalar_values_are_refused() {
    let mapping = Mapping::parse(
        r#"
        name = "lines"
        format = "ndjson"
        stream = "s"
        data = ["a"]
        event = { type = "A", time = "at" }
        id = { keys = [["a"]] }
        field = { a = { path = "/a" }, at = { path = "/at", type = "date" } }
        "#,
    )
    .unwrap();
    let outcome = ingest(&mapping, b"{\n{\"a\":[1]}\n");
    assert_eq!(outcome.codes(), ["malformed_record", "not_a_scalar"]);
    let message = &outcome.rejects[1].message;
    assert!(message.contains("Field 'a'") && message.contains("an array"), "{message}");
}

#[test]
fn a_long_record_is_shown_up_to_the_limit() {
    let mapping = Mapping::parse(&XML.replace("2000", "100000")).unwrap();
    let text = format!("<list>{}</list>", row(&"ü".repeat(MAX_SHOWN_BYTES)).replace("key>", "k>"));
    let outcome = ingest(&mapping, text.as_bytes());
    let record = &outcome.rejects[0].record;
    assert!(record.len() <= MAX_SHOWN_BYTES + CUT_MARK.len() && record.ends_with(CUT_MARK));
    assert!(record.starts_with("<row>ü"));
}

#[test]
fn every_reason_has_a_unique_code_and_is_documented() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    let reference = include_str!("../../docs-mapping.md");
    let tests = concat!(
        include_str!("reasons.rs"),
        include_str!("store.rs"),
        include_str!("identity.rs"),
        include_str!("../../src/output.rs"),
    );
    for code in codes {
        assert!(reference.contains(&format!("`{code}`")), "{code} is not in docs-mapping.md");
        assert!(tests.contains(&format!("\"{code}\"")), "{code} has no test");
    }
}
