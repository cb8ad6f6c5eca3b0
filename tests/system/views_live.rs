//! Live queries, and queries as of the past, from the command line.

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::binary::{Killed, command, serve, stderr, stdout, usage_error};
use crate::views::ORDERS;

const SQL: &str = "select id, state from orders";

/// A query that is followed.
struct Follower {
    process: Killed,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(data: &Path, args: &[&str]) -> Self {
        let mut command = command(data, &[&["query", "--live", SQL, "--key", "id"], args].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Killed(command.spawn().unwrap());
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        Follower { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits for its end. Returns the exit code, and what it complained of.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.process.0.wait().unwrap().code(), said)
    }
}

/// A view of orders, which keeps its history, in a file.
fn file(dir: &Path) -> String {
    let path = dir.join("orders.sql");
    let text = ORDERS.replace("-- @query", "-- @history\n-- @query");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_live_query_of_a_server_prints_rows_and_then_changes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("store");
    let (server, address) = serve(&data, "127.0.0.1:0");
    let url = format!("http://{address}");
    let ask = |args: &[&str]| stdout(&data, &[args, &["-s", &url]].concat());
    let first: Value =
        serde_json::from_str(&ask(&["append", "order-1", "OrderPlaced", "{}"])).unwrap();
    ask(&["view", "add", &file(dir.path())]);
    ask(&["query", SQL, "--at-least", first["cursor"].as_str().unwrap()]);

    let mut follower = Follower::start(&data, &["-s", &url]);
    let rows = follower.json();
    assert_eq!((&rows["change"], &rows["rows"]), (&json!("rows"), &json!(1)));
    assert_eq!(rows["columns"], json!(["id", "state"]));
    let row = json!({"change": "row", "row": {"id": "1", "state": "placed"}});
    assert_eq!(follower.json(), row);
    let mut people = Follower::start(&data, &["-s", &url, "-o", "table"]);
    let shown: Vec<_> = (0..3).map(|_| people.line()).collect();
    assert!(shown[1].contains("placed") && shown[2] == "1 rows", "{shown:?}");

    ask(&["append", "order-1", "OrderPaid", "{}"]);
    let (before, after) =
        (json!({"id": "1", "state": "placed"}), json!({"id": "1", "state": "paid"}));
    let changed = json!({"change": "changed", "before": before, "after": after});
    assert_eq!(follower.json(), changed);
    assert_eq!(people.line(), "~ 1 | placed -> 1 | paid");
    ask(&["append", "order-2", "OrderPlaced", "{}"]);
    let added = json!({"change": "added", "row": {"id": "2", "state": "placed"}});
    assert_eq!(follower.json(), added);
    assert_eq!(people.line(), "+ 2 | placed");
    let id = people.process.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(people.lines.next().is_none(), "it has printed each line whole");

    // A server that is gone for a while is asked again.
    drop(server);
    let (_server, _) = serve(&data, &address);
    assert_eq!(follower.json()["rows"], 2);
    follower.line();
    follower.line();
    ask(&["view", "remove", "orders"]);
    let (code, said) = follower.end();
    assert_eq!(code, Some(1));
    assert!(said.starts_with("retrying: ") && said.contains("error[view_removed]"), "{said}");
    let (code, said) = Follower::start(&data, &["-s", &url]).end();
    assert_eq!(code, Some(1));
    assert!(said.starts_with("error[view_unknown]"), "{said}");
}

#[test]
fn a_live_query_of_a_directory_prints_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("store");
    stdout(&data, &["append", "order-1", "OrderPlaced", "{}"]);
    stdout(&data, &["view", "add", &file(dir.path())]);
    let mut follower = Follower::start(&data, &["-o", "json"]);
    let rows = follower.json();
    assert_eq!(rows["rows"], json!([["1", "placed"]]));
    assert!(rows["cursors"]["orders"].is_string(), "{rows}");
}

#[test]
fn a_view_is_asked_as_of_the_past() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("store");
    for event_type in ["OrderPlaced", "OrderPaid"] {
        stdout(&data, &["append", "order-1", event_type, "{}"]);
    }
    let events = stdout(&data, &["read", "stream:order-1"]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    stdout(&data, &["view", "add", &file(dir.path())]);
    let asked = |to: &[&str]| {
        for (event, state) in events.iter().zip(["placed", "paid"]) {
            let (at, time) =
                (event["position"].to_string(), event["commit_time"].as_str().unwrap());
            for moment in [&*at, time] {
                let args = [&["query", SQL, "--as-of", moment], to].concat();
                let expected = format!("{{\"id\":\"1\",\"state\":\"{state}\"}}\n");
                assert_eq!(stdout(&data, &args), expected, "as of {moment} {to:?}");
            }
        }
        let ahead = stderr(&data, &[&["query", SQL, "--as-of", "1000"], to].concat());
        assert!(ahead.starts_with("error[view_query_invalid]"), "{ahead}");
    };
    asked(&[]);
    let (_server, address) = serve(&data, "127.0.0.1:0");
    asked(&["-s", &format!("http://{address}")]);
    for (args, part) in [
        (&["--as-of", "soon"][..], "2026-03-01"),
        (&["--as-of", "1", "--live"], "cannot be used with"),
        (&["--key", "id"], "--live"),
        (&["--live", "-o", "csv"], "--output csv prints one answer"),
    ] {
        let refused = usage_error(&data, &[&["query", SQL], args].concat());
        assert!(refused.contains(part), "{args:?}: {refused}");
    }
}
