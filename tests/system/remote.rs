//! The commands on a server's store instead of a directory.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::binary::{Killed, binary, serve, serve_as, stderr, stdout};

/// What differs from store to store.
const OWN: [&str; 6] = ["commit_time", "event_time", "cursor", "store", "created", "log_bytes"];

fn lines(text: &str) -> Vec<Value> {
    let value = |line| -> Value { serde_json::from_str(line).unwrap() };
    let mut lines: Vec<Value> = text.lines().map(value).collect();
    for object in lines.iter_mut().filter_map(Value::as_object_mut) {
        OWN.iter().for_each(|own| _ = object.remove(*own));
    }
    lines
}

fn remote(address: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("--server").arg(format!("http://{address}")).args(args).stdin(Stdio::null());
    command
}

fn text(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn complaint(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// Every command says of a server's store what it says of a directory's.
#[test]
fn the_same_commands_say_the_same_of_a_servers_store() {
    let dir = tempfile::tempdir().unwrap();
    let [here, there, backups] = ["here", "there", "backups"].map(|name| dir.path().join(name));
    let (_server, address) = serve_as(&there, "127.0.0.1:0", |serve| {
        serve.arg("--backups").arg(&backups);
    });
    let id = |n: u8| format!("00000000-0000-4000-8000-00000000000{n}");
    let (first, second) = (id(1), id(2));
    let commands: &[&[&str]] = &[
        &["append", "a-1", "Put", "{\"n\":1}", "--expect", "no-stream", "--id", &first],
        &["append", "a-1", "Put", "{\"n\":1}", "--expect", "no-stream", "--id", &first],
        &["append", "a-1", "Put", "plain", "--tag", "k=v", "--id", &second],
        &["append", "b-1", "Taken", "--expect", "no-stream", "--id", &id(3)],
        &["read", "*"],
        &["read", "tag:k=v or stream:b-1", "--backward", "--limit", "1"],
        &["read", "category:a", "--level", "local"],
        &["read", "category:a", "--level", "linearizable"],
        &["subscribe", "category:a"],
        &["streams"],
        &["streams", "--category", "b"],
        &["index", "define", "puts", "type:Put"],
        &["read", "index:puts"],
        &["index", "list"],
        &["index", "drop", "puts"],
        &["retention", "set", "a-1", "--max-count", "1"],
        &["retention", "rule", "taken", "type:Taken", "--max-age", "7d"],
        &["retention", "list"],
        &["read", "category:a"],
        &["delete", "b-1"],
        &["read", "stream:b-1"],
        &["scavenge", "--dry-run"],
        &["retention", "drop", "taken"],
        &["parked", "list"],
    ];
    for args in commands {
        let said = text(remote(&address, args).output().unwrap());
        assert_eq!(lines(&said), lines(&stdout(&here, args)), "{args:?}");
    }
    let wrong: &[&[&str]] = &[
        &["append", "a-1", "Put", "--expect", "no-stream"],
        &["append", "a-1", "Put", "other", "--id", &first],
        &["read", "index:puts"],
        &["index", "define", "puts", "index:none"],
    ];
    for args in wrong {
        let said = complaint(remote(&address, args).output().unwrap());
        assert_eq!(said, stderr(&here, args), "{args:?}");
    }
    let stat = lines(&text(remote(&address, &["stat"]).output().unwrap())).remove(0);
    assert_eq!(stat["streams"], lines(&stdout(&here, &["stat"]))[0]["streams"]);
    text(remote(&address, &["pack"]).output().unwrap());
    let backup = text(remote(&address, &["backup", "--to", "one"]).output().unwrap());
    assert_eq!(lines(&backup)[0]["backup"], json!(1));
    assert!(backups.join("one").is_dir());
    let verified = lines(&text(remote(&address, &["verify"]).output().unwrap())).remove(0);
    assert_eq!(verified["wrong"], json!(0));
    assert_ne!(verified["events"], json!(0));
    let repair = complaint(remote(&address, &["repair"]).output().unwrap());
    assert_eq!(repair.split(['[', ']']).nth(1), Some("not_over_network"), "{repair}");
}

#[test]
fn follows_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, address) = serve(dir.path(), "127.0.0.1:0");
    let mut follow = remote(&address, &["subscribe", "category:a", "--follow"]);
    let mut follow = Killed(follow.stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = BufReader::new(follow.0.stdout.take().unwrap()).lines();
    for n in 0..3 {
        text(remote(&address, &["append", "a-1", "Put", &n.to_string()]).output().unwrap());
        let event = lines(&printed.next().unwrap().unwrap()).remove(0);
        assert_eq!((&event["version"], &event["data"]), (&json!(n), &json!(n)));
    }
}

/// While the server is away, a follower says once that it goes on trying; a quiet one does not.
#[test]
fn says_once_that_it_tries_again() {
    let dir = tempfile::tempdir().unwrap();
    let (server, address) = serve(dir.path(), "127.0.0.1:0");
    text(remote(&address, &["append", "a-1", "Put", "0"]).output().unwrap());
    let mut followers: Vec<_> = [&["--quiet"][..], &[]]
        .into_iter()
        .map(|quiet| {
            let args = [&["subscribe", "--follow", "-o", "raw", "-n", "2"], quiet].concat();
            let mut follow = remote(&address, &args);
            let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let printed = BufReader::new(follow.stdout.take().unwrap()).lines();
            let said = BufReader::new(follow.stderr.take().unwrap()).lines();
            (Killed(follow), printed, said)
        })
        .collect();
    for (_, printed, _) in &mut followers {
        assert_eq!(printed.next().unwrap().unwrap(), "0");
    }
    drop(server);
    let retrying = followers[1].2.next().unwrap().unwrap();
    assert!(retrying.starts_with("retrying: the server can't be reached"), "{retrying}");
    let (_server, _) = serve(dir.path(), &address);
    text(remote(&address, &["append", "a-1", "Put", "1"]).output().unwrap());
    for ((_, printed, said), hints) in followers.iter_mut().zip([0, 1]) {
        assert_eq!(printed.next().unwrap().unwrap(), "1");
        let said: Vec<_> = said.map(Result::unwrap).collect();
        assert!(said.iter().all(|line| line.starts_with("continue with")), "{said:?}");
        assert_eq!(said.len(), hints, "{said:?}");
    }
}

const ADMIN: &str = "a password of the admin";

fn asked(address: &str, user: (&str, &str), args: &[&str], input: &str) -> Output {
    let mut command = remote(address, args);
    command.env("LEFTFOLD_USER", user.0).env("LEFTFOLD_PASSWORD", user.1);
    with_input(&mut command, input)
}

fn with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who does not ask does not read.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn with_users(data: &Path) -> (Killed, String) {
    serve_as(data, "127.0.0.1:0", |serve| {
        serve.env("LEFTFOLD_ADMIN_PASSWORD", ADMIN);
    })
}

/// What the page on security tells people to type.
#[test]
fn users_groups_tokens_and_grants_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let (server, address) = with_users(data);
    let admin = |args: &[&str], input: &str| {
        let output = asked(&address, ("admin", ADMIN), args, input);
        text(output)
    };
    let ann = ("ann", "ann's own password");
    let secret = format!("{}\n", ann.1);
    admin(&["user", "add", "ann"], &secret);
    admin(&["grant", "add", "--user", "ann", "read", "category:order"], "");
    admin(&["group", "add", "clerks"], "");
    admin(&["group", "add", "clerks", "ann"], "");
    admin(&["grant", "add", "--group", "clerks", "append", "category:order"], "");
    admin(&["user", "add", "billing", "--no-password"], "");
    let until = ["--until", "2999-01-01"];
    let token = admin(&[&["token", "create", "b-1", "--for", "billing"], &until[..]].concat(), "");

    text(asked(&address, ann, &["append", "order-1", "Placed"], ""));
    assert_eq!(lines(&text(asked(&address, ann, &["read", "category:order"], ""))).len(), 1);
    for args in [&["append", "cart-1", "Placed"][..], &["read", "*"]] {
        let refused = complaint(asked(&address, ann, args, ""));
        assert!(refused.starts_with("error[forbidden]:"), "{refused}");
    }
    let refused = complaint(asked(&address, ann, &["user", "list"], ""));
    assert!(refused.starts_with("error[forbidden]:"), "{refused}");
    let refused = complaint(asked(&address, ("ann", "another"), &["read", "category:order"], ""));
    assert!(refused.starts_with("error[unauthenticated]:"), "{refused}");

    let billing = |args: &[&str]| {
        let mut command = remote(&address, args);
        command.env("LEFTFOLD_TOKEN", token.trim()).output().unwrap()
    };
    assert!(complaint(billing(&["read", "category:order"])).starts_with("error[forbidden]:"));
    let grant = ["grant", "add", "--user", "billing", "read", "category:order"];
    let grant = lines(&admin(&grant, "")).remove(0)["grant"].to_string();
    assert_eq!(lines(&text(billing(&["read", "category:order"]))).len(), 1);
    admin(&["grant", "remove", &grant], "");
    assert!(complaint(billing(&["read", "category:order"])).starts_with("error[forbidden]:"));
    admin(&["token", "revoke", "b-1"], "");
    assert!(complaint(billing(&["read", "*"])).starts_with("error[unauthenticated]:"));

    let users = lines(&admin(&["user", "list"], ""));
    let names: Vec<&str> = users.iter().filter_map(|user| user["user"].as_str()).collect();
    assert_eq!(names, ["admin", "ann", "billing"]);
    let tokens = lines(&admin(&["token", "list"], ""));
    assert!(tokens.is_empty(), "{tokens:?}");
    // Managers have three; two were added here.
    assert_eq!(lines(&admin(&["grant", "list"], "")).len(), 5);
    assert_eq!(lines(&admin(&["group", "list"], "")).len(), 2);
    admin(&["group", "remove", "clerks", "ann"], "");
    admin(&["user", "passwd", "ann"], "a newer password\n");
    let refused = complaint(asked(&address, ann, &["read", "category:order"], ""));
    assert!(refused.starts_with("error[unauthenticated]:"), "{refused}");
    drop(server);
    // No secret is in any file.
    for file in
        fs::read_dir(data.join("log")).into_iter().flatten().chain(fs::read_dir(data).unwrap())
    {
        let bytes = fs::read(file.unwrap().path()).unwrap_or_default();
        for secret in [ADMIN, ann.1, "a newer password", token.trim()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

/// A user with access to the directory can reset the admin's password.
#[test]
fn a_lost_password_of_the_admin_is_replaced_in_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let (server, _) = with_users(data);
    let recover = || {
        let mut command = crate::binary::command(data, &["user", "recover"]);
        with_input(&mut command, "quite another one\n")
    };
    let refused = complaint(recover());
    assert!(refused.starts_with("error[store_locked]:"), "{refused}");
    drop(server);
    text(recover());
    let (_server, again) = with_users(data);
    text(asked(&again, ("admin", "quite another one"), &["user", "list"], ""));
    let refused = complaint(asked(&again, ("admin", ADMIN), &["user", "list"], ""));
    assert!(refused.starts_with("error[unauthenticated]:"), "{refused}");
}

#[tokio::test]
async fn log_lines_are_objects_that_name_the_server_and_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let log = dir.path().join("log");
    let args = ["serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--log-format", "json"];
    let mut serve = crate::binary::command(&data, &args);
    let serve = serve.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
    let mut server = Killed(serve.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let request = crate::served::client().get(format!("http://{address}/health/live"));
    request.header("x-request-id", "mine-17").send().await.unwrap();
    drop(server);
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let started = lines.iter().find(|line| line["fields"]["message"] == "started").unwrap();
    let fields = &started["fields"];
    assert_eq!(fields["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&fields["address"], &fields["tls"]), (&json!(address), &json!(false)));
    assert_eq!(fields["data"], data.to_str().unwrap());
    let answered = lines.iter().find(|line| line["fields"]["message"] == "answered").unwrap();
    assert_eq!(
        (&answered["span"]["id"], &answered["fields"]["status"]),
        (&json!("mine-17"), &json!(200))
    );
}

/// What goes over gRPC, and what goes over HTTP alone.
#[test]
fn commands_reach_a_server_by_its_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (data, socket) = (dir.path().join("data"), dir.path().join("leftfold.socket"));
    let (_server, _) = serve_as(&data, "127.0.0.1:0", |serve| {
        serve.arg("--socket").arg(&socket);
    });
    let by_socket = |args: &[&str]| {
        let server = format!("unix:{}", socket.display());
        let mut command = Command::new(binary());
        command.args(["--server", &server]).args(args).stdin(Stdio::null());
        text(command.output().unwrap())
    };
    by_socket(&["append", "a-1", "Put", "{\"n\":1}"]);
    assert_eq!(lines(&by_socket(&["read", "category:a"]))[0]["data"], json!({"n": 1}));
    assert_eq!(by_socket(&["connector", "list"]), "");
}
