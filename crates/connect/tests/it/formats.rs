//! The behaviour of each format, and of all formats.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;

const CSV: &str = r#"
    name = "orders"
    format = "csv"
    zone = "Europe/Berlin"
    stream = "order-{number}"
    data = ["number", "total as sum", "note", "count", "index"]
    event = { type = "Order", time = "day" }
    id = { keys = [["number", "note?"]] }
    tags = { note = "n:{note}", number = "{number}" }
    [csv]
    delimiter = ";"
    [field]
    number = { path = ["No", "Number"], required = true }
    total = { path = "Total", type = "decimal", decimal_separator = ",", group_separator = "." }
    day = { path = "Day", type = "date", format = "%d.%m.%Y", required = true }
    note = { path = "Note" }
    count = { path = "Count", type = "integer", default = "007" }
"#;

fn csv(text: &str) -> Outcome {
    ingest(&Mapping::parse(CSV).unwrap(), text.as_bytes())
}

#[test]
fn csv_columns_are_found_by_name_and_values_normalised() {
    let outcome = csv("Day;Note;Number;Total\r\n31.01.2024; a;7;1.234,50\r\n");
    assert_eq!(outcome.rejects, []);
    let draft = &outcome.drafts[0];
    assert_eq!((draft.stream.as_str(), draft.event_type.as_str()), ("order-7", "Order"));
    let expected = "{\"number\":\"7\",\"sum\":\"1234.50\",\"note\":\"a\",\"count\":7,\"index\":1}";
    assert_eq!(outcome.data(0), expected);
    assert_eq!(draft.event_time_micros, 1_706_655_600_000_000, "midnight in Berlin");
    assert_eq!(draft.tags[0], ("note".to_owned(), "n:a".to_owned()));
    assert_eq!(draft.raw, "31.01.2024; a;7;1.234,50");
}

#[test]
fn csv_lines_are_right_after_quoted_line_breaks_and_blank_lines() {
    let outcome =
        csv("Day;Note;No;Total\n31.01.2024;\"two\nlines \"\"quoted\"\"; here\";1;1\n\n\n\
         31.01.2024;;2;x\n31.01.2024;3\n31.01.2024;;4;4");
    assert!(outcome.data(0).contains("\"note\":\"two\\nlines \\\"quoted\\\"; here\""));
    let lines: Vec<u64> = outcome.drafts.iter().map(|draft| draft.line).collect();
    assert_eq!(lines, [2, 8]);
    assert_eq!(outcome.codes(), ["bad_decimal", "malformed_record"]);
    assert_eq!((outcome.rejects[0].line, outcome.rejects[1].line), (6, 7));
    assert!(outcome.rejects[1].message.contains("2 columns where 4 are expected"));
    assert_eq!(outcome.rejects[1].record, "31.01.2024;3");
    assert_eq!(outcome.drafts[0].tags.len(), 2);
    assert_eq!(outcome.drafts[1].tags.len(), 1, "a tag without its field is left out");
}

#[test]
fn a_csv_header_without_a_column_lists_the_columns() {
    let outcome = csv("Day;Note;Total\n");
    assert_eq!(outcome.codes(), ["malformed_input"]);
    let message = &outcome.rejects[0].message;
    assert!(
        message.contains("no column No or Number; the columns are Day, Note, Total"),
        "{message}"
    );
    assert_eq!(csv("").codes(), ["malformed_input"]);
}

#[test]
fn csv_without_a_header_and_in_another_encoding() {
    let mapping = CSV.replace(
        "delimiter = \";\"",
        "columns = [\"No\", \"Total\", \"Day\", \"Note\"]\nquote = \"'\"",
    );
    let mapping = mapping.replace("zone =", "encoding = \"windows-1252\"\nzone =");
    let mapping = Mapping::parse(&mapping.replace("\"Count\"", "\"No\"")).unwrap();
    let outcome = ingest(&mapping, b"1,'2,5',01.02.2024,M\xfcller\n");
    assert!(outcome.data(0).contains("\"sum\":\"2.5\",\"note\":\"Müller\""), "{}", outcome.data(0));
}

#[test]
fn a_csv_file_that_was_cut_is_noticed() {
    let good = "Day;Note;No;Total\n31.01.2024;a;1;1,50\n";
    for (last, sentence) in [
        ("31.01.2024;\"a;2;1,50\n", "within a quoted field"),
        ("31.01.2024;a;2;\"1,5", "within a quoted field"),
        ("31.01.2024;a", "has 2 of 4 columns and no line break"),
    ] {
        let outcome = csv(&format!("{good}{last}"));
        assert_eq!((outcome.drafts.len(), outcome.codes()), (1, vec!["malformed_input"]));
        assert!(!outcome.summary.complete);
        let reject = &outcome.rejects[0];
        assert!(reject.message.contains(sentence), "{}", reject.message);
        assert_eq!((reject.line, &*reject.record), (3, last.trim_end()));
    }
    for last in ["31.01.2024;a;2;\"1,50\"", "31.01.2024;a;2;1,50", "31.01.2024;\"a\nb\";2;1,5\n"] {
        let outcome = csv(&format!("{good}{last}"));
        assert_eq!((outcome.drafts.len(), outcome.codes()), (2, vec![]), "{last}");
        assert!(outcome.summary.complete);
    }
    assert_eq!(csv(&format!("{good}31.01.2024;a\n")).codes(), ["malformed_record"]);
}

#[test]
fn a_huge_csv_record_is_refused_and_reading_goes_on() {
    let text = format!("Day;Note;No;Total\n;{};;\n31.01.2024;;1;1\n", "x".repeat(3_000_000));
    let outcome = csv(&text);
    assert_eq!(outcome.codes(), ["record_too_large"]);
    assert_eq!((outcome.rejects[0].line, outcome.drafts[0].line), (2, 3));
}

const NDJSON: &str = r#"
    name = "lines"
    format = "ndjson"
    stream = "s-{id}"
    data = ["id", "amount", "deep", "second", "flag", "slash"]
    event = { type = "Line", time = "at" }
    id = { keys = [["id"]] }
    [field]
    id = { path = "/id", required = true }
    amount = { path = ["/none", "/amount"], type = "decimal" }
    deep = { path = "/a/b/c" }
    second = { path = "/list/1" }
    flag = { path = "/flag", type = "boolean" }
    slash = { path = "/with~1slash" }
    at = { path = "/at", type = "datetime" }
"#;

fn ndjson(text: &str) -> Outcome {
    ingest(&Mapping::parse(NDJSON).unwrap(), text.as_bytes())
}

#[test]
fn ndjson_numbers_are_kept_exactly_as_written() {
    for (written, kept) in [
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("123456789012345678901234567890.12", "123456789012345678901234567890.12"),
        ("1.50", "1.50"),
        ("\"1.50\"", "1.50"),
        ("15e-1", "1.5"),
    ] {
        let line = format!("{{\"id\":1,\"amount\":{written},\"at\":\"2024-01-31T00:00:00Z\"}}");
        let expected = format!("{{\"id\":\"1\",\"amount\":\"{kept}\"}}");
        assert_eq!(ndjson(&line).data(0), expected);
    }
}

#[test]
fn ndjson_pointers_reach_into_objects_and_lists() {
    let outcome = ndjson(
        r#"{"x":[{}],"a":{"b":{"c":"\u00fc\n"}},"list":[[],2,3],"flag":true,"with/slash":"/","id":"1","none":null,"amount":1,"at":"2024-01-31T00:00:00"}"#,
    );
    let expected = r#"{"id":"1","amount":"1","deep":"ü\n","second":"2","flag":true,"slash":"/"}"#;
    assert_eq!(outcome.data(0), expected);
}

#[test]
fn ndjson_text_is_kept_exactly_and_other_types_are_trimmed() {
    let line = r#"{"id":1,"a":{"b":{"c":"  two  words\t"}},"amount":" 1.50 ","flag":" true",
                   "at":" 2024-01-31T00:00:00Z "}"#;
    let expected = r#"{"id":"1","amount":"1.50","deep":"  two  words\t","flag":true}"#;
    assert_eq!(ndjson(&line.replace('\n', "")).data(0), expected);
}

#[test]
fn a_bad_ndjson_line_refuses_only_itself() {
    let good = r#"{"id":1,"at":"2024-01-31T00:00:00Z"}"#;
    let deep = format!("{{\"id\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let text =
        format!("{good}\n\n  \nnonsense\n{{\"id\":1,\"id\":2}}\n{good} {good}\n{deep}\n{good}");
    let outcome = ndjson(&text);
    assert_eq!(outcome.drafts.len(), 2);
    let mut expected = vec!["malformed_record"; 3];
    expected.push("not_a_scalar");
    assert_eq!(outcome.codes(), expected);
    let lines: Vec<u64> = outcome.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [4, 5, 6, 7]);
    assert_eq!(outcome.rejects[0].record, "nonsense");
    assert!(outcome.summary.complete);
}

#[test]
fn a_huge_ndjson_line_is_refused_and_reading_goes_on() {
    let good = r#"{"id":1,"at":"2024-01-31T00:00:00Z"}"#;
    let outcome = ndjson(&format!("{{\"x\":\"{}\"}}\n{good}\n", "x".repeat(5_000_000)));
    assert_eq!(outcome.codes(), ["record_too_large"]);
    assert!(outcome.rejects[0].record.starts_with("{\"x\":\"xxx"));
    assert_eq!(outcome.drafts[0].line, 2);
}

const ARRAY: &str = r#"
    name = "x"
    format = "ndjson"
    stream = "s"
    data = ["id"]
    event = { type = "E", time = "at" }
    id = { keys = [["id"]] }
    max_record_bytes = 1000
    [field]
    id = { path = "/id", required = true }
    at = { path = "/at", type = "date", default = "2026-01-01" }
"#;

fn array(text: &str) -> Outcome {
    ingest(&Mapping::parse(ARRAY).unwrap(), text.as_bytes())
}

#[test]
fn each_element_of_a_json_array_is_a_record() {
    let outcome = array(include_str!("../fixtures/array.json"));
    assert_eq!(outcome.codes(), Vec::<&str>::new());
    let lines: Vec<u64> = outcome.drafts.iter().map(|draft| draft.line).collect();
    assert_eq!((lines, outcome.data(2)), (vec![2, 3, 4], "{\"id\":\"3\"}"));
    assert_eq!(outcome.drafts[0].raw, "{\"id\":1,\"at\":\"2026-03-01\"}");
    assert!(outcome.summary.complete);
    for (text, records) in [
        ("[{\"id\":1},{\"id\":2}]", 2),
        ("[\n{\n\"id\":\"],[\\\"\"\n}\n,\n{\"id\":2}\n]\n[{\"id\":3}]", 3),
    ] {
        let outcome = array(text);
        assert_eq!((outcome.drafts.len(), outcome.codes()), (records, vec![]), "{text}");
    }
    assert_eq!(array(" [ ] \n").codes(), ["nothing_found"]);
}

#[test]
fn a_bad_element_of_an_array_costs_only_itself() {
    let long = "x".repeat(600_000);
    let text =
        format!("[{{\"id\":1}}, nonsense,\n{{\"id\":\"{long}\"}}, {{\"id\":[]}}, {{\"id\":2}}]");
    let outcome = array(&text);
    assert_eq!(outcome.codes(), ["malformed_record", "record_too_large", "not_a_scalar"]);
    assert_eq!((outcome.drafts.len(), outcome.rejects[1].line), (2, 2));
    assert_eq!(outcome.rejects[0].record, "nonsense");
}

#[test]
fn an_array_without_its_end_is_incomplete() {
    for (text, sentence) in [
        ("[{\"id\":1},", "ends within its array"),
        ("[{\"id\":1},{\"id\":", "ends within an element"),
        ("[{\"id\":1},{\"id\":\"2", "ends within an element"),
        ("[{\"id\":1}] x", "behind the array"),
    ] {
        let outcome = array(text);
        assert_eq!((outcome.drafts.len(), outcome.codes()), (1, vec!["malformed_input"]), "{text}");
        assert!(!outcome.summary.complete);
        assert!(outcome.rejects[0].message.contains(sentence), "{}", outcome.rejects[0].message);
    }
}

#[test]
fn lines_may_be_arrays_and_the_mapping_may_decide() {
    let lines = ARRAY.replace("\"/id\"", "\"/0\"");
    let outcome = ingest(&Mapping::parse(&lines).unwrap(), b"[1,2]\n[3,4]\n");
    assert_eq!((outcome.drafts.len(), outcome.data(1)), (2, "{\"id\":\"3\"}"));
    let mapping = format!("ndjson = {{ array = true }}\n{lines}");
    let outcome = ingest(&Mapping::parse(&mapping).unwrap(), b"[[1,2],[3,4]]");
    assert_eq!((outcome.drafts.len(), outcome.data(1)), (2, "{\"id\":\"3\"}"));
    let mapping =
        format!("ndjson = {{ array = false }}\n{}", ARRAY.replace("\"/id\"", "\"/0/id\""));
    let outcome = ingest(&Mapping::parse(&mapping).unwrap(), b"[{\"id\":1}]\n[{\"id\":2}]\n");
    assert_eq!(outcome.drafts.len(), 2);
}

#[test]
fn a_time_may_have_several_formats_and_epochs() {
    let mapping = |format: &str| {
        let text = ARRAY.replace("\"date\"", &format!("\"date_or_datetime\", format = {format}"));
        Mapping::parse(&text.replace("data = [\"id\"]", "data = [\"at\"]")).unwrap()
    };
    for (format, at, iso, micros) in [
        ("\"epoch_ms\"", "1589355606100", "2020-05-13T07:40:06.1Z", 1_589_355_606_100_000),
        ("\"epoch_s\"", "1589355606", "2020-05-13T07:40:06Z", 1_589_355_606_000_000),
        (
            "\"epoch_us\"",
            "\"1589355606100001\"",
            "2020-05-13T07:40:06.100001Z",
            1_589_355_606_100_001,
        ),
        ("[\"%d.%m.%Y\", \"iso\"]", "\"13.05.2020\"", "2020-05-13", 1_589_328_000_000_000),
        ("[\"%d.%m.%Y\", \"iso\"]", "\"2020-05-13\"", "2020-05-13", 1_589_328_000_000_000),
    ] {
        let line = format!("{{\"id\":1,\"at\":{at}}}");
        let outcome = ingest(&mapping(format), line.as_bytes());
        assert_eq!(outcome.codes(), Vec::<&str>::new());
        assert_eq!(outcome.data(0), format!("{{\"at\":\"{iso}\"}}"));
        assert_eq!(outcome.drafts[0].event_time_micros, micros);
    }
    let outcome =
        ingest(&mapping("[\"%d.%m.%Y\", \"epoch_s\"]"), b"{\"id\":1,\"at\":\"2020-05-13\"}");
    assert!(outcome.rejects[0].message.contains("written %d.%m.%Y or epoch_s; it is '2020-05-13'"));
}

const XML: &str = r#"
    name = "books"
    format = "xml"
    stream = "{library}"
    data = ["file", "library", "shelf", "title", "words", "lang"]
    event = { type = "Book", time = "at" }
    id = { keys = [["title"]] }
    [xml]
    group = "shelf"
    record = "shelf/box/book"
    [field]
    file = { path = "file:name" }
    library = { path = "file:@id", required = true }
    shelf = { path = "group:@no" }
    title = { path = ["title/main", "title", "@title"] }
    words = { path = "word", join = "+" }
    lang = { path = "title/@lang" }
    at = { path = "group:day", type = "date" }
"#;

fn xml(text: &str) -> Outcome {
    ingest(&Mapping::parse(XML).unwrap(), text.as_bytes())
}

#[test]
fn xml_values_come_from_the_file_the_group_and_the_record() {
    let outcome = xml("<?xml version='1.0'?><!DOCTYPE l [<!ENTITY x \"<y>\">]>\
         <p:library p:id='L1' xmlns:p='urn:x'><name>Main</name>\
         <floor><p:shelf no = \"4\"><day>2024-01-31</day><box>\
         <p:book title='Attribute' ><word> a </word><other><word>no</word></other>\
         <word><![CDATA[<b>]]></word><word/></p:book>\
         <p:book><title lang='de'> A &amp; <!-- not this -->B&#33; </title></p:book>\
         <book title=\"1>2\"/><book><title><main>Inner</main></title></book>\
         </box></p:shelf><shelf><box><book title='x'/></box></shelf></floor></p:library >\n");
    assert_eq!(outcome.codes(), ["missing_event_time"], "the second shelf has no day");
    let head = "{\"file\":\"Main\",\"library\":\"L1\",\"shelf\":\"4\"";
    assert_eq!(outcome.data(0), format!("{head},\"title\":\"Attribute\",\"words\":\"a+<b>\"}}"));
    assert_eq!(outcome.data(1), format!("{head},\"title\":\"A & B!\",\"lang\":\"de\"}}"));
    assert_eq!(outcome.data(2), format!("{head},\"title\":\"1>2\"}}"));
    assert_eq!(outcome.data(3), format!("{head},\"title\":\"Inner\"}}"));
    assert_eq!(outcome.drafts[2].raw, "<book title=\"1>2\"/>");
}

#[test]
fn xml_in_another_encoding_is_decoded() {
    let text =
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><l id='1'><shelf><day>2024-01-31</day>\
        <box><book title='M\xfcller'/></box></shelf></l>";
    let outcome = ingest(&Mapping::parse(XML).unwrap(), text);
    assert!(outcome.data(0).contains("\"title\":\"Müller\""));
    assert_eq!(outcome.summary.bytes, text.len() as u64);
    assert_eq!(outcome.drafts[0].raw, "<book title='Müller'/>");
    let marked = format!("\u{feff}{}", std::str::from_utf8(b"<l id='1'/>").unwrap());
    assert!(xml(&marked).summary.complete);
}

#[test]
fn a_huge_xml_record_is_refused_and_reading_goes_on() {
    let many = "<word>x</word>".repeat(300_000);
    let long = format!("<word>{}</word>", "x".repeat(3_000_000));
    let comment = format!("<!--{}-->", "x".repeat(3_000_000));
    for huge in [&many, &long, &comment] {
        let text = format!(
            "<l id='1'>{comment}<shelf><day>2024-01-31</day>\n<box>\n<book>{huge}</book>\n\
             <book title='t'/></box></shelf></l>"
        );
        let outcome = xml(&text);
        assert_eq!(outcome.codes(), ["record_too_large"]);
        assert_eq!(outcome.rejects[0].line, 3);
        assert!(outcome.rejects[0].record.starts_with("<book>"));
        assert_eq!((outcome.drafts.len(), outcome.drafts[0].line), (1, 4));
    }
}

#[test]
fn a_tag_without_end_is_malformed_in_bounded_memory() {
    let text = format!("<l id='1'><shelf a=\"{}", "x".repeat(4_000_000));
    assert!(xml(&text).rejects[0].message.contains("A tag is longer than"));
    let names = format!("<l>{}", format!("<{}>", "x".repeat(1000)).repeat(3000));
    assert!(xml(&names).rejects[0].message.contains("names of the open elements exceed"));
}

#[test]
fn keys_of_different_fields_give_different_ids() {
    let mapping = r#"
        name = "keys"
        format = "csv"
        stream = "s"
        data = []
        event = { type = "A", time = "at" }
        id = { keys = [["a", "b?", "c?"]] }
        csv = { columns = ["a", "b", "c", "at"] }
        [field]
        a = { path = "a" }
        b = { path = "b" }
        c = { path = "c" }
        at = { path = "at", type = "date" }
    "#;
    let rows =
        "x,yz,,2024-01-31\nxy,z,,2024-01-31\nxyz,,,2024-01-31\nx,,yz,2024-01-31\nx,y,z,2024-01-31";
    let outcome = ingest(&Mapping::parse(mapping).unwrap(), rows.as_bytes());
    let ids: std::collections::BTreeSet<_> = outcome.drafts.iter().map(|draft| draft.id).collect();
    assert_eq!(ids.len(), 5);
    let renamed = Mapping::parse(&mapping.replace("name = \"keys\"", "name = \"other\"")).unwrap();
    let other = ingest(&renamed, rows.as_bytes());
    assert!(other.drafts.iter().all(|draft| !ids.contains(&draft.id)));
}

#[test]
fn an_error_of_the_sink_stops_the_reader() {
    let mapping = Mapping::parse(NDJSON).unwrap();
    let result = leftfold_connect::read(&mapping, &b"1\n2\n"[..], &mut |_| Err("full"));
    assert!(matches!(result, Err(leftfold_connect::ReadError::Sink("full"))));
}
