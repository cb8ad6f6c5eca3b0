//! The story, as the README tells it.

mod survives;

use std::process::Command;

fn promised() -> Option<&'static str> {
    let readme = include_str!("../README.md");
    readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next())
}

#[test]
fn the_story_ends_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::orders::story(dir.path(), &mut told).unwrap();
    assert_eq!(String::from_utf8(told).unwrap(), promised().unwrap());
}

/// The same with a server, and services that are processes: they are killed, not stopped.
#[test]
fn the_story_of_processes_ends_no_differently() {
    let output = Command::new(env!("CARGO_BIN_EXE_orders")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), promised().unwrap());
}
