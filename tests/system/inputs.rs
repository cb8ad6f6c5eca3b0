//! The inputs of an ingest, its rejects file, its trials, and the commands around mappings.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::binary::{command, run, stderr, stdout, stdout_of_input};

const ROWS: &str = r#"
name = "rows"
format = "csv"
stream = "s"
data = ["n", "amount"]
event = { type = "Row", time = "day" }
id = { keys = [["n"]] }
[field]
n = { path = "n", required = true }
day = { path = "day", type = "date" }
amount = { path = "amount", type = "decimal" }
"#;

fn rows(numbers: &[u32]) -> String {
    let rows = numbers.iter().map(|n| format!("{n},2026-01-31,{n}.50\n"));
    format!("n,day,amount\n{}", rows.collect::<String>())
}

/// Writes the mapping and returns its path.
fn mapping(dir: &Path) -> String {
    let path = dir.join("rows.toml");
    fs::write(&path, ROWS).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The numbers of the rows in a store, in its order.
fn numbers(data: &Path) -> Vec<String> {
    let lines = stdout(data, &["read"]);
    let number = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["data"]["n"].as_str().unwrap().to_owned()
    };
    lines.lines().map(number).collect()
}

/// The objects that a command prints into a pipe, one a line.
fn json_lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// New, repeated and refused records of an ingest, by its last line.
fn sum(printed: &str) -> [u64; 3] {
    let lines = json_lines(printed);
    let last = lines.last().unwrap();
    assert!(last["file"].is_null(), "{last}");
    ["ingested", "repeated", "rejected"].map(|name| last[name].as_u64().unwrap())
}

/// As `read` and the others: sentences for people, an object a line for programs.
#[test]
fn an_ingest_prints_json_into_a_pipe_and_sentences_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (data, map) = (dir.path().join("data"), mapping(dir.path()));
    let file = dir.path().join("a.csv").to_str().unwrap().to_owned();
    fs::write(&file, rows(&[1, 2])).unwrap();
    let args = ["ingest", &file, "--map", &map];
    let piped = stdout(&data, &args);
    let expected = serde_json::json!({
        "file": file, "complete": true, "skipped": 0, "ingested": 2, "repeated": 0, "kept": 0,
        "rejected": 0, "corrected": 0, "warnings": 0, "balances_held": 0, "balances_mismatched": 0,
        "balances_unchecked": 0,
    });
    assert_eq!((&json_lines(&piped)[0], sum(&piped)), (&expected, [2, 0, 0]));
    let named = stdout(&data, &[&args[..], &["-o", "json"]].concat());
    assert_eq!((json_lines(&named).len(), sum(&named)), (2, [0, 2, 0]));
    let quiet = stdout(&data, &[&args[..], &["-q"]].concat());
    assert_eq!((json_lines(&quiet).len(), sum(&quiet)), (1, [0, 2, 0]));
    let words = stdout(&data, &[&args[..], &["-o", "table"]].concat());
    let line = format!("{file}: 0 ingested, 2 repeated, 0 rejected\n");
    assert_eq!(words, line + "ingested=0 repeated=2 rejected=0\n");
    let help = stdout(&data, &["help", "ingest"]);
    assert!(help.contains("sentences on a terminal and JSON in a\npipe"), "{help}");
}

#[test]
fn a_mapping_that_changed_under_its_version_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, map) = (dir.path().join("data"), mapping(dir.path()));
    let file = dir.path().join("a.csv").to_str().unwrap().to_owned();
    fs::write(&file, rows(&[1])).unwrap();
    let args = ["ingest", &file, "--map", &map];
    let warning = || {
        let output = run(&data, &args);
        let warnings = String::from_utf8(output.stderr).unwrap();
        warnings.lines().filter(|line| line.starts_with("warning: ")).collect::<String>()
    };
    assert_eq!([warning(), warning()], ["", ""]);
    fs::write(&map, format!("{ROWS}# other")).unwrap();
    let words = warning();
    assert!(words.contains("the text of mapping rows has changed since"), "{words}");
    assert!(words.contains("give it version = 2"), "{words}");
    assert_eq!(warning(), "");
    let second = ROWS.replace("name = ", "version = 2\nchanged.records = \"keep\"\nname = ");
    fs::write(&map, second.replace("\"amount\"]", "\"amount\", \"day\"]")).unwrap();
    assert_eq!(warning(), "");
    let printed = stdout(&data, &args);
    assert_eq!(json_lines(&printed).last().unwrap()["kept"], 1);
    let words = stdout(&data, &[&args[..], &["-o", "table"]].concat());
    assert!(words.contains("1 of the repeated stay as an older version of the mapping"), "{words}");
    assert!(words.ends_with("ingested=0 repeated=1 rejected=0 kept=1\n"), "{words}");
    let ledger = json_lines(&stdout(&data, &["ingest", "log"]));
    let versions: Vec<_> = ledger.iter().map(|entry| entry["mapping_version"].as_u64()).collect();
    assert_eq!(versions, [1, 1, 1, 1, 2, 2, 2].map(Some));
    assert_ne!(ledger[0]["mapping_sha256"], ledger[2]["mapping_sha256"]);
    let table = command(&data, &["ingest", "log", "-o", "table"]).env("COLUMNS", "300").output();
    let table = String::from_utf8(table.unwrap().stdout).unwrap();
    assert!(table.contains("rows (version 2)"), "{table}");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn zip(path: &Path, members: &[(&str, &[u8])]) {
    let mut out = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in members {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap();
}

#[test]
fn folders_patterns_and_archives_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (data, files) = (dir.path().join("data"), dir.path().join("in"));
    fs::create_dir_all(files.join("b")).unwrap();
    fs::write(files.join("b/later.csv"), rows(&[3])).unwrap();
    fs::write(files.join("a.csv.gz"), gzip(&rows(&[1]))).unwrap();
    fs::write(files.join(".hidden"), "not a file to be read").unwrap();
    // The content decides, not the name; a file may have several parts.
    let parts = [gzip("n,day,amount\n2,2026-01-31,"), gzip("2.50\n")].concat();
    fs::write(files.join("b/a.csv"), parts).unwrap();
    fs::write(dir.path().join("z.zst"), zstd::encode_all(rows(&[4]).as_bytes(), 1).unwrap())
        .unwrap();
    let archive = dir.path().join("more.zip");
    zip(
        &archive,
        &[("y.csv", rows(&[6]).as_bytes()), ("x/x.csv.gz", &gzip(&rows(&[5]))), ("x/", b"")],
    );
    let pattern = dir.path().join("*.zst");
    let args = [
        "ingest",
        files.to_str().unwrap(),
        pattern.to_str().unwrap(),
        archive.to_str().unwrap(),
        "--map",
        &mapping(dir.path()),
    ];
    let printed = stdout(&data, &args);
    assert_eq!(numbers(&data), ["1", "2", "3", "4", "5", "6"]);
    let lines = json_lines(&printed);
    let names: Vec<_> = lines.iter().filter_map(|line| line["file"].as_str()).collect();
    assert_eq!((names.len(), lines.len()), (6, 7), "a line for each input, and the sum");
    assert!(names[4].ends_with("more.zip!x/x.csv.gz") && lines[4]["ingested"] == 1, "{printed}");
    let member = format!("{}!y.csv", archive.display());
    let printed = stdout(&data, &["ingest", &member, "--map", &mapping(dir.path())]);
    assert_eq!(sum(&printed), [0, 1, 0], "{printed}");
}

#[test]
fn standard_input_is_read_and_may_be_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let map = mapping(dir.path());
    let printed = stdout_of_input(&data, &["ingest", "-", "--map", &map], &rows(&[1, 2]));
    assert_eq!((sum(&printed), &json_lines(&printed)[0]["file"]), ([2, 0, 0], &"-".into()));
    let mut child = command(&data, &["ingest", "-", "--map", &map])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&gzip(&rows(&[2, 3]))).unwrap();
    let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(sum(&printed), [1, 1, 0], "{printed}");
}

#[test]
fn an_unreadable_input_does_not_end_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let data = dir.path().join("data");
    fs::write(path("good.csv"), rows(&[1])).unwrap();
    fs::write(path("cut.gz"), &gzip(&rows(&[2, 3]))[..20]).unwrap();
    fs::write(path("bad.zip"), b"PK\x03\x04 is not an archive").unwrap();
    fs::create_dir(path("empty")).unwrap();
    let inputs = ["gone.csv", "cut.gz", "bad.zip", "empty", "*.none", "good.csv"].map(path);
    let mut args = vec!["ingest", "--map"];
    let map = mapping(dir.path());
    args.push(&map);
    args.extend(inputs.iter().map(String::as_str));
    let output = run(&data, &args);
    let (printed, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(sum(&printed), [1, 0, 0], "{printed}");
    for words in [
        "gone.csv: No such file",
        "cut.gz: ",
        "bad.zip: the zip archive cannot be read",
        "empty: the folder has no files",
        "*.none: no file matches",
    ] {
        assert!(errors.contains(words), "{words} is not in {errors}");
    }
    assert_eq!(numbers(&data), ["1"]);
    // Without any input no store is made.
    let none = dir.path().join("none");
    stderr(&none, &["ingest", "--map", &map, &inputs[0]]);
    assert!(!none.exists());
}

#[test]
fn rejects_are_not_overwritten_and_may_be_limited() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, map, rejects) =
        (dir.path().join("data"), mapping(dir.path()), path("rejects.ndjson"));
    fs::write(path("bad.csv"), format!("{}x,y,z\nx,y,z\n", rows(&[1]))).unwrap();
    let bad = path("bad.csv");
    let args = ["ingest", &bad, "--map", &map, "--rejects", &rejects];
    assert_eq!(run(&data, &args).status.code(), Some(3));
    let refused = stderr(&data, &args);
    assert!(
        refused.contains("has rejects already") && refused.contains("--append-rejects"),
        "{refused}"
    );
    let again = [&args[..], &["--append-rejects"]].concat();
    assert_eq!(run(&data, &again).status.code(), Some(3));
    assert_eq!(fs::read_to_string(&rejects).unwrap().lines().count(), 4);
    let limited = [&again[..], &["--max-rejects", "1"]].concat();
    let stopped = stderr(&data, &limited);
    assert!(stopped.contains("more than 1 records were rejected"), "{stopped}");
    assert_eq!(run(&data, &[&again[..], &["--max-rejects", "2"]].concat()).status.code(), Some(3));
}

#[test]
fn a_trial_counts_sums_and_shows_without_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, map, file) = (dir.path().join("data"), mapping(dir.path()), path("some.csv"));
    fs::write(&file, format!("{}5,2026-01-31,x\n", rows(&[1, 2]))).unwrap();
    for args in
        [["ingest", &file, "--dry-run", "--map", &map], ["mapping", "check", &map, &file, "-q"]]
    {
        let output = command(&data, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&found["records"], &found["rejected"]), (&2.into(), &1.into()));
        assert_eq!((&found["sums"]["amount"], &found["types"]["Row"]), (&"4.00".into(), &2.into()));
        assert_eq!(found["samples"][1]["data"]["n"], "2");
        assert_eq!(found["samples"][0]["event_time"], "2026-01-31T00:00:00Z");
        assert_eq!(
            (&found["rejects"][0]["line"], &found["reasons"]["bad_decimal"]),
            (&4.into(), &1.into())
        );
        assert!(!data.exists());
    }
    let stopped =
        stderr(&data, &["ingest", &file, "--dry-run", "--max-rejects", "0", "--map", &map]);
    assert!(stopped.contains("more than 0 records would be rejected"), "{stopped}");
}

#[test]
fn mappings_are_listed_shown_checked_and_drafted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, file, draft) = (dir.path().join("data"), path("orders.csv"), path("orders.toml"));
    let listed = stdout(&data, &["mapping", "list"]);
    assert!(listed.contains("{\"name\":\"camt.053\"}\n"), "{listed}");
    assert!(
        listed.contains("{\"name\":\"mt940\"}\n{\"name\":\"mt942\"}\n{\"name\":\"ofx\"}\n"),
        "{listed}"
    );
    assert!(stdout(&data, &["mapping", "show", "camt.053"]).contains("[balance]"));
    let refused = stderr(&data, &["mapping", "show", "mt999"]);
    assert!(refused.contains("no built-in mapping mt999; there are camt.05"), "{refused}");
    fs::write(&file, gzip(&rows(&[1, 2]))).unwrap();
    let text = stdout(&data, &["mapping", "new", &file]);
    assert!(text.contains("stream = \"orders-{n}\""), "{text}");
    fs::write(&draft, text).unwrap();
    assert!(stdout(&data, &["mapping", "check", &draft]).contains("is a mapping named orders"));
    stdout(&data, &["mapping", "check", &draft, &file]);
    stdout(&data, &["ingest", &file, "--map", &draft]);
    assert_eq!(stdout(&data, &["read"]).lines().count(), 2);
    fs::write(&draft, "name = ").unwrap();
    let refused = stderr(&data, &["mapping", "check", &draft]);
    assert_eq!(refused.matches("TOML parse error").count(), 1, "{refused}");
}

#[test]
fn rejected_records_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, map, rejects) =
        (dir.path().join("data"), mapping(dir.path()), path("rejects.ndjson"));
    fs::write(path("a.csv"), format!("{}2,2026-01-31,x\n3,2026-01-31,y\n", rows(&[1]))).unwrap();
    fs::write(path("b.csv"), "amount,n,day\nz,4,2026-01-31\n").unwrap();
    let (a, b) = (path("a.csv"), path("b.csv"));
    let args = ["ingest", &a, &b, "--map", &map, "--rejects", &rejects];
    assert_eq!(run(&data, &args).status.code(), Some(3));
    let repaired = fs::read_to_string(&rejects).unwrap();
    let repaired = repaired.replace(",x\"", ",2.50\"").replace("\"z,4", "\"4.50,4");
    fs::write(&rejects, repaired).unwrap();
    let left = path("left.ndjson");
    let again = ["ingest", &rejects, "--from-rejects", "--map", &map, "--rejects", &left];
    let output = run(&data, &again);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(sum(&printed), [2, 0, 1], "{printed}");
    assert_eq!(numbers(&data), ["1", "2", "4"]);
    let left: Value = serde_json::from_str(&fs::read_to_string(&left).unwrap()).unwrap();
    assert_eq!((&left["line"], &left["record"]), (&2.into(), &"3,2026-01-31,y".into()));
    // A record of XML lacks its statement, and a cut one lacks its end.
    let refused = stderr(&data, &["ingest", &rejects, "--from-rejects", "--map", "camt.053"]);
    assert!(refused.contains("records of XML need what is around them"), "{refused}");
    fs::write(&rejects, "{\"file\":\"a.csv\",\"line\":7,\"record\":\"x... [cut]\"}\n").unwrap();
    let refused = stderr(&data, &["ingest", &rejects, "--from-rejects", "--map", &map]);
    assert!(refused.contains("line 1 has no whole record"), "{refused}");
    fs::write(&rejects, "n,day\n").unwrap();
    let refused = stderr(&data, &["ingest", &rejects, "--from-rejects", "--map", &map]);
    assert!(refused.contains("line 1 is not one of a rejects file"), "{refused}");
}
