//! The help, completions, and options that do not apply.

use std::process::Command;

use crate::binary::{binary, stderr, stdout, usage_error};

#[test]
fn help_groups_the_commands_and_leaves_out_what_does_not_apply() {
    let dir = tempfile::tempdir().unwrap();
    let help = stdout(dir.path(), &["--help"]);
    for words in
        ["Events:\n  append ", "Server:\n  serve ", "Options:\n  -d, --data", "Usage: leftfold"]
    {
        assert!(help.contains(words), "{words} is missing in {help}");
    }
    for (command, has, lacks) in [
        ("read", &["--server", "--packing", "--output", "--data"][..], &[][..]),
        ("restore", &["--data", "--quiet"], &["--server", "--packing", "--as ", "--ca "]),
        ("cert", &["--color"], &["--server", "--data <", "--as "]),
        ("serve", &["--data <", "--packing"], &["--server ", "--as "]),
        ("user", &["--server", "--as "], &["--packing"]),
        ("cluster", &["--server", "drain"], &["--packing", "--data <"]),
    ] {
        let help = stdout(dir.path(), &["help", command]);
        for option in has {
            assert!(help.contains(option), "{command}: {option} is missing in {help}");
        }
        for option in lacks {
            assert!(!help.contains(option), "{command}: {option} is in {help}");
        }
    }
    assert!(!stdout(dir.path(), &["user", "add", "--help"]).contains("--packing"));
}

#[test]
fn each_command_is_in_one_group_of_the_help() {
    let print = |args: &[&str]| {
        String::from_utf8(Command::new(binary()).args(args).output().unwrap().stdout).unwrap()
    };
    let (help, script) = (print(&["--help"]), print(&["completions", "fish"]));
    let (groups, _) = help.split_once("Options:").unwrap();
    let is_entry = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let entries = groups.lines().filter(is_entry).filter_map(|line| line.split_whitespace().next());
    let mut grouped: Vec<&str> = entries.collect();
    let known = script.lines().filter_map(|line| {
        let names = line.split_once("-n \"__fish_leftfold_needs_command\" -f -a \"")?.1;
        names.split('"').next()
    });
    let mut known: Vec<&str> = known.collect();
    grouped.sort_unstable();
    known.sort_unstable();
    assert!(known.len() > 20 && known.contains(&"read"), "{script}");
    assert_eq!(grouped, known);
}

#[test]
fn options_that_do_not_apply_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (
            &["restore", "--from", "x", "--packing", "off"][..],
            "--packing does not apply to the command restore",
        ),
        (&["repair", "--as", "ann"], "--as does not apply to the command repair"),
        (&["read", "--level", "newest"], "expected committed, local or linearizable"),
        (&["demo", "--server", "x"], "does not apply to the command demo"),
        (
            &["read", "--server", "http://127.0.0.1:1", "--packing", "off"],
            "--packing does not apply with --server",
        ),
    ] {
        let refused = usage_error(dir.path(), args);
        assert!(refused.contains(words), "{args:?}: {refused}");
    }
    let refused = stderr(dir.path(), &["repair", "--server", "http://127.0.0.1:1"]);
    assert!(refused.starts_with("error[not_over_network]"), "{refused}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Command::new(binary()).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(script.stdout).unwrap();
        for word in ["subscribe", "none-after", "retention"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
