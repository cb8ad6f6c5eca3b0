//! Wrong values and places: every message says what was expected.

use std::process::{Command, Stdio};

use crate::binary::{binary, run, stderr};

/// What parsers of Rust say, which helps no user.
const PARSERS: [&str; 9] = [
    "invalid digit",
    "number too large",
    "number too small",
    "cannot parse",
    "empty string",
    "invalid character",
    "group length",
    "ParseIntError",
    "is not in 1..",
];

/// Commands with options or positions that have values; `serve` has those of `config`.
const COMMANDS: [&[&str]; 28] = [
    &["append"],
    &["read"],
    &["subscribe"],
    &["streams"],
    &["ingest"],
    &["checkpoints"],
    &["index", "define"],
    &["index", "show"],
    &["parked", "list"],
    &["parked", "replay"],
    &["parked", "skip"],
    &["retention", "set"],
    &["retention", "rule"],
    &["retention", "drop"],
    &["delete"],
    &["scavenge"],
    &["pack"],
    &["stat"],
    &["verify"],
    &["repair"],
    &["backup"],
    &["restore"],
    &["config"],
    &["cert"],
    &["token", "create"],
    &["grant", "add"],
    &["grant", "remove"],
    &["demo"],
];

/// Values that no parser of numbers, times or ids accepts.
const BAD: [&str; 4] = ["x", "1.5", "99999999999999999999999", ""];

/// Returns the long options with values of a command, as its help lists them.
fn options(command: &[&str]) -> Vec<String> {
    let help = Command::new(binary()).args(command).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.lines().filter_map(|line| {
        let (_, option) = line.split_once("--")?;
        let end = option.find([' ', '[', '='])?;
        option[end..].trim_start_matches('[').starts_with([' ', '=']).then_some(())?;
        option[end..].trim_start_matches(['[', '=', ' ']).starts_with('<').then_some(())?;
        Some(format!("--{}", &option[..end]))
    });
    // These lead to a server, or write where they say.
    let others = ["--server", "--as", "--ca", "--data", "--dir", "--to"];
    options.filter(|option| !others.contains(&option.as_str())).collect()
}

#[test]
fn bad_values_are_told_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for command in COMMANDS {
        for option in options(command) {
            // The server has its own tests of its many settings.
            let most = if command == ["config"] { 1 } else { BAD.len() };
            for bad in &BAD[..most] {
                let mut wrong = Command::new(binary());
                // Without the other arguments it does nothing: values are read first.
                wrong.args(command).arg(format!("{option}={bad}"));
                let output = wrong.current_dir(dir.path()).stdin(Stdio::null()).output().unwrap();
                let words = String::from_utf8(output.stderr).unwrap();
                for parser in PARSERS {
                    assert!(!words.contains(parser), "{command:?} {option}={bad}: {words}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    for (args, expected) in [
        (&["read", "-n", "0"][..], "expected a whole number from 1 on"),
        (&["read", "-n", "x"], "expected a whole number from 1 on"),
        (&["ingest", "--max-rejects", "x"], "expected a whole number"),
        (&["streams", "-n", "-1"], "unexpected argument"),
        (&["append", "a", "T", "--id", "7"], "expected a UUID such as"),
        (&["index", "define", "i", "*", "--partitions", "x"], "from 1 to 1024"),
        (&["parked", "skip", "r", "s", "x"], "expected a version"),
        (&["retention", "set", "s", "--truncate-before", "x"], "expected a version"),
        (&["retention", "set", "s", "--max-age", "7"], "expected a number and a unit"),
        (&["grant", "remove", "x"], "expected a whole number"),
        (&["demo", "--entries", "7"], "expected a whole number from 2000 to 10000000"),
        (&["token", "create", "t", "--for", "u", "--until", "x"], "is not a time"),
    ] {
        let words = String::from_utf8(run(dir.path(), args).stderr).unwrap();
        assert!(words.contains(expected), "{args:?}: {words}");
        assert!(PARSERS.iter().all(|parser| !words.contains(parser)), "{args:?}: {words}");
    }
}

/// A command never promises to create a store where no directory can be made.
#[test]
fn a_place_where_no_directory_can_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let [file, store, backup] = ["file", "store", "backup"].map(|name| dir.path().join(name));
    std::fs::write(&file, "").unwrap();
    crate::binary::stdout(&store, &["append", "a-1", "T"]);
    let to = backup.to_str().unwrap();
    crate::binary::stdout(&store, &["backup", "--to", to]);
    let below = file.join("store");
    for place in [&below, &file] {
        for args in [
            &["append", "a-1", "T"][..],
            &["read"],
            &["subscribe"],
            &["streams"],
            &["checkpoints"],
            &["index", "list"],
            &["parked", "list"],
            &["retention", "list"],
            &["delete", "a-1"],
            &["scavenge"],
            &["pack"],
            &["stat"],
            &["verify"],
            &["repair"],
            &["backup", "--to", to],
            &["restore", "--from", to],
            &["serve", "--listen", "127.0.0.1:0"],
            &["user", "recover"],
        ] {
            let refused = stderr(place, args);
            let begin = format!("error[store_missing]: there is no store in {}", place.display());
            assert!(refused.starts_with(&begin), "{args:?}: {refused}");
            assert!(refused.contains("the directory can't be made: "), "{args:?}: {refused}");
            assert_eq!(refused.matches("os error").count(), 1, "{args:?}: {refused}");
        }
    }
    let nowhere = dir.path().join("a/b");
    let missing = stderr(&nowhere, &["read"]);
    assert!(missing.contains("create one by appending") && !dir.path().join("a").exists());
    let to = stderr(&store, &["backup", "--to", below.to_str().unwrap()]);
    assert_eq!(to.matches("os error").count(), 1, "{to}");
    let demo = ["demo", "--dir", below.to_str().unwrap()];
    assert!(stderr(dir.path(), &demo).contains("can't be made"));
}
