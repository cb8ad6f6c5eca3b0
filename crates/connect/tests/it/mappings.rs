//! Each mistake in a mapping is reported with its key.

use leftfold_connect::Mapping;

const GOOD: &str = r#"
name = "m"
format = "xml"
stream = "s-{a}"
data = ["a"]
[event]
type = "T"
time = "t"
[id]
keys = [["a"]]
[xml]
record = "list/row"
[field.a]
path = "a"
[field.t]
path = "t"
type = "date"
"#;

#[test]
fn the_base_mapping_of_these_tests_parses() {
    Mapping::parse(GOOD).unwrap();
}

#[test]
fn each_mistake_in_a_mapping_is_reported_with_its_key() {
    for (from, to, sentences) in [
        ("path = \"a\"", "pth = \"a\"", &["line 14", "unknown field `pth`", "`path`"][..]),
        ("path = \"a\"", "path = 7", &["a string or a list of strings"]),
        ("type = \"date\"", "type = \"dat\"", &["unknown variant `dat`", "date_or_datetime"]),
        ("format = \"xml\"", "format = \"yaml\"", &["unknown variant", "`ndjson`"]),
        ("name = \"m\"", "name = \"\"", &["name: is empty"]),
        ("s-{a}", "s-{b}", &["stream: there is no field 'b'; the fields are a, index, part, t"]),
        ("s-{a}", "s-{a", &["stream: ", "without its other half"]),
        ("data = [\"a\"]", "data = [\"a as b\", \"t as b\"]", &["data: 'b' occurs twice"]),
        ("data = [\"a\"]", "data = [\"x\"]", &["data: there is no field 'x'"]),
        (
            "data = [\"a\"]",
            "data = []\nzone = \"Nowhere\"",
            &["zone: 'Nowhere' is not a time zone"],
        ),
        (
            "data = [\"a\"]",
            "data = []\nencoding = \"latin1\"",
            &["encoding: ", "names its encoding itself"],
        ),
        (
            "data = [\"a\"]",
            "data = []\nmax_record_bytes = 0",
            &["max_record_bytes: must be between"],
        ),
        ("time = \"t\"", "time = \"a\"", &["event.time: 'a' needs type"]),
        ("time = \"t\"", "time = []", &["event.time: needs at least one"]),
        ("type = \"T\"", "type_field = \"a\"", &["event: needs either type"]),
        ("keys = [[\"a\"]]", "keys = [[\"a?\"]]", &["id.keys: ", "without '?'"]),
        ("keys = [[\"a\"]]", "keys = []", &["id: needs either keys"]),
        ("keys = [[\"a\"]]", "kinds = [[]]", &["id.kinds: needs at least one key"]),
        ("keys = [[\"a\"]]", "keys = [[\"a\"]]\ncorrected = \"C\"", &["id.corrected: needs kinds"]),
        ("path = \"a\"", "path = \"a\"\nabsent = \"(\"", &["field.a.absent: is not a regular"]),
        ("path = \"a\"", "path = \"a\"\nextract = \"a\"", &["field.a.extract: needs one group"]),
        ("path = \"a\"", "path = \"a\"\nextract = \"(\"", &["field.a.extract: is not a regular"]),
        (
            "path = \"a\"",
            "value = \"x\"\nextract = \"(a)\"",
            &["field.a.extract: ", "it needs path"],
        ),
        ("list/row", "list//row", &["xml.record: 'list//row' is not a path"]),
        (
            "record = \"list/row\"",
            "record = \"row\"\ngroup = \"list\"",
            &["xml.record: must begin with"],
        ),
        (
            "record = \"list/row\"",
            "record = \"l\"\ngroup = \"l\"",
            &["xml.record: must lead deeper"],
        ),
        ("[xml]\nrecord = \"list/row\"", "", &["xml: is missing"]),
        ("[xml]", "[csv]\n[xml]", &["csv: this section belongs to another format"]),
        ("path = \"a\"", "path = \"group:a\"", &["field.a.path: 'group:a' needs xml.group"]),
        ("path = \"a\"", "path = \"part:a\"", &["field.a.path: 'part:a' needs xml.split.path"]),
        ("path = \"a\"", "path = \"ns:a\"", &["'ns:' is not a scope", "prefixes are left out"]),
        ("path = \"a\"", "path = \"a\"\nvalue = \"x\"", &["field.a: needs exactly one source"]),
        ("path = \"a\"", "required = true", &["field.a: needs exactly one source"]),
        ("path = \"a\"", "value = \"{a}\"", &["field.a: is made of itself"]),
        ("path = \"a\"", "value = \"{q}\"", &["field.a.value: there is no field 'q'"]),
        ("path = \"a\"", "by = \"t\"\nvalues = { x = \"{q}\" }", &["field.a.values: there is no"]),
        ("path = \"a\"", "path = \"a\"\npattern = \"(\"", &["field.a.pattern: is not a regular"]),
        (
            "path = \"a\"",
            "path = \"a\"\nmax_scale = 2",
            &["field.a.max_scale: needs type = decimal"],
        ),
        ("path = \"a\"", "path = \"a\"\nformat = \"%Y\"", &["field.a.format: needs type = date"]),
        ("path = \"a\"", "path = \"a\"\nmin_length = 2\nmax_length = 1", &["field.a.min_length: "]),
        (
            "[field.a]",
            "[field.index]\npath = \"x\"\n[field.a]",
            &["field.index: this name is reserved"],
        ),
        (
            "[field.a]",
            "[field.A]\npath = \"x\"\n[field.a]",
            &["field.A: a field's name is made of"],
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = Mapping::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        for sentence in sentences {
            assert!(error.contains(sentence), "{to}\ngives: {error}\nnot: {sentence}");
        }
    }
}

#[test]
fn wrong_time_formats_are_errors_of_the_mapping() {
    for (format, sentence) in [
        ("\"%d.%m.%Y %J\"", "field.t.format: '%d.%m.%Y %J' is not a format"),
        ("\"%d.%m\"", "field.t.format: '%d.%m' does not give a day"),
        ("\"epoch_ms\"", "field.t.format: 'epoch_ms' needs type = datetime"),
        ("[\"%Y-%m-%d\", \"%d\"]", "field.t.format: '%d' does not give a day"),
        ("[]", "field.t.format: needs at least one format"),
    ] {
        let error = Mapping::parse(&format!("{GOOD}format = {format}\n")).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn an_error_of_the_syntax_is_said_once() {
    let error = Mapping::parse("name = ").unwrap_err();
    assert!(std::error::Error::source(&error).is_none(), "a chain would print it again");
    assert_eq!(error.to_string().matches("TOML parse error").count(), 1);
}

#[test]
fn formats_check_their_own_keys() {
    let ndjson = GOOD.replace("xml\"", "ndjson\"").replace("[xml]\nrecord = \"list/row\"", "");
    let error = Mapping::parse(&ndjson).unwrap_err().to_string();
    assert!(error.contains("field.a.path: 'a' must be a JSON pointer"), "{error}");
    let csv = ndjson.replace("ndjson", "csv");
    Mapping::parse(&csv).unwrap();
    for (section, sentence) in [
        ("[csv]\ndelimiter = \"ü\"", "csv.delimiter: must be one ASCII character"),
        ("[csv]\ndelimiter = '\"'", "csv.quote: must differ"),
        ("[csv]\ncolumns = [\"t\"]", "field.a.path: there is no column a; the columns are t"),
        ("[field.b]\npath = \"b\"\njoin = \",\"", "field.b.join: joins repeated XML elements"),
    ] {
        let error = Mapping::parse(&format!("{csv}\n{section}")).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn every_builtin_mapping_parses() {
    for name in Mapping::builtin_names() {
        // The earlier mapping gives the ids of its time.
        let own = name.trim_end_matches("-by-reference");
        assert_eq!(Mapping::builtin(name).unwrap().name(), own);
        assert!(Mapping::parse(Mapping::builtin_source(name).unwrap()).is_ok());
    }
    assert!(Mapping::builtin("mt999").is_none());
}

#[test]
fn the_reports_of_a_bank_differ_only_in_their_elements() {
    let source = |name: &str| Mapping::builtin_source(name).unwrap().to_owned();
    // The first lines describe the format; notifications have no balances.
    let body = |text: String| {
        let (_, body) = text.split_once("\nformat").unwrap();
        let Some((before, balance)) = body.split_once("[balance]") else { return body.to_owned() };
        let (_, after) = balance.split_once("# The statement.").unwrap();
        before.to_owned() + "# The statement." + after
    };
    for (name, document, group) in
        [("camt.052", "BkToCstmrAcctRpt", "Rpt"), ("camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn")]
    {
        let expected = source("camt.053")
            .replace("BkToCstmrStmt", document)
            .replace("StmtPgntn", &format!("{group}Pgntn"))
            .replace("Stmt/Ntry", &format!("{group}/Ntry"))
            .replace("\"Stmt\"", &format!("\"{group}\""));
        // What is booked is said again by the statement, so only that says EntryBooked.
        let booked = if name == "camt.052" { "EntryReported" } else { "EntryNotified" };
        let expected = expected.replace(
            "types = { BOOK = \"EntryBooked\"",
            &format!(
                "# What is booked comes again in the statement of the day, camt.053: EntryBooked is its word alone, so that no money\n# is counted twice.\ntypes = {{ BOOK = \"{booked}\""
            ),
        );
        let closing = if name == "camt.052" { "[\"CLBD\", \"ITBD\"]" } else { "[\"CLBD\"]" };
        assert!(name == "camt.054" || source(name).contains(closing));
        assert_eq!(body(source(name)), body(expected), "{name}");
    }
}
