//! `leftfold cluster` with a node of a cluster, whose answers a test gives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::binary::{binary, serve};

/// A node that gives each of its answers once; returns the requests.
struct Node {
    url: String,
    asked: JoinHandle<Vec<String>>,
}

fn node(answers: Vec<Value>) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let answer = |answer: &Value| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let head: Vec<String> =
                stream.by_ref().lines().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
            let body = answer.to_string();
            let length = body.len();
            write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
            head[0].trim_end_matches(" HTTP/1.1").to_owned()
        };
        answers.iter().map(answer).collect()
    });
    Node { url, asked }
}

/// The status of a node with these roles, that is drained or not.
fn status(is_draining: bool, roles: &[&str]) -> Value {
    let partition = |(number, role): (usize, &&str)| {
        json!({"number": number, "owner": "n1", "standbys": ["n2", "n3"], "role": role,
               "term": 7, "applied": 12_345, "end": 12_350, "lag": 5, "failure": null})
    };
    let partitions: Vec<_> = roles.iter().enumerate().map(partition).collect();
    let member =
        |name: &str| json!({"name": name, "url": format!("http://{name}"), "is_draining": false});
    json!({"cluster": "shop", "node": "n1", "standing": "member", "is_draining": is_draining,
           "problem": null, "members": [member("n1"), member("n2")], "partitions": partitions})
}

fn cluster(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["cluster", "--server", url]).args(args).env("COLUMNS", "120");
    command.output().unwrap()
}

/// Runs a command that must succeed with a node of these answers; gives what it printed, and what it asked.
fn run(answers: Vec<Value>, args: &[&str]) -> (String, Vec<String>) {
    let node = node(answers);
    let output = cluster(&node.url, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), node.asked.join().unwrap())
}

#[test]
fn the_status_is_the_answer_of_the_node() {
    let status = status(false, &["owner", "standby"]);
    let (said, asked) = run(vec![status.clone()], &["status"]);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), status);
    assert_eq!(asked, ["GET /v1/cluster"]);
}

#[test]
fn the_status_is_a_table_for_people() {
    let mut status = status(false, &["owner", "standby"]);
    let (said, _) = run(vec![status.clone()], &["status", "-o", "table"]);
    let words: Vec<Vec<_>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["cluster", "shop"]);
    assert!(words.contains(&vec!["standing", "member"]), "{said}");
    let row = ["1", "standby", "n1", "n2", "n3", "7", "12,345", "12,350", "5"];
    assert!(words.contains(&row.to_vec()), "{said}");
    assert!(!said.contains("failure") && !said.contains("problem"), "{said}");

    (status["problem"], status["partitions"][0]["failure"]) = (json!("no broker"), json!("late"));
    let (said, _) = run(vec![status.clone()], &["status", "-o", "table"]);
    assert!(said.contains("no broker") && said.contains("failure"), "{said}");
    assert!(!said.contains("restoring"), "{said}");
    status["partitions"][1]["restoring_from"] = json!("n3");
    let (said, _) = run(vec![status], &["status", "-o", "table"]);
    assert!(said.contains("restoring"), "{said}");
}

#[test]
fn the_members_are_listed_with_their_partitions() {
    let status = status(false, &["owner", "owner"]);
    let (said, _) = run(vec![status.clone()], &["members"]);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let member = |name: &str, owns: u64, follows: u64| {
        json!({"name": name, "url": format!("http://{name}"), "is_draining": false, "owns": owns,
               "follows": follows})
    };
    assert_eq!(lines, [member("n1", 2, 0), member("n2", 0, 2)]);
    let (said, _) = run(vec![status], &["members", "-o", "table"]);
    let words: Vec<Vec<_>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["node", "url", "draining", "owns", "follows"]);
    assert_eq!(words[2], ["n2", "http://n2", "no", "0", "2"]);
}

#[test]
fn drain_waits_until_the_node_owns_nothing() {
    let answers = vec![
        status(true, &["owner", "owner"]),
        status(true, &["owner", "owner"]),
        status(true, &["standby", "claiming"]),
        status(true, &["standby", "standby"]),
    ];
    let (said, asked) = run(answers, &["drain", "--wait", "-o", "table"]);
    assert_eq!(said, "node n1 owns no partition, and takes none\n");
    assert_eq!(asked[0], "POST /v1/cluster/drain");
    assert_eq!(asked[1..], ["GET /v1/cluster"; 3]);
}

#[test]
fn drain_without_wait_and_undrain_return_at_once() {
    let (said, asked) = run(vec![status(true, &["owner"])], &["drain", "-o", "table"]);
    assert_eq!(said, "node n1 gives its partitions away, and takes none; it owns 1 now\n");
    assert_eq!(asked, ["POST /v1/cluster/drain"]);
    let (said, asked) = run(vec![status(false, &["owner"])], &["undrain", "-o", "table"]);
    assert_eq!(said, "node n1 takes partitions\n");
    assert_eq!(asked, ["POST /v1/cluster/undrain"]);
}

#[test]
fn drain_gives_up_waiting_and_names_what_the_node_still_owns() {
    let node = node(vec![status(true, &["owner", "standby"]); 2]);
    let output = cluster(&node.url, &["drain", "--wait", "--timeout", "0s"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("error[timed_out]"), "{complaint}");
    assert!(complaint.contains("to own no partition within 0 s, but owns 1: 0;"), "{complaint}");
}

#[test]
fn a_server_that_is_no_node_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, address) = serve(dir.path(), "127.0.0.1:0");
    for action in ["status", "members", "drain", "undrain"] {
        let output = cluster(&format!("http://{address}"), &[action]);
        assert_eq!(output.status.code(), Some(1), "{action}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(
            complaint.starts_with("error[cluster_none]: this server is no node"),
            "{complaint}"
        );
    }
}
