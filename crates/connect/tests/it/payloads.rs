//! Payloads beyond plain fields, lists that become several events, skipped records, event types.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;

const ORDERS: &str = r#"
    name = "orders"
    format = "ndjson"
    stream = "s"
    data = ["id", "items", "note"]
    event = { type = "E", time = "ts" }
    id = { keys = [["id", "part?"]] }
    [field]
    id = { path = "/id", required = true }
    ts = { value = "2026-01-01", type = "date" }
    items = { path = "/items", type = "json" }
    note = { path = "/note", type = "json" }
"#;

fn read(mapping: &str, text: &str) -> Outcome {
    ingest(&Mapping::parse(mapping).unwrap(), text.as_bytes())
}

fn wrong(mapping: &str) -> String {
    Mapping::parse(mapping).unwrap_err().to_string()
}

#[test]
fn json_values_are_payload_as_written() {
    for (line, data) in [
        (
            r#"{"id":1,"items":[ {"sku":"a b", "qty":2.50}, null ],"note":" x "}"#,
            r#"{"id":"1","items":[{"sku":"a b","qty":2.50},null],"note":" x "}"#,
        ),
        (
            r#"{"id":1,"items":null,"note":0.1000000000000000055}"#,
            r#"{"id":"1","note":0.1000000000000000055}"#,
        ),
        (r#"{"id":1,"items":{},"note":false}"#, r#"{"id":"1","items":{},"note":false}"#),
    ] {
        let outcome = read(ORDERS, line);
        assert_eq!((outcome.codes(), outcome.data(0)), (vec![], data));
    }
    let deep = format!("{{\"id\":1,\"items\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(read(ORDERS, &deep).codes(), ["bad_json"]);
}

#[test]
fn json_in_a_column_is_checked() {
    let mapping = ORDERS.replace("ndjson", "csv").replace("\"/", "\"");
    let outcome = read(&mapping, "id,items,note\n1,\"[1, {\"\"a\"\":2}]\",\n");
    assert_eq!(outcome.data(0), r#"{"id":"1","items":[1,{"a":2}]}"#);
    let outcome = read(&mapping, "id,items,note\n2,[1;2],\n");
    assert_eq!(outcome.codes(), ["bad_json"]);
}

#[test]
fn the_whole_record_is_payload() {
    let whole = ORDERS.replace("[\"id\", \"items\", \"note\"]", "\"record\"");
    let whole = whole.replace("\"/id\"", "[\"/id\", \"/0\"]");
    let outcome = read(&whole, "{\"id\" : 1, \"x\": {\"y\": 1.0}}\n[1]\n");
    assert_eq!(outcome.data(0), r#"{"id":1,"x":{"y":1.0}}"#);
    assert_eq!(outcome.codes(), ["malformed_record"]);
    let csv = whole.replace("ndjson", "csv").replace("\"/", "\"");
    let outcome = read(&csv, "id,items,note,more\n1,,\"\"\"q\"\"\", z \n");
    assert_eq!(outcome.data(0), r#"{"id":"1","items":"","note":"\"q\"","more":" z "}"#);
    assert!(wrong(&whole.replace("\"record\"", "\"all\"")).contains("or \"record\" for the whole"));
    let xml = whole.replace("ndjson", "xml").replace("\"/", "\"");
    assert!(
        wrong(&format!("xml = {{ record = \"r\" }}\n{xml}")).contains("data: \"record\" needs")
    );
    let split = format!("ndjson = {{ split = \"/items\" }}\n{whole}");
    assert!(wrong(&split).contains("data: \"record\" contradicts ndjson.split"));
}

const SPLIT: &str = r#"
    name = "orders"
    format = "ndjson"
    stream = "order-{id}"
    data = ["id", "part", "sku", "line"]
    event = { type = "E", time = "ts" }
    id = { keys = [["id", "part?"]] }
    ndjson = { split = "/items" }
    skip = { field = "sku", is = ["tip", "tax"] }
    [field]
    id = { path = "/id", required = true }
    ts = { value = "2026-01-01", type = "date" }
    sku = { path = "part:/sku", max_length = 3 }
    line = { path = "part:", type = "json" }
"#;

#[test]
fn each_element_of_a_list_is_an_event() {
    let outcome =
        read(SPLIT, "{\"items\":[{\"sku\":\"a\"},{\"qty\":2},{\"sku\":\"tax\"}],\"id\":7}\n");
    assert_eq!(outcome.codes(), Vec::<&str>::new());
    assert_eq!(outcome.data(0), r#"{"id":"7","part":1,"sku":"a","line":{"sku":"a"}}"#);
    assert_eq!(outcome.data(1), r#"{"id":"7","part":2,"line":{"qty":2}}"#);
    assert_eq!((outcome.drafts.len(), outcome.summary.skipped), (2, 1));
    assert_ne!(outcome.drafts[0].id, outcome.drafts[1].id);
}

#[test]
fn a_record_without_elements_is_one_event() {
    for text in ["{\"id\":7}", "{\"id\":7,\"items\":[]}", "{\"id\":7,\"items\":null}"] {
        let outcome = read(SPLIT, text);
        assert_eq!((outcome.codes(), outcome.data(0)), (vec![], "{\"id\":\"7\"}"));
    }
    assert_eq!(read(SPLIT, "{\"id\":7,\"items\":5}").codes(), ["malformed_record"]);
}

#[test]
fn a_wrong_element_refuses_its_record() {
    let outcome =
        read(SPLIT, "{\"id\":7,\"items\":[{\"sku\":\"a\"},{\"sku\":\"long\"}]}\n{\"id\":8}\n");
    assert_eq!((outcome.codes(), outcome.drafts.len()), (vec!["bad_length"], 1));
    assert!(wrong(&SPLIT.replace("ndjson = {", "#")).contains("needs ndjson.split"));
}

const BANK: &str = r#"
    name = "bank"
    format = "csv"
    stream = "account"
    data = ["day", "amount"]
    event = { type_field = "kind", types = { fee = "Fee" }, other = "Booked{kind}", time = "day" }
    id = { keys = [["index"]] }
    skip = [{ field = "kind", is = "pending" }, { field = "day", absent = true }]
    [csv]
    delimiter = ";"
    find_header = true
    footer = "Balance|\"Total"
    [field]
    day = { path = "Day", type = "date", format = "%d.%m.%Y" }
    kind = { path = "Kind" }
    amount = { path = "Amount", type = "decimal", decimal_separator = ",", required = true }
"#;

#[test]
fn preamble_footer_and_skipped_rows_of_a_bank_export() {
    let rows = "01.03.2026;a;1,00\n01.03.2026;pending;\n;;\n02.03.2026;fee;2,00\n";
    let text = format!(
        "\"Account\";\"DE1\"\nFrom;01.03.2026;x;y\n\nDay;Kind;Amount\n{rows}\"Total\";3\n;;x\n"
    );
    let outcome = read(BANK, &text);
    assert_eq!(outcome.codes(), Vec::<&str>::new());
    assert_eq!((outcome.drafts.len(), outcome.summary.skipped), (2, 2));
    assert_eq!(outcome.drafts[0].event_type, "Bookeda");
    assert_eq!((&*outcome.drafts[1].event_type, outcome.drafts[1].line), ("Fee", 8));
    assert_eq!(outcome.summary.bytes, text.len() as u64, "the file is read to its end");
    let fixed = BANK.replace("find_header = true", "skip_lines = 3");
    assert_eq!(read(&fixed, &text).drafts, outcome.drafts);
    let outcome = read(BANK, "a;b\nc;d\n");
    assert_eq!(outcome.codes(), ["malformed_input"]);
    assert!(outcome.rejects[0].message.contains("there is no column Amount"));
}

#[test]
fn an_event_type_is_a_template() {
    let mapping = ORDERS.replace("type = \"E\"", "type = \"Order{note}\"");
    let mapping = mapping.replace("\"/note\", type = \"json\"", "\"/note\"");
    let outcome = read(&mapping, "{\"id\":1,\"note\":\"Made\"}\n{\"id\":2}\n");
    assert_eq!(outcome.drafts[0].event_type, "OrderMade");
    assert_eq!(outcome.codes(), ["missing_field"]);
}

#[test]
fn mistakes_of_these_keys_are_reported() {
    for (from, to, sentence) in [
        ("is = \"pending\"", "is = []", "skip: needs values"),
        ("{ field = \"kind\", is", "{ field = \"x\", is", "skip.field: there is no field 'x'"),
        ("footer = \"Balance", "footer = \"(", "csv.footer: is not a regular expression"),
        (
            "find_header = true",
            "find_header = true\ncolumns = [\"Day\", \"Kind\", \"Amount\"]",
            "csv.find_header",
        ),
        ("types = { fee = \"Fee\" }, ", "", "event: needs either type"),
        ("\"Booked{kind}\"", "\"Booked{x}\"", "event.other: there is no field 'x'"),
    ] {
        assert!(BANK.contains(from), "{from}");
        let error = wrong(&BANK.replacen(from, to, 1));
        assert!(error.contains(sentence), "{error}");
    }
}
