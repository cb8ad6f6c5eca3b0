//! Exports and imports.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use leftfold::{Append, CheckpointMove, Embedded, EventStore, NewEvent, Options, Query, Read};
use pollster::block_on;
use serde_json::{Value, json};

use crate::binary::{Killed, binary, command, run, serve, stderr, stdout, stdout_of_input};

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
    let digest = report["digest"].clone();
    let expected = json!({
        "imported": 10 + 1 + 3, "repeated": 0, "holes": 2, "left_out": {}, "commit_times": "kept",
        "checkpoints": 0, "checkpoints_left_out": 0, "definitions": 0, "digest": digest, "complete": true,
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
    assert_eq!(lines(&exported).last().unwrap()["digest"], digest);
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
fn a_server_takes_an_import_and_keeps_missing_versions_missing() {
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

    // Missing versions stay missing, in the middle and at the end.
    stdout(&data, &["append", "b-1", "T", "1", "T", "2"]);
    let file = dir.path().join("holes.ndjson");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let import = ["--server", &url, "import", file.to_str().unwrap()];
    let exported = stdout(&data, &["export", "stream:b-1"]);
    write(&format!("{}\n", exported.lines().nth(1).unwrap()));
    for (imported, holes) in [(1, 1), (0, 0)] {
        let report = lines(&stdout(&served, &import)).remove(0);
        let found = (&report["imported"], &report["holes"], &report["complete"]);
        assert_eq!(found, (&json!(imported), &json!(holes), &json!(false)));
    }
    let shown = lines(&stdout(&served, &["--server", &url, "read", "stream:b-1"]));
    assert_eq!((shown.len(), &shown[0]["version"]), (1, &json!(1)));
    write(&exported);
    let conflict = stderr(&served, &import);
    assert!(has_code(&conflict, "import_conflict"), "{conflict}");
    for (stream, holes) in
        [("leftfold.reactor-x", 0), ("leftfold.connector-x", 0), ("e-1", 4), ("e-1", 0)]
    {
        write(&format!("{{\"position\":9,\"stream\":\"{stream}\",\"last_version\":3}}\n"));
        assert_eq!(lines(&stdout(&served, &import))[0]["holes"], json!(holes), "{stream}");
    }
    let appended = stdout(&served, &["--server", &url, "append", "e-1", "T", "1", "-o", "json"]);
    assert!(appended.contains("\"version\":4") || appended.contains("\"first\":4"), "{appended}");
}

/// Makes a store with definitions, a reader, and streams whose events are dropped.
fn store_of_all(data: &Path) {
    shop(data);
    let store = Embedded::open(data, Options::default()).unwrap();
    let to = block_on(store.head()).unwrap();
    let to = CheckpointMove { name: "reader-1".to_owned(), expected: None, to };
    block_on(store.append(Append::new().checkpoint(to))).unwrap();
    drop(store);
    stdout(data, &["append", "b-1", "T", "1", "T", "2"]);
    stdout(data, &["index", "define", "tagged", "tag:a=b=c"]);
    stdout(data, &["retention", "set", "b-1", "--max-count", "1"]);
    stdout(data, &["append", "c-1", "T", "1"]);
    stdout(data, &["delete", "c-1"]);
}

/// Returns the streams and versions that the reader of a checkpoint has not seen.
fn unseen(data: &Path) -> Vec<(String, u64)> {
    let store = Embedded::open(data, Options::default()).unwrap();
    let cursor = block_on(store.checkpoint("reader-1")).unwrap().unwrap();
    let page = block_on(store.read(Read::forward(Query::All).after(cursor))).unwrap();
    page.events.iter().map(|event| (event.stream().to_owned(), event.version())).collect()
}

#[test]
fn a_store_goes_through_a_server_and_back_with_its_definitions_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let [data, served, back] = ["data", "served", "back"].map(|name| dir.path().join(name));
    store_of_all(&data);
    let exported = stdout(&data, &["export"]);
    let digest = |text: &str| lines(text).last().unwrap()["digest"].clone();
    let (server, address) = serve(&served, "127.0.0.1:0");
    let url = format!("http://{address}");
    let report =
        lines(&stdout_of_input(&served, &["-s", &url, "import", "-"], &exported)).remove(0);
    let counts = ["checkpoints", "definitions", "holes"].map(|name| &report[name]);
    assert_eq!(counts, [&json!(1), &json!(3), &json!(2)], "{report}");
    assert_eq!((&report["digest"], &report["complete"]), (&digest(&exported), &json!(true)));
    assert_eq!(lines(&stdout(&served, &["-s", &url, "read", "index:tagged"])).len(), 1);
    stdout(&served, &["-s", &url, "append", "c-1", "T", "3"]);
    let shown = lines(&stdout(&served, &["-s", &url, "read", "stream:b-1,c-1"]));
    let versions: Vec<_> = shown.iter().map(|event| &event["version"]).collect();
    assert_eq!(versions, [&json!(1), &json!(1)]);

    let from_server = stdout(&served, &["-s", &url, "export"]);
    drop(server);
    let report = lines(&stdout_of_input(&back, &["import", "-"], &from_server)).remove(0);
    assert_eq!((&report["digest"], &report["checkpoints"]), (&digest(&from_server), &json!(1)));
    let all = unseen(&back);
    assert_eq!(all, [("b-1".to_owned(), 1), ("c-1".to_owned(), 1)]);
    stdout(&back, &["verify"]);
}

#[test]
fn an_import_over_a_network_that_is_killed_goes_on() {
    const EVENTS: usize = 4_000;
    let dir = tempfile::tempdir().unwrap();
    let [data, served] = ["data", "served"].map(|name| dir.path().join(name));
    let store = Embedded::open(&data, Options::default()).unwrap();
    for first in (0..EVENTS).step_by(500) {
        let append = (first..first + 500).fold(Append::new(), |append, n| {
            append.event(format!("a-{}", n % 100), NewEvent::json("T", n.to_string()))
        });
        block_on(store.append(append)).unwrap();
    }
    drop(store);
    let exported = stdout(&data, &["export"]);
    let (_server, address) = serve(&served, "127.0.0.1:0");
    let url = format!("http://{address}");
    let mut import = command(&served, &["-s", &url, "import", "-"]);
    let mut import = Killed(import.stdin(Stdio::piped()).spawn().unwrap());
    let half = exported.len() / 2;
    let mut input = import.0.stdin.take().unwrap();
    input.write_all(&exported.as_bytes()[..half]).unwrap();
    // The server has a part, the import waits for more.
    let follow = ["-s", &url, "subscribe", "--follow", "-n", "1000"];
    stdout(&served, &follow);
    drop(import);
    drop(input);
    let report =
        lines(&stdout_of_input(&served, &["-s", &url, "import", "-"], &exported)).remove(0);
    let [imported, repeated] = ["imported", "repeated"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(imported + repeated, EVENTS as u64);
    assert!(repeated >= 1_000 && imported > 0, "{report}");
    assert_eq!(report["digest"], lines(&exported).last().unwrap()["digest"]);
    let stored = stdout(&served, &["-s", &url, "export"]);
    assert_eq!(lines(&stored).last().unwrap()["digest"], report["digest"]);
}

#[test]
fn a_file_that_was_changed_or_cut_off_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    shop(&data);
    let exported = stdout(&data, &["export"]);
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, exported.replacen("{\"a\":1}", "{\"a\":2}", 1)).unwrap();
    let import = ["import", file.to_str().unwrap()];
    let refused = stderr(&dir.path().join("changed"), &import);
    assert!(
        has_code(&refused, "import_invalid") && refused.contains("it was changed"),
        "{refused}"
    );
    let cut: String = exported.lines().take(3).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, cut).unwrap();
    let report = lines(&stdout(&dir.path().join("cut"), &import)).remove(0);
    assert_eq!((&report["imported"], &report["complete"]), (&json!(3), &json!(false)));
    let table = stdout(&dir.path().join("table"), &[&import[..], &["-o", "table"]].concat());
    assert!(table.contains("was its export interrupted?"), "{table}");
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
