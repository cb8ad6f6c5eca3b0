//! The output matches the README.

mod survives;

use std::process::Command;

fn expected_output() -> Option<&'static str> {
    let readme = include_str!("../README.md");
    readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next())
}

#[test]
fn the_output_matches_the_readme() {
    let dir = tempfile::tempdir().unwrap();
    let mut output = Vec::new();
    leftfold_examples::orders::story(dir.path(), &mut output).unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), expected_output().unwrap());
}

/// The same with a server and services in processes, which are killed rather than stopped.
#[test]
fn services_in_processes_give_the_same_output() {
    let output = Command::new(env!("CARGO_BIN_EXE_orders")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected_output().unwrap());
}
