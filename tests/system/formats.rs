//! Formats, verbosity, colours and starting points.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::binary::{Killed, command, stdout, usage_error};

fn fill(data: &Path) {
    let placed = "{\n  \"total\": \"9.90\", \"note\": \"a text that is longer than what is left of a line\"\n}";
    stdout(data, &["append", "order-1", "Placed", placed, "-t", "customer=42", "-t", "kind=new"]);
    stdout(data, &["append", "order-1", "Paid", "by card", "--event-time", "2026-03-01"]);
}

#[test]
fn raw_prints_the_data_of_events_one_a_line() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    for command in ["read", "subscribe"] {
        let raw = stdout(dir.path(), &[command, "-o", "raw"]);
        let lines: Vec<_> = raw.lines().collect();
        assert!(lines[0].starts_with(r#"{   "total": "9.90""#), "{raw}");
        assert_eq!((lines[1], lines.len()), ("by card", 2));
    }
    let refused = usage_error(dir.path(), &["streams", "-o", "raw"]);
    assert!(refused.contains("use it with read or subscribe"), "{refused}");
}

#[test]
fn tables_show_tags_and_fit_the_width_of_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let table = |columns: &str, args: &[&str]| {
        let output = command(dir.path(), args).env("COLUMNS", columns).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let wide = table("120", &["read", "-o", "table"]);
    let lines: Vec<_> = wide.lines().collect();
    assert!(lines[0].contains("tags") && lines[1].contains("customer=42 kind=new"), "{wide}");
    assert!(lines[1].ends_with('…') && lines[2].ends_with("by card"), "{wide}");
    assert!(lines[3].starts_with("2 events; continue with: --after cursor:"), "{wide}");
    for columns in [70, 120, 200] {
        let table = table(&columns.to_string(), &["read", "-o", "table", "-q"]);
        assert!(!table.contains("continue with"), "{table}");
        for line in table.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
    }
    let narrow = table("70", &["read", "-o", "table"]);
    let lines: Vec<_> = narrow.lines().collect();
    assert!(lines[2].starts_with("           customer=42 kind=new  {"), "{narrow}");
    assert!(lines[3].contains("Paid") && lines[4].trim() == "by card", "{narrow}");
    let rows = table("120", &["-o", "table", "subscribe"]);
    assert!(rows.lines().next().unwrap().contains("customer=42 kind=new"), "{rows}");
}

/// As `head` does: a reader that closes the pipe ends the command without an error.
#[test]
fn a_closed_pipe_ends_a_command_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let commands = [&["read"][..], &["streams"], &["stat"], &["verify"], &["append", "a-1", "T"]];
    for (args, format) in commands.iter().flat_map(|args| [(args, "table"), (args, "json")]) {
        let mut table = command(dir.path(), &[args, &["-o", format][..]].concat());
        // A pipe whose reading end is closed already.
        let (_, closed) = std::io::pipe().unwrap();
        let output = table.stdout(closed).stderr(Stdio::piped()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && words.is_empty(), "{args:?} {format}: {words}");
    }
}

#[test]
fn a_full_disk_behind_the_output_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    for args in [&["read"][..], &["stat"], &["stat", "-o", "table"], &["read", "-o", "table"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(dir.path(), args).stdout(full).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {words}");
        assert!(words.starts_with("error: ") && words.contains("No space left"), "{words}");
    }
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let output = |args: &[&str], no_color: bool| {
        let mut command = command(dir.path(), args);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    };
    for args in [&["read", "-o", "table"][..], &["read", "index:none"], &["read", "--limit", "x"]] {
        for (color, is_colored) in [("auto", false), ("always", true), ("never", false)] {
            let printed = output(&[args, &["--color", color]].concat(), false);
            assert_eq!(printed.contains('\u{1b}'), is_colored, "{args:?} {color}: {printed}");
        }
        assert!(!output(args, true).contains('\u{1b}'), "{args:?}");
    }
}

#[test]
fn a_quiet_command_prints_results_and_errors_only() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    for (args, loud) in [
        (&["subscribe"][..], "caught up"),
        (&["index", "define", "paid", "type:Paid"], "defined"),
        (&["delete", "order-1"], "deleted"),
    ] {
        let stderr = |args: &[&str]| {
            String::from_utf8(command(dir.path(), args).output().unwrap().stderr).unwrap()
        };
        assert!(stderr(args).contains(loud), "{args:?}");
        assert_eq!(stderr(&[args, &["--quiet"]].concat()), "", "{args:?}");
    }
    assert_eq!(stdout(dir.path(), &["append", "a-1", "T", "-q", "-o", "table"]), "");
}

/// A follower from the end prints only what is appended after it began.
#[test]
fn reads_and_subscriptions_begin_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    fill(data);
    assert_eq!(stdout(data, &["read", "--from", "end"]), "");
    assert_eq!(stdout(data, &["subscribe", "--from", "end"]), "");
    let newest = stdout(data, &["read", "--from", "end", "-b", "-n", "1", "-o", "raw"]);
    assert_eq!(newest, "by card\n");
    assert_eq!(stdout(data, &["subscribe", "-n", "1"]).lines().count(), 1);

    let (_server, address) = crate::binary::serve(data, "127.0.0.1:0");
    let url = format!("http://{address}");
    let follow = ["subscribe", "-f", "--from", "end", "-s", &url, "-o", "raw"];
    let mut follow = command(data, &follow[..]);
    follow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follower = Killed(follow.env("COLUMNS", "80").spawn().unwrap());
    let mut printed = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    // It prints nothing when it has begun, so events are appended until one arrives.
    let appends = std::thread::scope(|threads| {
        let first = threads.spawn(|| printed.next().unwrap().unwrap());
        let mut appends = 0;
        while !first.is_finished() {
            let text = format!("new {appends}");
            stdout(data, &["append", "order-2", "Placed", &text, "-s", &url]);
            appends += 1;
            assert!(appends < 1_000, "the follower prints nothing");
        }
        assert!(first.join().unwrap().starts_with("new "));
        appends
    });
    assert!(appends > 0);
}

#[test]
fn a_bad_point_is_told_all_forms() {
    let dir = tempfile::tempdir().unwrap();
    for point in ["3", "position:x", "cursor:x", "committed:x", "place:3", ""] {
        let refused = usage_error(dir.path(), &["read", "--from", point]);
        for form in ["end", "position:17", "version:3", "ordinal:3", "committed:2026-03-01"] {
            assert!(refused.contains(form), "{point}: {form} is missing in {refused}");
        }
        let refused = usage_error(dir.path(), &["read", "--after", point]);
        assert!(refused.contains("ordinal:3") && refused.contains("cursor:..."), "{refused}");
    }
}
