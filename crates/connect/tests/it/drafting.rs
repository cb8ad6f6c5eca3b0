//! Drafts of mappings: each parses, and reads the file that it was made from.

use crate::common::{Outcome, ingest};
use leftfold_connect::{Mapping, draft_mapping};

/// Drafts a mapping of a file and reads the file with it.
fn drafted(file: &[u8], lines: &[&str]) -> Outcome {
    let draft = draft_mapping("test", file).unwrap();
    for line in lines {
        assert!(draft.contains(line), "{line} is not in\n{draft}");
    }
    let outcome = ingest(&Mapping::parse(&draft).unwrap(), file);
    assert_eq!(outcome.codes(), Vec::<&str>::new(), "{draft}");
    outcome
}

#[test]
fn a_csv_file_gives_delimiter_types_and_key() {
    let outcome = drafted(
        b"Export of M\xfcller\n\nNo;Buchungstag;Betr\xe4ge EUR;Text;Open\n\
          007;31.01.2024;1.234,50;tram;true\n008;01.02.2024;-2,00;;false\n",
        &[
            "encoding = \"windows-1252\"",
            "delimiter = \";\"",
            "find_header = true",
            "stream = \"test-{no}\"",
            "keys = [[\"no\"]]",
            "time = \"buchungstag\"",
            "no = { path = \"No\", required = true }",
            "buchungstag = { path = \"Buchungstag\", type = \"date\", format = \"%d.%m.%Y\", required",
            "betraege_eur = { path = \"Betr\u{e4}ge EUR\", type = \"decimal\", decimal_separator = \",\", \
             group_separator = \".\", required = true }",
            "text = { path = \"Text\" }",
            "open = { path = \"Open\", type = \"boolean\"",
        ],
    );
    assert!(outcome.data(0).contains("\"betraege_eur\":\"1234.50\""), "{}", outcome.data(0));
}

#[test]
fn records_without_a_key_are_counted() {
    let file =
        b"date;text;amount\n01.03.2026;tram;-2,50\n01.03.2026;tram;-2,50\n02.03.2026;;-7,00\n";
    let outcome = drafted(
        file,
        &["stream = \"test\"", "kinds = [[\"date\", \"text?\", \"amount\"]]", "time = \"date\""],
    );
    assert_eq!(outcome.drafts.len(), 3);
    assert_ne!(outcome.drafts[0].id, outcome.drafts[1].id);
}

#[test]
fn lines_and_arrays_give_pointers() {
    let lines = b"{\"id\":\"a/1\",\"who\":{\"name\":\"x\",\"index\":3},\"at\":1589355606100,\"items\":[1]}\n\
                  {\"id\":\"a/2\",\"who\":{\"name\":\"x\"},\"at\":1589355606101,\"items\":null,\"p\":1.5}\n";
    let expected = [
        "keys = [[\"id\"]]",
        "name = { path = \"/who/name\", required = true }",
        "who_index = { path = \"/who/index\", type = \"integer\" }",
        "at = { path = \"/at\", type = \"datetime\", format = \"epoch_ms\", required = true }",
        "items = { path = \"/items\", type = \"json\" }",
        "p = { path = \"/p\", type = \"decimal\" }",
    ];
    assert_eq!(drafted(lines, &expected).drafts.len(), 2);
    let text = std::str::from_utf8(lines).unwrap();
    let array = format!("[{}]", text.trim_end().replace('\n', ","));
    assert_eq!(drafted(array.as_bytes(), &expected).drafts.len(), 2);
}

#[test]
fn the_repeated_element_of_xml_is_the_record() {
    let file = b"<p:Doc xmlns:p='urn:x'><Head><Made>2024-01-31</Made></Head>\n<List no='7'><Day>2024-01-31</Day>\
                 <Row id='a'><Amt Ccy='EUR'>1.50</Amt><Who><Name>x</Name></Who></Row>\
                 <Row id='b'><Amt Ccy='EUR'>2.50</Amt></Row></List></p:Doc>";
    let outcome = drafted(
        file,
        &[
            "group = \"List\"",
            "record = \"List/Row\"",
            "id = { path = \"@id\", required = true }",
            "ccy = { path = \"Amt/@Ccy\", required = true }",
            "amt = { path = \"Amt\", type = \"decimal\", required = true }",
            "name = { path = \"Who/Name\" }",
            "no = { path = \"group:@no\"",
            "day = { path = \"group:Day\", type = \"date\"",
        ],
    );
    assert_eq!(outcome.drafts.len(), 2);
    let statement = include_bytes!("../fixtures/camt.053.001.08.xml");
    assert!(draft_mapping("camt", statement).is_ok());
}

#[test]
fn what_gives_no_draft_says_why() {
    for (file, sentence) in [
        (&b""[..], "is empty"),
        (b"just text\nand more\n", "no delimiter"),
        (b"[1,2]", "no line or element"),
        (b"OFXHEADER:100\n<OFX>", "built-in mapping ofx"),
        (b"{1:F01}{4:\n:20:X\n:25:Y\n", "built-in mapping mt940"),
        (b"<a/>", "no element has"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "'klingon'"),
    ] {
        let error = draft_mapping("x", file).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

/// No name of XML has such characters, and no string of TOML as they are.
#[test]
fn names_with_control_characters_and_backslashes_are_mistakes_of_the_file() {
    for name in ["Ntry\0", "a\u{7f}b", "a\\q"] {
        let file =
            format!("<all><{name}><v>1</v></{name}><{name}><v>2</v></{name}><e><v>1</v></e></all>");
        let draft = draft_mapping("x", file.as_bytes()).unwrap();
        assert!(Mapping::parse(&draft).is_ok(), "{draft}");
        assert!(draft.contains("record = \"all/e\""), "{draft}");
    }
}
