//! Exports and imports.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::binary::{binary, command, run, serve, stderr, stdout, stdout_of_input};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn has_code(refused: &str, code: &str) -> bool {
    refused.starts_with(&format!("error[{code}]"))
}

/// Makes a store whose events need every form of a line.
fn shop(data: &Path) {
    for (data_text, more) in [
        ("{\"a\":1}", &["--metadata", "{\"by\":1}", "--tag", "a=b=c"][..]),
        ("{\n  \"a\": 1\n}", &["--metadata", "\"7\"", "--event-time", "2026-03-01"]),
        ("{\"base64\":\"AAAA\"}", &["--metadata", "{\"base64\":\"AAAA\"}"]),
        ("null", &["--metadata", "null", "--causation", "x"]),
        (" 7", &["--metadata", "a note", "--correlation", "c"]),
        ("text", &["--metadata", " [1]"]),
        ("", &[]),
        ("{broken", &["--raw"]),
    ] {
        stdout(data, &[&["append", "a-1", "T", data_text][..], more].concat());
    }
    let bytes = r#"{"stream":"a-1","type":"B","content_type":"x/y","data":{"base64":"/wA="},"metadata":{"base64":"/wE="},"schema_version":3}"#;
    let empty = r#"{"stream":"a-1","type":"E"}"#;
    stdout_of_input(data, &["append", "--from", "-"], &format!("{bytes}\n{empty}\n"));
}

#[test]
fn what_is_exported_and_imported_reads_the_same_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let [data, copy, again] = ["data", "copy", "again"].map(|name| dir.path().join(name));
    shop(&data);
    stdout(&data, &["append", "b-1", "T", "1", "T", "2"]);
    stdout(&data, &["index", "define", "tagged", "tag:a=b=c"]);
    stdout(&data, &["retention", "set", "b-1", "--max-count", "1"]);
    stdout(&data, &["append", "c-1", "T", "1"]);
    stdout(&data, &["delete", "c-1"]);

    let mut export = command(&data, &["export"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut import = Command::new(binary());
    import.arg("--data").arg(&copy).args(["import", "-"]);
    let imported = import.stdin(export.stdout.take().unwrap()).output().unwrap();
    assert!(export.wait().unwrap().success() && imported.status.success(), "{imported:?}");
    let report = &lines(&String::from_utf8(imported.stdout).unwrap())[0];
    let expected = json!({
        "imported": 10 + 1 + 3, "repeated": 0, "holes": 2, "left_out": {}, "commit_times": "kept",
    });
    assert_eq!(*report, expected);

    let positions = |text: &str| {
        let mut found = lines(text);
        for line in &mut found {
            line.as_object_mut().unwrap().remove("position");
        }
        found
    };
    let (original, exported) = (stdout(&data, &["export"]), stdout(&copy, &["export"]));
    assert_eq!(positions(&exported), positions(&original));
    let raw = |data: &Path| run(data, &["read", "-o", "raw"]).stdout;
    assert_eq!(raw(&copy), raw(&data));
    assert_eq!(lines(&stdout(&copy, &["read", "index:tagged"])).len(), 1);
    stdout(&copy, &["verify"]);

    let report = lines(&stdout_of_input(&copy, &["import", "-"], &original)).remove(0);
    assert_eq!((&report["imported"], &report["repeated"]), (&json!(0), &json!(14)));
    let table = stdout_of_input(&again, &["import", "-", "-o", "table"], &original);
    assert!(
        table.starts_with("14 events imported, 0 repeated; commit times are kept\n"),
        "{table}"
    );
    // A part, into a store with events.
    let part = stdout(&data, &["export", "category:a"]);
    stdout(dir.path().join("own").as_path(), &["append", "d-1", "T", "1"]);
    let into = |text: &str| {
        lines(&stdout_of_input(&dir.path().join("own"), &["import", "-"], text)).remove(0)
    };
    let report = into(&part);
    assert_eq!((&report["imported"], &report["commit_times"]), (&json!(10), &json!("new")));
    let report = into(&original);
    assert_eq!(report["left_out"], json!({"$index": 1, "$stream": 2}));
    assert_eq!((&report["imported"], &report["repeated"]), (&json!(1), &json!(10)));
}

#[test]
fn a_server_takes_an_import_without_holes() {
    let dir = tempfile::tempdir().unwrap();
    let [data, served] = ["data", "served"].map(|name| dir.path().join(name));
    shop(&data);
    let (_server, address) = serve(&served, "127.0.0.1:0");
    let url = format!("http://{address}");
    let import = ["--server", &url, "import", "-"];
    let exported = stdout(&data, &["export"]);
    let report = lines(&stdout_of_input(&served, &import, &exported)).remove(0);
    assert_eq!((&report["imported"], &report["repeated"]), (&json!(10), &json!(0)));
    let report = lines(&stdout_of_input(&served, &import, &exported)).remove(0);
    assert_eq!((&report["imported"], &report["repeated"]), (&json!(0), &json!(10)));
    let kept = |text: &str| {
        let mut found = lines(text);
        for line in &mut found {
            for field in ["position", "commit_time", "event_time_given"] {
                line.as_object_mut().unwrap().remove(field);
            }
        }
        found
    };
    let from_server = stdout(&served, &["--server", &url, "export"]);
    assert_eq!(kept(&from_server), kept(&exported));

    stdout(&data, &["retention", "set", "a-1", "--max-count", "3"]);
    stdout(&data, &["append", "b-1", "T", "1", "T", "2"]);
    let file = dir.path().join("holes.ndjson");
    let refused = |query: &str, edit: &dyn Fn(String) -> String| {
        std::fs::write(&file, edit(stdout(&data, &["export", query]))).unwrap();
        stderr(&served, &["--server", &url, "import", file.to_str().unwrap()])
    };
    let second = |text: String| format!("{}\n", text.lines().nth(1).unwrap());
    let holes = refused("stream:b-1", &second);
    assert!(has_code(&holes, "import_needs_files") && holes.contains("--data"), "{holes}");
    stdout(&served, &["--server", &url, "append", "b-1", "Other", "1"]);
    let end = |stream: &str| {
        let end = format!("{{\"position\":9,\"stream\":\"{stream}\",\"last_version\":3}}\n");
        std::fs::write(&file, end).unwrap();
        run(&served, &["--server", &url, "import", file.to_str().unwrap()])
    };
    assert!(end("leftfold.reactor-x").status.success());
    let holes = String::from_utf8(end("e-1").stderr).unwrap();
    assert!(has_code(&holes, "import_needs_files") && holes.contains("up to 3"), "{holes}");
    let conflict = refused("stream:b-1", &|text| text);
    assert!(has_code(&conflict, "import_conflict"), "{conflict}");
}

#[test]
fn a_line_that_can_not_be_imported_is_named_and_what_came_before_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.ndjson");
    let line = |position: u64, version: u64| {
        format!(
            r#"{{"position":{position},"stream":"a-1","version":{version},"id":"00000000-0000-0000-0000-00000000000{position}","type":"T","event_time":"2026-03-01T00:00:00Z","commit_time":"2026-03-01T00:00:00Z","data":1}}"#
        )
    };
    for (number, (bad, code, why)) in [
        ("{".to_owned(), "data_invalid", "EOF"),
        (r#"{"stream":"a-1","type":"T"}"#.to_owned(), "data_invalid", "a position"),
        (line(3, 2).replace("2026-03-01T", "2026-03-41T"), "time_invalid", "not a time"),
        (
            line(3, 2).replace("\"commit_time\":\"2026", "\"commit_time\":\"x"),
            "time_invalid",
            "x-03",
        ),
        (line(3, 2).replace("2026-03-01T", "2025-03-01T"), "import_invalid", "commit time"),
        (line(3, 1), "import_invalid", "version 1 of stream a-1"),
        (line(2, 1), "import_invalid", "position 2"),
        (line(9, 9), "import_invalid", "version 9"),
        (r#"{"position":1,"stream":"a-1","last_version":0}"#.to_owned(), "import_invalid", "a-1"),
    ]
    .into_iter()
    .enumerate()
    {
        let data = dir.path().join(number.to_string());
        std::fs::write(&file, format!("{}\n{}\n\n{bad}\n", line(1, 0), line(2, 1))).unwrap();
        let refused = stderr(&data, &["import", file.to_str().unwrap()]);
        assert!(has_code(&refused, code), "{bad}: {refused}");
        for words in ["line 4", why, "after 2 imported"] {
            assert!(refused.contains(words), "{bad}: {refused}");
        }
        assert_eq!(lines(&stdout(&data, &["read"])).len(), 2);
    }
    let refused = stderr(&dir.path().join("none"), &["import", "nowhere.ndjson"]);
    assert!(refused.contains("nowhere.ndjson"), "{refused}");
    assert!(!dir.path().join("none").exists());
}
