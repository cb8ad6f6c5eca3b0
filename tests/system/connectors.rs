//! Connectors of a real server: by the commands, and over kill -9.

use std::collections::HashMap;
use std::process::Command;

use serde_json::Value;

use crate::binary::{binary, serve, stdout};
use crate::receiver::Receiver;
/// Runs a command about connectors; gives whether it succeeded, and what it printed and complained of.
fn connector(url: Option<&str>, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(binary());
    if let Some(url) = url {
        command.args(["--server", &format!("http://{url}")]);
    }
    let output = command.arg("connector").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_connector_is_tested_added_shown_and_removed_by_commands() {
    let dir = tempfile::tempdir().unwrap();
    let (receiver, data) = (Receiver::start(), dir.path().join("data"));
    let hook = receiver.hook(dir.path());
    let (_server, url) = serve(&data, "127.0.0.1:0");
    let with = |args: &[&str]| match connector(Some(&url), args) {
        (true, printed, _) => printed,
        failed => panic!("{args:?}: {failed:?}"),
    };
    let fails = |args: &[&str]| match connector(Some(&url), args) {
        (false, _, words) => words,
        done => panic!("{args:?}: {done:?}"),
    };

    let found: Value = serde_json::from_str(&with(&["test", &hook])).unwrap();
    assert_eq!(found["ok"], true, "{found}");
    let added: Value = serde_json::from_str(&with(&["add", &hook])).unwrap();
    assert_eq!(added["connector"], "hook");
    for stream in ["order-1", "order-refused"] {
        let server = format!("http://{url}");
        stdout(&data, &["--server", &server, "append", stream, "OrderPlaced", "{}"]);
    }
    receiver.wait(|all| all == [("order-1".to_owned(), 0)]);
    let parked = loop {
        let parked = with(&["parked", "hook"]);
        if !parked.is_empty() {
            break serde_json::from_str::<Value>(&parked).unwrap();
        }
    };
    assert_eq!((&parked["stream"], &parked["attempts"]), (&"order-refused".into(), &2.into()));
    let shown: Value = serde_json::from_str(&with(&["show", "hook"])).unwrap();
    assert_eq!((&shown["phase"], &shown["held"]), (&"running".into(), &1.into()));
    with(&["skip", "hook", "--stream", "order-refused", "--version", "0"]);
    with(&["remove", "hook"]);
    assert_eq!(with(&["list"]), "");

    assert!(fails(&["pause", "hook"]).starts_with("error[connector_unknown]"));
    std::fs::write(&hook, "name = \"hook\"\nkind = \"smoke\"\n").unwrap();
    let wrong = fails(&["add", &hook]);
    assert!(
        wrong.starts_with("error[connector_invalid]") && wrong.contains("hook.toml"),
        "{wrong}"
    );
    // Without a server, none would run it.
    let (done, _, words) = connector(None, &["list"]);
    assert!(!done && words.contains("--server URL"), "{words}");
}

/// Nothing is lost, each stream keeps its order, and what was delivered long before a kill does not come again.
#[test]
fn a_web_hook_gets_all_events_over_kills_of_the_server() {
    const STREAMS: usize = 4;
    const ROUNDS: usize = 3;
    const EVENTS: usize = 10;
    let dir = tempfile::tempdir().unwrap();
    let (receiver, data) = (Receiver::start(), dir.path().join("data"));
    let hook = receiver.hook(dir.path());
    let mut expected = 0;
    for round in 0..ROUNDS {
        let (server, url) = serve(&data, "127.0.0.1:0");
        if round == 0 {
            assert!(connector(Some(&url), &["add", &hook]).0);
        }
        let url = format!("http://{url}");
        for number in 0..EVENTS {
            let stream = format!("order-{}", number % STREAMS);
            stdout(&data, &["--server", &url, "append", &stream, "OrderPlaced", "{}"]);
        }
        // Killed while some of them are under way.
        receiver.wait(|all| all.len() >= expected + EVENTS / 2);
        drop(server);
        expected += EVENTS;
    }
    let (_server, _) = serve(&data, "127.0.0.1:0");
    let distinct = |all: &[(String, u64)]| {
        let mut seen = std::collections::HashSet::new();
        all.iter().filter(|one| seen.insert((*one).clone())).cloned().collect::<Vec<_>>()
    };
    let all = receiver.wait(|all| distinct(all).len() == expected);
    let mut next = HashMap::<String, u64>::new();
    for (stream, version) in distinct(&all) {
        let next = next.entry(stream).or_default();
        assert_eq!(version, *next, "{all:?}");
        *next += 1;
    }
    // Of each kill, at most those that were under way.
    assert!(all.len() <= expected + ROUNDS * STREAMS, "{} of {expected}", all.len());
}

#[test]
fn the_sql_of_an_outbox_is_printed() {
    let init = |table: &str| {
        Command::new(binary()).args(["outbox", "init", "--table", table]).output().unwrap()
    };
    let output = init("shop.events");
    let sql = String::from_utf8(output.stdout).unwrap();
    assert!(sql.contains("create table if not exists") && sql.contains("leftfold_xid"), "{sql}");
    let words = String::from_utf8(init("a; drop").stderr).unwrap();
    assert!(words.starts_with("error[connector_invalid]"), "{words}");
}
