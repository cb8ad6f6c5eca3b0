//! The commands of views against a server: what they ask, and how its answers are printed. The server is a small one
//! of this test, which records the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::thread;

use crate::binary::run;
use crate::views::ORDERS;

/// Runs a command against a server that gives one answer. Returns the request, line and body, and what was printed.
fn ask(args: &[&str], status: &str, answer: &str) -> (String, String, Output) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let args: Vec<&str> = [&["--server", &url], args].concat();
    thread::scope(|threads| {
        let served = threads.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut input = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            input.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                input.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(text) = line.strip_prefix("content-length: ") {
                    length = text.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            input.read_exact(&mut body).unwrap();
            let head = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}",
                answer.len()
            );
            write!(stream, "{head}\r\n\r\n{answer}").unwrap();
            (first.replace(" HTTP/1.1", "").trim().to_owned(), String::from_utf8(body).unwrap())
        });
        let output = run(std::path::Path::new("unused"), &args);
        let (first, body) = served.join().unwrap();
        (first, body, output)
    })
}

#[test]
fn each_command_asks_its_route() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.sql");
    std::fs::write(&path, ORDERS).unwrap();
    let file = path.to_str().unwrap();
    for (args, request, body) in [
        (&["list"][..], "GET /v1/views", ""),
        (&["show", "orders"], "GET /v1/views/orders", ""),
        (&["add", file], "POST /v1/views?from=start", ORDERS),
        (&["add", file, "--from", "now"], "POST /v1/views?from=now", ORDERS),
        (&["replace", file], "PUT /v1/views/orders", ORDERS),
        (&["plan", file], "POST /v1/views/plan", ORDERS),
        (&["pause", "orders"], "POST /v1/views/orders/pause", ""),
        (&["resume", "orders"], "POST /v1/views/orders/resume", ""),
        (&["reset", "orders"], "POST /v1/views/orders/reset", ""),
        (&["parked", "orders"], "GET /v1/views/orders/parked?all=false", ""),
        (&["parked", "orders", "--all"], "GET /v1/views/orders/parked?all=true", ""),
        (&["retry", "orders"], "POST /v1/views/orders/retry", ""),
        (&["retry", "orders", "--stream", "s"], "POST /v1/views/orders/retry?stream=s", ""),
        (&["skip", "orders", "--position", "7"], "POST /v1/views/orders/skip?position=7", ""),
        (&["remove", "orders"], "DELETE /v1/views/orders", ""),
    ] {
        let args = [&["view"], args].concat();
        let (first, sent, output) = ask(&args, "200 OK", "{}");
        assert_eq!((&*first, &*sent), (request, body));
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

#[test]
fn a_server_is_asked_to_wait_for_a_cursor() {
    let cursor = leftfold::Cursor::START.to_string();
    let args = ["view", "wait", "orders", "--at-least", &cursor, "--timeout", "2m"];
    let (first, _, output) = ask(&args, "200 OK", "{}");
    assert_eq!(first, format!("GET /v1/views/orders?at_least={cursor}&timeout_ms=120000"));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_query_is_asked_of_the_server() {
    let answer = r#"{"columns":["id","n"],"rows":[["1",2]],"cursors":{"orders":null}}"#;
    let sql = "select id, n from orders";
    let (first, sent, output) = ask(&["query", sql, "--timeout", "2m"], "200 OK", answer);
    assert_eq!(first, "POST /v1/query");
    assert_eq!(sent, format!(r#"{{"sql":"{sql}","timeout_ms":120000}}"#));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"id\":\"1\",\"n\":2}\n");
    let (_, _, output) = ask(&["query", sql, "-o", "json"], "200 OK", answer);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), answer);
}

#[test]
fn refusals_of_the_server_are_printed() {
    let problem = r#"{"code":"query_syntax","detail":"no such thing"}"#;
    let (_, _, output) = ask(&["query", "select 1"], "400 Bad Request", problem);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "error[query_syntax]: no such thing\n");
    let (_, _, output) = ask(&["view", "list"], "404 Not Found", "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("run a server of this release"), "{said}");
}
